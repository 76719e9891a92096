"""Clients that have logged in once come back with a token, in one round trip (XEP-0484)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from rainbow_xmpp.plugin import (
    Account,
    Attempt,
    ClientLoggedOut,
    Distrusted,
    Element,
    Granted,
    Newcomer,
    Plugin,
    PluginOptions,
    RememberedClient,
    RememberedClients,
    Services,
    Vouched,
    every,
    on,
    option,
    time_of,
    with_login,
    with_mechanism,
)
from rainbow_xmpp.plugins.fast.hashed_token import (
    CHANNELS,
    MECHANISMS,
    Proof,
    name_in,
    possible_with,
    responder,
)
from rainbow_xmpp.plugins.fast.store import BOX, FastTokens, Slot, Token, place
from rainbow_xmpp.xml import names

DAY_S = 86_400
HOUR_S = 3600
MOST_COUNT = 2**31 - 1
"""`count` is an xs:int (§12)."""
_COUNT_DIGITS = len(str(MOST_COUNT))
_FAST = f"{{{names.FAST}}}fast"
_REQUEST = f"{{{names.FAST}}}request-token"


def announce(bindings: Collection[str]) -> str:
    """§3.1: what a connection with these types of channel binding can do. Nobody here takes early data of TLS 1.3."""
    mechanisms = "".join(f"<mechanism>{name}</mechanism>" for name in possible_with(bindings))
    return f"<fast xmlns='{names.FAST}'>{mechanisms}</fast>"


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody says who logs in with a token."""

    proof: Proof = field(repr=False)
    channel: bytes = field(repr=False)
    count: int | None
    is_last: bool
    """The token is to be over with this (§3.6)."""

    @classmethod
    def read(cls, attempt: Attempt) -> Claim:
        """Raises ValueError for what is none, or cannot be true on this connection."""
        kind = CHANNELS[attempt.mechanism]
        if kind and kind not in attempt.bindings:
            raise ValueError("there is no such channel to bind")
        text = attempt.request.get("count")
        count = None if text is None else _positive(text)
        is_last = attempt.request.get("invalidate") in ("1", "true")
        return cls(Proof.read(attempt.message), attempt.bindings.get(kind, b""), count, is_last)


@dataclass(frozen=True, slots=True)
class Used:
    """The token that somebody came in with."""

    token: Token
    is_last: bool


