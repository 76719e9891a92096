"""What every answer carries, and who may open a WebSocket from a web page."""

from collections.abc import Mapping, MutableMapping, Sequence
from types import MappingProxyType
from urllib.parse import urlsplit

# hstspreload.org asks for two of these: a year or more, and the words includeSubDomains and preload.
HSTS = "max-age=63072000; includeSubDomains; preload"

# Pages bring one stylesheet and images from this server, no script, and nothing else.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Strict-Transport-Security": HSTS,
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": (
            "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        # What an answer does not say itself is kept nowhere.
        "Cache-Control": "no-store",
    }
)

# The same for a plain-text listener: a client must ignore HSTS there, and a server must not send it
# (RFC 6797 §7.2).
PLAIN_TEXT_HEADERS: Mapping[str, str] = MappingProxyType(
    {name: value for name, value in SECURITY_HEADERS.items() if name != "Strict-Transport-Security"}
)


def harden(headers: MutableMapping[str, str], wanted: Mapping[str, str]) -> None:
    """Make the headers of an answer fit to be sent: `wanted` where the answer has nothing of its own.

    Takes away what names the software (`Server`).
    """
    headers.pop("Server", None)
    for name, value in wanted.items():
        headers.setdefault(name, value)


def origin_allowed(origin: str | None, host: str, allowed: Sequence[str]) -> bool:
    """Whether a WebSocket handshake with this `Origin` header may go on (RFC 6455 §10.2).

    None: the client is not a browser and may. Otherwise the origin must be the server's own (`https://`
    and `host`, the public host with its port unless it is 443) or one of `allowed`. "null", which
    sandboxed pages and files send, never is. Compared as browsers write origins (RFC 6454 §6.2): scheme
    and host in lower case, no path, the scheme's usual port left out.
    """
    if origin is None:
        return True
    normal = _normal_origin(origin)
    return normal is not None and (
        normal == _normal_origin(f"https://{host}") or any(normal == _normal_origin(one) for one in allowed)
    )


def _normal_origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin; None for what is not one."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    if usual is None or not parts.hostname:
        return None
    return parts.scheme, parts.hostname.lower(), usual if port is None else port
