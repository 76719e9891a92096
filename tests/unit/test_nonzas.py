"""Elements of bound sessions that are no stanzas (XEP-0360): who takes them, and what becomes of others."""

from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin import Element, Plugin, Session, on_nonza
from rainbow_xmpp.session import Layer
from rainbow_xmpp.testing import TestServer


class Moods(Plugin, name="moods"):
    """Takes two of them."""

    @on_nonza("{urn:example:mood}glad")
    def glad(self, session: Session, element: Element) -> None:
        session.link.send(f"<noted xmlns='urn:example:mood' at='{element.get('at')}'/>".encode())

    @on_nonza("{urn:example:mood}sad")
    async def sad(self, session: Session, element: Element) -> None:
        raise RuntimeError("broken")


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Moods]) as server:
        yield server


async def test_a_plugin_takes_what_it_declares_in_its_place_among_the_stanzas(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    ann.send("<glad xmlns='urn:example:mood' at='1'/>")
    assert (await ann.receive()).get("at") == "1"
    ann.send("<sad xmlns='urn:example:mood'/>")
    ann.send("<glad xmlns='urn:example:mood' at='2'/>")
    assert (await ann.receive()).get("at") == "2"
    assert ann.wire.violation is None


@pytest.mark.parametrize(
    ("element", "condition"),
    [
        ("<glad xmlns='urn:example:other'/>", "unsupported-stanza-type"),
        ("<other xmlns='urn:example:mood'/>", "unsupported-stanza-type"),
        ("<message xmlns='urn:example:mood'/>", "invalid-namespace"),
    ],
)
async def test_what_nobody_takes_ends_the_stream(server: TestServer, element: str, condition: str) -> None:
    ann = await server.login("ann@acme")
    ann.send(element)
    assert ann.wire.violation is not None
    assert ann.wire.violation.condition == condition


async def test_a_plugin_that_stopped_takes_nothing(server: TestServer) -> None:
    await server.node.plugins.stop()
    ann = await server.login("ann@acme")
    ann.send("<glad xmlns='urn:example:mood'/>")
    assert ann.wire.violation is not None


@pytest.mark.parametrize("ns", ["jabber:client", "http://etherx.jabber.org/streams"])
async def test_stanzas_and_the_stream_itself_are_nobodys(server: TestServer, ns: str) -> None:
    with pytest.raises(LocalMisuse):
        server.node.plugins.registries.nonzas.add("moods", ns, "message", lambda session, view: None)


async def test_layers_move_with_their_session_to_another_connection(server: TestServer) -> None:
    ann, other = await server.login("ann@acme"), await server.login("bob@acme")
    ann.session.wire = top = Layer(Layer(ann.session.wire))
    other.wire.stanza_ns = ""
    ann.session.move_to(other.wire, "de")
    assert ann.session.wire is top
    assert (ann.session.link, top.stanza_ns, top.number) == (other.wire, "", other.wire.number)
    assert ann.wire.violation is not None
    assert ann.session.lang == b" xml:lang='de'"
