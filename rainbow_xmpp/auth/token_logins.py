"""Logins by token: a password once, then a pair of tokens that renew each other, until somebody logs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rainbow_xmpp.auth.authenticator import Authenticator, Refused
from rainbow_xmpp.auth.tokens import Claims, InvalidToken, SigningKey, Tokens, TokenType
from rainbow_xmpp.sasl import login_names

if TYPE_CHECKING:
    from rainbow_xmpp.config import Config
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.refresh_tokens import Issued
    from rainbow_xmpp.store.values import Account

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Pair:
    """What a login gives: a token for calls, and one that is good for the next pair."""

    account: Account
    access: str = field(repr=False)
    expires_in_s: int
    refresh: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MoreWanted:
    """The password was right, and does not suffice. The token is good for what is wanted, and for nothing else."""

    account: Account
    kind: TokenType
    token: str = field(repr=False)
    expires_in_s: int


class TokenLogins:
    """`now` gives Unix time in seconds."""

    def __init__(
        self,
        tokens: Tokens,
        store: Store,
        authenticator: Authenticator,
        *,
        domain: str,
        refresh_s: int,
        now: Callable[[], float],
    ) -> None:
        self._tokens = tokens
        self._store = store
        self._authenticator = authenticator
        self._domain = domain
        self._refresh_s = refresh_s
        self._now = now

    async def log_in(self, name: str, password: str, source: str) -> Pair | MoreWanted | Refused:
        """By e-mail address or JID and password; slowed and counted as every other login is."""
        found = await self.prove(name, password, source)
        if isinstance(found, Refused):
            return found
        if found.second_factor or found.must_enrol:
            kind = TokenType.MFA_PENDING if found.second_factor else TokenType.ENROL
            token = self._tokens.issue(found, "", self._now(), kind)
            return MoreWanted(found, kind, token, self._tokens.lifetime_of(kind))
        return await self._begin(found)

    async def wanted_of(self, token: str, kind: TokenType) -> Account:
        """Whose login waits with this token of a `MoreWanted`. Raises InvalidToken."""
        claims = self._tokens.verify(token, self._now(), kind)
        account = await self._current(claims)
        waits = account.second_factor if kind is TokenType.MFA_PENDING else account.must_enrol
        if not waits:
            raise InvalidToken("that is not wanted any more")
        return account

    async def begin(self, account: Account) -> Pair:
        """Somebody has proved everything, or changed what ends logins: their first pair. Raises InvalidToken."""
        fresh = await self._store.accounts.by_id(account.id)
        if fresh is None or not fresh.may_log_in:
            raise InvalidToken("the account is gone, or disabled")
        return await self._begin(fresh)

    async def _begin(self, account: Account) -> Pair:
        return self._pair(account, await self._store.refresh_tokens.begin(account, self._refresh_s))

    async def prove(self, name: str, password: str, source: str) -> Account | Refused:
        """Whose name and password these are. Whether they suffice is for the caller to say (`second_factor`)."""
        return await self._authenticator.prove(login_names(name, self._domain), password, source)

    async def check(self, account: Account, password: str, source: str) -> Account | Refused:
        """Whether this is the account's password: asked again before something that matters."""
        return await self._authenticator.confirm(account, password, source)

    async def renew(self, refresh: str) -> Pair | None:
        """The next pair; None for a token that is worth nothing, or was used before: that ends the login."""
        issued = await self._store.refresh_tokens.rotate(refresh, self._refresh_s)
        if issued is None:
            return None
        account = await self._store.accounts.by_id(issued.account_id)
        if account is None or not account.may_log_in or account.must_enrol:
            await self._store.refresh_tokens.end_family(issued.family)
            return None
        return self._pair(account, issued)

    async def log_out(self, family: str) -> None:
        """No token of this login is good any more."""
        await self._store.refresh_tokens.end_family(family)

    async def who(self, access: str) -> tuple[Account, Claims]:
        """Whose token this is, as the account is now. Raises InvalidToken for one that is not good any more."""
        claims = self._tokens.verify(access, self._now())
        account = await self._current(claims)
        if not await self._store.refresh_tokens.is_alive(claims.family):
            raise InvalidToken("logged out")
        return account, claims

    async def _current(self, claims: Claims) -> Account:
        """The account as it is now. Raises InvalidToken."""
        account = await self._store.accounts.by_id(claims.account_id)
        if account is None or not account.may_log_in or account.company.id != claims.company_id:
            raise InvalidToken("the account is gone, disabled, or of another company")
        if account.epoch != claims.epoch:
            raise InvalidToken("from before a change of the account")
        return account

    def _pair(self, account: Account, issued: Issued) -> Pair:
        access = self._tokens.issue(account, issued.family, self._now())
        return Pair(account, access, self._tokens.lifetime_s, issued.text)


def token_logins(config: Config, store: Store, authenticator: Authenticator) -> TokenLogins | None:
    """As configured; None without a key. Raises InvalidSigningKey."""
    auth = config.auth
    if not auth.token_key:
        return None
    tokens = Tokens(
        SigningKey.from_pem(auth.token_key.reveal()),
        [SigningKey.from_pem(key.reveal()) for key in auth.old_token_keys],
        issuer=config.public_url,
        lifetime_s=auth.access_token_s,
    )
    return TokenLogins(
        tokens,
        store,
        authenticator,
        domain=config.domain,
        refresh_s=auth.refresh_token_days * DAY_S,
        now=store.now,
    )
