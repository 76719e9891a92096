"""Personal eventing as slixmpp does it, with what builds upon it, against the real server process."""

import hashlib
from pathlib import Path

import pytest

from tests.interop.client import EVENTING, running
from tests.interop.scenario import become_friends
from tests.process import ChatServer, RainbowServer

PICTURE = "not quite an image"
NICK, METADATA = "http://jabber.org/protocol/nick", "urn:xmpp:avatar:metadata"
VCARD4, DISPLAYED = "urn:ietf:params:xml:ns:vcard-4.0", "urn:xmpp:mds:displayed:0"
BOOKMARKS, ROOM = "urn:xmpp:bookmarks:1", "council@conference.underhill.org"


async def test_friends_and_own_devices_hear_what_somebody_publishes(
    server: ChatServer, tmp_path: Path
) -> None:
    if not isinstance(server, RainbowServer):
        pytest.skip("these are our defaults")
    ann_person, bob_person = server.new_person(), server.new_person()
    name = hashlib.sha1(PICTURE.encode(), usedforsecurity=False).hexdigest()
    async with (
        running(EVENTING, server.endpoint, tmp_path) as ann,
        running(EVENTING, server.endpoint, tmp_path) as phone,
        running(EVENTING, server.endpoint, tmp_path) as bob,
    ):
        await ann.login(ann_person, server.endpoint)
        await bob.login(bob_person, server.endpoint)
        await become_friends(ann, ann_person, bob, bob_person)

        await ann.do("publish_nick", nick="Ishmael")
        told = await bob.wait("published", node=NICK)
        assert (told["from"], told["text"]) == (ann_person.jid, "Ishmael")
        await ann.do("publish_picture", data=PICTURE)
        assert (await bob.wait("published", node=METADATA))["item"] == name
        await bob.do("picture", of=ann_person.jid, item=name)
        assert (await bob.wait("picture"))["data"] == PICTURE
        await ann.do("publish_vcard4", name="Ann")
        assert (await bob.wait("published", node=VCARD4))["text"] == "Ann"

        await phone.login(ann_person, server.endpoint)  # what is there comes by itself
        assert (await phone.wait("published", node=METADATA))["item"] == name
        assert (await phone.wait("published", node=NICK))["from"] == ann_person.jid

        await ann.do("bookmark", room=ROOM, name="Council of Oberon")
        assert (await phone.wait("published", node=BOOKMARKS))["item"] == ROOM
        await phone.do("bookmarks")
        assert (await phone.wait("bookmarks"))["rooms"] == {ROOM: "Council of Oberon"}
        await phone.do("forget", room=ROOM)
        assert (await ann.wait("retracted", node=BOOKMARKS))["item"] == ROOM
        await ann.do("displayed", chat=bob_person.jid, stanza_id="s1")
        assert (await phone.wait("published", node=DISPLAYED))["item"] == bob_person.jid

        await bob.do("nodes", of=ann_person.jid)
        seen = (await bob.wait("nodes"))["nodes"]
        assert {NICK, METADATA, VCARD4} <= set(seen)
        assert not {BOOKMARKS, DISPLAYED} & set(seen)
        await ann.do("configuration", node=BOOKMARKS)
        assert (await ann.wait("configuration"))["values"]["pubsub#access_model"] == "whitelist"
        await ann.do("delete", node=VCARD4)
        await bob.do("nodes", of=ann_person.jid)
        assert VCARD4 not in (await bob.wait("nodes"))["nodes"]
        assert not [event for event in bob.history if event.get("node") in (BOOKMARKS, DISPLAYED)]
