"""A receiver of webhooks on loopback, with TLS of a test authority."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from rainbow_xmpp.outside import Outside
from tests.certificates import make_certificates

HOST = "hooks.example"


class Receiver:
    """Keeps what it is sent, and answers with `statuses` one after the other, then with 200."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.body = b"thanks"
        self.port = 0
        self._tls = tls

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}/in"

    @property
    def allowed(self) -> str:
        return f"{HOST}:{self.port}"

    def outside(self) -> Outside:
        """A client that reaches this receiver and trusts it."""

        async def here(host: str) -> list[str]:
            return ["127.0.0.1"]

        return Outside(resolve=here, permits="127.0.0.1".__eq__, tls=self._tls)

    async def take(self, request: web.Request) -> web.Response:
        self.calls.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, body=self.body, headers=self.headers)


@asynccontextmanager
async def receiving(folder: Path, name: str = HOST) -> AsyncIterator[Receiver]:
    files = make_certificates(folder, name)
    receiver = Receiver(ssl.create_default_context(cafile=str(files.ca)))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(files.certificate, files.key)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
