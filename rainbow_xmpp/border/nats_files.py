"""The configuration of the NATS servers of all regions, from what `regions.toml` says of them.

Each region that keeps data has border servers, which form a mesh of gateways with those of the other regions, and bus
servers inside, which its nodes connect to and which hang on the border as leaves. An edge has bus servers only, which
hang on the border of a region. What may cross is decided at the border, by the user that a leaf connects as: out to
`xr.<other>.>`, in to `xr.<own>.>`, and from an edge nothing but what is for edges. Nothing is stored: no JetStream.

The files are the same whenever they are written; passwords lie beside them in files of their own.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rainbow_xmpp.border import EDGE_SERVICE
from rainbow_xmpp.config import Region

MAX_PAYLOAD = 2**20
"""Bytes of one message; NATS's own default. `border.MOST_BYTES` and a seal are less."""
NODES = "nodes"
"""The user of a region's servers at its NATS servers (`cluster.user`)."""
INTRO = (
    "# Written by rainbow-xmpp region nats-config from regions.toml. Write it anew instead of changing it."
)

_Value = object


@dataclass(frozen=True, slots=True)
class NatsTls:
    """Paths on the machine of a NATS server."""

    certificate: str
    key: str
    ca: str


class _Variable(str):
    """The name of something that stands in the file with the secrets."""


@dataclass(frozen=True, slots=True)
class Address:
    """A NATS server as others reach it, with the ports after its own."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Address:
        host, _, port = text.rpartition(":")
        return cls(host, int(port))

    def at(self, offset: int) -> str:
        return f"{self.host}:{self.port + offset}"

    def listen(self, offset: int = 0) -> str:
        """An address that is a number is listened on alone; a name may lead to another one than the machine has."""
        try:
            ipaddress.ip_address(self.host.strip("[]"))
        except ValueError:
            return f"0.0.0.0:{self.port + offset}"
        return self.at(offset)


LEAVES, ROUTES, LOCAL = 1, 2, 3
"""What the ports after that of a border server are for; at its own are the gateways."""
BUS_ROUTES = 1
"""The port after that of a bus server is for the others of its region."""


def files_of(name: str, regions: Mapping[str, Region], tls: NatsTls) -> dict[str, str]:
    """The text of each file of one region, without the secrets, by its name in the region's directory."""
    region = regions[name]
    made = {
        f"border-{number}.conf": _text("border", _border_server(name, number, regions, tls))
        for number in range(1, len(region.border_servers) + 1)
    }
    made |= {
        f"bus-{number}.conf": _text("bus", _bus_server(name, number, region, tls))
        for number in range(1, len(region.bus_servers) + 1)
    }
    return made


def leaves_of(name: str, regions: Mapping[str, Region]) -> list[str]:
    """What hangs on the border of a region: itself, and edges."""
    return [name, *(edge for edge, each in regions.items() if each.hangs_on == name)]


def secrets_of(name: str, regions: Mapping[str, Region], passwords: Mapping[str, str]) -> dict[str, str]:
    """The text of the files with passwords. `passwords` are those of leaves by region, and of nodes under `nodes`."""
    made = {}
    if regions[name].border_servers:
        lines = [f"{_leaf(leaf)}: {json.dumps(passwords[leaf])}" for leaf in leaves_of(name, regions)]
        made["border.secrets.conf"] = "\n".join([INTRO, *lines, ""])
    if regions[name].bus_servers:
        upper = [Address.of(text) for text in regions[regions[name].hangs_on or name].border_servers]
        urls = [f"tls://{name}:{passwords[name]}@{each.at(LEAVES)}" for each in upper]
        lines = [f"NODES: {json.dumps(passwords[NODES])}", f"BORDER: {json.dumps(urls)}"]
        made["bus.secrets.conf"] = "\n".join([INTRO, *lines, ""])
    return made


def permissions(name: str, regions: Mapping[str, Region]) -> tuple[list[str], list[str]]:
    """What the leaf of a region, or an edge, may publish at the border, and what it may hear there."""
    others = [other for other in regions if other != name]
    if regions[name].kind.keeps_data:
        return [f"xr.{other}.>" for other in others], [f"xr.{name}.>"]
    with_data = [other for other in others if regions[other].kind.keeps_data]
    services = (EDGE_SERVICE, f"{EDGE_SERVICE}.>", "r.>")
    return [f"xr.{other}.{service}" for other in with_data for service in services], [f"xr.{name}.>"]


