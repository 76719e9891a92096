"""`[regions.NAME]`: where data of people lies, and which region this server is of.

The same file, `regions.toml` beside the main one, goes to every server of every region; it names places and hosts,
never people. Without one there is a single region, and nothing of this matters.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from rainbow_xmpp.config.declare import Complaints
from rainbow_xmpp.config.declare import key as declared
from rainbow_xmpp.config.hosts import is_host_and_port
from rainbow_xmpp.config.problem import did_you_mean
from rainbow_xmpp.config.sections import Sections

ONLY_REGION = "default"
"""What the one region is called where none are configured."""
REGION_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
"""A region's name becomes a part of host names and of subjects on the bus."""
REGION_NAME_RULE = "1 to 32 small letters, digits and hyphens, such as eu-west"
_COUNTRY = re.compile(r"[A-Z]{2}")
_PUBLIC_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")


class RegionKind(StrEnum):
    """What a region keeps."""

    DATA = "data"
    """Accounts, rosters, messages: in a database of its own."""
    EDGE = "edge"
    """Nothing: connections, files that everybody may see, and the media of calls pass through."""
    RESTRICTED = "restricted"
    """Data, of companies that are allowed to use it and of no others, such as health data."""

    @property
    def keeps_data(self) -> bool:
        return self is not RegionKind.EDGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """[regions.NAME]: one region."""

    name: str = declared("", "What people call it. Empty = the name in the brackets.")
    country: str = declared("", "The country its servers stand in, by two letters (ISO 3166-1), such as FR.")
    kind: RegionKind = declared(  # noqa: RUF009  # a value
        RegionKind.DATA,
        "data: it has a database of its own. edge: it keeps nothing, and passes connections and calls on. "
        "restricted: data of companies that were allowed to use it (company set --allow-region), of no others.",
    )
    hosts: tuple[str, ...] = declared(
        (), 'Where clients reach it: host names, with a port unless it is 443, such as "fr.chat.example.com".'
    )
    upstreams: tuple[str, ...] = declared(
        (),
        "Where servers of other regions and edges reach it, for people who came to the wrong door: hosts or addresses, "
        "with a port unless it is 443. Empty = its hosts; needed where those lead to an edge.",
    )
    proxy: bool = declared(
        False,
        "Its servers are told by the PROXY protocol (version 2) whose connection it is that others pass on to them.",
    )
    relays: tuple[str, ...] = declared(
        (), 'Its relays for calls: host names, with a port unless it is 3478, such as "turn.fr.example.com".'
    )
    key: str = declared(
        "",
        "The public key of its servers, as rainbow-xmpp region key prints it: what others send is sealed for it. "
        "Empty = there is no border yet.",
    )
    old_key: str = declared("", "The public key before it, while servers of the region still use that.")
    border_servers: tuple[str, ...] = declared(
        (),
        "Its NATS servers at the border, as those of other regions reach them: HOST:PORT, one or two, none of an edge. "
        "Servers of its own and edges take the next port, the other border server of the region the one after that; a "
        "fourth is for the machine itself.",
    )
    bus_servers: tuple[str, ...] = declared(
        (),
        "Its inner NATS servers, which cluster.servers of its nodes names: HOST:PORT. They take the next port among "
        "each other.",
    )
    handed_to: tuple[str, ...] = declared(
        (),
        "Hosts outside of the region's servers that its people's data may be handed to: its mail server, tracing. "
        "check residency compares the configuration with it.",
    )
    backups: tuple[str, ...] = declared(
        (),
        "Where its backups go: folders, or URLs of other places. They lie in its country; audit residency looks "
        "through the folders.",
    )
    hangs_on: str = declared("", "Of an edge: the region whose border its NATS servers hang on.")

    @property
    def keys(self) -> tuple[str, ...]:
        """The public keys it may use, the one for new requests first."""
        return tuple(each for each in (self.key, self.old_key) if each)

    def problems(self) -> Complaints:
        if not _COUNTRY.fullmatch(self.country):
            yield (
                "country",
                f'is "{self.country}"; give the two letters of ISO 3166-1, such as FR'
                if self.country
                else "is missing; data is promised to stay in it",
            )
        for name, hosts in (("hosts", self.hosts), ("upstreams", self.upstreams), ("relays", self.relays)):
            for host in hosts:
                if not is_host_and_port(host):
                    yield name, f'has "{host}"; give a host name, and a port if it is another than usual'
        for name, servers in (("border_servers", self.border_servers), ("bus_servers", self.bus_servers)):
            for server in servers:
                if not is_host_and_port(server) or not server.rpartition(":")[2].isdigit():
                    yield name, f'has "{server}"; give HOST:PORT'
        if self.kind.keeps_data and self.hangs_on:
            yield "hangs_on", "is for edges; a region that keeps data has border_servers"
        if not self.kind.keeps_data and self.border_servers:
            yield (
                "border_servers",
                "are set, and this is an edge: it hangs on the border of a region (hangs_on)",
            )
        for name, text in (("key", self.key), ("old_key", self.old_key)):
            if text and not _PUBLIC_KEY.fullmatch(text):
                yield name, "is no public key; write what rainbow-xmpp region key printed"
        if self.old_key and not self.key:
            yield "old_key", "is given, and no key"
        if not self.hosts:
            yield "hosts", "is missing; say where clients reach the region"


