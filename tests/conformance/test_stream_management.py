"""Stream management over real connections, which the test cuts (XEP-0198)."""

import asyncio
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import pytest

from tests.conformance.wire import NAMESPACES, Wire, child
from tests.doors import Door
from tests.process import Person

SM = "urn:xmpp:sm:3"
BIND2 = NAMESPACES["bind2"]
ENABLE = f"<enable xmlns='{SM}' resume='true'/>"
NOT_FOUND = "{urn:ietf:params:xml:ns:xmpp-stanzas}item-not-found"


@dataclass
class Phone:
    """A client that counts, and comes again."""

    door: Door
    person: Person
    wire: Wire
    id: str = ""
    h: int = 0
    """What it has handled."""

    @classmethod
    async def on(cls, door: Door, *, presence: str = "<presence/>") -> "Phone":
        person = door.server.new_person()
        phone = cls(door, person, await door.log_in(person, presence=presence))
        await phone.wire.send(ENABLE)
        phone.id = (await phone.wire.expect(f"{{{SM}}}enabled")).get("id") or ""
        return phone

    @property
    def resume(self) -> str:
        return f"<resume xmlns='{SM}' previd='{self.id}' h='{self.h}'/>"

    async def bodies(self, count: int) -> list[str]:
        """What the next messages say."""
        said = []
        for _ in range(count):
            said.append((await self.wire.expect("message")).findtext("{jabber:client}body", ""))
            self.h += 1
        return said

    async def again(self, *, by: Person | None = None) -> Element:
        """Log in on a new connection and ask for the session in place of binding."""
        jid = self.wire.jid
        self.wire = await self.door.authenticated(by or self.person)
        self.wire.jid = jid
        await self.wire.send(self.resume)
        return await self.wire.expect(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))

    async def again_inline(self, bind: str = "") -> Element:
        """The same by SASL2: `<success/>`."""
        self.wire = await self.door.opened()
        return await self.wire.authenticate2(
            self.person.localpart, self.person.password, inline=self.resume + bind
        )


async def say(wire: Wire, to: str, *bodies: str) -> None:
    for body in bodies:
        await wire.send(f"<message to='{to}' type='chat'><body>{body}</body></message>")
    await wire.settle()


async def acknowledged(wire: Wire) -> int:
    await wire.send(f"<r xmlns='{SM}'/>")
    return int((await wire.expect(f"{{{SM}}}a")).get("h") or "-1")


async def test_it_is_announced_before_and_after_binding(door: Door) -> None:
    wire = await door.opened()
    assert wire.features is not None
    inline = wire.features.find("sasl2:authentication/sasl2:inline", dict(NAMESPACES))
    assert inline is not None
    assert inline.find(f"{{{SM}}}sm") is not None
    assert inline.find(f"bind2:bind/bind2:inline/bind2:feature[@var='{SM}']", dict(NAMESPACES)) is not None
    wire = await door.authenticated()
    assert wire.features is not None
    assert wire.features.find(f"{{{SM}}}sm") is not None


async def test_both_sides_count_stanzas_and_nothing_else(door: Door) -> None:
    phone, other = await Phone.on(door), await door.log_in()
    assert len(phone.id) >= 24
    assert await acknowledged(phone.wire) == 0
    await phone.wire.send(f"<a xmlns='{SM}' h='0'/>")
    await say(phone.wire, other.jid, "one", "two")  # and the ping by which it settles
    assert await acknowledged(phone.wire) == 3
    await phone.wire.send(f"<a xmlns='{SM}' h='1'/>")  # the answer to the ping
    await say(other, phone.wire.jid, "three")
    await phone.wire.expect(f"{{{SM}}}r")  # a moment later
    await phone.wire.send(f"<a xmlns='{SM}' h='2'/>")
    await phone.wire.settle()


