"""The same rules against the relay as it runs, over UDP, TCP and TLS."""

from collections.abc import Iterator

import pytest

from tests.certificates import Certificates, make_certificates
from tests.plugins.webrtc_relay import checks_allocate, checks_peers, checks_stun
from tests.plugins.webrtc_relay.checks import CHECKS, Check
from tests.plugins.webrtc_relay.running import RunningRelay, RunningWorld

assert checks_allocate and checks_peers and checks_stun

pytestmark = pytest.mark.xdist_group("running relay")

TRANSPORTS = ("udp", "tcp", "tls")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("relay"))


@pytest.fixture(scope="module")
def relay(certificates: Certificates) -> Iterator[RunningRelay]:
    running = RunningRelay(certificates.certificate, certificates.key)
    yield running
    running.stop()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("check", CHECKS, ids=[check.run.__name__ for check in CHECKS])
def test_the_running_relay_keeps_the_rule(
    check: Check, transport: str, relay: RunningRelay, certificates: Certificates
):
    world = RunningWorld(relay, transport, certificates.ca)
    if not check.fits(world, transport != "udp"):
        pytest.skip("needs another world")
    try:
        check.run(world)
    finally:
        world.close()
