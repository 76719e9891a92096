"""`[mail]`: letters to people."""

from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path

from rainbow_xmpp.config.declare import Complaints, key
from rainbow_xmpp.config.secret import Secret

TRANSPORTS = ("maildir", "smtp")
SECURITY = ("starttls", "tls")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailConfig:
    """[mail]: letters with PINs, invitations and notices; they wait in the database until they are gone."""

    transport: str = key(
        "maildir",
        "How letters leave. maildir: into a folder of this machine, for a first run; read them with "
        "rainbow-xmpp mail list. smtp: to the server below.",
        choices=TRANSPORTS,
    )
    folder: str = key("data/mail", "The folder of the transport maildir.")
    host: str = key("", "The SMTP server that takes the letters; it signs them (DKIM) and sends them on.")
    port: int = key(587, "Its port: 587 for starttls, 465 for tls.", ge=1, le=65_535)
    security: str = key(
        "starttls",
        "starttls: TLS is started on the connection, and nothing is said if it cannot be. tls: from the first byte.",
        choices=SECURITY,
    )
    authority: str = key(
        "", "A file with the authorities that the server's certificate is judged by. Empty = the system's."
    )
    username: str = key("", "The name to log in with. Empty = without.")
    password: Secret = key(Secret(), "Its password.")  # noqa: RUF009  # a value
    sender: str = key("", "The address that letters come from. Empty = no-reply@ the domain.")
    sender_name: str = key("", "The name beside it. Empty = the domain.")
    templates: str = key(
        "", "A folder with templates of your own; one that is not there is taken from the server's."
    )
    timeout_s: int = key(30, "How long one step with the SMTP server may take.", ge=1, le=300)
    most_waiting: int = key(
        100_000, "So many letters may wait; more are not taken.", ge=100, le=10_000_000, reload="live"
    )

    def problems(self) -> Complaints:
        if self.transport == "smtp" and not self.host:
            yield "host", 'is not set, and transport is "smtp"'
        if self.transport == "maildir" and not self.folder:
            yield "folder", 'is empty, and transport is "maildir"'
        if self.sender and not _is_address(self.sender):
            yield "sender", f'is "{self.sender}", which is no e-mail address'
        if any(ord(character) < 32 for character in self.sender_name):
            yield "sender_name", "has a line break or another control character"
        if bool(self.username) is not bool(self.password):
            yield "password", "belongs to a username: set both, or neither"
        if self.templates and not Path(self.templates).is_dir():
            yield "templates", f'is "{self.templates}", which is no directory'
        if self.authority and not Path(self.authority).is_file():
            yield "authority", f'is "{self.authority}", which is no file'


def _is_address(text: str) -> bool:
    try:
        return bool(Address(addr_spec=text).domain)
    except (MessageError, ValueError, IndexError):
        return False