async def test_a_session_whose_connection_was_cut_goes_on(door: Door) -> None:
    phone, other = await Phone.on(door), await door.log_in()
    await phone.wire.send(f"<presence to='{other.jid}'/>")
    await other.expect(f"presence[@from='{phone.wire.jid}']")
    await say(other, phone.wire.jid, "1", "2")
    assert await phone.bodies(2) == ["1", "2"]
    await say(other, phone.wire.jid, "3")  # is on its way when the connection is cut
    phone.wire.abort()
    await say(other, phone.wire.jid, "4", "5")
    resumed = await phone.again()
    assert resumed.tag == f"{{{SM}}}resumed"
    assert (resumed.get("previd"), resumed.get("h")) == (phone.id, "1")  # the directed presence
    assert await phone.bodies(3) == ["3", "4", "5"]
    await say(phone.wire, other.jid, "still there")
    assert (await other.expect("message")).get("from") == phone.wire.jid
    assert other.pop("presence[@type='unavailable']") is None
    assert await acknowledged(phone.wire) == 3


async def test_a_session_goes_on_together_with_the_login_and_without_features(door: Door) -> None:
    phone, other = await Phone.on(door), await door.log_in()
    jid = phone.wire.jid
    phone.wire.abort()
    await say(other, jid, "1")
    success = await phone.again_inline(f"<bind xmlns='{BIND2}'/>")
    assert phone.wire.jid == jid
    assert child(success, f"{{{SM}}}resumed").get("previd") == phone.id
    assert success.find("bind2:bound", dict(NAMESPACES)) is None
    assert await phone.bodies(1) == ["1"]
    await phone.wire.expect_none("stream:features")


async def test_a_session_that_is_not_to_be_had_is_replaced_by_a_new_one_in_one_go(door: Door) -> None:
    phone = await Phone.on(door)
    jid, phone.id = phone.wire.jid, "unknown"
    success = await phone.again_inline(f"<bind xmlns='{BIND2}'>{ENABLE}</bind>")
    assert success.find(f"{{{SM}}}failed/{NOT_FOUND}") is not None
    enabled = child(success, f"bind2:bound/{{{SM}}}enabled")
    features = await phone.wire.expect("stream:features")
    assert features.find(f"{{{SM}}}sm") is None  # it is enabled already
    phone.id, phone.h = enabled.get("id") or "", 0
    assert phone.wire.jid != jid
    await phone.wire.send("<presence/>")
    await phone.wire.expect("presence")
    phone.wire.abort()
    phone.h = 1
    assert (await phone.again()).tag == f"{{{SM}}}resumed"


async def test_a_connection_that_only_seems_to_live_gives_way(door: Door) -> None:
    phone, other = await Phone.on(door), await door.log_in()
    before = phone.wire
    assert (await phone.again()).tag == f"{{{SM}}}resumed"
    await before.expect_stream_error("conflict")
    await say(other, phone.wire.jid, "to the new one")
    assert await phone.bodies(1) == ["to the new one"]
    await say(phone.wire, other.jid, "and from it")
    assert (await other.expect("message")).get("from") == phone.wire.jid


async def test_a_session_may_be_resumed_again_and_on_another_transport(door: Door) -> None:
    phone, other = await Phone.on(door), await door.log_in()
    for over in ("tls", "wss", "tls"):
        phone.wire.abort()
        await say(other, phone.wire.jid, f"before {over}")
        phone.door = Door(door.server, over, door._stack)
        assert (await phone.again()).tag == f"{{{SM}}}resumed"
        assert await phone.bodies(1) == [f"before {over}"]
    await say(phone.wire, other.jid, "here")
    assert (await other.expect("message")).get("from") == phone.wire.jid


async def test_somebody_elses_session_looks_as_if_there_were_none(door: Door) -> None:
    phone, mallory = await Phone.on(door), door.server.new_person()
    refused = await phone.again(by=mallory)
    real, phone.id = phone.id, "x" * len(phone.id)
    unknown = await phone.again(by=mallory)
    assert (refused.tag, refused.attrib, [e.tag for e in refused]) == (
        unknown.tag,
        unknown.attrib,
        [e.tag for e in unknown],
    )
    assert refused.find(NOT_FOUND) is not None
    await phone.wire.bind()  # which is still possible
    phone.id = real
    assert (await phone.again()).tag == f"{{{SM}}}resumed"


async def test_a_stream_that_was_closed_is_over_and_says_how_far_it_came(door: Door) -> None:
    phone = await Phone.on(door)
    await phone.wire.settle()
    await phone.wire.close()
    failed = await phone.again()
    assert failed.find(NOT_FOUND) is not None
    assert failed.get("h") == "1"


