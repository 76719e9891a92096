"""`check dns`: can clients find the server by its domain alone, and what has to be published so that they can?

Clients ask for `_xmpps-client._tcp` (XEP-0368) and `_xmpp-client._tcp` (RFC 6120 §3.2.1), web clients for host-meta
(XEP-0156). Where a record is missing, the line to publish is told as a zone file has it.
"""

import ipaddress
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import idna

from rainbow_xmpp.cli.checks import Finding, Mark
from rainbow_xmpp.cli.dns_lookup import Lookup, NoAnswerer, NotFetched
from rainbow_xmpp.config import Config

TTL_S = 3600
WEBSOCKET_RELATION = "urn:xmpp:alt-connections:websocket"
_NOT_PUBLIC = frozenset(
    ("localhost", "local", "internal", "test", "example", "invalid", "lan", "home", "corp")
)
"""Last labels that the public name system knows nothing of (RFC 6761, RFC 6762, and what companies use inside)."""
_NOWHERE = "."


def check_dns(config: Config, lookup: Lookup) -> Iterator[Finding]:
    """Everything about the configured domain. Changes nothing, and asks the network."""
    domain = _ascii(config.domain)
    if domain.rpartition(".")[2] in _NOT_PUBLIC or "." not in domain:
        yield Finding(
            Mark.WARNING, "dns", f"{domain} is no public name: clients have to be told where the server is"
        )
        return
    try:
        yield from _Domain(config, domain, lookup).findings()
    except NoAnswerer as error:
        yield Finding(Mark.BAD, "dns", str(error))


class _Domain:
    """One domain and the server that shall be found by it."""

    def __init__(self, config: Config, domain: str, lookup: Lookup) -> None:
        public = urlsplit(config.public_url)
        self._domain = domain
        self._lookup = lookup
        self._host = _ascii(public.hostname or domain)
        self._port = public.port or 443
        self._starttls_port = config.listen.starttls_port
        self._websocket_url = config.websocket_url
        self._own_address = _address_record(config.listen.address)

    def findings(self) -> Iterator[Finding]:
        yield from self._addresses(self._host)
        yield from self._direct_tls()
        yield from self._starttls()
        yield from self._host_meta()
        yield from self._authorities()

    def _addresses(self, host: str) -> Iterator[Finding]:
        """§3.2.1 step 3: what a name leads to in the end."""
        if _is_address(host):
            yield Finding(Mark.BAD, "dns", f"public_url names the address {host}; records cannot lead to one")
            return
        found = [*self._lookup.records(host, "A"), *self._lookup.records(host, "AAAA")]
        if found:
            yield _good(f"{host} is at {', '.join(found)}")
        else:
            yield _missing(f"{host} has no address", f"{host}. {TTL_S} IN {self._own_address}")

    def _direct_tls(self) -> Iterator[Finding]:
        wanted = f"_xmpps-client._tcp.{self._domain}. {TTL_S} IN SRV 0 5 {self._port} {self._host}."
        yield from self._service(f"_xmpps-client._tcp.{self._domain}", self._port, wanted)

    def _starttls(self) -> Iterator[Finding]:
        name = f"_xmpp-client._tcp.{self._domain}"
        if self._starttls_port:
            wanted = f"{name}. {TTL_S} IN SRV 0 5 {self._starttls_port} {self._host}."
            yield from self._service(name, self._starttls_port, wanted)
            return
        nowhere = f"{name}. {TTL_S} IN SRV 0 0 0 {_NOWHERE}"
        targets = [record.split()[3] for record in self._lookup.records(name, "SRV")]
        if targets == [_NOWHERE]:
            yield _good(f"{name} says that there is no STARTTLS, which is so (starttls_port = 0)")
        elif targets:
            yield _missing(f"{name} leads to a port that is not open (starttls_port = 0)", nowhere)
        else:
            yield Finding(
                Mark.WARNING,
                "dns",
                f"{name} is missing, so old clients try port 5222 in vain; to spare them that, publish: {nowhere}",
            )

    def _service(self, name: str, port: int, wanted: str) -> Iterator[Finding]:
        """One service that the server offers, and the hosts its records lead to."""
        records = [record.split() for record in self._lookup.records(name, "SRV")]
        if not records:
            yield _missing(f"{name} is missing", wanted)
            return
        here = (str(port), f"{self._host}.")
        if any((number, target.lower()) == here for _, _, number, target in records):
            yield _good(f"{name} leads to {self._host}:{port}")
        else:
            there = ", ".join(f"{target.rstrip('.')}:{number}" for _, _, number, target in records)
            yield _missing(f"{name} leads to {there}, not to {self._host}:{port}", wanted)
        for target in sorted({target.rstrip(".").lower() for *_, target in records} - {self._host, ""}):
            yield from self._addresses(target)
            if self._lookup.records(target, "CNAME"):
                yield Finding(Mark.BAD, "dns", f"{name} leads to {target}, an alias, which RFC 2782 forbids")

    def _host_meta(self) -> Iterator[Finding]:
        """Web clients ask the domain itself, on the usual port."""
        url = f"https://{self._domain}/.well-known/host-meta.json"
        hint = f"web clients find {self._websocket_url} only when they are told"
        try:
            page = self._lookup.page(url)
        except NotFetched as error:
            yield Finding(Mark.WARNING, "dns", f"{error}; {hint}")
            return
        if self._websocket_url not in _websockets_in(page.text):
            yield Finding(Mark.WARNING, "dns", f"{url} does not name the WebSocket; {hint}")
        elif not page.is_for_every_site:
            allow = "Access-Control-Allow-Origin: *"
            yield Finding(
                Mark.WARNING, "dns", f"{url} lacks the header {allow}; pages elsewhere cannot read it"
            )
        else:
            yield _good(f"{url} names {self._websocket_url}")

    def _authorities(self) -> Iterator[Finding]:
        """RFC 8659 §3: the nearest name above that has CAA records says who may issue certificates."""
        name = self._host
        while "." in name:
            issuers = [
                record.split(" ", 2)[2].strip('"')
                for record in self._lookup.records(name, "CAA")
                if record.split(" ", 2)[1] == "issue"
            ]
            if issuers:
                yield _good(f"{name} lets {', '.join(issuers)} issue certificates (CAA)")
                return
            name = name.partition(".")[2]
        yield Finding(
            Mark.WARNING,
            "dns",
            f"every authority may issue certificates for {self._host}; to let only yours, publish for example: "
            f'{self._domain}. {TTL_S} IN CAA 0 issue "letsencrypt.org"',
        )


def _good(text: str) -> Finding:
    return Finding(Mark.GOOD, "dns", text)


def _missing(text: str, line: str) -> Finding:
    return Finding(Mark.BAD, "dns", f"{text}; publish: {line}")


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _address_record(listens_on: str) -> str:
    """Of the address that the server listens on, if others can reach it there; else a place to put one."""
    address = ipaddress.ip_address(listens_on)
    if not address.is_global:
        return "A <the server's IPv4 address>"
    return f"A {address}" if address.version == 4 else f"AAAA {address}"


def _ascii(name: str) -> str:
    """The name as the name system has it."""
    return name if name.isascii() else idna.encode(name, uts46=True).decode()


def _websockets_in(text: str) -> list[str]:
    try:
        links = json.loads(text)["links"]
        return [link["href"] for link in links if link.get("rel") == WEBSOCKET_RELATION]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
