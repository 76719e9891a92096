"""What the store hands out: companies, accounts, rosters, changes. Values only, no SQL here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from rainbow_xmpp.ids import new_id, new_localpart

PUBLIC_COMPANY = "Rainbow"
"""The company of people who register without an invitation; the first migration creates it."""

DEFAULT_SERVICE_LEVEL = "essential"


class Role(StrEnum):
    """What an account may administer: nothing, its own company, or the whole installation."""

    USER = "user"
    COMPANY_ADMIN = "company_admin"
    OPERATOR = "operator"


class Visibility(StrEnum):
    """Who may find and reach a company's people, or one person (`SAME_THAN_COMPANY`: as the company says)."""

    PUBLIC = "public"
    PRIVATE = "private"
    ORGANISATION = "organisation"
    CLOSED = "closed"
    ISOLATED = "isolated"
    SAME_THAN_COMPANY = "same_than_company"


OPENNESS = (
    Visibility.PUBLIC,
    Visibility.ORGANISATION,
    Visibility.PRIVATE,
    Visibility.CLOSED,
    Visibility.ISOLATED,
)
"""Visibilities from the most open one to the least."""


class FactorRule(StrEnum):
    """What a company says of second factors at login."""

    OFF = "off"
    """Nobody can turn one on; whoever has one keeps it until they turn it off."""
    OPTIONAL = "optional"
    REQUIRED = "required"
    """Whoever has none can log in for nothing but to make one."""


class PasswordNeed(StrEnum):
    """A kind of character that a password may have to have."""

    LOWER = "lower"
    UPPER = "upper"
    DIGIT = "digit"
    SPECIAL = "special"


class Crossing(StrEnum):
    """What may go to people of other regions, and come from them."""

    DELIVER = "deliver"
    """Everything that may go to people of the same one."""
    NOTIFY = "notify"
    """That there is a message, without what it says; no presence, no queries."""
    REFUSE = "refuse"
    """Nothing: for each other they do not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanySettings:
    """What a company's administrators decide. Defaults are what a new company has."""

    visibilities: tuple[Visibility, ...] = ()
    """What its people may choose for themselves; empty: everything no more open than the company."""
    roster: bool = True
    """Colleagues are in everybody's roster by themselves."""
    roster_limit: int = 500
    """No company roster for more people than this; they search instead."""
    self_registration: bool = False
    """People with an address in one of its domains may make an account in it by themselves."""
    password_min_length: int = 0
    """New passwords have at least so many characters, where that is more than what is configured."""
    password_needs: tuple[PasswordNeed, ...] = ()
    """What new passwords must have beside what is configured."""
    second_factor: FactorRule = FactorRule.OPTIONAL
    """Whether its people may, or must, have a second factor at login."""
    regions: tuple[str, ...] = ()
    """Regions that it may use beside its home. A restricted one must be named here even to be its home.

    Operators decide this, not its administrators.
    """
    cross_region: Crossing = Crossing.DELIVER
    """What of its people may go to other regions; of two companies the stricter one decides."""
    cross_region_consent: bool = False
    """Nothing of a person goes to another region before they said that it may."""


