"""New options for running plugins: live ones count at once, the others wait for a restart."""

import logging

import pytest

from rainbow_xmpp.plugin import Plugin, PluginOptions, option
from rainbow_xmpp.testing import TestServer


class Nudge(Plugin, name="nudge"):
    class Options(PluginOptions):
        per_minute: int = option(5, "Nudges a minute.", ge=1, le=600, reload="live")
        rooms: int = option(3, "Rooms.", ge=1, le=9)

    options: Options
    heard: list[PluginOptions]

    async def start(self) -> None:
        self.heard = []

    def reconfigured(self, before: PluginOptions) -> None:
        self.heard.append(before)


class Fragile(Plugin, name="fragile"):
    class Options(PluginOptions):
        level: int = option(1, "A level.", reload="live")

    options: Options

    def reconfigured(self, before: PluginOptions) -> None:
        raise ZeroDivisionError


async def test_live_options_count_at_once_and_the_others_are_named() -> None:
    async with TestServer([Nudge]) as server:
        plugin, before = server.plugin(Nudge), server.plugin(Nudge).options
        waiting = server.node.plugins.reconfigure({"nudge": Nudge.Options(per_minute=7, rooms=8)})
        assert waiting == ["plugins.nudge.rooms"]
        assert plugin.options == Nudge.Options(per_minute=7, rooms=3)
        assert plugin.heard == [before]


async def test_who_has_nothing_new_hears_nothing() -> None:
    async with TestServer([Nudge]) as server:
        plugin = server.plugin(Nudge)
        for options in ({"nudge": Nudge.Options()}, {"nudge": Nudge.Options(rooms=9)}, {}):
            server.node.plugins.reconfigure(options)
        assert plugin.heard == []


async def test_a_plugin_that_will_be_switched_off_keeps_what_it_has_until_then() -> None:
    async with TestServer({Nudge: Nudge.Options(per_minute=60)}) as server:
        server.node.plugins.reconfigure({})
        assert server.plugin(Nudge).options.per_minute == 60


async def test_a_plugin_that_fails_at_it_disturbs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with TestServer([Fragile, Nudge]) as server:
        with caplog.at_level(logging.ERROR):
            server.node.plugins.reconfigure(
                {"fragile": Fragile.Options(level=2), "nudge": Nudge.Options(per_minute=9)}
            )
        assert server.plugin(Nudge).options.per_minute == 9
        assert "a plugin could not use its new options" in caplog.text
