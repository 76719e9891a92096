"""coturn's own client against our relay: it was not written by us, and knows TURN from the other side.

It takes channel numbers at random out of RFC 5766's range, of which RFC 8656 has left a quarter. So that it meets only
those, four bits of its long random numbers are 0 (a shim before OpenSSL's, compiled here); without gcc it has no
channels.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests.certificates import make_certificates
from tests.plugins.webrtc_relay.running import RunningRelay, RunningWorld

CLIENT, PEER = "turnutils_uclient", "turnutils_peer"
PEER_IP, PEER_PORT = "127.0.0.2", 3480
MESSAGES = 20
BY_SEND = (["-s"], ["-s", "-t"], ["-s", "-t", "-S"], ["-s", "-y"], ["-s", "-t", "-y"])
BY_CHANNEL = (["-c"], ["-c", "-t"])

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
int RAND_bytes(unsigned char *to, int size) {
    static int (*real)(unsigned char *, int);
    if (!real) real = (int (*)(unsigned char *, int))dlsym(RTLD_NEXT, "RAND_bytes");
    int good = real(to, size);
    if (size == (int)sizeof(long)) to[1] &= 0x0f;
    return good;
}
"""

pytestmark = [
    pytest.mark.skipif(not (shutil.which(CLIENT) and shutil.which(PEER)), reason="coturn is not installed"),
    pytest.mark.xdist_group("turnutils"),
]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRelay]:
    certificates = make_certificates(tmp_path_factory.mktemp("turnutils"))
    running = RunningRelay(certificates.certificate, certificates.key)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def _peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    echo = subprocess.Popen(
        [PEER, "-p", str(PEER_PORT), "-L", PEER_IP], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    yield
    echo.kill()
    echo.wait()


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the shim; "" when there is no compiler."""
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    if shutil.which("gcc") is None:
        return ""
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"], cwd=folder, check=True)
    return str(folder / "shim.so")


class Run:
    """One client, in the background; it takes some seconds, most of which it waits."""

    def __init__(
        self, relay: RunningRelay, options: list[str], password: str | None = None, preload: str = ""
    ) -> None:
        credential = RunningWorld(relay).credential()
        self._command = [
            *(CLIENT, "-u", credential.username, "-w", password or credential.password),
            *("-p", str(relay.address[1]), "-e", PEER_IP, "-r", str(PEER_PORT)),
            *("-n", str(MESSAGES), "-m", "1", "-l", "172", "-z", "10", *options, relay.address[0]),
        ]
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe would fill up, and stop it
        self.process = subprocess.Popen(
            self._command,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=os.environ | ({"LD_PRELOAD": preload} if preload else {}),
        )

    def said(self) -> str:
        self.process.wait(60)
        self._output.seek(0)
        with self._output:
            return self._output.read().decode()


def lost_nothing(said: str) -> bool:
    sent = [line for line in said.splitlines() if "start_mclient: tot_send_msgs=" in line]
    counts = [part.partition("=")[2] for part in sent[-1].split(": ")[-1].split(", ")] if sent else []
    return (
        len(counts) == 2
        and counts[0] == counts[1]
        and int(counts[0]) >= MESSAGES
        and "Total lost packets 0 " in said
    )


@pytest.mark.usefixtures("_peer")
def test_coturns_client_loses_no_packet_by_any_transport(relay: RunningRelay, preload: str):
    ways = (*BY_SEND, *(BY_CHANNEL if preload else ()))
    for run, options in [(Run(relay, options, preload=preload), options) for options in ways]:
        said = run.said()
        assert run.process.returncode == 0 and lost_nothing(said), (options, said[-2000:])


def test_coturns_client_is_refused_with_a_wrong_password_and_what_we_do_not_have(relay: RunningRelay):
    for options, password, words in (
        ([], "wrong", "Cannot complete Allocation"),
        (["-P"], None, "error 442 (Unsupported Transport Protocol)"),
        (["-T"], None, "error 442 (Unsupported Transport Protocol)"),
        (["-s", "-e", "10.0.0.1"], None, "error 403 (Forbidden)"),
    ):
        run = Run(relay, options, password)
        said = run.said()
        assert run.process.returncode and words in said, said[-2000:]
