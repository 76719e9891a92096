"""IQ: requests to the server, to accounts and between clients (RFC 6120 §8.2.3, §10.3.3; RFC 6121 §8)."""

import pytest

from tests.conformance.wire import Wire, child
from tests.doors import Door

QUESTION = "<query xmlns='urn:example:question'/>"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
PING = "<ping xmlns='urn:xmpp:ping'/>"


async def condition(wire: Wire, stanza: str) -> str:
    """The condition of the error that this request, whose id is "x", is answered with."""
    await wire.send(stanza)
    error = await wire.expect("iq[@type='error'][@id='x']")
    return child(error, "error")[0].tag.partition("}")[2]


@pytest.mark.parametrize(
    "stanza",
    [
        "<iq id='x'/>",
        f"<iq id='x' type='ask'>{QUESTION}</iq>",
        f"<iq id='x' type='GET'>{QUESTION}</iq>",
        f"<iq id='x' type=''>{QUESTION}</iq>",
        "<iq id='x' type='get'/>",
        "<iq id='x' type='set'>text</iq>",
        f"<iq id='x' type='get'>{QUESTION}{QUESTION}</iq>",
        f"<iq id='x' type='set' to='localhost'>{QUESTION}{PING}</iq>",
        f"<iq id='x' type='get' to='nobody@localhost/phone'>{QUESTION}{PING}</iq>",
    ],
)
async def test_a_request_of_a_wrong_shape_is_a_bad_request(door: Door, stanza: str) -> None:
    wire = await door.log_in()
    assert await condition(wire, stanza) == "bad-request"


@pytest.mark.parametrize("identity", ["", " id=''"])
async def test_a_request_without_an_id_is_a_bad_request(door: Door, identity: str) -> None:
    wire = await door.log_in()
    await wire.send(f"<iq type='get'{identity}>{PING}</iq>")
    assert child(await wire.expect("iq[@type='error']"), "error/stanzas:bad-request") is not None


async def test_a_request_that_is_answered_twice_is_routed_twice(door: Door) -> None:
    """The server keeps no account of who asked what."""
    ann, bob = await door.log_in(), await door.log_in()
    for _ in range(2):
        await bob.send(f"<iq type='result' id='q1' to='{ann.jid}'/>")
    for _ in range(2):
        assert (await ann.expect("iq[@type='result']")).get("from") == bob.jid
