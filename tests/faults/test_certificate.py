"""A certificate is renewed while the server runs."""

import asyncio
import signal
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from tests.certificates import make_certificates
from tests.doors import Door
from tests.process import RainbowServer


async def shown(server: RainbowServer) -> str:
    """The certificate that a new connection gets, as PEM."""
    address = (server.endpoint.host, server.endpoint.port)
    return await asyncio.to_thread(ssl.get_server_certificate, address, timeout=30)


async def test_a_hangup_renews_the_certificate_and_disturbs_nobody(
    start_server: Callable[..., RainbowServer], tmp_path: Path
) -> None:
    server = start_server()
    files = server.endpoint.ca_file.parent
    before = await shown(server)
    async with AsyncExitStack() as stack:
        ann = await Door(server, "tls", stack).log_in()
        new = make_certificates(tmp_path)
        (files / "cert.pem").write_bytes(new.certificate.read_bytes())
        (files / "key.pem").write_bytes(new.key.read_bytes())
        server.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(30):
            while await shown(server) == before:
                await asyncio.sleep(0.05)
        assert (await shown(server)).strip() == new.certificate.read_text().strip()
        await ann.settle()


async def test_files_that_are_not_right_leave_the_certificate_as_it_is(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    before = await shown(server)
    (server.endpoint.ca_file.parent / "cert.pem").write_text("not a certificate")
    server.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(30):
        while "the configuration was not taken" not in server.log_text():
            await asyncio.sleep(0.05)
    assert await shown(server) == before
