"""Coming back with a token over real connections (XEP-0484): one flight there, one back."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from xml.etree.ElementTree import Element

import pytest

from tests.conformance.wire import NAMESPACES, SaslFailure, Wire, child
from tests.doors import Door
from tests.process import Person

FAST = "urn:xmpp:fast:0"
AGENT = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Wire</software></user-agent>"
BIND = f"<bind xmlns='{NAMESPACES['bind2']}'><tag>Wire</tag></bind>"


def proof(token: str, word: bytes, channel: bytes) -> bytes:
    return hmac.new(token.encode(), word + channel, hashlib.sha256).digest()


async def first_token(wire: Wire, person: Person, mechanism: str) -> str:
    wish = f"{AGENT}<request-token xmlns='{FAST}' mechanism='{mechanism}'/>"
    success = await wire.authenticate2(person.localpart, person.password, inline=wish)
    await wire.expect("stream:features")
    token = success.find(f"{{{FAST}}}token")
    assert token is not None
    return token.attrib["token"]


async def come_back(
    wire: Wire, person: Person, token: str, mechanism: str, channel: bytes, inline: str = BIND
) -> Element:
    """Header and login in one flight: nothing that the server says is waited for."""
    wire._restart()
    await wire.send_header(f"to='{wire.endpoint.domain}' from='{person.jid}' version='1.0'")
    message = person.localpart.encode() + b"\0" + proof(token, b"Initiator", channel)
    await wire.send_authenticate(mechanism, message, f"{AGENT}<fast xmlns='{FAST}'/>{inline}")
    return await wire.sasl2_reply("success")


async def test_a_client_comes_back_in_one_round_trip(door: Door) -> None:
    person = door.server.new_person()
    mechanism = "HT-SHA-256-ENDP" if door.over == "tls" else "HT-SHA-256-NONE"
    first = await door.opened()
    assert first.features is not None
    offered = [m.text for m in first.features.iter(f"{{{FAST}}}mechanism")]
    assert offered == (["HT-SHA-256-ENDP"] if door.over == "tls" else []) + ["HT-SHA-256-NONE"]
    token = await first_token(first, person, mechanism)
    wire = await door.connect()
    channel = wire.channel_binding() if door.over == "tls" else b""
    success = await come_back(wire, person, token, mechanism, channel)
    answer = success.findtext(f"{{{NAMESPACES['sasl2']}}}additional-data", "")
    assert b64decode(answer) == proof(token, b"Responder", channel)
    wire.jid = success.findtext(f"{{{NAMESPACES['sasl2']}}}authorization-identifier", "")
    assert wire.jid.startswith(f"{person.jid}/Wire/")
    assert child(success, "bind2:bound") is not None
    await wire.settle()


async def test_a_wrong_token_is_refused_and_the_password_still_serves(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    message = b64encode(person.localpart.encode() + b"\0" + proof("wrong", b"Initiator", b"")).decode()
    await wire.send(
        f"<authenticate xmlns='{NAMESPACES['sasl2']}' mechanism='HT-SHA-256-NONE'>"
        f"<initial-response>{message}</initial-response>{AGENT}<fast xmlns='{FAST}'/></authenticate>"
    )
    with pytest.raises(SaslFailure, match="not-authorized"):
        await wire.sasl2_reply("success")
    await wire.authenticate2(person.localpart, person.password)
