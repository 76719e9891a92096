"""The files of a new plugin: small, working, tested, to be changed from the first minute."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rainbow_xmpp.cli.plugin_samples import MIGRATION, SAMPLES, STORE

LINE = 110
_BETWEEN_BLOCKS = re.compile(
    r"^(import pytest|import sqlalchemy as sa|from alembic import op)\n\n(?=from rainbow_xmpp)", re.M
)


class Wish(NamedTuple):
    """What is asked for; the stages by name."""

    name: str
    with_table: bool
    stages: tuple[str, ...]
    is_beside_us: bool = False
    """It is written into our own sources, where our packages are no third party's."""


def files_of(wish: Wish) -> Mapping[str, str]:
    """The text of each file, by its path in the plugin's folder."""
    files = {"__init__.py": _plugin(wish), "README.md": _readme(wish), f"test_{wish.name}.py": _test(wish)}
    if wish.with_table:
        files["store.py"] = STORE
        files["migrations/__init__.py"] = (
            '"""Migrations of this plugin; a file that was released is never changed."""\n'
        )
        files[f"migrations/{wish.name}_0001_greetings.py"] = MIGRATION
    words = {"@NAME@": wish.name, "@CLASS@": _class_of(wish), "@ASKED@": _asked_of(wish)}
    filled = {path: _filled(text, words) for path, text in files.items()}
    if wish.is_beside_us:
        return filled
    return {path: _as_third_party(text) for path, text in filled.items()}


def _class_of(wish: Wish) -> str:
    return "".join(part.capitalize() for part in wish.name.split("_"))


def _asked_of(wish: Wish) -> str:
    return f"{_class_of(wish)}Greeting"


def _filled(text: str, words: Mapping[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text


def _as_third_party(text: str) -> str:
    """Imports of ours in one block with those of others, as formatters want it where we are installed."""
    return _BETWEEN_BLOCKS.sub(r"\1\n", text)


def _plugin(wish: Wish) -> str:
    samples = [SAMPLES[stage] for stage in wish.stages]
    names = {"Context", "Payload", "Plugin", "PluginOptions", "attr", "on_iq", "option"}
    names.update(*(sample.names for sample in samples))
    state = "".join(sample.state for sample in samples)
    if wish.with_table:
        state += "        self._greetings = Greetings(services.store)\n"
    if state:
        names.add("Services")
    standard = "from collections import Counter\n\n" if "observe" in wish.stages else ""
    own = imported("rainbow_xmpp.plugin", names)
    if "rewrite" in wish.stages:
        own += "from rainbow_xmpp.xml import scan_again\n"
    if wish.with_table:
        own += "\nfrom .store import Greetings\n"
    parts = [
        _HEAD.replace("@STANDARD@", standard).replace("@OWN@", own),
        _INIT.replace("@STATE@", state) if state else "",
        _STORED_ANSWER if wish.with_table else _ANSWER,
        *(sample.handler for sample in samples),
    ]
    return "".join(parts)


def _test(wish: Wish) -> str:
    samples = [SAMPLES[stage] for stage in wish.stages]
    names = {name for sample in samples for name in sample.test_names}
    text = "".join(sample.test for sample in samples)
    testing = {"TestServer"} | ({"condition_of"} if "condition_of" in text else set())
    plugin = imported("rainbow_xmpp.plugin", names) if names else ""
    own = {_class_of(wish), _asked_of(wish)} | ({"NS"} if "rewrite" in wish.stages else set())
    head = _TEST_HEAD
    for mark, value in {
        "@IMPORTS@": f"{plugin}{imported('rainbow_xmpp.testing', testing)}\n{imported('.', own)}",
        "@TIMES@": _TEST_TIMES if wish.with_table else "",
    }.items():
        head = head.replace(mark, value)
    return head + text


def _readme(wish: Wish) -> str:
    lines = [f"Stage: {', '.join(f'`{stage}`' for stage in wish.stages)}."] if wish.stages else []
    if wish.with_table:
        lines.append(f"Table: `{wish.name}_greetings`, removed with the account.")
    lines.append("Feature: `urn:example:@NAME@:1`.")
    return _README.replace("@FACTS@", " ".join(lines))


def imported(module: str, names: Iterable[str]) -> str:
    """An import in the one form that formatters leave alone: constants, then classes, then the rest."""
    ordered = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    line = f"from {module} import {', '.join(ordered)}\n"
    if len(line) <= LINE + 1:
        return line
    return "".join([f"from {module} import (\n", *(f"    {name},\n" for name in ordered), ")\n"])


_HEAD = '''"""@NAME@: greets people. Say here in one line what it is for."""

from __future__ import annotations

@STANDARD@@OWN@
NS = "urn:example:@NAME@:1"


class @ASKED@(Payload, ns=NS, tag="greeting"):
    """`<greeting/>`, with `words` in the answer."""

    words: str = attr(default="", max_len=200)


class @CLASS@(Plugin, name="@NAME@", features=(NS,)):
    """Answers whoever asks for a greeting."""

    class Options(PluginOptions):
        greeting: str = option("Hello", "What people are greeted with.", reload="live")

    options: Options
'''

_INIT = """
    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
@STATE@"""

_ANSWER = '''
    @on_iq("get", @ASKED@, to="server")
    def greet(self, ctx: Context, asked: @ASKED@) -> @ASKED@:
        """What is returned is the answer; StanzaError would be an error."""
        return @ASKED@(f"{self.options.greeting}, {ctx.sender.localpart}!")
'''

_STORED_ANSWER = '''
    @on_iq("get", @ASKED@, to="server")
    async def greet(self, ctx: Context, asked: @ASKED@) -> @ASKED@:
        """What is returned is the answer; StanzaError would be an error."""
        times = await self._greetings.add(ctx.sender.company.id, ctx.sender.id)
        return @ASKED@(f"{self.options.greeting}, {ctx.sender.localpart}! ({times})")
'''

_TEST_HEAD = '''"""@NAME@ in a whole server, in memory."""

import pytest

@IMPORTS@

@pytest.mark.asyncio
async def test_people_are_greeted() -> None:
    async with TestServer([@CLASS@]) as server:
        ann = await server.login("ann@acme")
        answer = await ann.ask("get", @ASKED@(), to=server.domain)
        assert @ASKED@.from_xml(answer[0]).words.startswith("Hello, ann!")
@TIMES@'''

_TEST_TIMES = """        again = await ann.ask("get", @ASKED@(), to=server.domain)
        assert @ASKED@.from_xml(again[0]).words.endswith("(2)")
"""

_README = """# @NAME@

Greets people: `<greeting xmlns='urn:example:@NAME@:1'/>` to the server is answered with words for whoever asks.

```toml
[plugins.@NAME@]
greeting = "Hello"   # taken over by a reload
```

@FACTS@
"""
