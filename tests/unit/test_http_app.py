"""The web side: what is served, what every answer carries, and what none of them gives away."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web

import rainbow_xmpp.http.app as http_app
from rainbow_xmpp.http.app import Readiness, make_app
from rainbow_xmpp.http.headers import SECURITY_HEADERS
from rainbow_xmpp.http.pages import assets
from rainbow_xmpp.observe.metrics import Counters
from tests.unit.http_client import ask, exchange, parsed, serving, site

BROWSER = "text/html,application/xhtml+xml"
SOFTWARE = re.compile(rb"aiohttp|python|uvloop|aiofastnet|nginx|openssl|\d+\.\d+\.\d+(?!\.)", re.IGNORECASE)


async def test_the_landing_page_says_what_this_is_and_how_to_connect() -> None:
    async with serving() as port:
        answer = await ask(port, "/", accept=BROWSER)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for word in (
        "you@chat.example.com",
        "wss://chat.example.com:8443/xmpp-websocket",
        "<code>chat.example.com</code> port <code>8443</code>",
        "e-mail address",
        *("Gajim", "Conversations", "Dino", "Converse", "slixmpp"),
    ):
        assert word in answer.text


class _References(HTMLParser):
    """Collects what a page refers to and how it is built."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.resources: list[str] = []
        self.inline: list[str] = []
        self.images_without_alt = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag in ("img", "link", "script"):
            self.resources.append(values.get("src") or values.get("href") or "")
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        self.images_without_alt += tag == "img" and "alt" not in values


@pytest.mark.parametrize("path", ["/", "/nowhere"])
async def test_pages_need_nothing_from_elsewhere_and_no_script(path: str) -> None:
    async with serving() as port:
        page = _References()
        page.feed((await ask(port, path, accept=BROWSER)).text)
        for resource in page.resources:
            assert resource.startswith("/")
            assert (await ask(port, resource)).status == 200
    assert "script" not in page.tags
    assert "style" not in page.tags
    assert page.inline == []


@pytest.mark.parametrize("path", ["/", "/nowhere"])
async def test_pages_can_be_used_without_seeing_them(path: str) -> None:
    async with serving() as port:
        text = (await ask(port, path, accept=BROWSER)).text
    page = _References()
    page.feed(text)
    assert '<html lang="en">' in text
    assert {"header", "main", "footer"} <= set(page.tags)
    assert page.tags.count("h1") == 1
    assert page.images_without_alt == 0
    assert 'href="#main"' in text


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(scheme: int) -> None:
    css = assets()["site.css"].body.decode()
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css.split(":root {")[scheme + 1]))
    pairs = [(text, behind) for text in ("ink", "soft", "link") for behind in ("page", "card")]
    for text, behind in [*pairs, ("ink", "code"), ("on-accent", "accent")]:
        light, dark = sorted((_luminance(colours[text]), _luminance(colours[behind])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {behind}"  # WCAG 2.2 AA, 1.4.3


async def test_names_of_the_server_are_escaped() -> None:
    async with serving(make_app(site(domain="<b>&.example"))) as port:
        text = (await ask(port, "/")).text
    assert "<b>&.example" not in text
    assert "you@&lt;b&gt;&amp;.example" in text


async def test_health_is_one_word() -> None:
    async with serving() as port:
        answer = await ask(port, "/healthz")
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, b"ok\n", "no-store")


@pytest.mark.parametrize(
    ("checks", "status", "body"),
    [
        ({"storage": True, "bus": True}, 200, {"ready": True, "checks": {"storage": "ok", "bus": "ok"}}),
        (
            {"storage": False, "bus": True},
            503,
            {"ready": False, "checks": {"storage": "failed", "bus": "ok"}},
        ),
        ({}, 200, {"ready": True, "checks": {}}),
    ],
)
async def test_readiness_names_each_check_and_no_more(
    checks: dict[str, bool], status: int, body: dict[str, object]
) -> None:
    async with serving(make_app(site(readiness=Readiness(checks)))) as port:
        answer = await ask(port, "/readyz")
    assert (answer.status, json.loads(answer.body)) == (status, body)


async def test_host_meta_names_the_websocket_to_every_site() -> None:
    async with serving() as port:
        xml, js = await ask(port, "/.well-known/host-meta"), await ask(port, "/.well-known/host-meta.json")
    rel, href = "urn:xmpp:alt-connections:websocket", "wss://chat.example.com:8443/xmpp-websocket"
    root = ET.fromstring(xml.body)
    namespace = "{http://docs.oasis-open.org/ns/xri/xrd-1.0}"
    assert root.tag == f"{namespace}XRD"
    assert [link.attrib for link in root.iter(f"{namespace}Link")] == [{"rel": rel, "href": href}]
    assert json.loads(js.body) == {"links": [{"rel": rel, "href": href}]}
    assert xml.headers["content-type"] == "application/xrd+xml; charset=utf-8"
    assert js.headers["content-type"] == "application/json; charset=utf-8"
    for answer in (xml, js):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_robots_are_asked_to_stay_away() -> None:
    async with serving() as port:
        assert (await ask(port, "/robots.txt")).body == b"User-agent: *\nDisallow: /\n"


async def test_assets_may_be_kept_since_their_address_changes_with_them() -> None:
    async with serving() as port:
        for asset in assets().values():
            answer = await ask(port, asset.url)
            assert answer.body == asset.body
            assert answer.headers["content-type"].startswith(asset.media_type)
            assert "immutable" in answer.headers["cache-control"]
        assert (await ask(port, "/favicon.ico")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/assets/",
        "/assets/landing.html",
        "/assets/../app.py",
        "/assets/%2e%2e/app.py",
        "/assets/..%2fapp.py",
        "//etc/passwd",
        "/%00",
        "/healthz/",
    ],
)
async def test_what_does_not_exist_is_not_found(path: str) -> None:
    async with serving() as port:
        assert (await ask(port, path)).status == 404


