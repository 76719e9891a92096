"""Nobody learns by trying who has an account: neither from what a login says nor from how long it takes."""

import secrets
import time
from collections.abc import Awaitable, Callable

import pytest

from rainbow_xmpp import ids
from rainbow_xmpp.auth.credentials import derive
from rainbow_xmpp.config import Limits
from rainbow_xmpp.sasl import login_names
from rainbow_xmpp.testing import TestServer
from tests.conformance.sasl_client import Scram
from tests.conformance.wire import connect
from tests.process import ChatServer, RainbowServer

TAKES = 5
ROUNDS = 150
UNLIMITED = Limits(logins_per_address_per_minute=0)


async def quick_ones(
    ask: Callable[[str], Awaitable[object]], names: dict[str, Callable[[], str]]
) -> dict[str, float]:
    """What the quick tries for each kind of name take, in seconds, each kind in turn."""
    taken: dict[str, list[float]] = {kind: [] for kind in names}
    for _ in range(ROUNDS):
        for kind, name in names.items():
            spelled = name()
            begun = time.perf_counter()
            await ask(spelled)
            taken[kind].append(time.perf_counter() - begun)
    return {kind: sorted(values)[ROUNDS // 5] for kind, values in taken.items()}


@pytest.mark.parametrize("form", ["{}", "{}@rainbow.test", "{}@acme.example"])
async def test_a_challenge_takes_as_long_for_nobody_as_for_somebody(form: str) -> None:
    """Within a fifth, as far as a busy machine can tell: it was twice as long for the JID of nobody."""
    async with TestServer(limits=UNLIMITED) as server:
        person = await server.person("ann@acme")
        key_id, sealed = server.node.sealer.seal(derive("Right-1 password", 4096), person.account.id)
        await server.store.credentials.put(person.account, sealed, key_id)

        async def ask(name: str) -> object:
            return await server.node.authenticator.scram_keys(
                login_names(name, server.domain), "sha256", "192.0.2.1"
            )

        names = {
            "somebody": lambda: form.format("ann"),
            "nobody": lambda: form.format(secrets.token_hex(2)[:3]),
        }
        ratios = []
        for _ in range(TAKES):
            found = await quick_ones(ask, names)
            ratios.append(found["nobody"] / found["somebody"])
        assert min(abs(ratio - 1) for ratio in ratios) < 0.2


async def salt_of(server: RainbowServer, name: str, mechanism: str) -> str:
    async with await connect(server.endpoint, "tls") as wire:
        await wire.open()
        await wire.send_auth(mechanism, Scram(mechanism, name, "x").first())
        return dict(part.split("=", 1) for part in (await wire.sasl_reply()).decode().split(","))["s"]


async def test_the_salts_of_nobody_survive_a_restart(start_server: Callable[..., RainbowServer]) -> None:
    """Openfire OF-3258: salts that change are those of nobody."""
    server = start_server()
    name = secrets.token_hex(8)
    mechanisms = ("SCRAM-SHA-256", "SCRAM-SHA-1")
    before = [await salt_of(server, name, mechanism) for mechanism in mechanisms]
    server.stop()
    server.start()
    assert [await salt_of(server, name, mechanism) for mechanism in mechanisms] == before
    assert len(set(before)) == 2


@pytest.mark.parametrize("size", [4_097, 7_000])
async def test_what_is_said_in_a_login_is_bounded(server: ChatServer, size: int) -> None:
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        async with await connect(server.endpoint, "wss") as wire:
            await wire.open()
            sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
            await wire.send(f"<auth xmlns='{sasl}' mechanism='{mechanism}'>{'A' * size}</auth>")
            failure = await wire.recv()
            assert failure[0].tag == f"{{{sasl}}}incorrect-encoding"


async def test_resources_cannot_be_guessed_from_those_that_are_known() -> None:
    suffixes = {ids.new_resource_suffix() for _ in range(20_000)}
    assert len(suffixes) == 20_000
    alphabet = set("".join(suffixes))
    assert len(alphabet) == 64
    for place in range(12):
        seen = [suffix[place] for suffix in suffixes]
        assert max(seen.count(letter) for letter in alphabet) < 20_000 / 64 * 1.5
