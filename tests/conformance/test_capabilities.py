"""The server's capabilities in the stream features (XEP-0115 §6.3), as shipped."""

from rainbow_xmpp.plugin import DiscoInfo
from rainbow_xmpp.plugins.caps.verification import stands_for
from tests.doors import Door

CAPS = "{http://jabber.org/protocol/caps}c"
INFO = "http://jabber.org/protocol/disco#info"


async def test_the_features_after_login_announce_what_the_server_answers(door: Door) -> None:
    before = await door.opened()
    assert before.features is not None
    assert before.features.find(CAPS) is None
    wire = await door.authenticated()
    assert wire.features is not None
    caps = wire.features.find(CAPS)
    assert caps is not None
    ver, hash_name = caps.get("ver", ""), caps.get("hash", "")
    await wire.bind()
    for node in ("", f" node='{caps.get('node')}#{ver}'"):
        answer = await wire.iq("get", f"<query xmlns='{INFO}'{node}/>", to=door.server.endpoint.domain)
        assert stands_for(ver, DiscoInfo.from_xml(answer[0]), hash_name)
