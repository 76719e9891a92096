"""Letters to people: a durable queue, templates in their language, and the way out."""

from rainbow_xmpp.mail.letter import Letter, NotALetter
from rainbow_xmpp.mail.office import Mail
from rainbow_xmpp.mail.queue import MailFull

__all__ = ["Letter", "Mail", "MailFull", "NotALetter"]
