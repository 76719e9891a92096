"""Letters: written safely, kept sealed, sent at least once, and forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa

from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.config import Config, MailConfig
from rainbow_xmpp.languages import LANGUAGES
from rainbow_xmpp.mail import Letter, Mail, MailFull, NotALetter
from rainbow_xmpp.mail.composer import Composer
from rainbow_xmpp.mail.queue import FIRST_WAIT_S, LEASE_S, Waiting
from rainbow_xmpp.mail.transports import HandOver, NotSent
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.tables import mail_queue

LETTERS = sorted(
    path.stem for path in (Path(__file__).parents[2] / "rainbow_xmpp/mail/letters").glob("*.txt")
)
FACTS = {
    "pin": "493817",
    "minutes": 10,
    "company": "Acme <& Sons>",
    "token": "t" * 22,
    "days": 7,
    "request": "r" * 22,
}


def letter(template: str = "register-pin", **changes: object) -> Letter:
    given: dict[str, object] = {
        "template": template,
        "to": "ann@acme.example",
        "expires_at": 4e9,
        "facts": FACTS,
    }
    return Letter(**{**given, **changes})  # type: ignore[arg-type]


@dataclass(slots=True)
class Postman:
    """Takes letters, or gives these answers first."""

    answers: list[NotSent | None] = field(default_factory=list)
    taken: list[EmailMessage] = field(default_factory=list)
    before: Callable[[], Awaitable[object]] = field(default=lambda: asyncio.sleep(0))
    """What happens while a letter is being taken."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[HandOver]:
        yield self._take

    async def _take(self, message: EmailMessage) -> NotSent | None:
        await self.before()
        result = self.answers.pop(0) if self.answers else None
        if result is None:
            self.taken.append(message)
        return result


class Office:
    """A `Mail` whose clock and postman are ours."""

    def __init__(self, store: Store, **changes: object) -> None:
        self.at = 1_000_000.0
        store.now = lambda: self.at
        self.counters = Counters()
        config = Config(domain="chat.example", mail=MailConfig(**changes))  # type: ignore[arg-type]
        self.mail = Mail(config, store, Sealer(bytes(32)), self.counters)
        self.postman = Postman()
        self.mail.transport = self.postman
        self.store = store

    async def rows(self) -> list[sa.RowMapping]:
        async with self.store.read() as connection:
            return list((await connection.execute(sa.select(mail_queue))).mappings())


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", LETTERS)
def test_every_letter_can_be_written_in_every_language(template: str, language: str) -> None:
    composer = Composer(MailConfig(), "chat.example", "https://chat.example")
    message = composer.message(letter(template, language=language), "5f", 1e9)
    plain = message.get_body(("plain",))
    page = message.get_body(("html",))
    assert plain is not None and page is not None
    text = plain.get_content()
    assert "chat.example" in str(message["Subject"]) + text
    assert "{" not in text and "%(" not in text
    if template.endswith("-pin"):
        assert "493817" in text and ">493817<" in page.get_content()
        assert "493817" not in str(message["Subject"])
    assert "Acme <& Sons>" not in page.get_content()
    assert message["Message-ID"] == "<5f@chat.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == language
    assert message["From"] == '"chat.example" <no-reply@chat.example>'


def test_the_languages_differ() -> None:
    composer = Composer(MailConfig(), "chat.example", "https://chat.example")
    subjects = {
        str(composer.message(letter(language=language), "5f", 1e9)["Subject"]) for language in LANGUAGES
    }
    assert len(subjects) == len(LANGUAGES)


def test_an_administrators_template_is_taken_first(tmp_path: Path) -> None:
    own = "{% block subject %}Ours {{ site }}{% endblock %}{% block text %}Take {{ pin }}{% endblock %}"
    (tmp_path / "register-pin.txt").write_text(own)
    composer = Composer(MailConfig(templates=str(tmp_path)), "chat.example", "https://chat.example")
    assert composer.message(letter(), "5f", 1e9)["Subject"] == "Ours chat.example"
    assert "chat.example" in composer.message(letter("reset-pin"), "5f", 1e9)["Subject"]


