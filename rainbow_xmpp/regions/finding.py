"""Where people are at home, for logins: asked by a data region's servers and by edges, which learn no more than that.

A name is a localpart or an e-mail address in normal form. What an edge is told is kept in its memory for minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from rainbow_xmpp.border import EDGE_SERVICE, Border, Refused, Unreachable
from rainbow_xmpp.regions.homes import KNOWN_S, LONGEST_NAME, UNKNOWN_S, AtHomeHere, Away
from rainbow_xmpp.regions.names import NamesKey
from rainbow_xmpp.regions.parcels import MOST_NAMES, Malformed, Question, decode, encode

log = logging.getLogger(__name__)

LOGIN_HOMES = f"{EDGE_SERVICE}.home"
"""The service that edges may ask."""
MOST_KNOWN = 100_000


class Present(msgspec.Struct, array_like=True, frozen=True):
    """The answer, in the order of the question: whether this is the home."""

    is_here: list[bool]


class LoginHomes:
    """Answers in a data region whether people are at home in it, and nothing else of them."""

    def __init__(self, border: Border, here: AtHomeHere) -> None:
        self._border = border
        self._here = here

    async def start(self) -> None:
        """Answer from now on."""
        await self._border.serve(LOGIN_HOMES, self._answer)

    async def _answer(self, origin: str, request: bytes) -> bytes:
        hashes = decode(request, Question).hashes
        if len(hashes) > MOST_NAMES:
            raise Refused(origin)
        found = await self._here.find(hashes)
        return encode(Present([each in found for each in hashes]))


class HomeFinder:
    """Asks all regions at once; `clock` is monotonic, in seconds."""

    def __init__(self, border: Border, keys: Sequence[NamesKey], *, clock: Callable[[], float]) -> None:
        self._border = border
        self._key = keys[0]
        self._clock = clock
        self._known: OrderedDict[str, tuple[str | None, float]] = OrderedDict()

    async def home_of(self, name: str) -> str | None:
        """The region of whoever has this name; None: nobody has it. Raises Away when a region does not answer."""
        known = self._known.get(name)
        if known is not None:
            region, at = known
            if self._clock() - at < (UNKNOWN_S if region is None else KNOWN_S):
                return region
        region = await self._ask(name)
        if len(name) <= LONGEST_NAME:
            self._known[name] = region, self._clock()
            self._known.move_to_end(name)
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return region

    def forget(self, name: str) -> None:
        """Their home did not know them."""
        self._known.pop(name, None)

    async def _ask(self, name: str) -> str | None:
        question, regions = encode(Question([self._key.hash(name)])), self._border.others
        answers = await asyncio.gather(*(self._is_in(region, question) for region in regions))
        homes = [region for region, is_here in zip(regions, answers, strict=True) if is_here]
        if len(homes) > 1:  # a password must not go to whoever says so
            log.error(
                "the regions %s say to be the home of the same person: nobody is let in", " and ".join(homes)
            )
            raise Away(homes[0])
        if homes:
            return homes[0]
        for region, is_here in zip(regions, answers, strict=True):
            if is_here is None:
                raise Away(region)
        return None

    async def _is_in(self, region: str, question: bytes) -> bool | None:
        """None: the region does not say."""
        try:
            present = decode(await self._border.ask(region, LOGIN_HOMES, question), Present)
        except (Unreachable, Refused, Malformed) as error:
            log.debug("the region %s does not say who is at home there: %s", region, error)
            return None
        return bool(present.is_here and present.is_here[0])
