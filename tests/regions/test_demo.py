"""What `make run-regions` starts: people of three regions reach each other, and only those who may."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from demo.servers import PEOPLE, PLACES, Demonstration
from tests.conformance.wire import Endpoint, Wire
from tests.doors import Door
from tests.process import Person, free_port
from tests.regions.rig import free_ports

pytestmark = pytest.mark.xdist_group("regions-rig")


def on_free_ports() -> list:
    return [
        replace(
            place,
            borders=[free_ports(4) for _ in place.borders],
            buses=[free_ports(2) for _ in place.buses],
            door=free_port(),
        )
        for place in PLACES
    ]


@pytest.fixture
def demonstration(tmp_path: Path):
    made = Demonstration(tmp_path / "regions", on_free_ports())
    try:
        made.start()
        yield made
    finally:
        made.stop()
    for place in ("emea", "de", "na"):
        assert "Traceback" not in made.log(place).read_text()


class Doors:
    def __init__(self, demonstration: Demonstration, stack: AsyncExitStack) -> None:
        self._demonstration = demonstration
        self._stack = stack

    async def log_in(self, localpart: str, at: str = "") -> Wire:
        """At their own region, unless it is said where."""
        somebody = next(each for each in PEOPLE if each.localpart == localpart)
        places = self._demonstration.places
        endpoint = Endpoint(places.by_name[at or somebody.region].door, places.ca)
        door = Door(SimpleNamespace(endpoint=endpoint), "wss", self._stack)
        person = Person(localpart, "", somebody.company, self._demonstration.password, "localhost")
        return await door.log_in(person)


async def test_people_of_all_regions_reach_each_other_and_no_other_company(
    demonstration: Demonstration,
) -> None:
    async with AsyncExitStack() as stack:
        doors = Doors(demonstration, stack)
        alice, dieter, nora, carol = [
            await doors.log_in(name) for name in ("alice", "dieter", "nora", "carol")
        ]
        for sender, recipient in ((alice, dieter), (dieter, nora), (nora, alice)):
            to = recipient.jid.partition("/")[0]
            await sender.send(f"<message to='{to}' id='m' type='chat'><body>hello</body></message>")
            await recipient.expect("message[@id='m']/body", 20)
        await carol.send("<message to='alice@localhost' id='x' type='chat'><body>hello</body></message>")
        refused = await carol.expect("message[@id='x']", 20)
        assert refused.get("type") == "error"
        gus = await doors.log_in("gus")
        await carol.send(f"<message to='{gus.jid}' id='y' type='chat'><body>hello</body></message>")
        await gus.expect("message[@id='y']/body", 20)
