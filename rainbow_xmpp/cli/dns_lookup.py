"""Asks the domain name system and the web what clients would ask them."""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from rainbow_xmpp.errors import RainbowError

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

Kind = Literal["A", "AAAA", "CNAME", "SRV", "CAA"]
PATIENCE_S = 5.0
MOST_BYTES = 65_536


class NoAnswerer(RainbowError):
    """No name server answers, so nothing can be said; the message is for the administrator."""


class NotFetched(RainbowError):
    """A page cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a web server answered."""

    text: str
    is_for_every_site: bool
    """Pages of other sites may read it (Access-Control-Allow-Origin), as web clients must."""


class Lookup(Protocol):
    """Where answers come from: the network, or a test."""

    def records(self, name: str, kind: Kind) -> list[str]:
        """The records as a zone file writes them; none where there is none. Raises NoAnswerer."""

    def page(self, url: str) -> Page:
        """The page, redirects followed, its certificate judged as a browser would. Raises NotFetched."""


class NetworkLookup:
    """The real ones. `resolver` is "ADDRESS" or "ADDRESS:PORT"; empty = those of this machine."""

    def __init__(self, resolver: str = "") -> None:
        import dns.resolver

        try:
            self._resolver = dns.resolver.Resolver(configure=not resolver)
        except dns.resolver.NoResolverConfiguration:
            raise NoAnswerer("this machine names no name server; name one: --resolver ADDRESS") from None
        self._resolver.lifetime = PATIENCE_S
        if resolver:
            address, port = _address_and_port(resolver)
            self._resolver.nameservers, self._resolver.port = [address], port

    def records(self, name: str, kind: Kind) -> list[str]:
        import dns.exception
        import dns.resolver

        try:
            answer = self._resolver.resolve(f"{name}.", kind, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.resolver.NoNameservers, dns.exception.Timeout, OSError):
            asked = ", ".join(map(str, self._resolver.nameservers))
            raise NoAnswerer(
                f"no answer about {name} from {asked or 'any name server'}; try again where the network is, "
                "or name another name server: --resolver ADDRESS"
            ) from None
        return sorted(record.to_text() for record in answer.rrset or ())

    def page(self, url: str) -> Page:
        return asyncio.run(self._fetch(url))

    async def _fetch(self, url: str) -> Page:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        connector = aiohttp.TCPConnector(resolver=_same_names(self))
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
                session.get(url) as response,
            ):
                if response.status != 200:
                    raise NotFetched(f"{url} answers {response.status}")
                data = await response.content.read(MOST_BYTES)
                is_for_every_site = response.headers.get("Access-Control-Allow-Origin") == "*"
                return Page(data.decode(errors="replace"), is_for_every_site)
        except aiohttp.ClientConnectorCertificateError as error:
            reason = error.certificate_error
            words = reason.verify_message if isinstance(reason, ssl.SSLCertVerificationError) else str(reason)
            raise NotFetched(f"{url}: browsers refuse the certificate: {words}") from None
        except TimeoutError:
            raise NotFetched(f"{url} does not answer within {PATIENCE_S:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NotFetched(f"{url} cannot be reached: {error}") from None


def _same_names(lookup: NetworkLookup) -> "AbstractResolver":
    """For aiohttp: the addresses that the name server in question tells, not those of this machine's."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Resolver(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            found: list[ResolveResult] = []
            kinds: tuple[tuple[Kind, socket.AddressFamily], ...] = (
                ("A", socket.AF_INET),
                ("AAAA", socket.AF_INET6),
            )
            for kind, of in kinds:
                addresses = await asyncio.to_thread(lookup.records, host, kind)
                found += (
                    ResolveResult(
                        hostname=host,
                        host=address,
                        port=port,
                        family=of,
                        proto=0,
                        flags=socket.AI_NUMERICHOST,
                    )
                    for address in addresses
                )
            if not found:
                raise OSError(f"{host} has no address")
            return found

        async def close(self) -> None:
            pass

    return Resolver()


def _address_and_port(resolver: str) -> tuple[str, int]:
    """`9.9.9.9`, `127.0.0.1:5353`, `::1`, `[::1]:5353`."""
    import ipaddress

    address, port = resolver, "53"
    if resolver.startswith("[") or resolver.count(":") == 1:
        address, _, port = resolver.rpartition(":")
    try:
        number = int(port)
        return str(ipaddress.ip_address(address.strip("[]"))), number
    except ValueError:
        raise NoAnswerer(f'--resolver "{resolver}" is no IP address (with a port, if it is not 53)') from None
