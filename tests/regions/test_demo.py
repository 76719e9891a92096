"""What `make run-regions` starts: people of three regions reach each other, and only those who may."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from demo.servers import PEOPLE, PLACES, Demonstration
from tests.conformance.wire import Endpoint, SaslFailure, Wire
from tests.doors import Door
from tests.interop.client import SLIXMPP, running
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
    for place in ("emea", "de", "na", "uk"):
        assert "Traceback" not in made.log(place).read_text()


class Doors:
    def __init__(self, demonstration: Demonstration, stack: AsyncExitStack) -> None:
        self._demonstration = demonstration
        self._stack = stack

    async def log_in(self, localpart: str, at: str = "", password: str = "") -> Wire:
        """At their own region, unless it is said where."""
        person = self.person(localpart)
        endpoint = self.endpoint(at or next(each.region for each in PEOPLE if each.localpart == localpart))
        door = Door(SimpleNamespace(endpoint=endpoint), "wss", self._stack)
        return await door.log_in(replace(person, password=password or person.password))

    def endpoint(self, place: str) -> Endpoint:
        places = self._demonstration.places
        return Endpoint(places.by_name[place].door, places.ca)

    def person(self, localpart: str) -> Person:
        somebody = next(each for each in PEOPLE if each.localpart == localpart)
        return Person(localpart, "", somebody.company, self._demonstration.password, "localhost")


async def test_people_of_all_regions_reach_each_other_from_everywhere_and_no_other_company(
    demonstration: Demonstration, tmp_path: Path
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
        for place in ("uk", "na", "de"):  # people come in anywhere, and are served from home
            away = await doors.log_in("alice", at=place)
            await away.send("<message to='gus@localhost' id='z' type='chat'><body>hello</body></message>")
            await alice.settle()
        with pytest.raises(SaslFailure, match="not-authorized"):
            await doors.log_in("nora", at="uk", password="Wrong-Horse-7")
        for place in ("uk", "na"):
            there = doors.endpoint(place)
            async with running(SLIXMPP, there, tmp_path) as client:
                jid = await client.login(doors.person("dieter"), there, resource=place)
                assert jid.startswith(f"dieter@localhost/{place}")
        folder = demonstration.places.folder / "uk"
        assert not list(folder.glob("**/*.db"))
        assert "dieter" not in (folder / "server.log").read_text()
