"""Service levels, as the configuration has them."""

from __future__ import annotations

from msgspec import Struct

from rainbow_xmpp.plugin import Access, Call, Services, endpoint
from rainbow_xmpp.plugins.rest_api.endpoints.values import LevelValue


class Levels(Struct, frozen=True):
    """All of them."""

    items: list[LevelValue]


class LevelEndpoints:
    def __init__(self, services: Services) -> None:
        self._services = services

    @endpoint(
        "GET",
        "/service-levels",
        access=Access.PERSON,
        summary="What each service level gives.",
        answer=Levels,
    )
    async def list(self, call: Call) -> Levels:
        return Levels(
            [LevelValue.of(name, level) for name, level in self._services.levels.configured.items()]
        )
