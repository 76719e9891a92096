"""What each connected client can do: asked once for each description, and believed only when its hash is right."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from rainbow_xmpp.plugin import DiscoInfo, Session
from rainbow_xmpp.plugins.caps.verification import SUPPORTED, IllFormed, stands_for

NOTHING: frozenset[str] = frozenset()

MOST_BYTES = 32_768
"""So much of what one client says of itself is remembered, or nothing: no client that exists needs a fourth of it."""


class Claim(NamedTuple):
    """What a client announces in its presence (XEP-0115 §4); `hash` is "" in the legacy format."""

    hash: str
    node: str
    ver: str


Key = tuple[str, str, str]
"""Company, hash function and verification string. Other companies' clients are nobody's business: neither can their
descriptions be forged for us (§9.3), nor shows the server by not asking that somebody else has the same client."""


class Clients:
    """Claims, descriptions that were verified, and who waits for one."""

    def __init__(
        self,
        ask: Callable[[Session, Claim], Awaitable[DiscoInfo | None]],
        learned: Callable[[Session, frozenset[str]], None],
        spawn: Callable[[Awaitable[None]], None],
        most: int,
    ) -> None:
        """`ask` gives what a client says of itself, None when it says nothing; `learned` is told what it can do."""
        self.most = most
        """Descriptions that are remembered."""
        self._ask = ask
        self._learned = learned
        self._spawn = spawn
        self._claims: dict[Session, Claim] = {}
        self._features: dict[Session, frozenset[str]] = {}
        self._verified: OrderedDict[Key, frozenset[str]] = OrderedDict()
        self._waiting: dict[Key, dict[Session, Claim]] = {}

    def features_of(self, session: Session) -> frozenset[str]:
        return self._features.get(session, NOTHING)

    def announced(self, session: Session, claim: Claim) -> None:
        """A client's presence says this."""
        if self._claims.get(session) == claim:
            return
        self._claims[session] = claim
        if claim.hash not in SUPPORTED:
            self._spawn(self._believe(session, claim))  # §5.4: about this client alone
            return
        key = (session.account.company.id, claim.hash, claim.ver)
        known = self._verified.get(key)
        if known is not None:
            self._verified.move_to_end(key)
            self._know(session, known)
        elif key in self._waiting:
            self._waiting[key][session] = claim
        else:
            self._waiting[key] = {session: claim}
            self._spawn(self._verify(key))

    def told(self, session: Session, features: frozenset[str]) -> None:
        """Another node knows what this client of its can do."""
        self._features[session] = features

    def forget(self, session: Session) -> None:
        """The session has ended."""
        self._claims.pop(session, None)
        self._features.pop(session, None)

    async def _verify(self, key: Key) -> None:
        """Ask one after the other of those who claim it, until one of them describes what the hash stands for."""
        _, hash_name, ver = key
        claimants, tried = self._waiting[key], set[Session]()
        try:
            while session := next((each for each in claimants if each not in tried), None):
                tried.add(session)
                info = await self._answer(session, claimants[session])
                if info is None:
                    continue
                features = _bounded(info)
                try:
                    is_true = stands_for(ver, info, hash_name)
                except IllFormed:
                    continue
                if is_true:
                    self._remember(key, features)
                    for each, claim in claimants.items():
                        if self._claims.get(each) == claim:
                            self._know(each, features)
                    return
                self._know(session, features)
        finally:
            del self._waiting[key]

    async def _believe(self, session: Session, claim: Claim) -> None:
        """What cannot be verified counts for the client that says it, and is never remembered for another."""
        info = await self._answer(session, claim)
        if info is not None:
            self._know(session, _bounded(info))

    async def _answer(self, session: Session, claim: Claim) -> DiscoInfo | None:
        """None when the client has gone, says nothing, or claims something else by now."""
        info = await self._ask(session, claim) if self._claims.get(session) == claim else None
        return info if self._claims.get(session) == claim else None

    def _remember(self, key: Key, features: frozenset[str]) -> None:
        self._verified[key] = features
        while len(self._verified) > self.most:
            self._verified.popitem(last=False)

    def _know(self, session: Session, features: frozenset[str]) -> None:
        before = self.features_of(session)
        self._features[session] = features
        if features != before:
            self._learned(session, features)


def _bounded(info: DiscoInfo) -> frozenset[str]:
    features = info.names
    return features if sum(map(len, features)) + 64 * len(features) <= MOST_BYTES else NOTHING
