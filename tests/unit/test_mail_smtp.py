"""Letters to a real SMTP server on loopback: by TLS, to whom the certificate says it is, or not at all."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from rainbow_xmpp.config import MailConfig, Secret
from rainbow_xmpp.mail.transports import Maildir, NotSent, Smtp, Transport, goodbye
from tests.certificates import make_certificates
from tests.cli import CommandLine, empty_installation, line
from tests.process import free_port

__all__ = ["empty_installation", "line"]


class Inbox:
    """What the mail server was given; `answer` is what it says to each letter."""

    def __init__(self) -> None:
        self.letters: list[Envelope] = []
        self.answer = "250 taken"

    async def handle_DATA(self, server: object, session: SmtpSession, envelope: Envelope) -> str:
        if self.answer.startswith("2"):
            self.letters.append(envelope)
        return self.answer

    async def handle_RCPT(
        self, server: object, session: SmtpSession, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("gone@"):
            return "550 nobody here"
        if address.startswith("later@"):
            return "450 come again"
        envelope.rcpt_tos.append(address)
        return "250 ok"


def _knows(
    server: object, session: SmtpSession, envelope: Envelope, mechanism: str, data: object
) -> AuthResult:
    is_right = getattr(data, "login", b"") == b"rainbow" and getattr(data, "password", b"") == b"secret"
    return AuthResult(success=is_right, handled=is_right)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


Serve = Callable[..., MailConfig]


@pytest.fixture
def serve(tmp_path: Path, inbox: Inbox) -> Iterator[Serve]:
    """Starts a server, with TLS unless it has none, and gives the configuration that reaches it."""
    files = make_certificates(tmp_path)
    running: list[Controller] = []

    def start(*, has_tls: bool = True, has_utf8: bool = True, **changes: object) -> MailConfig:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files.certificate, files.key)
        options: dict[str, object] = {"tls_context": context, "require_starttls": True} if has_tls else {}
        options["enable_SMTPUTF8"] = has_utf8
        port = free_port()
        controller = Controller(
            inbox, hostname="127.0.0.1", port=port, authenticator=_knows, auth_require_tls=True, **options
        )
        controller.start()
        running.append(controller)
        given: dict[str, object] = {
            "transport": "smtp",
            "host": "localhost",
            "port": port,
            "authority": str(files.ca),
            "timeout_s": 20,
        }
        return MailConfig(**{**given, **changes})  # type: ignore[arg-type]

    yield start
    for controller in running:
        controller.stop()


def message(to: str = "ann@acme.example") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"], made["Message-ID"] = "no-reply@chat.example", to, "x", "<1@x>"
    made.set_content("Your code")
    return made


async def sent(transport: Transport, *messages: EmailMessage) -> list[NotSent | None]:
    """What becomes of letters that go one way."""
    async with transport.opened() as hand_over:
        return [await hand_over(each) for each in messages]


async def test_letters_arrive(serve: Serve, inbox: Inbox) -> None:
    config = serve(username="rainbow", password=Secret("secret"))
    assert await sent(Smtp(config), message(), message("bob@acme.example")) == [None, None]
    assert [letter.rcpt_tos for letter in inbox.letters] == [["ann@acme.example"], ["bob@acme.example"]]
    assert b"Your code" in (inbox.letters[0].original_content or b"")


async def refusal(config: MailConfig, *messages: EmailMessage) -> NotSent:
    """The refusal of the first of these letters."""
    found = (await sent(Smtp(config), *(messages or [message()])))[0]
    assert found is not None
    return found


async def test_without_starttls_nothing_is_said(serve: Serve, inbox: Inbox) -> None:
    found = await refusal(serve(has_tls=False))
    assert found.outcome == "no-starttls" and not found.is_final
    assert 'security = "tls"' in str(found)
    assert inbox.letters == []


async def test_a_certificate_of_somebody_else_is_not_believed(serve: Serve, inbox: Inbox) -> None:
    found = await refusal(serve(authority=""))
    assert found.outcome == "bad-certificate" and "mail.authority" in str(found)
    assert inbox.letters == []


async def test_a_refused_login_is_told(serve: Serve) -> None:
    found = await refusal(serve(username="rainbow", password=Secret("wrong")))
    assert found.outcome == "login-refused" and "wrong" not in str(found)


async def test_a_server_that_is_not_there_is_told(serve: Serve) -> None:
    config = serve()
    found = await refusal(MailConfig(transport="smtp", host="localhost", port=1, authority=config.authority))
    assert found.outcome == "not-reached" and not found.is_final


@pytest.mark.parametrize(
    ("answer", "outcome", "is_final"),
    [("554 we do not want it", "refused-554", True), ("451 not now", "refused-451", False)],
)
async def test_what_the_server_refuses_is_told_apart(
    serve: Serve, inbox: Inbox, answer: str, outcome: str, is_final: bool
) -> None:
    inbox.answer = answer
    found = await refusal(serve())
    assert (found.outcome, found.is_final) == (outcome, is_final)


@pytest.mark.parametrize(
    ("address", "is_final"), [("gone@acme.example", True), ("later@acme.example", False)]
)
async def test_a_refused_recipient_stops_no_other_letter(
    serve: Serve, inbox: Inbox, address: str, is_final: bool
) -> None:
    first, second = await sent(Smtp(serve()), message(address), message())
    assert first is not None and first.is_final is is_final
    assert address not in first.outcome
    assert second is None and len(inbox.letters) == 1


async def test_a_name_that_the_server_cannot_take_ends_the_letter(serve: Serve, inbox: Inbox) -> None:
    """RFC 6531: a server that offers no SMTPUTF8 is told no such name."""
    first, second = await sent(Smtp(serve(has_utf8=False)), message("jörg@acme.example"), message())
    assert first is not None and (first.outcome, first.is_final) == ("no-smtputf8", True)
    assert second is None and len(inbox.letters) == 1


async def test_a_server_that_hangs_up_at_the_end_has_taken_the_letter(serve: Serve, inbox: Inbox) -> None:
    smtp = Smtp(serve())
    async with smtp.opened() as hand_over:
        assert await hand_over(message()) is None
        client = await smtp.connect()
        client.close()
        await goodbye(client)
    assert len(inbox.letters) == 1


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file")
    [found] = await sent(Maildir(tmp_path / "mail"), message())
    assert found is not None and found.outcome == "folder-refused"


def with_mail(line: CommandLine, **keys: object) -> None:
    """Add `[mail]` to the configuration of a command line."""
    written = "\n".join(f"{name} = {value!r}" for name, value in keys.items())
    line.config.write_text(f"{line.config.read_text()}\n[mail]\n{written}\n")


def test_check_sends_a_letter_that_can_be_read(line: CommandLine) -> None:
    line.ok("db", "upgrade")
    assert "took a test letter" in line.ok("check", "mail", "--to", "ann@acme.example")
    assert "ann@acme.example" in line.ok("mail", "list")
    shown = line.ok("mail", "show", "latest")
    assert "To: ann@acme.example" in shown and "This is a test: letters from chat.example arrive." in shown
    assert "There is no letter" in line.refused("mail", "show", "nonsense")


def test_check_says_what_stands_in_the_way(line: CommandLine, serve: Serve) -> None:
    config = serve(has_tls=False)
    with_mail(line, transport="smtp", host=config.host, port=config.port)
    result = line.run("check", "mail", "--to", "ann@acme.example")
    assert result.exit_code == 1 and "offers no STARTTLS" in result.output


def test_check_refuses_what_is_no_address(line: CommandLine) -> None:
    result = line.run("check", "mail", "--to", "nobody")
    assert result.exit_code == 1 and "no e-mail address" in result.output
