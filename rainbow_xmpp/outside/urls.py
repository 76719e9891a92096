"""Which URLs may be called: https, and a host that an operator named."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from rainbow_xmpp.errors import RainbowError

MAX_URL = 2000
HTTPS_PORT = 443
_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_PLAIN = re.compile(r"[!-~]+")


class NotAllowedUrl(RainbowError):
    """The text is for whoever gave the URL."""


def judge_url(url: str, allowed_hosts: Collection[str]) -> str:
    """The URL as it is called. Raises NotAllowedUrl.

    `allowed_hosts` are names of hosts, `*.name` for all below a name, and `name:port` for another port than 443.
    Addresses in figures never are.
    """
    if len(url) > MAX_URL or not _PLAIN.fullmatch(url) or "\\" in url:
        raise NotAllowedUrl(f"a URL has at most {MAX_URL} printable ASCII characters")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or HTTPS_PORT
    except ValueError:
        raise NotAllowedUrl("this is no URL") from None
    if parts.scheme.lower() != "https":
        raise NotAllowedUrl("only https is called")
    if parts.username is not None or parts.password is not None or "#" in url:
        raise NotAllowedUrl("a user name, a password or a fragment may not stand in it")
    if not _HOST.fullmatch(host):
        raise NotAllowedUrl("it needs the name of a host")
    named = host if port == HTTPS_PORT else f"{host}:{port}"
    if not _is_among(named, {each.lower().removesuffix(f":{HTTPS_PORT}") for each in allowed_hosts}):
        raise NotAllowedUrl("the operator of this server does not allow this host")
    return url


def _is_among(named: str, allowed: Collection[str]) -> bool:
    return named in allowed or any(each.startswith("*.") and named.endswith(each[1:]) for each in allowed)


def problem_of_host(text: str, *, may_be_wild: bool = False) -> str:
    """What is wrong with an entry of `allowed_hosts`; "" when nothing is. `may_be_wild`: `*.name` is none, too."""
    host, colon, port = text.lower().partition(":")
    if may_be_wild:
        host = host.removeprefix("*.")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return f"{text}: a port is a number from 1 to 65535"
    return "" if _HOST.fullmatch(host) else f"{text} is no name of a host, such as hooks.example.com"