@dataclass(frozen=True, slots=True)
class Company:
    """A company: the border nobody crosses unless both sides agreed. `created_at` is Unix time in seconds."""

    id: str
    name: str
    region: str
    visibility: Visibility
    organisation: str
    service_level: str
    disabled: bool
    created_at: int
    settings: CompanySettings = CompanySettings()

    @property
    def is_public(self) -> bool:
        """The company of those who belong to no other: a place, and no circle of colleagues."""
        return self.name == PUBLIC_COMPANY

    @property
    def allowed_visibilities(self) -> tuple[Visibility, ...]:
        """What its people may choose."""
        chosen = self.settings.visibilities or OPENNESS[OPENNESS.index(self.visibility) :]
        return (Visibility.SAME_THAN_COMPANY, *chosen)


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account. `epoch` rises whenever older tokens and cached passwords must die; `service_level` is ""
    for the company's."""

    id: str
    localpart: str
    company: Company
    role: Role
    visibility: Visibility
    region: str
    service_level: str
    disabled: bool
    epoch: int
    name: str = ""
    """As others see it; "" when it is not known."""
    listed: bool = True
    """In the roster of the company."""
    second_factor: bool = False
    """The password alone does not let anybody in: a code comes after it, or an app password in its place."""
    abroad: bool = False
    """At home in another region, which said so: nothing of this person is kept here, not even the account."""

    @property
    def must_enrol(self) -> bool:
        """The company requires a second factor, and there is none yet."""
        return self.company.settings.second_factor is FactorRule.REQUIRED and not self.second_factor

    @property
    def may_log_in(self) -> bool:
        """Neither the account nor its company is disabled."""
        return not (self.disabled or self.company.disabled)

    @property
    def effective_visibility(self) -> Visibility:
        """The account's own visibility, or its company's."""
        own = self.visibility
        return self.company.visibility if own is Visibility.SAME_THAN_COMPANY else own

    @property
    def effective_service_level(self) -> str:
        """The account's own service level, or its company's."""
        return self.service_level or self.company.service_level


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """An account and what its password is checked against.

    `sealed` (with `key_id`) are sealed SCRAM keys; `imported_hash` is a bcrypt hash brought from another
    system, to be replaced by SCRAM keys at the next successful PLAIN login. Both None: no password yet.
    """

    account: Account
    sealed: bytes | None = field(repr=False)
    key_id: str | None
    imported_hash: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Member:
    """An account as an administrator lists it. `created_at` is Unix time in seconds."""

    account: Account
    emails: tuple[str, ...]
    created_at: int


@dataclass(frozen=True, slots=True)
class Headcount:
    """How many people a company has, and how many of them are shut out."""

    registered: int
    disabled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to be made. `company` is a name; the region is the company's when None, the service level when "".

    The id is drawn here and not by the store, because credentials are sealed to it beforehand.
    """

    company: str
    email: str
    localpart: str = field(default_factory=new_localpart)
    role: Role = Role.USER
    visibility: Visibility = Visibility.SAME_THAN_COMPANY
    region: str | None = None
    service_level: str = ""
    sealed: bytes | None = field(default=None, repr=False)
    key_id: str | None = None
    imported_hash: str | None = field(default=None, repr=False)
    name: str = ""
    id: str = field(default_factory=new_id)


class ConflictField(StrEnum):
    """Which field of a new account stands in the way."""

    COMPANY = "company"
    EMAIL = "email"
    LOCALPART = "localpart"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why the row at `index` (from 0) of an import cannot be added; `reason` is for the administrator."""

    index: int
    field: ConflictField
    reason: str


class Subscription(StrEnum):
    """A roster item's subscription (RFC 6121 §2.1.2.5)."""

    NONE = "none"
    TO = "to"
    FROM = "from"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterItem:
    """One contact in somebody's roster, with the parts of its state that clients never see.

    `ask`: we asked to subscribe and wait ("Pending Out"). `pending_in`: the contact asked and waits
    ("Pending In"); `request` keeps the contact's subscribe stanza until it is answered (RFC 6121 §3.1.3).
    `approved`: pre-approved (§3.4). `listed`: the user put the contact into the roster; False for a record
    that exists only because the contact asked.
    """

    contact: str
    name: str = ""
    subscription: Subscription = Subscription.NONE
    ask: bool = False
    groups: tuple[str, ...] = ()
    approved: bool = False
    pending_in: bool = False
    request: bytes | None = field(default=None, repr=False)
    listed: bool = True

    @property
    def visible(self) -> bool:
        """Belongs to the roster shown to clients: no mere "None + Pending In" (RFC 6121 §3.1.3, A.1)."""
        return self.listed or self.ask or self.approved or self.subscription is not Subscription.NONE

    def looks_like(self, other: RosterItem) -> bool:
        """A client sees no difference between the two."""
        return self._shown() == other._shown()

    def _shown(self) -> tuple[object, ...]:
        groups = frozenset(self.groups)
        return self.visible, self.name, self.subscription, self.ask, groups, self.approved


@dataclass(frozen=True, slots=True)
class Roster:
    """A roster as kept, hidden records included; `version` is 0 before the first change."""

    version: int
    items: tuple[RosterItem, ...]

    @property
    def visible(self) -> tuple[RosterItem, ...]:
        """The items a client is sent."""
        return tuple(item for item in self.items if item.visible)


