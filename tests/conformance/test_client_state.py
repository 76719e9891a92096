"""Client State Indication (XEP-0352) over real connections."""

from tests.conformance.test_fast import come_back, first_token
from tests.conformance.wire import NAMESPACES
from tests.doors import Door

CSI = "urn:xmpp:csi:0"
SM = "urn:xmpp:sm:3"
NONE = "HT-SHA-256-NONE"


async def test_presence_waits_for_a_client_that_nobody_looks_at_and_words_do_not(door: Door) -> None:
    person = door.server.new_person()
    phone, desk = await door.log_in(person), await door.log_in(person)
    await phone.settle()
    phone.inbox.clear()
    await phone.send(f"<inactive xmlns='{CSI}'/>")
    await phone.settle()
    for show in ("away", "dnd"):
        await desk.send(f"<presence><show>{show}</show></presence>")
    await desk.settle()
    await desk.send(f"<message to='{phone.jid}' type='chat'><body>look</body></message>")
    await phone.expect("message/body")
    from_desk = [e for e in phone.inbox if e.get("from") == desk.jid]
    assert [e.findtext("{jabber:client}show") for e in from_desk] == ["dnd"]  # the last one, before the words
    phone.inbox.clear()
    await desk.send("<presence/>")
    await desk.settle()
    await phone.send(f"<active xmlns='{CSI}'/>")
    await phone.settle()
    assert [e.tag.partition("}")[2] for e in phone.inbox] == ["presence"]


async def test_what_waited_when_the_connection_was_lost_comes_with_the_resumption_by_a_token(
    door: Door,
) -> None:
    """XEP-0352 §5.2, XEP-0198, XEP-0484: one flight there, and the answer has all that was missed."""
    person = door.server.new_person()
    phone = await door.opened()
    token = await first_token(phone, person, NONE)
    await phone.bind()
    await phone.send(f"<enable xmlns='{SM}' resume='true'/>")
    previd = (await phone.expect(f"{{{SM}}}enabled")).get("id")
    await phone.send("<presence/>")
    await phone.settle()
    desk = await door.log_in(person)
    await phone.settle()
    handled = sum(e.tag.startswith("{jabber:client}") for e in phone.inbox) + 2  # and the answers to `settle`
    await phone.send(f"<inactive xmlns='{CSI}'/>")
    await desk.send("<presence><show>dnd</show></presence>")
    await desk.settle()
    phone.abort()
    wire = await door.connect()
    success = await come_back(
        wire, person, token, NONE, b"", f"<resume xmlns='{SM}' previd='{previd}' h='{handled}'/>"
    )
    assert success.find(f"{{{SM}}}resumed") is not None
    presence = await wire.expect("presence")
    assert (presence.get("from"), presence.findtext("{jabber:client}show")) == (desk.jid, "dnd")
    await desk.send("<presence/>")  # the resumed stream is active
    assert (await wire.expect("presence")).get("from") == desk.jid
    jid = success.findtext(f"{{{NAMESPACES['sasl2']}}}authorization-identifier")
    assert jid == phone.jid
