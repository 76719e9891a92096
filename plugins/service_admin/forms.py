"""The forms of XEP-0133, with the names of fields that it registers (§8.2)."""

from __future__ import annotations

from datetime import datetime

from rainbow_xmpp.plugin import JID, Form, form_field
from rainbow_xmpp.xml import names

MOST_AT_ONCE = 100
"""So many people are changed by one command."""
WHY = "It goes into the audit log. Operators must give one."
ALL = "none"
"""What XEP-0133 §4.18 calls a list without a bound."""


class AddUser(
    Form,
    form_type=names.ADMIN,
    title="Add a user",
    instructions="The user gets a letter, chooses a password, and logs in by address or by e-mail.",
):
    """§4.1, without its fields for a password. A company's administrator adds people to the own company."""

    email: str = form_field("E-mail address")
    accountjid: JID | None = form_field(
        "Address (JID)", default=None, desc="Left empty, a random one is made."
    )
    given_name: str = form_field("Given name", default="", max_len=100)
    surname: str = form_field("Family name", default="", max_len=100)
    reason: str = form_field("Reason", default="", var="x-reason", max_len=500, desc=WHY)


class AddUserSomewhere(AddUser):
    """What an operator is asked: of which company as well."""

    company: str = form_field("Company", default="", var="x-company", desc="Left empty, your own.")


class Several(Form, form_type=names.ADMIN, instructions="An e-mail address will do as well."):
    """One or more people, by JID or e-mail address."""

    accountjids: tuple[JID, ...] = form_field("Who", most=MOST_AT_ONCE)


class Change(Several):
    """What is done to them stands in the audit log."""

    reason: str = form_field("Reason", default="", var="x-reason", max_len=500, desc=WHY)


class DeleteUsers(Change, title="Delete users", instructions="With everything that is theirs."):
    """§4.2."""


class DisableUsers(Change, title="Disable users"):
    """§4.3."""


class ReenableUsers(Change, title="Re-enable users"):
    """§4.4."""


class EndSessions(
    Change, title="End sessions", instructions="With a resource, one session; without, all of them."
):
    """§4.5."""


class One(Form, form_type=names.ADMIN, instructions="An e-mail address will do as well."):
    """One person, by JID or e-mail address."""

    accountjid: JID = form_field("Who")


class WhoseLastLogin(Several, title="Last logins"):
    """§4.9."""


class WhoseStatistics(One, title="About a user"):
    """§4.10."""


class LastLogin(Form, form_type=names.ADMIN):
    """A row of the answer to §4.9."""

    accountjid: JID = form_field("Address")
    lastlogin: datetime | None = form_field("Last login", default=None)


class Statistics(Form, form_type=names.ADMIN, title="About a user"):
    """The answer to §4.10, without network addresses."""

    accountjid: JID = form_field("Address")
    email: tuple[str, ...] = form_field("E-mail addresses", default=())
    rostersize: int = form_field("Contacts", default=0)
    onlineresources: tuple[str, ...] = form_field("Online with", default=())
    lastlogin: datetime | None = form_field("Last login", default=None)


class RegisteredNumber(Form, form_type=names.ADMIN):
    """§4.13."""

    registeredusersnum: int = form_field("Registered users")


class DisabledNumber(Form, form_type=names.ADMIN):
    """§4.14."""

    disabledusersnum: int = form_field("Disabled users")


class OnlineNumber(Form, form_type=names.ADMIN):
    """§4.15."""

    onlineusersnum: int = form_field("Online users")


class HowMany(Form, form_type=names.ADMIN, title="A long list"):
    """§4.18: how much of it is wanted."""

    max_items: str = form_field(
        "Show at most",
        default="100",
        options={**{str(number): str(number) for number in (25, 50, 75, 100, 150, 200)}, ALL: "All"},
    )

    @property
    def most(self) -> int | None:
        """None: all."""
        return None if self.max_items == ALL else int(self.max_items)


class RegisteredList(Form, form_type=names.ADMIN):
    """§4.18."""

    registereduserjids: tuple[JID, ...] = form_field("Registered users", default=())


class DisabledList(Form, form_type=names.ADMIN):
    """§4.19."""

    disableduserjids: tuple[JID, ...] = form_field("Disabled users", default=())


class OnlineList(Form, form_type=names.ADMIN):
    """§4.20."""

    onlineuserjids: tuple[JID, ...] = form_field("Online users", default=())
