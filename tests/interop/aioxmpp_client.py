"""aioxmpp over direct TLS: a client of the interop tests, run by the Python of its own environment."""
# mypy: disable-error-code="import-not-found, misc"

import asyncio
import sys
from datetime import timedelta
from typing import Any

import aiosasl
import aioxmpp
import aioxmpp.connector
import aioxmpp.dispatcher
import aioxmpp.sasl
import aioxmpp.security_layer as security
import OpenSSL
from aiosasl.channel_binding import ChannelBindingProvider
from cryptography import x509

from tests.interop.json_lines import emit, serve


class ServerEndPoint(ChannelBindingProvider):
    """`tls-server-end-point`: aiosasl's own does not know the name of an ECDSA signature."""

    cb_name = b"tls-server-end-point"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def extract_cb_data(self) -> bytes:
        certificate: x509.Certificate = self._connection.get_peer_certificate().to_cryptography()
        assert certificate.signature_hash_algorithm is not None
        return certificate.fingerprint(certificate.signature_hash_algorithm)


class OneWay(security.SASLProvider):
    """Logs in with the wanted mechanism, or SCRAM of the library's choice, under the wanted name."""

    def __init__(self, username: str, password: str, mechanism: str | None) -> None:
        self._credentials = (username, password)
        self._mechanism = mechanism

    async def execute(self, client_jid: Any, features: Any, xmlstream: Any, tls_transport: Any) -> bool:
        async def credentials() -> tuple[str, str]:
            return self._credentials

        offered = set(features[security.SASLMechanisms].get_mechanism_list())
        wanted = offered & {self._mechanism} if self._mechanism else offered
        binding = ServerEndPoint(tls_transport.get_extra_info("ssl_object"))
        mechanisms: list[Any] = [aiosasl.SCRAM(credentials), aiosasl.PLAIN(credentials)]
        if self._mechanism and self._mechanism.endswith("-PLUS"):
            mechanisms.insert(0, aiosasl.SCRAMPLUS(credentials, binding))
        for mechanism in mechanisms:
            if token := mechanism.any_supported(wanted):
                interface = aioxmpp.sasl.SASLXMPPInterface(xmlstream)
                return bool(await self._execute(interface, mechanism, token))
        return False


class Verifier(security.PKIXCertificateVerifier):
    """The library's own looks at the name with a call that pyOpenSSL no longer has."""

    def verify_callback(self, ctx: Any, certificate: Any, errno: int, errdepth: int, trusted: int) -> bool:
        if not trusted or errdepth > 0:
            return bool(trusted)
        names = certificate.to_cryptography().extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return self.transport.get_extra_info("server_hostname") in names.value.get_values_for_type(
            x509.DNSName
        )


def security_layer(ca_file: str, provider: security.SASLProvider) -> Any:
    """Trust in the development CA only, and one way to log in."""

    def context() -> OpenSSL.SSL.Context:
        made = security.default_ssl_context()
        made.load_verify_locations(ca_file)
        return made

    return security.SecurityLayer(context, Verifier, True, [provider])


class Driver:
    """The commands of the test."""

    client: Any

    async def login(
        self,
        *,
        port: int,
        ca_file: str,
        domain: str,
        username: str,
        password: str,
        resource: str,
        **other: Any,
    ) -> None:
        address = aioxmpp.JID(None if "@" in username else username, domain, resource)
        layer = security_layer(ca_file, OneWay(username, password, other["mechanism"]))
        peer = ("127.0.0.1", port, aioxmpp.connector.XMPPOverTLSConnector())
        self.client = client = aioxmpp.PresenceManagedClient(address, layer, override_peer=[peer])
        client.backoff_start = timedelta(seconds=0.2)
        if "resume" not in sys.argv:
            client.resumption_timeout = 0
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listen(outcome)
        client.presence = aioxmpp.PresenceState(available=True)
        await outcome

    def _listen(self, outcome: "asyncio.Future[None]") -> None:
        client = self.client
        self.roster = client.summon(aioxmpp.RosterClient)
        presence = client.summon(aioxmpp.PresenceClient)
        messages = client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)

        def online() -> None:
            for item in self.roster.items.values():
                self._on_entry(item)
            emit("online", jid=str(client.local_jid))
            if not outcome.done():
                outcome.set_result(None)

        def failed(error: BaseException) -> None:
            if not outcome.done():
                outcome.set_exception(error)

        client.on_stream_established.connect(online)
        client.on_stream_suspended.connect(lambda _: emit("offline"))
        client.on_stream_destroyed.connect(lambda _=None: emit("offline"))
        client.on_failure.connect(failed)
        self.roster.on_subscribe.connect(self._on_request)
        self.roster.on_entry_added.connect(self._on_entry)
        self.roster.on_entry_subscription_state_changed.connect(self._on_entry)
        presence.on_available.connect(lambda jid, _: self._on_presence(jid, "available"))
        # It remembers presence over a lost stream, so who is seen again has "changed".
        presence.on_changed.connect(lambda jid, _: self._on_presence(jid, "available"))
        presence.on_unavailable.connect(lambda jid, _: self._on_presence(jid, "unavailable"))
        messages.register_callback(aioxmpp.MessageType.CHAT, None, self._on_message)
        self.copies = client.summon(aioxmpp.CarbonsClient)

    def _on_request(self, stanza: Any) -> None:
        emit("subscription-request", **{"from": str(stanza.from_.bare())})

    def _on_entry(self, item: Any) -> None:
        emit("roster", jid=str(item.jid), subscription=item.subscription)

    def _on_presence(self, jid: Any, kind: str) -> None:
        emit("presence", **{"from": str(jid), "type": kind})

    def _on_message(self, message: Any) -> None:
        if message.body:
            emit("message", **{"from": str(message.from_), "body": message.body.any()})
        copy = message.xep0280_received or message.xep0280_sent
        said = copy.stanza if copy else message
        if said.body:
            emit("shown", body=said.body.any())

    async def carbons(self) -> None:
        await self.copies.enable()

    async def subscribe(self, to: str) -> None:
        self.roster.subscribe(aioxmpp.JID.fromstr(to))

    async def approve(self, to: str) -> None:
        self.roster.approve(aioxmpp.JID.fromstr(to))

    async def message(self, to: str, body: str) -> None:
        message = aioxmpp.Message(type_=aioxmpp.MessageType.CHAT, to=aioxmpp.JID.fromstr(to))
        message.body[None] = body
        await self.client.send(message)

    async def logout(self) -> None:
        stopped = asyncio.get_running_loop().create_future()
        self.client.on_stopped.connect(lambda: stopped.set_result(None))
        self.client.stop()
        await stopped


async def main() -> None:
    driver = Driver()
    commands = ("login", "subscribe", "approve", "message", "carbons", "logout")
    await serve({name: getattr(driver, name) for name in commands})


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
