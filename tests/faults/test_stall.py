"""A plugin that computes where it should wait: everybody waits, and the log says for whom."""

import asyncio
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from tests.doors import Door
from tests.process import RainbowServer

PLUGIN = '''
import time
from rainbow_xmpp.plugin import Passage, Plugin, Stage, hook


class Sluggard(Plugin, name="sluggard"):
    """Computes for a second when somebody sends a headline."""

    @hook(Stage.REWRITE)
    def ponder(self, p: Passage) -> Passage:
        if p.type == "headline":
            compute_until(time.monotonic() + 1.0)
        return p


def compute_until(end: float) -> None:
    while time.monotonic() < end:
        sum(range(1000))
'''


async def test_the_log_names_the_place_where_the_loop_stands_still(
    start_server: Callable[..., RainbowServer], tmp_path: Path
) -> None:
    (tmp_path / "sluggard.py").write_text(PLUGIN)
    server = start_server({"plugin_paths": [str(tmp_path)], "observe": {"stall_ms": 200}})
    async with AsyncExitStack() as stack:
        door = Door(server, "tls", stack)
        ann, bob = await door.log_in(), await door.log_in()
        await ann.send(f"<message to='{bob.jid}' type='headline'><body>hello</body></message>")
        await bob.expect(lambda e: e.tag.endswith("}message"))
        async with asyncio.timeout(30):
            while "stood still for" not in server.log_text():  # another process
                await asyncio.sleep(0.05)
    log = server.log_text()
    (place,) = [line for line in log.splitlines() if "stands still in" in line and "sluggard" in line]
    assert "compute_until < " in place
    assert "ponder" in place
    figures = await asyncio.to_thread(_metrics, server)
    stalls = next(line for line in figures.splitlines() if line.startswith("rainbow_loop_stalls_total"))
    assert float(stalls.split()[1]) >= 1


def _metrics(server: RainbowServer) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()
