"""XEP-0398: one picture, published and in the vCard, and its hash in presence."""

import base64
import hashlib
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.avatars import Avatars
from rainbow_xmpp.plugins.caps import Caps
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.pep import Pep
from rainbow_xmpp.plugins.vcard4 import NODE as VCARD4_NODE
from rainbow_xmpp.plugins.vcard4 import VCARD4, VCard4
from rainbow_xmpp.plugins.vcard_temp import VCardTemp
from rainbow_xmpp.testing import Client, TestServer, condition_of
from tests.plugins.eventing import (
    INFO,
    PUBSUB,
    befriend,
    come,
    heard,
    ids_in,
    items,
    owner_request,
    publish,
    published,
)

DATA, METADATA = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
GET = "<vCard xmlns='vcard-temp'/>"
BINVAL, PHOTO = "{vcard-temp}BINVAL", "{vcard-temp}PHOTO"
HASH = "{vcard-temp:x:update}photo"
PNG = b"\x89PNG\r\n\x1a\n" + b"one" * 50
GIF = b"GIF89a" + b"two" * 50


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Avatars, Caps, Disco, Pep, VCard4, VCardTemp]) as server:
        yield server


def name_of(image: bytes) -> str:
    return hashlib.sha1(image, usedforsecurity=False).hexdigest()


def coded(image: bytes) -> str:
    return base64.b64encode(image).decode()


def vcard(image: bytes = b"", kind: str = "", name: str = "Juliet") -> str:
    photo = f"<PHOTO><TYPE>{kind}</TYPE><BINVAL>{coded(image)}\n</BINVAL></PHOTO>" if image else ""
    return f"<vCard xmlns='vcard-temp'><FN>{name}</FN>{photo}</vCard>"


async def upload(client: Client, image: bytes, *, named: str = "", access: str = "open") -> None:
    name = named or name_of(image)
    await published(client, DATA, f"<data xmlns='{DATA}'>{coded(image)}</data>", name, access_model=access)
    info = f"<info bytes='1' id='{name}' type='image/png'/>"
    url = "<info bytes='9' id='ffff' type='image/gif' url='https://x.example/'/>"
    await published(
        client, METADATA, f"<metadata xmlns='{METADATA}'>{url}{info}</metadata>", name, access_model=access
    )


async def photo_in(client: Client, of: str = "") -> bytes:
    """The picture in the vCard."""
    answer = await client.ask("get", GET, to=of)
    return base64.b64decode(answer.findtext(f".//{BINVAL}") or "")