def test_a_template_that_lacks_a_fact_says_so() -> None:
    composer = Composer(MailConfig(), "chat.example", "https://chat.example")
    with pytest.raises(NotALetter, match="pin"):
        composer.message(letter(facts={"minutes": 10}), "5f", 1e9)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "a@b",
        "a@b.example\nBcc: everybody@b.example",
        "a@b.example\r\n\r\nHello",
        "a@b.example, c@d.example",
        "Ann <a@b.example>",
        "a b@c.example",
        "a@b.example\0",
        "a@@b.example",
        "a@b..example",
        "@b.example",
        "a@x\u200d.example",
        "x" * 250 + "@b.example",
    ],
)
def test_what_is_no_address_is_written_to_by_nobody(address: str) -> None:
    with pytest.raises(NotALetter):
        letter(to=address)


@pytest.mark.parametrize("text", ["Acme\nBcc: x@y.example", "Acme\r", "Acme\x00", "Acme\u2028", "x" * 3000])
def test_no_fact_breaks_out_of_its_line(text: str) -> None:
    with pytest.raises(NotALetter):
        letter("invitation", facts={**FACTS, "company": text})


async def test_a_letter_is_sent_and_nothing_of_it_is_kept(office: Office) -> None:
    await office.mail.post(letter())
    [row] = await office.rows()
    assert b"ann@acme" not in row["sealed"] and b"493817" not in row["sealed"]
    assert "ann@acme" not in str(dict(row)) and "493817" not in str(dict(row))
    assert await office.mail.carry_once() == 1
    [message] = office.postman.taken
    assert message["To"] == "ann@acme.example"
    assert await office.rows() == []
    assert office.counters.mail_queued == office.counters.mail_sent == 1


async def test_a_letter_waits_longer_each_time_and_goes_under_the_same_id(office: Office) -> None:
    office.postman.answers = [NotSent("not-reached"), NotSent("refused-451")]
    letter_id = await office.mail.post(letter())
    assert await office.mail.carry_once() == 1
    office.at += FIRST_WAIT_S - 1
    assert await office.mail.carry_once() == 0
    office.at += 1
    assert await office.mail.carry_once() == 1
    office.at += 2 * FIRST_WAIT_S - 1
    assert await office.mail.carry_once() == 0
    office.at += 1
    assert await office.mail.carry_once() == 1
    [message] = office.postman.taken
    assert message["Message-ID"] == f"<{letter_id}@chat.example>"
    assert office.counters.mail_failed == 2


async def test_a_final_refusal_ends_a_letter(office: Office) -> None:
    office.postman.answers = [NotSent("refused-550", is_final=True)]
    await office.mail.post(letter())
    await office.mail.carry_once()
    assert await office.rows() == []
    assert office.postman.taken == []


async def test_a_letter_that_is_too_late_is_never_sent(office: Office) -> None:
    await office.mail.post(letter(expires_at=office.at + 600))
    office.at += 600
    assert await office.mail.carry_once() == 0
    assert await office.rows() == []
    assert office.counters.mail_expired == 1


async def test_who_dies_while_sending_lets_another_send_it_again(office: Office) -> None:
    letter_id = await office.mail.post(letter())
    [waiting] = await office.mail.queue.take(int(office.at), 10)
    assert waiting.id == letter_id
    assert await office.mail.carry_once() == 0  # somebody is at it
    office.at += LEASE_S
    assert await office.mail.carry_once() == 1
    assert [message["Message-ID"] for message in office.postman.taken] == [f"<{letter_id}@chat.example>"]


async def test_a_letter_that_is_too_late_when_its_turn_comes_is_not_sent(office: Office) -> None:
    """Those before it took long."""
    await office.mail.post(letter())
    office.at += 1
    await office.mail.post(letter(expires_at=office.at + 600))

    async def slow() -> None:
        office.at += 600

    office.postman.before = slow
    await office.mail.carry_once()
    assert len(office.postman.taken) == 1
    await office.mail.carry_once()
    assert await office.rows() == [] and len(office.postman.taken) == 1
    assert office.counters.mail_expired == 1


