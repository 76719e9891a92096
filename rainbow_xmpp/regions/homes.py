"""Who is at home where: asked of the other regions once, known for a while, never written down."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from rainbow_xmpp.border import Border, Refused, Unreachable
from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.ids import is_id
from rainbow_xmpp.jid import JID
from rainbow_xmpp.regions.companies import CompanyMap
from rainbow_xmpp.regions.names import NamesKey
from rainbow_xmpp.regions.parcels import HOME, MOST_NAMES, AtHome, Malformed, Question, Who, decode, encode
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
    async def taken(self, hashes: Sequence[bytes]) -> set[bytes]: ...


class Gone(Protocol):
    """Where people went who used to live here."""

    async def moved(self, hashes: Sequence[bytes]) -> Mapping[bytes, str]:
        """The region each of these went to."""


class _Known(NamedTuple):
    account: Account | None
    asked_at: float
    is_taken: bool
    """Somebody disabled has this name."""


class Found(NamedTuple):
    """What came of asking for a name."""

    account: Account | None
    away: str
    """A region that did not answer, or ""."""


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
        self._refused: OrderedDict[str, float] = OrderedDict()
        """When somebody was refused who is known, and a question was asked in vain."""
        self._asking: Batcher[str, Found] = Batcher(self._ask, most=MOST_NAMES)
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

    async def find(self, name: str) -> Account | None:
        """The person abroad whose localpart or e-mail address this is. Raises Away.

        While a region does not answer, whoever was last known to have the name counts.
        """
        try:
            return self.peek(name)
        except KeyError:
            return self.resolved(name, await self.look_up(name))

    def resolved(self, name: str, found: Found) -> Account | None:
        """What was looked up, or who had the name when all regions last answered. Raises Away."""
        if found.account is not None or not found.away:
            return found.account
        known = self.recall(name)
        if known is None:
            raise Away(found.away)
        return known

    async def is_taken(self, name: str) -> bool:
        """Somebody abroad has this localpart, disabled or not. Raises Away."""
        if await self.find(name) is not None:
            return True
        known = self._known.get(name)
        return known is not None and known.is_taken

    def recall(self, name: str) -> Account | None:
        """Who was known by this name lately, be it so or not by now."""
        known = self._known.get(name)
        return None if known is None else known.account

    # -- whoever is refused -----------------------------------------------------------------------------

    def was_refused_lately(self, name: str) -> bool:
        """Whoever is refused next waits for no question, as for a name that nobody has and that was asked for."""
        return self._clock() - self._refused.get(name, -UNKNOWN_S) < UNKNOWN_S

    def was_refused(self, name: str) -> None:
        """Somebody waited for a question and was refused."""
        if len(name) > LONGEST_NAME:
            return
        self._refused[name] = self._clock()
        self._refused.move_to_end(name)
        if len(self._refused) > MOST_KNOWN:
            self._refused.popitem(last=False)

    async def ask_in_vain(self, name: str) -> None:
        """Ask for a name whose bearer is known, as though it were nobody's. Raises Away, as for that."""
        found = await self.look_up(name)
        if found.away:
            raise Away(found.away)
        self.was_refused(name)

    async def look_up(self, name: str) -> Found:
        """Ask now, whatever is known."""
        found = await self._asking.get(name)
        assert found is not None, "every name has an answer"
        return found

    def learn(self, account: Account) -> None:
        """Somebody abroad said something: they are there."""
        known = self._known.get(account.localpart)
        asked_at = known.asked_at if known is not None else self._clock() - UNKNOWN_S
        self._remember(account.localpart, account, max(asked_at, self._clock() - KNOWN_S / 2))

    def forget(self, name: str) -> None:
        """Ask anew the next time."""
        self._known.pop(name, None)
        self._refused.pop(name, None)

    def forget_all(self) -> None:
        """Something of companies is different: what is known of their people may be, too."""
        self._known.clear()
        self._refused.clear()

    async def close(self) -> None:
        """Let what was asked be answered."""
        await self._asking.close()

    def _remember(
        self, name: str, account: Account | None, asked_at: float, *, is_taken: bool = False
    ) -> None:
        if len(name) > LONGEST_NAME:
            return
        self._known[name] = _Known(account, asked_at, is_taken)
        self._known.move_to_end(name)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    async def _ask(self, names: Sequence[str]) -> Mapping[str, Found]:
        """All regions at once: it takes one way there and back."""
        key = self._keys[0]
        question = encode(Question([key.hash(name) for name in names], key.id))
        regions = self._border.others
        answers = await asyncio.gather(*(self._ask_one(region, question) for region in regions))
        away, now = "", self._clock()
        claims: dict[str, list[Account]] = {}
        taken: set[str] = set()
        for region, answer in zip(regions, answers, strict=True):
            if answer is None:
                away = region
                continue
            for name, who in zip(names, answer.people, strict=False):
                account = None if who is None else self._claimed(name, who, region)
                if account is not None:
                    claims.setdefault(name, []).append(account)
            taken.update(name for name, is_taken in zip(names, answer.taken, strict=False) if is_taken)
        found = {name: _undisputed(name, claims.get(name, [])) for name in names}
        for name, account in found.items():
            if account is not None or not (away or name in claims):
                self._remember(name, account, now, is_taken=name in taken)
        return {name: Found(account, away) for name, account in found.items()}

    async def _ask_one(self, region: str, question: bytes) -> AtHome | None:
        """None: it does not say."""
        try:
            return decode(await self._border.ask(region, HOME, question), AtHome)
        except (Unreachable, Refused, Malformed) as error:
            log.debug("the region %s does not say who is at home there: %s", region, error)
            return None

    def _claimed(self, name: str, who: Who, region: str) -> Account | None:
        """Whom a region says to have by that name, if it can be."""
        if who.localpart != name and "@" not in name:
            log.warning("the region %s answered for somebody who was not asked for", region)
            return None
        return self.account_of(who, region)

    def account_of(self, who: Who, region: str) -> Account | None:
        """What a region says of one of its people; None for what cannot be."""
        company = self._companies.company_of(who.company, region) if _is_plausible(who) else None
        return None if company is None else who.account(region, company)

    async def went_to(self, name: str) -> str:
        """The region of somebody who used to live here; "" for nobody who is known."""
        if self._gone is None:
            return ""
        hash_ = self._keys[0].hash(name)
        return (await self._gone.moved([hash_])).get(hash_, "")

    # -- answering -------------------------------------------------------------------------------------

    async def _answer(self, origin: str, request: bytes) -> bytes:
        question = decode(request, Question)
        hashes = question.hashes
        self._count(origin, len(hashes))
        if question.key and all(question.key != key.id for key in self._keys):
            # "Nobody" would be believed, and people taken out of rosters.
            log.error("the region %s asks by another border.names_key than the one here", origin)
            raise Refused(origin)
        moved = {} if self._gone is None else await self._gone.moved(hashes)
        found = await self._here.find([each for each in hashes if each not in moved])
        taken = await self._here.taken([each for each in hashes if each not in found and each not in moved])
        people = [Who.of(found[each]) if each in found else None for each in hashes]
        return encode(
            AtHome(people, [moved.get(each, "") for each in hashes], [each in taken for each in hashes])
        )

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


def _undisputed(name: str, claims: Sequence[Account]) -> Account | None:
    """Nobody is believed where two regions say to have the same person: one of them is not what it says."""
    if len(claims) > 1:
        log.error(
            "%s say to be the home of the same person: nothing reaches them",
            " and ".join(f"the region {each.region}" for each in claims),
        )
        return None
    return claims[0] if claims else None


def _is_plausible(who: Who) -> bool:
    """An id as all are, and a localpart in normal form, so that it is nobody else's in another spelling."""
    try:
        is_normal = JID(who.localpart, "localhost").local == who.localpart
    except ValueError:
        return False
    return is_normal and is_id(who.id)