@dataclass(frozen=True, slots=True)
class RosterChange:
    """What one write did to one item; `version` is the roster's version afterwards."""

    old: RosterItem | None
    new: RosterItem | None
    version: int

    @property
    def seen_by_clients(self) -> bool:
        """Connected clients must be pushed the new state."""
        old = self.old if self.old and self.old.visible else None
        new = self.new if self.new and self.new.visible else None
        if old is None or new is None:
            return old is not new
        return not old.looks_like(new)


@dataclass(frozen=True, slots=True)
class RosterRemoval:
    """A contact that left the roster since a version a client knows."""

    contact: str
    version: int


@dataclass(frozen=True, slots=True)
class RosterUpdate:
    """An item that changed since a version a client knows; `version` is that of the change."""

    item: RosterItem
    version: int


class AuthorisationState(StrEnum):
    """Where an authorisation between two people of different companies is, as one of them sees it."""

    INVITED = "invited"
    """This person invited the other one."""
    ASKED = "asked"
    """This person was invited, and has not answered."""
    ACCEPTED = "accepted"


_ACCEPTED = AuthorisationState.ACCEPTED
_OTHER_SIDE = {
    AuthorisationState.INVITED: AuthorisationState.ASKED,
    AuthorisationState.ASKED: AuthorisationState.INVITED,
}


@dataclass(frozen=True, slots=True)
class Authorisation:
    """One person's half of an authorisation; the other half is the contact's. Times are Unix time in seconds."""

    id: str
    company_id: str
    owner_id: str
    contact_id: str
    contact_company_id: str
    contact_jid: str
    state: AuthorisationState
    note: str
    expires_at: int | None
    created_at: int

    def is_over_at(self, now: float) -> bool:
        """Its time has gone by: it counts as though it were not there."""
        return self.expires_at is not None and self.expires_at <= now

    def holds_at(self, now: float) -> bool:
        """The two may speak at this time."""
        return self.state is _ACCEPTED and not self.is_over_at(now)

    def as_seen_by(self, contact: Account) -> Authorisation:
        """The other half, which lies in the contact's region, as far as this one tells."""
        state = _OTHER_SIDE.get(self.state, self.state)
        return replace(
            self,
            company_id=contact.company.id,
            owner_id=contact.id,
            contact_id=self.owner_id,
            contact_company_id=self.company_id,
            contact_jid="",
            state=state,
        )


@dataclass(frozen=True, slots=True)
class CompanyLink:
    """Two companies whose people may reach each other, once the second one confirmed it."""

    id: str
    company_id: str
    other_id: str
    created_at: int
    confirmed_at: int | None

    @property
    def is_confirmed(self) -> bool:
        return self.confirmed_at is not None


class ChangeKind(StrEnum):
    """What an administrative write did."""

    COMPANY_ADDED = "company-added"
    COMPANY_CHANGED = "company-changed"
    ACCOUNT_ADDED = "account-added"
    ACCOUNT_CHANGED = "account-changed"
    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_ENABLED = "account-enabled"
    ACCOUNT_REMOVED = "account-removed"
    CREDENTIALS_CHANGED = "credentials-changed"
    SESSIONS_ENDED = "sessions-ended"
    LINKS_CHANGED = "links-changed"
    AUTHORISATIONS_CHANGED = "authorisations-changed"
    FACTOR_CHANGED = "factor-changed"
    """The second factor was turned on or off, or is another one."""
    ACCOUNT_FROZEN = "account-frozen"
    """A move to another region has begun: nothing of the account changes until it is there, or stays."""
    ACCOUNT_THAWED = "account-thawed"
    """It stays, and goes on as before."""
    ACCOUNT_MOVED = "account-moved"
    """It lives in another region now; nothing of it is left here."""
    ACCOUNT_ARRIVED = "account-arrived"
    """It came here from another region."""
    LOGIN_ENDED = "login-ended"
    """One login by token is over; the account is as it was."""


@dataclass(frozen=True, slots=True)
class Change:
    """An administrative write that running servers must hear of; ids rise in the order of the commits.

    `account_id` is None when a company changed. `at` is Unix time in seconds.
    """

    id: int
    kind: ChangeKind
    company_id: str
    account_id: str | None
    at: int
