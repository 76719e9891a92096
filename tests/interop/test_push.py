"""Push notifications as stanza switches them on, against the real server process; nobody is called."""

import asyncio
import base64
import urllib.request
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.interop.client import STANZA, running
from tests.interop.test_second_factor import api
from tests.plugins.push_service import subscription_at
from tests.process import ChatServer, RainbowServer


async def devices(server: RainbowServer) -> int:
    url = f"http://{server.endpoint.host}:{server.metrics_port}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    (line,) = [line for line in text.splitlines() if line.startswith("rainbow_push_devices ")]
    return int(float(line.split()[1]))


async def test_stanza_enables_and_disables_a_browser(server: ChatServer, tmp_path: Path) -> None:
    if not isinstance(server, RainbowServer):
        pytest.skip("the push service is this server's")
    person = server.new_person()
    basic = base64.b64encode(f"{person.localpart}:{person.password}".encode()).decode()
    token = (await api(server, "POST", "/auth/login", f"Basic {basic}"))["access_token"]
    key = ec.generate_private_key(ec.SECP256R1())
    subscription = subscription_at("https://fcm.googleapis.com/fcm/send/x", key, bytes(16))
    made = await api(server, "POST", "/push-subscriptions", f"Bearer {token}", subscription)
    before = await devices(server)
    async with running(STANZA, server.endpoint, tmp_path) as ann:
        await ann.login(person, server.endpoint)
        await ann.do("push", **(made | {"secret": "guessed"}))
        assert (await ann.wait("push"))["error"] == "item-not-found"
        await ann.do("push", **(made | {"jid": "push.elsewhere.example"}))
        assert (await ann.wait("push"))["error"] == "remote-server-not-found"
        assert await devices(server) == before
        await ann.do("push", **made)
        assert (await ann.wait("push"))["error"] == ""
        assert await devices(server) == before + 1
        await ann.do("no_push", jid=made["jid"], node=made["node"])
        assert await devices(server) == before
