"""Chat servers of three regions, as processes, on the NATS servers of a `Rig`, with people of one company in each."""

from __future__ import annotations

import json
import time
import tomllib
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.process import Person, RainbowServer
from tests.regions.rig import Rig

COMPANY = "Acme"
HOME = "emea"
REGIONS = ("emea", "de", "na")
SETTLE_S = 4.0
"""A server looks every second who was added; who is asked for before that is nobody for half a minute."""


class RegionServer(RainbowServer):
    """The one server of a region, with a database of its own that keeps nobody yet."""

    def __init__(self, folder: Path, name: str, rig: Rig, **settings: Any) -> None:
        self.region = name
        written = tomllib.loads((rig.places.folder / name / "rainbow.toml").read_text())
        shared = tomllib.loads((rig.places.folder / "regions.toml").read_text())
        super().__init__(
            folder,
            settings={
                "region": name,
                **shared,
                "cluster": written["cluster"],
                "border": written["border"],
                **settings,
            },
        )

    def _set_up(self) -> None:
        self.cli("db", "upgrade")

    def has_company(self, name: str) -> bool:
        return any(each["name"] == name for each in json.loads(self.cli("company", "list", "--json")))


class Servers:
    """`start` returns when every region knows the company, and has people of it."""

    def __init__(self, rig: Rig, folder: Path, **settings: Any) -> None:
        self.rig = rig
        self.at = {name: RegionServer(folder / f"server-{name}", name, rig, **settings) for name in REGIONS}

    def start(self, people: int = 2) -> None:
        home = self.at[HOME]
        home._set_up()
        others = [option for name in REGIONS if name != HOME for option in ("--allow-region", name)]
        home.cli("company", "add", COMPANY, *others)
        (home.folder / ".set-up").touch()
        for server in self.at.values():
            server.start()
        for server in self.at.values():
            _until(partial(server.has_company, COMPANY))
            made = server._invented(COMPANY, people)
            server.add_people(made)
            server._people.setdefault(COMPANY, deque()).extend(made)
        time.sleep(SETTLE_S)

    def person(self, region: str) -> Person:
        """Somebody of whom nobody has heard."""
        return self.at[region]._people[COMPANY].popleft()

    def stop(self) -> None:
        for server in self.at.values():
            server.stop()

    def kill(self, region: str) -> None:
        """With SIGKILL."""
        server = self.at[region]
        server.process.kill()
        server.process.wait()
        server._process = None


def _until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.5)
