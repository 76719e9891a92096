"""Which regions there are, and the files that their NATS servers and chat servers are started with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from demo.nats import NatsProcess
from rainbow_xmpp.border.nats_folder import write_folder
from rainbow_xmpp.border.seal import new_key, public_key
from rainbow_xmpp.cli.devcert import DevelopmentFiles, ensure_certificate, write_private
from rainbow_xmpp.config import Config, load

DOMAIN = "localhost"


@dataclass(frozen=True, slots=True)
class Place:
    """A region or an edge. `borders` and `buses` are the base ports of its NATS servers, `door` its HTTPS port.

    `door_two`: there is a second node, at this port.
    """

    name: str
    title: str
    country: str
    borders: Sequence[int]
    buses: Sequence[int]
    door: int
    hangs_on: str = ""
    door_two: int = 0

    @property
    def doors(self) -> Sequence[int]:
        """Of each node."""
        return (self.door, self.door_two) if self.door_two else (self.door,)

    @property
    def keeps_data(self) -> bool:
        return not self.hangs_on

    @property
    def host(self) -> str:
        """A name that leads to this machine."""
        return f"{self.name}.localhost"

    @property
    def kind(self) -> str:
        return "data" if self.keeps_data else "edge"


class Places:
    """Their files lie in one directory, one for each place in it."""

    def __init__(
        self,
        folder: Path,
        places: Sequence[Place],
        seen_at: Mapping[int, int] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """`seen_at`: ports of border servers that others reach at another one, where something is in between.

        `more`: settings of all chat servers beside those that they must have, by dotted key.
        """
        self._more = more or {}
        self.folder = folder.resolve()
        self.by_name = {place.name: place for place in places}
        self._seen_at = seen_at or {}
        self.ca = self.folder / "ca.pem"
        self.storage = {
            place.name: f"sqlite+aiosqlite:///{self.folder / place.name / 'data' / 'rainbow.db'}"
            for place in places
            if place.keeps_data
        }
        """The database of each; two nodes of a region need one in PostgreSQL."""

    def write(self) -> None:
        """Everything; keys, passwords and certificates that are there stay."""
        for name in self.by_name:
            folder = self.folder / name
            (folder / "data").mkdir(parents=True, exist_ok=True)
            for file, new in (("region.key", new_key), ("sealing.key", new_key)):
                if not (folder / file).exists():
                    write_private(folder / file, new().encode())
        if not (self.folder / "names.key").exists():
            write_private(self.folder / "names.key", new_key().encode())
        names = [place.host for place in self.by_name.values()]
        files = DevelopmentFiles.beside(self.folder / "cert.pem", self.folder / "key.pem")
        ensure_certificate(files, [DOMAIN, *names], datetime.now(UTC), as_client=True)
        (self.folder / "regions.toml").write_text(self._regions())
        for place in self.by_name.values():
            (self.folder / place.name / "rainbow.toml").write_text(self._server(place))
            (self.folder / place.name / "regions.toml").write_text(self._regions())
        for place in self.by_name.values():
            write_folder(self.folder, place.name, self._judged(place), write_private)
            for number, port in enumerate(place.borders, 1):
                self._listen_there(self.folder / place.name / f"border-{number}.conf", port)

    def config(self, name: str) -> Config:
        """What a server of this place is configured with."""
        return self._loaded(self.by_name[name], {})

    def nats(self, name: str) -> list[NatsProcess]:
        """The NATS servers of a place, not started: those of the border first."""
        folder, place = self.folder / name, self.by_name[name]
        files = [f"border-{number}" for number in range(1, len(place.borders) + 1)]
        files += [f"bus-{number}" for number in range(1, len(place.buses) + 1)]
        return [NatsProcess(["-c", str(folder / f"{file}.conf")], folder / f"{file}.log") for file in files]

    def _judged(self, place: Place) -> Config:
        """Before there are passwords."""
        return self._loaded(place, {"RAINBOW_CLUSTER__PASSWORD": "not made yet"})

    def _loaded(self, place: Place, environ: Mapping[str, str]) -> Config:
        return load(self.folder / place.name / "rainbow.toml", environ)

    def _seen(self, port: int) -> int:
        return self._seen_at.get(port, port)

    def _listen_there(self, file: Path, port: int) -> None:
        """What is in between has the address that the others know."""
        text = file.read_text()
        seen = self._seen(port)
        file.write_text(text.replace(f'  listen: "127.0.0.1:{seen}"', f'  listen: "127.0.0.1:{port}"'))

    def _regions(self) -> str:
        lines = [f"default_region = {json.dumps(next(iter(self.by_name)))}"]
        for place in self.by_name.values():
            key = public_key((self.folder / place.name / "region.key").read_text())
            lines += [
                f"[regions.{place.name}]",
                f"name = {json.dumps(place.title)}",
                f"country = {json.dumps(place.country)}",
                f'kind = "{place.kind}"',
                f"hosts = {json.dumps([f'{place.host}:{door}' for door in place.doors])}",
                # Not every resolver knows names below localhost.
                f"upstreams = {json.dumps([f'127.0.0.1:{door}' for door in place.doors])}",
                f'key = "{key}"',
                f"bus_servers = {json.dumps([f'127.0.0.1:{port}' for port in place.buses])}",
            ]
            if place.keeps_data:
                servers = [f"127.0.0.1:{self._seen(port)}" for port in place.borders]
                lines.append(f"border_servers = {json.dumps(servers)}")
            else:
                lines.append(f'hangs_on = "{place.hangs_on}"')
        return "\n".join(lines) + "\n"

    def _server(self, place: Place) -> str:
        folder = self.folder / place.name
        settings: dict[str, object] = {
            "domain": DOMAIN,
            "region": place.name,
            "listen.address": "127.0.0.1",
            "listen.port": place.door,
            "listen.redirect_port": 0,
            "listen.starttls_port": 0,
            "tls.certificate": str(self.folder / "cert.pem"),
            "tls.key": str(self.folder / "key.pem"),
            "cluster.servers": [f"tls://127.0.0.1:{port}" for port in place.buses],
            "cluster.user": "nodes",
            "cluster.password": {"file": str(folder / "nodes.password")},
            "cluster.ca": str(self.ca),
            "elsewhere.pass_on": True,
            "elsewhere.log_in": True,
            "elsewhere.ca": str(self.ca),
            "listen.public_url": f"https://{place.host}:{place.door}",
            "border.key": {"file": str(folder / "region.key")},
            "border.names_key": {"file": str(self.folder / "names.key")},
            "border.nats_folder": str(folder),
            "border.nats_certificate": str(self.folder / "cert.pem"),
            "border.nats_key": str(self.folder / "key.pem"),
            "border.nats_ca": str(self.ca),
        }
        if place.keeps_data:
            settings["auth.sealing_key"] = {"file": str(folder / "sealing.key")}
            settings["storage.url"] = self.storage[place.name]
        settings |= self._more
        return "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)