async def test_a_letter_that_another_took_meanwhile_is_sent_by_that_one_only(office: Office) -> None:
    """What is being sent stays ours; what waits behind it is anybody's after its while."""
    for _ in range(3):
        await office.mail.post(letter())
        office.at += 1
    theirs: list[Waiting] = []

    async def slow() -> None:
        office.at += LEASE_S * 0.6
        theirs.extend(await office.mail.queue.take(int(office.at), 10))

    office.postman.before = slow
    await office.mail.carry_once()
    assert len(theirs) == 1 and len(office.postman.taken) == 2
    [row] = await office.rows()
    assert (row["id"], row["next_at"]) == (theirs[0].id, theirs[0].until)


async def test_a_batch_that_is_cut_off_sends_nothing_twice(office: Office) -> None:
    for _ in range(5):
        await office.mail.post(letter())
        office.at += 1
    cut = asyncio.Event()

    async def cut_at_the_third() -> None:
        if len(office.postman.taken) == 2:
            cut.set()
            await asyncio.Event().wait()

    office.postman.before = cut_at_the_third
    carrying = asyncio.create_task(office.mail.carry_once())
    await cut.wait()
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)
    office.postman.before = lambda: asyncio.sleep(0)
    assert await office.mail.carry_once() == 2  # those that had not been begun, at once
    office.at += LEASE_S
    assert await office.mail.carry_once() == 1  # of which nobody knows whether it was taken
    ids = [message["Message-ID"] for message in office.postman.taken]
    assert len(ids) == len(set(ids)) == 5


async def test_a_connection_that_is_lost_ends_the_batch_and_only_one_letter_waits_longer(
    office: Office,
) -> None:
    for _ in range(3):
        await office.mail.post(letter())
    office.postman.answers = [NotSent("connection-lost")]
    await office.mail.carry_once()
    assert sorted(row["attempts"] for row in await office.rows()) == [0, 0, 1]
    assert await office.mail.carry_once() == 2


async def test_how_long_the_oldest_waits_is_a_figure(office: Office) -> None:
    await office.mail.post(letter())
    posted = int(office.at)
    office.at += 100
    await office.mail.post(letter())
    await office.mail._look()
    assert (office.counters.mail_waiting, office.counters.mail_oldest_at) == (2, posted)
    await office.mail.carry_once()
    await office.mail._look()
    assert (office.counters.mail_waiting, office.counters.mail_oldest_at) == (0, 0)


def test_a_domain_that_is_not_ascii_is_written_as_mail_servers_know_it() -> None:
    config = MailConfig(sender="post@Straße.example")
    message = Composer(config, "bücher.example", "https://bücher.example").message(
        letter(to="ann@bücher.example"), "5f", 1e9
    )
    assert message["To"] == "ann@xn--bcher-kva.example"
    assert "post@xn--strae-oqa.example" in message["From"]
    assert message["Message-ID"] == "<5f@xn--bcher-kva.example>"


async def test_two_carriers_never_have_the_same_letter(office: Office) -> None:
    for _ in range(6):
        await office.mail.post(letter())
    first = await office.mail.queue.take(int(office.at), 4)
    second = await office.mail.queue.take(int(office.at), 4)
    assert len(first) == 4 and len(second) == 2
    assert not {waiting.id for waiting in first} & {waiting.id for waiting in second}


async def test_a_letter_of_a_transaction_that_fails_is_never_sent(office: Office) -> None:
    with pytest.raises(ZeroDivisionError):
        async with office.store.write() as connection:
            await office.mail.post(letter(), connection)
            raise ZeroDivisionError
    assert await office.mail.carry_once() == 0


async def test_a_queue_that_is_full_takes_no_more(store: Store) -> None:
    office = Office(store, most_waiting=1)
    await office.mail.post(letter())
    with pytest.raises(MailFull):
        await office.mail.post(letter())


async def test_what_was_sealed_under_a_lost_key_is_dropped(office: Office) -> None:
    await office.mail.post(letter())
    other = Mail(Config(domain="chat.example"), office.store, Sealer(b"k" * 32), Counters())
    assert await other.queue.take(int(office.at), 10) == []
    assert await office.rows() == []


async def test_a_broken_template_holds_up_nobody_else(office: Office) -> None:
    await office.mail.post(letter("no-such-template"))
    await office.mail.post(letter())
    assert await office.mail.carry_once() == 2
    assert len(office.postman.taken) == 1
    assert [row["outcome"] for row in await office.rows()] == ["template-broken"]