class Fast(Plugin, RememberedClients, name="fast", implements={"XEP-0484": "0.2.0"}):
    """Tokens for clients that name their installation, given when everything else was done that a login takes.

    A token is of one account, one installation, one mechanism and one epoch of the account: it is worth nothing after
    a new password, another role or a forced logout. In the database it is sealed.
    """

    class Options(PluginOptions):
        token_days: int = option(
            14,
            "Days after which a client that did not come back has to log in anew.",
            ge=1,
            le=365,
            reload="live",
        )
        rotate_hours: int = option(
            24,
            "Hours after which a client that comes back is given another token in the place of its own.",
            ge=1,
            le=8760,
            reload="live",
        )
        full_login_days: int = option(
            90,
            "Days after which everybody has to log in anew, however often their client came back; 0 = never.",
            ge=0,
            le=3650,
            reload="live",
        )
        clients_per_person: int = option(
            20,
            "Clients of one person that have tokens; of more, those that did not come for longest lose theirs.",
            ge=1,
            le=1000,
            reload="live",
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._kept = FastTokens(services.store)
        self._box = services.box_for(BOX)
        self._nothing = _new_token().encode()
        self._decoy = self._box.seal(self._nothing, "nobody")

    # -- logging in ------------------------------------------------------------------------------------

    @with_mechanism(*MECHANISMS, request=_FAST, name_of=name_in)
    async def judge(self, attempt: Attempt) -> Vouched | Distrusted | None:
        """§3.4: whoever is nobody costs as much as whoever has the wrong token."""
        try:
            claim = Claim.read(attempt)
        except ValueError:
            return None
        account = await self._account(attempt.names)
        company_id, owner_id = ("", "") if account is None else (account.company.id, account.id)
        found = await self._kept.of_agent(company_id, owner_id, attempt.agent.id)
        proven = self._proven(claim, found, place(owner_id, attempt.agent.id, attempt.mechanism))
        if account is None or proven is None:
            return None
        token, secret = proven
        now = int(self.services.now())
        ends_at = min(token.expires_at, self._ends_at(token.issued_at, token.proven_at))
        if token.epoch != account.epoch or now >= ends_at:
            return Distrusted(account)
        if not await self._kept.use(account, token, claim.count, now, is_last=claim.is_last):
            return None
        self.services.counters.fast_logins += 1
        answer = responder(secret, claim.channel)
        return Vouched(account, answer, is_complete=True, note=Used(token, claim.is_last))

    async def _account(self, known_as: tuple[str, ...]) -> Account | None:
        """Whose name it is. All names are looked up, or the time would tell."""
        found = [await self.services.store.accounts.for_login(name) for name in known_as]
        account = next((record.account for record in found if record is not None), None)
        return account if account is not None and account.may_log_in else None

    def _proven(self, claim: Claim, found: Mapping[Slot, Token], place: str) -> tuple[Token, bytes] | None:
        """§5.1: the token that was used and what it says. Both slots are tried, whatever is in them."""
        proven = None
        for slot in (Slot.CURRENT, Slot.NEW):
            token = found.get(slot)
            secret = self._box.open(self._decoy if token is None else token.sealed, place)
            is_right = claim.proof.is_of(secret or self._nothing, claim.channel)
            if token is not None and secret is not None and is_right:
                proven = token, secret
        return proven

    # -- tokens ----------------------------------------------------------------------------------------

    @with_login(_REQUEST, announcement=announce, always=True)
    async def give(self, newcomer: Newcomer, request: Element | None) -> Granted:
        """§3.3, §3.5: a token for whoever asks, or whose own is to be replaced. Called when all tasks are done."""
        used = newcomer.vouched.note if newcomer.vouched is not None else None
        used = used if isinstance(used, Used) else None
        if newcomer.is_lent or not newcomer.agent.id:
            return Granted()
        now = int(self.services.now())
        proven_at = now if used is None else used.token.proven_at
        ends_at = self._ends_at(now, proven_at)
        mechanism = "" if request is None else request.get("mechanism", "")
        if mechanism not in possible_with(newcomer.bindings):
            mechanism = newcomer.mechanism if used is not None and self._is_due(used, now, ends_at) else ""
        if not mechanism or ends_at <= now:
            return Granted()
        token = _new_token()
        sealed = self._box.seal(token.encode(), place(newcomer.account.id, newcomer.agent.id, mechanism))
        await self._kept.put(
            newcomer.account,
            newcomer.agent,
            sealed,
            expires_at=ends_at,
            proven_at=proven_at,
            most=self.options.clients_per_person,
        )
        self.services.counters.fast_tokens += 1
        return Granted(f"<token xmlns='{names.FAST}' expiry='{time_of(ends_at)}' token='{token}'/>".encode())

    def _is_due(self, used: Used, now: int, ends_at: int) -> bool:
        """§3.5; another token would last longer than the one that was used."""
        is_old = now - used.token.issued_at >= self.options.rotate_hours * HOUR_S
        return is_old and not used.is_last and ends_at > used.token.expires_at

    def _ends_at(self, issued_at: int, proven_at: int) -> int:
        """When a token of that time is over."""
        ends_at = issued_at + self.options.token_days * DAY_S
        most_days = self.options.full_login_days
        return min(ends_at, proven_at + most_days * DAY_S) if most_days else ends_at

    @every(hours=1)
    async def forget_dead(self) -> None:
        """Drop tokens that are over."""
        await self._kept.forget_dead(int(self.services.now()))

    @on(ClientLoggedOut)
    async def logged_out(self, event: ClientLoggedOut) -> None:
        """Whoever was logged out in one place, whoever did it, does not come back there without a password."""
        await self._kept.forget(event.account, event.agent)

    # -- for others (`RememberedClients`) --------------------------------------------------------------

    async def clients_of(self, account: Account) -> list[RememberedClient]:
        return await self._kept.clients(account, int(self.services.now()))

    async def forget_client(self, account: Account, agent: str) -> bool:
        return await self._kept.forget(account, agent)


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _COUNT_DIGITS else 0
    if not 0 < number <= MOST_COUNT:
        raise ValueError("a count is a positive integer")
    return number


def _new_token() -> str:
    """256 bits."""
    return secrets.token_urlsafe(32)
