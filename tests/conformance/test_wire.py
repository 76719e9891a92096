"""The raw client works on every transport, so that a test which fails with it has found something."""

import pytest

from tests.conformance.wire import Over, SaslFailure, connect
from tests.process import ChatServer

EVERY_WAY = pytest.mark.parametrize("over", ["wss", "tls", "starttls"])


@EVERY_WAY
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"])
async def test_two_clients_log_in_and_chat(server: ChatServer, over: Over, mechanism: str) -> None:
    sender, receiver = server.new_person(), server.new_person()
    async with await connect(server.endpoint, over) as alice, await connect(server.endpoint, over) as bob:
        await alice.login(sender.localpart, sender.password, mechanism=mechanism)
        bound = await bob.login(receiver.localpart, receiver.password, mechanism=mechanism, resource="desk")
        await bob.send("<presence/>")
        await bob.settle()
        await alice.send(f"<message to='{bound}' type='chat'><body>a &lt; b</body></message>")
        message = await bob.expect("message[body='a < b']")
        await alice.close()
        assert bound.startswith(f"{receiver.jid}/")
        assert message.get("from") == alice.jid
        assert alice.stream_closed


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
async def test_a_login_can_be_bound_to_the_certificate(server: ChatServer, mechanism: str) -> None:
    if not server.offers(mechanism):
        pytest.skip(f"this server has no {mechanism}")
    person = server.new_person()
    async with await connect(server.endpoint, "tls") as wire:
        jid = await wire.login(person.localpart, person.password, mechanism=mechanism)
        assert jid.startswith(f"{person.jid}/")


async def test_a_websocket_offers_no_channel_binding(server: ChatServer) -> None:
    async with await connect(server.endpoint, "wss") as wire:
        await wire.open()
        assert not [m for m in wire.mechanisms() if m.endswith("-PLUS")]


@EVERY_WAY
async def test_a_wrong_password_is_refused(server: ChatServer, over: Over) -> None:
    person = server.new_person()
    async with await connect(server.endpoint, over) as wire:
        await wire.open()
        with pytest.raises(SaslFailure, match="not-authorized"):
            await wire.authenticate(person.localpart, person.password + "x")


@EVERY_WAY
async def test_a_connection_that_is_cut_makes_its_user_unavailable(server: ChatServer, over: Over) -> None:
    person = server.new_person()
    async with await connect(server.endpoint, over) as lost, await connect(server.endpoint, over) as left:
        for wire in (left, lost):
            await wire.login(person.localpart, person.password)
            await wire.send("<presence/>")
        await left.expect(f"presence[@from='{lost.jid}']")
        lost.abort()
        gone = await left.expect(f"presence[@from='{lost.jid}'][@type='unavailable']")
        assert gone.get("to", left.jid).startswith(person.jid)
