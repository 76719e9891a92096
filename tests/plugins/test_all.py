"""What holds for every plugin that is shipped."""

from pathlib import Path

import pytest

import rainbow_xmpp.plugins
from rainbow_xmpp.plugin import Plugin
from rainbow_xmpp.plugin.discovery import find_plugins
from rainbow_xmpp.testing import TestServer

SHIPPED = find_plugins()
FOLDER = Path(next(iter(rainbow_xmpp.plugins.__path__)))


def registered(server: TestServer) -> object:
    return server.node.pipeline.stages(), dict(server.node.iqs._handlers)


def test_every_folder_is_a_plugin_of_that_name_and_listed_in_the_readme():
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert set(SHIPPED) == folders
    readme = (FOLDER / "README.md").read_text()
    assert all(f"[{name}]({name}/README.md)" in readme for name in folders)


@pytest.mark.parametrize("plugin", SHIPPED.values(), ids=SHIPPED)
def test_a_plugin_says_what_it_is_for(plugin: type[Plugin]):
    folder = FOLDER / plugin.name
    assert (folder / "README.md").read_text().startswith(f"# {plugin.name}\n")
    assert plugin.__doc__
    assert not list(plugin.Options().problems())


@pytest.mark.parametrize("plugin", SHIPPED.values(), ids=SHIPPED)
async def test_a_plugin_starts_alone_and_leaves_nothing_behind(plugin: type[Plugin]):
    async with TestServer() as server:
        before, registries = registered(server), server.node.plugins.registries
        await server.node.plugins.start([plugin], {}, server.node.services())
        assert registries.holds(plugin.name)
        await server.node.plugins.stop()
        assert not registries.holds(plugin.name)
        assert registered(server) == before
        assert not server.node.plugins.features() | server.node.plugins.account_features()


async def test_all_of_them_run_together():
    async with TestServer(SHIPPED.values()) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.send(f"<message to='{bob.bare}' type='chat'><body>hello</body></message>")
        assert "hello" in [stanza.findtext("{jabber:client}body") for stanza in await bob.rest()]
        assert [plugin.name for plugin in server.node.plugins] == sorted(SHIPPED)