def regions_problems(regions: Sections[Region], default: str, here: str) -> Iterator[tuple[str, str]]:
    """What is wrong with all of them together, by dotted key.

    `default` and `here` are as configured; "" is none given.
    """
    if not regions:
        for name, value in (("region", here), ("default_region", default)):
            if value:
                yield name, f'is "{value}", and no regions are configured: write [regions.{value}]'
        return
    for name in regions:
        if not REGION_NAME.fullmatch(name):
            yield f"regions.{name}", f"is no name for a region: {REGION_NAME_RULE}"
    yield from _chosen("default_region", default, regions)
    if here and here not in regions:
        yield (
            "region",
            f'is "{here}", which is no region{did_you_mean(here, regions) or _choices_of(regions)}',
        )
    if default in regions and regions[default].kind is RegionKind.RESTRICTED:
        yield "default_region", f'is "{default}", which is restricted: new companies may not use it'
    yield from _hosts_of_two(regions)
    yield from _keys_of_two(regions)
    for name, region in regions.items():
        if region.hangs_on and not (region.hangs_on in regions and regions[region.hangs_on].border_servers):
            yield (
                f"regions.{name}.hangs_on",
                f'is "{region.hangs_on}", which is no region with border_servers',
            )


def _choices_of(regions: Mapping[str, Region]) -> str:
    """The names to choose from, in words."""
    return f"; use one of: {', '.join(regions)}"


def _chosen(key_name: str, value: str, regions: Mapping[str, Region]) -> Iterator[tuple[str, str]]:
    """It must be one of them, and one that keeps data."""
    with_data = [name for name, region in regions.items() if region.kind.keeps_data]
    choices = f"use one of: {', '.join(with_data)}" if with_data else "none of them keeps data"
    if not value:
        yield key_name, f"is missing, and there are regions; {choices}"
    elif value not in regions:
        yield key_name, f'is "{value}", which is no region{did_you_mean(value, regions) or f"; {choices}"}'
    elif not regions[value].kind.keeps_data:
        yield key_name, f'is "{value}", an edge, which keeps no data; {choices}'


def _hosts_of_two(regions: Mapping[str, Region]) -> Iterator[tuple[str, str]]:
    """A host leads to one region: nobody could tell which, otherwise."""
    taken: dict[str, str] = {}
    for name, region in regions.items():
        for host in region.hosts:
            other = taken.setdefault(host.lower().removesuffix(":443"), name)
            if other != name:
                yield f"regions.{name}.hosts", f'has "{host}", which is a host of {other} too'


def _keys_of_two(regions: Mapping[str, Region]) -> Iterator[tuple[str, str]]:
    """A key proves which region something comes from."""
    taken: dict[str, str] = {}
    for name, region in regions.items():
        for key in region.keys:
            other = taken.setdefault(key, name)
            if other != name:
                yield f"regions.{name}.key", f"is the key of {other} too; each region has its own"


def border_problems(regions: Mapping[str, Region], has_servers: bool) -> Iterator[tuple[str, str]]:
    """What is missing where this server shall speak with other regions, by dotted key."""
    if not regions:
        yield "border.key", "is set, and no regions are configured"
    if not has_servers:
        yield (
            "cluster.servers",
            "is missing, and border.key is set: the border is reached by the region's NATS servers",
        )
    for name, region in regions.items():
        if not region.key:
            yield f"regions.{name}.key", "is missing; rainbow-xmpp region key, run there, prints it"


EXAMPLE_DEFAULT = "emea"
EXAMPLE: Mapping[str, Region] = MappingProxyType(
    {
        "na": Region(
            name="North America",
            country="CA",
            hosts=("na.chat.example.com",),
            relays=("relay.na.example.com",),
        ),
        "emea": Region(
            name="Europe, Middle East and Africa",
            country="FR",
            hosts=("emea.chat.example.com",),
            relays=("relay.emea.example.com",),
        ),
        "de": Region(
            name="Germany",
            country="DE",
            hosts=("de.chat.example.com",),
            relays=("relay.de.example.com",),
        ),
        "apac": Region(
            name="Asia and Pacific",
            country="SG",
            hosts=("apac.chat.example.com",),
            relays=("relay.apac.example.com",),
        ),
        "health-fr": Region(
            name="Health data",
            country="FR",
            kind=RegionKind.RESTRICTED,
            hosts=("health.chat.example.com",),
        ),
        "uk": Region(
            name="United Kingdom",
            country="GB",
            kind=RegionKind.EDGE,
            hosts=("uk.chat.example.com",),
            relays=("relay.uk.example.com",),
        ),
        "au": Region(
            name="Australia",
            country="AU",
            kind=RegionKind.EDGE,
            hosts=("au.chat.example.com",),
            relays=("relay.au.example.com",),
        ),
    }
)
"""What `conf/regions.toml` shows."""
