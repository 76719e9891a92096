"""A push service and a browser: what is sent is decrypted as a browser does it, and the signature verified."""

import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import http_ece
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rainbow_xmpp.plugin import PluginOptions
from rainbow_xmpp.plugins.archive import Archive
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.carbons import Carbons
from rainbow_xmpp.plugins.client_state import ClientState
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.push import Push
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.testing import Client, TestServer, condition_of
from tests.plugins.rest import Caller, logged_in
from tests.plugins.webhook_receiver import Receiver, receiving

HOST = "push.example"
NS = "urn:xmpp:push:0"
AROUND: tuple[type[Any], ...] = (Archive, Blocking, Carbons, ClientState, CompanyIsolation, Disco, RestApi)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def subscription_at(endpoint: str, private: ec.EllipticCurvePrivateKey, auth: bytes) -> dict[str, Any]:
    """What `PushSubscription.toJSON()` gives."""
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {"p256dh": encoded(point), "auth": encoded(auth)}
    return {"endpoint": endpoint, "expirationTime": None, "keys": keys}


@dataclass
class Browser:
    """One that has asked its push service for a subscription."""

    service: Receiver
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    path: str = field(default_factory=lambda: secrets.token_urlsafe(8))

    @property
    def endpoint(self) -> str:
        return f"https://{HOST}:{self.service.port}/wp/{self.path}"

    @property
    def subscription(self) -> dict[str, Any]:
        return subscription_at(self.endpoint, self.private, self.auth)

    def open(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """What the service worker gets (RFC 8291)."""
        assert headers["content-encoding"] == "aes128gcm"
        plain = http_ece.decrypt(body, private_key=self.private, auth_secret=self.auth, version="aes128gcm")
        told: dict[str, Any] = json.loads(plain)
        return told


def signed_by(headers: dict[str, str], public_key: str, audience: str) -> dict[str, Any]:
    """The claims of `Authorization`, verified as a push service does it (RFC 8292 §2 to §4)."""
    scheme, _, rest = headers["authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert scheme == "vapid" and parts["k"] == public_key
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(public_key))
    claims: dict[str, Any] = jwt.decode(
        parts["t"], key, algorithms=["ES256"], audience=audience, options={"verify_exp": False}
    )
    return claims


@dataclass
class World:
    """A server, a push service and somebody whose browser can be woken."""

    server: TestServer
    service: Receiver
    caller: Caller
    options: Push.Options

    @property
    def push(self) -> Push:
        return self.server.plugin(Push)

    async def public_key(self) -> str:
        """As a browser wants it."""
        key: str = (await self.caller.get("/push-subscriptions"))["public_key"]
        return key

    async def registered(self, browser: Browser, **more: Any) -> dict[str, str]:
        answer = await self.caller.call("POST", "/push-subscriptions", browser.subscription | more)
        assert answer.status == 201, answer.text
        made: dict[str, str] = answer.json()
        return made

    async def device(self, **more: Any) -> tuple[Browser, dict[str, str]]:
        """A browser that is registered and enabled; nobody is online afterwards."""
        browser = Browser(self.service)
        made = await self.registered(browser, **more)
        client = await self.server.login(self.name, available=False)
        assert condition_of(await client.ask("set", enable(made))) is None
        await client.leave()
        return browser, made

    @property
    def name(self) -> str:
        account = self.caller.person.account
        return f"{account.localpart}@{account.company.name}"

    @property
    def bare(self) -> str:
        return self.caller.person.bare

    async def later(self, seconds: float = 0) -> None:
        """Time goes by; whatever is due by then is tried."""
        await self.server.settle()
        self.server.clock.advance(seconds)
        await self.server.run_job(Push.look)
        await self.server.settle()

    def told(self, browser: Browser) -> list[dict[str, Any]]:
        """What the push service got since the last look; every bit of it is for this browser."""
        calls, self.service.calls = self.service.calls, []
        return [browser.open(headers, body) for headers, body in calls]


def enable(made: dict[str, str], **other: str) -> str:
    """The element, with what the API gave; `jid`, `node`, `secret` may be others."""
    given = made | other
    form = (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
        "<value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
        f"<field var='secret'><value>{given['secret']}</value></field></x>"
    )
    return f"<enable xmlns='{NS}' jid='{given['jid']}' node='{given['node']}'>{form}</enable>"


def disable(made: dict[str, str], *, all_nodes: bool = False) -> str:
    node = "" if all_nodes else f" node='{made['node']}'"
    return f"<disable xmlns='{NS}' jid='{made['jid']}'{node}/>"


@asynccontextmanager
async def world(folder: Path, **options: Any) -> AsyncIterator[World]:
    async with receiving(folder, HOST) as service:
        given = Push.Options(push_services=(f"{HOST}:{service.port}",), **options)
        plugins: dict[type, PluginOptions] = {cls: cls.Options() for cls in AROUND} | {Push: given}
        async with TestServer(plugins) as server:
            server.plugin(Push).outside = service.outside()
            yield World(server, service, await logged_in(server, "ann@acme"), given)


async def on_phone(world: World, agent: str = "") -> Client:
    """Somebody's session with stream management, here."""
    client = await world.server.login(world.name, available=False)
    if agent:
        client.session.agent = type(client.session.agent)(agent, "App", "Phone")
    client.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    client.send("<presence/>")
    await client.rest()
    return client
