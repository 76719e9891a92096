"""The control plane, through its public face, with a data plane of dictionaries."""

from rainbow_xmpp.plugins.webrtc_relay.control import Traffic
from tests.plugins.webrtc_relay.simulated import SimulatedWorld
from tests.plugins.webrtc_relay.turn_client import code_of


def test_one_call_is_reported_from_its_beginning_to_its_end():
    world = SimulatedWorld()
    ann, peer = world.client("acme-ann"), world.peer()
    relay = ann.allocated()
    assert code_of(ann.permit(peer.address)) == 0
    ann.send_indication(peer.address, b"hello")
    assert peer.receive() == (relay, b"hello")
    assert code_of(ann.bind(0x4000, peer.address)) == 0
    peer.send(relay, b"and back")
    assert ann.channel_data() == (0x4000, b"and back")
    assert world.control.has_allocation(ann.wire.five_tuple)
    world.advance(600)
    assert not world.control.has_allocation(ann.wire.five_tuple)
    assert not world.plane.relays
    assert world.reported == [
        ("refused", "unauthenticated"),
        ("opened", "acme-ann"),
        ("closed", "acme-ann", 600.0, Traffic(1, 2, 3, 4), "expired"),
    ]
