"""Who may open a WebSocket from a web page, and the headers of every answer."""

import pytest

from rainbow_xmpp.http.headers import PLAIN_TEXT_HEADERS, SECURITY_HEADERS, harden, origin_allowed

HOST = "chat.example.com:8443"
ALLOWED = ("https://web.example.com", "http://localhost:5000")


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "https://chat.example.com:8443",
        "https://CHAT.example.com:8443",
        "https://web.example.com",
        "https://web.example.com:443",
        "http://localhost:5000",
    ],
)
def test_own_and_named_origins_and_no_browsers_may(origin: str | None) -> None:
    assert origin_allowed(origin, HOST, ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "*",
        "https://evil.example",
        "https://chat.example.com",
        "http://chat.example.com:8443",
        "http://web.example.com",
        "https://web.example.com:444",
        "https://web.example.com.evil.example",
        "https://evil.example/https://web.example.com",
        "https://web.example.com@evil.example",
        "https://evil@web.example.com",
        "https://evilweb.example.com",
        "https://web.example.com/path",
        "https://web.example.com?x",
        "https://web.example.com#x",
        "https://localhost:5000",
        "http://localhost",
        "file://",
        "moz-extension://abc",
        "https://[::1",
        "https://web.example.com:port",
        "web.example.com",
    ],
)
def test_all_others_may_not(origin: str) -> None:
    assert not origin_allowed(origin, HOST, ALLOWED)


def test_the_usual_port_may_be_left_out_on_either_side() -> None:
    assert origin_allowed("https://chat.example.com", "chat.example.com", ())
    assert origin_allowed("https://chat.example.com", "chat.example.com:443", ())


def test_broken_entries_of_the_list_allow_nothing() -> None:
    assert not origin_allowed("null", HOST, ("null", "*", ""))


def test_hardening_takes_away_the_software_and_keeps_an_answers_own_headers() -> None:
    headers = {"Server": "x/1", "Cache-Control": "public"}
    harden(headers, SECURITY_HEADERS)
    assert "Server" not in headers
    assert headers["Cache-Control"] == "public"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_no_hsts_is_sent_in_plain_text() -> None:
    assert "Strict-Transport-Security" not in PLAIN_TEXT_HEADERS
    assert len(PLAIN_TEXT_HEADERS) == len(SECURITY_HEADERS) - 1


def test_the_content_policy_allows_no_inline_script_or_style() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
