"""The forms of XEP-0133 §4.23 to §4.28."""

from rainbow_xmpp.plugin import Form, form_field
from rainbow_xmpp.xml import names

MAX_CHARACTERS = 10_000
WHY = "It goes into the audit log, and nobody is told it."


class Announce(Form, form_type=names.ADMIN, title="An announcement"):
    """§4.23."""

    announcement: str = form_field("Text", lines=True, max_len=MAX_CHARACTERS)
    reason: str = form_field("Reason", default="", var="x-reason", max_len=500, desc=WHY)


class MessageOfTheDay(
    Form, form_type=names.ADMIN, title="The message of the day", instructions="Everybody sees it once."
):
    """§4.24 and §4.25."""

    motd: str = form_field("Text", lines=True, max_len=MAX_CHARACTERS)
    reason: str = form_field("Reason", default="", var="x-reason", max_len=500, desc=WHY)


class WelcomeMessage(
    Form,
    form_type=names.ADMIN,
    title="The welcome message",
    instructions="People who are added from now on see it at their first login.",
):
    """§4.27."""

    welcome: str = form_field("Text", lines=True, max_len=MAX_CHARACTERS)
    reason: str = form_field("Reason", default="", var="x-reason", max_len=500, desc=WHY)