async def test_refusals_are_pages_for_people_and_a_sentence_for_programs() -> None:
    async with serving() as port:
        page = await ask(port, "/nowhere", accept=BROWSER)
        sentence = await ask(port, "/nowhere")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "There is nothing at this address" in page.text
    assert sentence.headers["content-type"] == "text/plain; charset=utf-8"
    assert sentence.text.startswith("There is nothing at this address.")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_are_told_what_is_allowed(method: str) -> None:
    async with serving() as port:
        answer = await ask(port, "/healthz", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET,HEAD")


async def test_a_head_request_gets_the_head_only() -> None:
    async with serving() as port:
        got, head = await ask(port, "/"), await ask(port, "/", method="HEAD")
        lost = await ask(port, "/nowhere", method="HEAD", accept=BROWSER)
    assert head.headers["content-length"] == got.headers["content-length"]
    assert (head.body, lost.body, lost.status) == (b"", b"", 404)


async def test_a_browser_at_the_websocket_is_told_what_the_address_is_for() -> None:
    async with serving() as port:
        answer = await ask(port, "/xmpp-websocket", accept=BROWSER)
    assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
    assert "for chat clients" in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", 426),
        ("Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n", 426),
        ("Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nOrigin: https://evil.example\r\n", 403),
        ("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", 400),
    ],
    ids=["no handshake", "an old version", "a foreign page", "not for XMPP"],
)
async def test_a_handshake_that_the_port_refused_is_told_why(headers: str, status: int) -> None:
    request = f"GET /xmpp-websocket HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
    async with serving() as port:
        answer = parsed(await exchange(port, request.encode()))
    assert answer.status == status
    assert answer.headers.get("sec-websocket-version") == ("13" if "Version: 8" in headers else None)


def app_with(path: str, handler: http_app.Handler) -> web.Application:
    app = make_app(site())
    app.router.add_route("*", path, handler)
    return app


async def test_a_fault_is_owned_up_to_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def faulty(_: web.Request) -> web.Response:
        raise RuntimeError("the secret inside")

    counters = Counters()
    async with serving(app_with("/faulty", faulty), counters) as port:
        page, sentence = await ask(port, "/faulty", accept=BROWSER), await ask(port, "/faulty")
    assert page.status == sentence.status == 500
    assert b"secret" not in page.body + sentence.body
    assert "The fault is ours" in page.text
    assert sum(record.exc_info is not None for record in caplog.records) == 2
    assert counters.http_requests == 2