async def test_who_never_got_so_much_cannot_say_so(door: Door) -> None:
    phone = await Phone.on(door)
    phone.h = 7
    phone.wire.abort()
    assert (await phone.again()).tag == f"{{{SM}}}failed"
    phone = await Phone.on(door)
    await phone.wire.send(f"<a xmlns='{SM}' h='10'/>")
    error = await phone.wire.expect("stream:error")
    too_high = child(error, f"{{{SM}}}handled-count-too-high")
    assert (too_high.get("h"), too_high.get("send-count")) == ("10", "0")
    assert child(error, "streams:undefined-condition") is not None
    await phone.wire.wait_end()


@pytest.mark.parametrize("too_early", [ENABLE, "<resume xmlns='urn:xmpp:sm:3' previd='x' h='a'/>"])
async def test_what_comes_at_the_wrong_time_is_refused_and_binding_goes_on(
    door: Door, too_early: str
) -> None:
    wire = await door.authenticated()
    await wire.send(too_early)
    assert len(await wire.expect(f"{{{SM}}}failed")) == 1
    await wire.bind()
    await wire.send(f"<resume xmlns='{SM}' previd='x' h='0'/>")
    assert (await wire.expect(f"{{{SM}}}failed"))[0].tag.endswith("}unexpected-request")
    await wire.settle()


async def test_nobody_guesses_for_long(door: Door) -> None:
    phone = await Phone.on(door)
    phone.id = "guess"
    await phone.again()
    for _ in range(4):
        await phone.wire.send(phone.resume)
    await phone.wire.expect_stream_error("policy-violation")


async def test_it_is_enabled_once(door: Door) -> None:
    phone = await Phone.on(door)
    await phone.wire.send(ENABLE)
    assert (await phone.wire.expect(f"{{{SM}}}failed"))[0].tag.endswith("}unexpected-request")
    phone.wire.abort()
    assert (await phone.again()).tag == f"{{{SM}}}resumed"


@pytest.mark.parametrize("element", [f"<a xmlns='{SM}'/>", f"<a xmlns='{SM}' h='4294967296'/>"])
async def test_what_makes_no_sense_ends_the_stream(door: Door, element: str) -> None:
    phone = await Phone.on(door)
    await phone.wire.send(element)
    await phone.wire.expect_stream_error("policy-violation")
    assert (await phone.again()).tag == f"{{{SM}}}failed"


async def test_acknowledgements_before_they_were_enabled_end_the_stream(door: Door) -> None:
    for element in (f"<r xmlns='{SM}'/>", f"<a xmlns='{SM}' h='0'/>"):
        wire = await door.log_in()
        await wire.send(element)
        await wire.expect_stream_error("unsupported-stanza-type")


async def test_a_flood_of_requests_is_answered_at_the_pace_of_the_limits(door: Door) -> None:
    phone = await Phone.on(door)
    await asyncio.gather(*(phone.wire.send(f"<r xmlns='{SM}'/>") for _ in range(300)))
    for _ in range(300):
        assert (await phone.wire.expect(f"{{{SM}}}a")).get("h") == "0"


async def test_a_client_that_wants_no_resumption_only_counts(door: Door) -> None:
    wire = await door.log_in()
    await wire.send(f"<enable xmlns='{SM}'/>")
    enabled = await wire.expect(f"{{{SM}}}enabled")
    assert enabled.attrib == {}
    watcher = await door.log_in()
    await wire.send(f"<presence to='{watcher.jid}'/>")
    assert await acknowledged(wire) == 1
    wire.abort()
    await watcher.expect(f"presence[@from='{wire.jid}'][@type='unavailable']")


async def test_the_time_that_a_client_wants_is_kept_to(door: Door) -> None:
    for asked, given in (("60", "60"), ("100000", "300"), ("x", "300"), ("0", "300")):
        wire = await door.log_in(presence="")
        await wire.send(f"<enable xmlns='{SM}' resume='1' max='{asked}'/>")
        assert (await wire.expect(f"{{{SM}}}enabled")).get("max") == given
