"""Who is at home where: asked of the other regions once, known for a while, never written down."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from rainbow_xmpp.border import Border, Refused
from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.regions.companies import CompanyMap
from rainbow_xmpp.regions.names import NamesKey
from rainbow_xmpp.regions.parcels import HOME, MOST_NAMES, AtHome, Question, Who, decode, encode
from rainbow_xmpp.store.batch import Batcher
from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)

KNOWN_S = 600.0
"""So long an answer holds."""
UNKNOWN_S = 30.0
"""So long it holds that nobody was at home anywhere."""
MOST_KNOWN = 100_000
LONGEST_NAME = 256
"""Longer names are asked for each time: strangers' inventions must not fill the memory."""
QUESTIONS_A_SECOND = 2_000
"""Names that one region may ask for, on average over ten seconds."""


class Away(StanzaError):
    """Whether there is such a person cannot be found out: a region does not answer. It may pass."""

    def __init__(self, region: str) -> None:
        super().__init__(Condition.REMOTE_SERVER_TIMEOUT, detail=f"the region {region} does not answer")


class AtHomeHere(Protocol):
    """Who is meant by keyed hashes; see `rainbow_xmpp.store.home_names`."""

    async def find(self, hashes: Sequence[bytes]) -> dict[bytes, Account]: ...


class Gone(Protocol):
    """Where people went who used to live here."""

    async def moved(self, hashes: Sequence[bytes]) -> Mapping[bytes, str]:
        """The region each of these went to."""


class _Known(NamedTuple):
    account: Account | None
    asked_at: float


class Homes:
    """Asks, and answers what other regions ask."""

    def __init__(
        self,
        border: Border,
        keys: Sequence[NamesKey],
        here: AtHomeHere,
        gone: Gone | None,
        companies: CompanyMap,
        *,
        clock: Callable[[], float],
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self._border = border
        self._keys = keys
        self._here = here
        self._gone = gone
        self._companies = companies
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: Batcher[str, Account] = Batcher(self._ask, most=MOST_NAMES)
        self._allowance: dict[str, tuple[float, float]] = {}
        self.asked: dict[str, int] = {}
        """Names that were asked for, by the region that asked: one that asks for everything is seen."""

    async def start(self) -> None:
        """Answer from now on."""
        await self._border.serve(HOME, self._answer)

    # -- asking ----------------------------------------------------------------------------------------

    def peek(self, name: str) -> Account | None:
        """Who it is, or None when it is known that nobody abroad is called so; KeyError when one has to ask."""
        known = self._known[name]
        if self._clock() - known.asked_at > (UNKNOWN_S if known.account is None else KNOWN_S):
            raise KeyError(name)
        return known.account

    def was_asked_lately(self, name: str) -> bool:
        """A question about a name that nobody has would be answered from memory."""
        known = self._known.get(name)
        return known is not None and self._clock() - known.asked_at <= UNKNOWN_S

    async def find(self, name: str) -> Account | None:
        """The person abroad whose localpart or e-mail address this is. Raises Away.

        While a region does not answer, whoever was last known to have the name counts.
        """
        try:
            return self.peek(name)
        except KeyError:
            pass
        try:
            return await self._asking.get(name)
        except Away:
            known = self._known.get(name)
            if known is None or known.account is None:
                raise
            return known.account

    async def find_many(self, names: Iterable[str]) -> dict[str, Account]:
        """The same for many, asked for together; who is nowhere is left out. Raises Away."""
        found: dict[str, Account] = {}
        missing: list[str] = []
        for name in names:
            try:
                account = self.peek(name)
            except KeyError:
                missing.append(name)
                continue
            if account is not None:
                found[name] = account
        if missing:
            found |= await self._asking.get_many(missing)
        return found

    async def ask_in_vain(self, name: str) -> None:
        """Ask for a name whose bearer is known, as though it were not. Raises Away."""
        await self._asking.get(name)

    def learn(self, account: Account) -> None:
        """Somebody abroad said something: they are there."""
        known = self._known.get(account.localpart)
        asked_at = known.asked_at if known is not None else self._clock() - UNKNOWN_S
        self._remember(account.localpart, account, max(asked_at, self._clock() - KNOWN_S / 2))

    def forget(self, name: str) -> None:
        """Ask anew the next time."""
        self._known.pop(name, None)

    def forget_all(self) -> None:
        """Something of companies is different: what is known of their people may be, too."""
        self._known.clear()

    async def close(self) -> None:
        """Let what was asked be answered."""
        await self._asking.close()

    def _remember(self, name: str, account: Account | None, asked_at: float) -> None:
        if len(name) > LONGEST_NAME:
            return
        self._known[name] = _Known(account, asked_at)
        self._known.move_to_end(name)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    async def _ask(self, names: Sequence[str]) -> Mapping[str, Account]:
        """All regions at once: it takes one way there and back."""
        key = self._keys[0]
        question = encode(Question([key.hash(name) for name in names]))
        regions = self._border.others
        answers = await asyncio.gather(
            *(self._ask_one(region, question, names) for region in regions), return_exceptions=True
        )
        found: dict[str, Account] = {}
        away, now = "", self._clock()
        for region, answer in zip(regions, answers, strict=True):
            if isinstance(answer, dict):
                found |= answer
            elif isinstance(answer, Exception):
                away = region
            elif isinstance(answer, BaseException):
                raise answer
        for name in names:
            if (account := found.get(name)) is not None:
                self._remember(name, account, now)
            elif not away:
                self._remember(name, None, now)
        if away and len(found) < len(names):
            raise Away(away)
        return found

    async def _ask_one(self, region: str, question: bytes, names: Sequence[str]) -> dict[str, Account]:
        answer = decode(await self._border.ask(region, HOME, question), AtHome)
        found: dict[str, Account] = {}
        for name, who in zip(names, answer.people, strict=False):
            account = None if who is None else self.account_of(who, region)
            if account is not None:
                found[name] = account
        return found

    def account_of(self, who: Who, region: str) -> Account | None:
        """What a region says of one of its people; None for what it cannot know."""
        company = self._companies.company_of(who.company, region)
        return None if company is None else who.account(region, company)

    async def went_to(self, name: str) -> str:
        """The region of somebody who used to live here; "" for nobody who is known."""
        if self._gone is None:
            return ""
        hash_ = self._keys[0].hash(name)
        return (await self._gone.moved([hash_])).get(hash_, "")

    # -- answering -------------------------------------------------------------------------------------

    async def _answer(self, origin: str, request: bytes) -> bytes:
        hashes = decode(request, Question).hashes
        self._count(origin, len(hashes))
        found = await self._here.find(hashes)
        moved = {} if self._gone is None else await self._gone.moved([h for h in hashes if h not in found])
        people = [Who.of(found[h]) if h in found else None for h in hashes]
        return encode(AtHome(people, [moved.get(h, "") for h in hashes]))

    def _count(self, origin: str, names: int) -> None:
        """Raises when a region asks for more than people could mean; it is told no more than that."""
        self.asked[origin] = self.asked.get(origin, 0) + names
        most, now = QUESTIONS_A_SECOND * 10.0, self._clock()
        left, at = self._allowance.get(origin, (most, now))
        left = min(most, left + (now - at) * QUESTIONS_A_SECOND)
        if names > MOST_NAMES or left < names:
            self._allowance[origin] = left, now
            log.error("the region %s asks for more people than it may", origin)
            raise Refused(origin)
        self._allowance[origin] = left - names, now
