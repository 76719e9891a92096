"""Where aiofastnet has no build, the server starts all the same and says what it lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.wire import Over, connect
from tests.process import ROOT, RainbowServer


class _WithoutAiofastnet(RainbowServer):
    """Finds a module of that name which cannot be imported."""

    def _environ(self) -> dict[str, str]:
        blocked = self.folder / "blocked"
        blocked.mkdir(exist_ok=True)
        (blocked / "aiofastnet.py").write_text("raise ImportError('no build for this platform')\n")
        return super()._environ() | {"PYTHONPATH": f"{blocked}:{ROOT}"}


@pytest.fixture(scope="module")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    server = _WithoutAiofastnet(Path(tmp_path_factory.mktemp("bare")))
    server.start()
    yield server
    server.stop()


def test_what_is_lost_is_said_in_words(bare_server: RainbowServer) -> None:
    text = bare_server.log_text()
    assert "aiofastnet is not installed" in text
    assert "42 KiB instead of 14" in text


@pytest.mark.parametrize("over", ["wss", "tls", "starttls"])
async def test_clients_log_in_on_every_transport(bare_server: RainbowServer, over: Over) -> None:
    person = bare_server.new_person()
    async with await connect(bare_server.endpoint, over) as client:
        await client.login(person.localpart, person.password, mechanism="SCRAM-SHA-256")
        await client.send("<presence/>")
        assert await client.expect("presence") is not None
    bare_server.assert_no_fault()
