"""Options that change while a plugin runs, and what plugins announce beside their features."""

import logging

import pytest

from rainbow_xmpp.plugin import Passage, Plugin, PluginOptions, Stage, hook, option
from rainbow_xmpp.testing import TestServer, condition_of


class Words(Plugin, name="words"):
    """Refuses long messages; remembers what it was told of."""

    class Options(PluginOptions):
        most: int = option(10, "Characters of a message.", ge=1, reload="live")
        folder: str = option("here", "Where it lives.")

    options: Options

    def __init__(self, services, options):
        super().__init__(services, options)
        self.before: list[PluginOptions] = []

    def reconfigured(self, before: PluginOptions) -> None:
        self.before.append(before)
        if self.options.most == 13:
            raise ValueError("unlucky")

    def stream_features(self) -> bytes:
        return b"<words xmlns='urn:example:words'/>"

    @hook(Stage.ADMIT)
    def count(self, p: Passage) -> None:
        if len(p.view.text_of("body") or "") > self.options.most:
            raise ValueError("too long")


def given(**values: object) -> dict[type[Plugin], PluginOptions]:
    return {Words: Words.Options(**values)}


async def test_a_live_option_counts_from_the_next_stanza_on():
    async with TestServer([Words]) as server:
        ann = await server.login("ann@acme")
        ann.say("eleven char", to=ann.bare)
        assert condition_of(await ann.receive())
        assert server.reconfigure(given(most=11)) == []
        ann.say("eleven char", to=ann.bare)
        assert (await ann.receive()).findtext("{jabber:client}body") == "eleven char"
        assert server.plugin(Words).before == [Words.Options()]


async def test_what_needs_a_restart_is_named_and_stays_as_it_was():
    async with TestServer([Words]) as server:
        assert server.reconfigure(given(folder="there", enabled=False)) == [
            "plugins.words.enabled",
            "plugins.words.folder",
        ]
        assert server.plugin(Words).options == Words.Options()
        assert server.plugin(Words).before == []


async def test_the_same_options_again_change_nothing():
    async with TestServer([Words]) as server:
        assert server.reconfigure(given()) == []
        assert server.plugin(Words).before == []


async def test_a_plugin_that_cannot_use_its_new_options_is_logged_and_keeps_them(caplog):
    async with TestServer([Words]) as server:
        assert server.reconfigure(given(most=13)) == []
        assert server.plugin(Words).options.most == 13
    (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "could not use its new options" in record.message


async def test_what_plugins_announce_in_the_stream_is_joined():
    class More(Words, name="more"):
        """Another one."""

    async with TestServer([Words, More]) as server:
        announced = server.node.plugins.stream_features()
        assert announced == b"<words xmlns='urn:example:words'/>" * 2


def test_an_options_default_keeps_within_its_own_bounds():
    from rainbow_xmpp.errors import LocalMisuse

    with pytest.raises(LocalMisuse, match="default is 0"):
        option(0, "Too small.", ge=1)