async def test_what_is_published_stands_in_the_vcard(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet")
    await juliet.ask("set", vcard(GIF, "image/gif"))
    await upload(juliet, PNG)
    assert await photo_in(romeo, juliet.bare) == PNG
    answer = await juliet.ask("get", GET)
    assert answer.findtext(".//{vcard-temp}FN") == "Juliet"
    assert len(answer.findall(f".//{PHOTO}")) == 1
    await published(juliet, METADATA, f"<metadata xmlns='{METADATA}'/>")
    assert await photo_in(juliet) == b""
    await upload(juliet, PNG)
    assert await photo_in(juliet) == PNG
    await juliet.ask("set", owner_request("delete", METADATA))
    assert await photo_in(juliet) == b""


@pytest.mark.parametrize("access", ["presence", "whitelist"])
async def test_what_is_not_for_everybody_stays_out_of_the_vcard_and_of_presence(
    server: TestServer, access: str
):
    juliet = await come(server, "juliet@capulet")
    await juliet.ask("set", vcard())
    await upload(juliet, PNG, access=access)
    assert await photo_in(juliet) == b""
    await juliet.rest()
    juliet.send("<presence/>")
    assert [p.findtext(f".//{HASH}") for p in await juliet.rest()] == [None]


async def test_a_picture_that_is_another_than_its_name_says_is_not_believed(server: TestServer):
    juliet = await come(server, "juliet@capulet")
    await upload(juliet, PNG, named=name_of(GIF))
    assert await photo_in(juliet) == b""
    await published(juliet, DATA, f"<data xmlns='{DATA}'>!</data>", name_of(GIF))
    await published(juliet, METADATA, f"<metadata xmlns='{METADATA}'><info id='{name_of(GIF)}'/></metadata>")
    assert await photo_in(juliet) == b""


async def test_what_stands_in_the_vcard_is_published(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet", METADATA)
    await romeo.rest()
    await juliet.ask("set", vcard(GIF, "image/gif"))
    assert [node for _, node, _ in await heard(romeo)] == [METADATA]
    answer = await items(romeo, METADATA, to=juliet.bare)
    info = answer.find(f".//{{{METADATA}}}info")
    assert (info.get("id"), info.get("type"), info.get("bytes")) == (name_of(GIF), "image/gif", str(len(GIF)))
    answer = await items(romeo, DATA, name_of(GIF), to=juliet.bare)
    assert base64.b64decode(answer.findtext(f".//{{{DATA}}}data")) == GIF
    await juliet.ask("set", vcard(GIF, "image/gif", name="Juliet C."))
    assert await heard(romeo) == []  # the same picture
    await juliet.ask("set", vcard())
    assert [node for _, node, _ in await heard(romeo)] == [METADATA]
    assert (await items(romeo, METADATA, to=juliet.bare)).find(f".//{{{METADATA}}}info") is None
    assert await photo_in(juliet) == b""


async def test_a_picture_that_is_too_large_for_a_node_stays_in_the_vcard():
    options = {
        Avatars: Avatars.Options(),
        Pep: Pep.Options(max_item_bytes=1024),
        VCardTemp: VCardTemp.Options(),
    }
    async with TestServer(options) as server:
        juliet = await server.login("juliet@capulet")
        assert (await juliet.ask("set", vcard(PNG * 20, "image/png"))).get("type") == "result"
        assert await photo_in(juliet) == PNG * 20
        assert condition_of(await items(juliet, METADATA)) is Condition.ITEM_NOT_FOUND


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "published"),
        ("<x xmlns='vcard-temp:x:update'/>", "published"),
        ("<x xmlns='vcard-temp:x:update'><photo/></x>", ""),
        ("<x xmlns='vcard-temp:x:update'><photo>abc</photo></x>", "abc"),
    ],
)
async def test_the_hash_stands_in_presence_unless_the_client_says_otherwise(
    server: TestServer, said: str, told: str
):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet")
    benvolio = await come(server, "benvolio@capulet")
    await upload(juliet, PNG)
    for client in (romeo, benvolio):
        await client.rest()
    expected = name_of(PNG) if told == "published" else told
    for stanza, hearer in (
        (f"<presence>{said}</presence>", romeo),
        (f"<presence to='{benvolio.bare}'>{said}</presence>", benvolio),
    ):
        juliet.send(stanza)
        (presence,) = await hearer.rest()
        assert [photo.text or "" for photo in presence.iter(HASH)] == [expected]
        assert len(presence.findall("{vcard-temp:x:update}x")) == 1
    juliet.send("<presence type='unavailable'/>")
    assert [p.find(f".//{HASH}") for p in await romeo.rest()] == [None]
    await juliet.leave()
    again = await come(server, "juliet@capulet")  # what is known is looked up at the login
    assert [p.findtext(f".//{HASH}") for p in await romeo.rest()] == [name_of(PNG)]
    assert again.jid


async def test_vcards_of_the_new_format_are_published_and_announced(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet", VCARD4_NODE)
    info = await romeo.ask("get", f"<query xmlns='{INFO}'/>", to=juliet.bare)
    features = {el.get("var") for el in info.iter(f"{{{INFO}}}feature")}
    assert {VCARD4, "urn:xmpp:pep-vcard-conversion:0"} <= features
    await romeo.rest()
    card = f"<vcard xmlns='{VCARD4}'><fn><text>Juliet</text></fn></vcard>"
    await published(juliet, VCARD4_NODE, card)
    assert await heard(romeo) == [("juliet", VCARD4_NODE, "Juliet")]
    assert len(ids_in(await items(romeo, VCARD4_NODE, to=juliet.bare))) == 1
    assert (await publish(romeo, VCARD4_NODE, card)).find(f".//{{{PUBSUB}}}item") is not None
