"""A client that knows FAST (XEP-0484), as small as a test can have it."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from rainbow_xmpp.testing import Person, TestServer
from rainbow_xmpp.testing.visitor import Visitor
from rainbow_xmpp.xml import names

SASL2 = f"{{{names.SASL2}}}"
FAST = f"{{{names.FAST}}}"
PHONE = "d4565fa7-4d72-4749-b3d3-740edbf87770"
LAPTOP = "0b1ce4f0-7a6a-4f5e-9d3c-5a2f6c1e7b11"
NONE, ENDP = "HT-SHA-256-NONE", "HT-SHA-256-ENDP"
BIND = "<bind xmlns='urn:xmpp:bind:0'><tag>Test</tag></bind>"
PASSWORD = "Right-1 password"
CHANNEL = {"tls-server-end-point": b"the hash of the certificate"}


@dataclass(frozen=True, slots=True)
class Given:
    """A token as a client keeps it."""

    token: str
    expiry: str


def request(mechanism: str = NONE) -> str:
    return f"<request-token xmlns='{names.FAST}' mechanism='{mechanism}'/>"


def agent(id: str, software: str = "Testing", device: str = "a test") -> str:
    if not id:
        return ""
    return f"<user-agent id='{id}'><software>{software}</software><device>{device}</device></user-agent>"


def proof(token: str, word: bytes = b"Initiator", channel: bytes = b"") -> bytes:
    return hmac.new(token.encode(), word + channel, hashlib.sha256).digest()


async def person(server: TestServer, name: str = "ann@acme") -> Person:
    """Somebody whose password is PASSWORD."""
    found = await server.person(name)
    await server.node.people.set_password(found.account, PASSWORD, actor="test")
    await server.node.watch.poll()
    return await server.person(name)


async def by_password(
    visitor: Visitor, name: str = "ann", inline: str = request(), *, id: str = PHONE, password: str = PASSWORD
) -> Element:
    """What the server says to a login by PLAIN."""
    data = b64encode(f"\0{name}\0{password}".encode()).decode()
    visitor.say(
        f"<authenticate xmlns='{names.SASL2}' mechanism='PLAIN'><initial-response>{data}</initial-response>"
        f"{agent(id)}{inline}</authenticate>"
    )
    return await visitor.receive()


async def by_token(
    visitor: Visitor,
    token: str,
    name: str = "ann",
    inline: str = "",
    *,
    id: str = PHONE,
    mechanism: str = NONE,
    channel: bytes = b"",
    fast: str = "",
) -> Element:
    """What the server says to a login with a token; `fast` are attributes of `<fast/>`."""
    data = b64encode(name.encode() + b"\0" + proof(token, channel=channel)).decode()
    visitor.say(
        f"<authenticate xmlns='{names.SASL2}' mechanism='{mechanism}'><initial-response>{data}</initial-response>"
        f"{agent(id)}<fast xmlns='{names.FAST}' {fast}/>{inline}</authenticate>"
    )
    return await visitor.receive()


def given(success: Element) -> Given | None:
    """The token in a success."""
    assert success.tag == f"{SASL2}success", success.tag
    found = success.find(f"{FAST}token")
    return None if found is None else Given(found.attrib["token"], found.attrib["expiry"])


def token_in(success: Element) -> str:
    found = given(success)
    assert found is not None, "no token was given"
    return found.token


def outcome(reply: Element) -> str:
    """ "success", "continue", or the condition of a failure."""
    if reply.tag != f"{SASL2}failure":
        return reply.tag.removeprefix(SASL2)
    return reply[0].tag.partition("}")[2]


def data_of(success: Element) -> bytes:
    return b64decode(success.findtext(f"{SASL2}additional-data", ""))
