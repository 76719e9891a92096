"""Client State Indication (XEP-0352) over real connections."""

from tests.doors import Door

CSI = "urn:xmpp:csi:0"


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