def _border_server(
    name: str, number: int, regions: Mapping[str, Region], tls: NatsTls
) -> Mapping[str, _Value]:
    servers = [Address.of(text) for text in regions[name].border_servers]
    here = servers[number - 1]
    made: dict[str, _Value] = {
        "server_name": f"border-{name}-{number}",
        "listen": f"127.0.0.1:{here.port + LOCAL}",
        **_common(),
        # Gateways want an account of the system; nobody can log in to it.
        "system_account": "SYS",
        "accounts": {
            "SYS": {"users": []},
            "BORDER": {"users": [_leaf_user(leaf, regions) for leaf in leaves_of(name, regions)]},
        },
        "gateway": {
            "name": name,
            "listen": here.listen(),
            "advertise": here.at(0),
            "reject_unknown_cluster": True,
            "tls": _tls(tls),
            "gateways": [
                {"name": other, "urls": [f"nats://{text}" for text in each.border_servers]}
                for other, each in regions.items()
                if each.border_servers
            ],
        },
        "leafnodes": {"listen": here.listen(LEAVES), "no_advertise": True, "tls": _tls(tls)},
    }
    if len(servers) > 1:
        made["cluster"] = {
            "name": name,
            "listen": here.listen(ROUTES),
            "no_advertise": True,
            "tls": _tls(tls),
            "routes": [f"nats://{each.at(ROUTES)}" for each in servers if each != here],
        }
    return made


def _leaf_user(leaf: str, regions: Mapping[str, Region]) -> Mapping[str, _Value]:
    publish, subscribe = permissions(leaf, regions)
    return {
        "user": leaf,
        "password": _Variable(_leaf(leaf)),
        "allowed_connection_types": ["LEAFNODE"],
        "permissions": {"publish": publish, "subscribe": subscribe},
    }


def _bus_server(name: str, number: int, region: Region, tls: NatsTls) -> Mapping[str, _Value]:
    servers = [Address.of(text) for text in region.bus_servers]
    here = servers[number - 1]
    nodes = {
        "user": NODES,
        "password": _Variable("NODES"),
        "permissions": {
            "publish": [f"rx.{name}.>", "xr.>"],
            "subscribe": [f"rx.{name}.>", f"xr.{name}.>"],
        },
    }
    made: dict[str, _Value] = {
        "server_name": f"bus-{name}-{number}",
        "listen": here.listen(),
        "tls": {**_tls(tls), "verify": False},
        **_common(),
        "authorization": {"users": [nodes]},
        "leafnodes": {
            "reconnect": 1,
            "remotes": [{"urls": _Variable("BORDER"), "tls": _tls(tls)}],
        },
    }
    if len(servers) > 1:
        made["cluster"] = {
            "name": f"bus-{name}",
            "listen": here.listen(BUS_ROUTES),
            "no_advertise": True,
            "tls": _tls(tls),
            "routes": [f"nats://{each.at(BUS_ROUTES)}" for each in servers if each != here],
        }
    return made


def _common() -> Mapping[str, _Value]:
    return {"max_payload": MAX_PAYLOAD, "ping_interval": "2s", "ping_max": 2}


def _tls(tls: NatsTls) -> Mapping[str, _Value]:
    return {
        "cert_file": tls.certificate,
        "key_file": tls.key,
        "ca_file": tls.ca,
        "verify": True,
        "timeout": 5,
    }


def _leaf(name: str) -> str:
    """The variable with its password; names of variables have no hyphens."""
    return f"LEAF_{name.replace('-', '_').upper()}"


def _text(kind: str, server: Mapping[str, _Value]) -> str:
    return "\n".join([INTRO, f'include "{kind}.secrets.conf"', *_lines(server, ""), ""])


def _lines(table: Mapping[str, _Value], indent: str) -> Iterator[str]:
    """One key on each line: what differs can be told by its line."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key} {{"
            yield from _lines(value, indent + "  ")
            yield f"{indent}}}"
        elif _is_list_of_tables(value):
            yield f"{indent}{key}: ["
            for each in value:  # type: ignore[attr-defined]
                yield f"{indent}  {{"
                yield from _lines(each, indent + "    ")
                yield f"{indent}  }}"
            yield f"{indent}]"
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _is_list_of_tables(value: _Value) -> bool:
    return isinstance(value, Sequence) and bool(value) and isinstance(value[0], Mapping)


def _scalar(value: _Value) -> str:
    return f"${value}" if isinstance(value, _Variable) else json.dumps(value)