async def test_a_program_interfaces_own_words_are_left_alone() -> None:
    async def refusing(_: web.Request) -> web.Response:
        raise web.HTTPUnprocessableEntity(text='{"error": "wrong"}', content_type="application/json")

    async with serving(app_with("/refusing", refusing)) as port:
        answer = await ask(port, "/refusing", accept=BROWSER)
    assert (answer.status, json.loads(answer.body)) == (422, {"error": "wrong"})


async def test_a_redirect_is_no_refusal() -> None:
    async def moving(_: web.Request) -> web.Response:
        raise web.HTTPSeeOther("/")

    async with serving(app_with("/moving", moving)) as port:
        answer = await ask(port, "/moving", accept=BROWSER)
    assert (answer.status, answer.headers["location"]) == (303, "/")


async def test_a_handler_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reading(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    monkeypatch.setattr(http_app, "HANDLER_TIMEOUT_S", 0.1)
    async with serving(app_with("/reading", reading)) as port:
        raw = await exchange(port, b"POST /reading HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nslowly")
    assert parsed(raw).status == 408


async def test_a_body_that_is_too_large_is_refused() -> None:
    async def reading(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async with serving(app_with("/reading", reading)) as port:
        head = b"POST /reading HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 70000\r\n\r\n"
        answer = parsed(await exchange(port, head + bytes(70_000)))
    assert answer.status == 413
    assert answer.text.startswith("This is too much at once.")


async def every_kind_of_answer(port: int) -> dict[str, bytes]:
    """Raw answers of every origin: handlers, the router, the middleware, and aiohttp itself."""
    tail = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    requests = {
        "page": b"GET /" + tail,
        "not found": b"GET /nowhere" + tail,
        "not allowed": b"POST /" + tail,
        "fault": b"GET /faulty" + tail,
        "host-meta": b"GET /.well-known/host-meta" + tail,
        "asset": b"GET " + assets()["site.css"].path.encode() + tail,
        "unknown expectation": b"GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nConnection: close\r\n\r\n",
        "not HTTP": b"hello\r\n\r\n",
        "bad version": b"GET / HTTP/9.9\r\n\r\n",
        "bad header": b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        "bad length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "smuggling": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "long line": b"GET /" + b"a" * 9000 + tail,
        "long header": b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        "many headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    }
    return {name: await exchange(port, request) for name, request in requests.items()}


async def faulty(_: web.Request) -> web.Response:
    raise RuntimeError("on purpose")


async def test_every_answer_carries_the_security_headers_and_names_no_software() -> None:
    async with serving(app_with("/faulty", faulty)) as port:
        answers = await every_kind_of_answer(port)
    for name, raw in answers.items():
        answer = parsed(raw)
        assert "server" not in answer.headers, name
        assert not SOFTWARE.search(raw.partition(b"\r\n\r\n")[0].partition(b"\r\n")[2]), name
        if name not in ("page", "asset"):  # which tell of other programs, or have numbers in the style
            assert not SOFTWARE.search(answer.body), name
        for header in SECURITY_HEADERS:
            assert answer.headers.get(header.lower()), f"{header} in {name}"
        assert answer.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains; preload"


async def test_what_is_not_http_gets_a_plain_400_and_the_end() -> None:
    async with serving() as port:
        answers = await every_kind_of_answer(port)
    statuses = {name: parsed(raw).status for name, raw in answers.items()}
    assert {name for name, status in statuses.items() if status in (400, 431)} >= {
        *("not HTTP", "bad version", "bad header", "bad length", "two lengths", "smuggling"),
        *("long line", "long header", "many headers"),
    }
    assert parsed(answers["not HTTP"]).text == "This is not a request that this server understands.\n"
    assert parsed(answers["long header"]).status == 431


async def test_a_connection_is_kept_for_the_next_request_and_pipelining_works() -> None:
    once = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving() as port:
        raw = await exchange(port, once * 40 + last)
    assert raw.count(b"HTTP/1.1 200 OK\r\n") == 41


def test_the_pages_carry_no_version() -> None:
    folder = Path(http_app.__file__).parent / "assets"
    for file in folder.glob("*.html"):
        assert "version" not in file.read_text().lower()
