"""`python -m demo`: three regions and an edge on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from demo.nats import NatsFault
from demo.servers import COMPANIES, PEOPLE, PLACES, DemoFault, Demonstration, with_two_nodes


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("dev/regions"), help="where its files lie (dev/regions)"
    )
    parser.add_argument(
        "--nodes",
        type=int,
        choices=(1, 2),
        default=1,
        help="how many servers the first region has; two have PostgreSQL, and everything is made anew and thrown away",
    )
    arguments = parser.parse_args()
    if arguments.nodes == 1:
        return _run(Demonstration(arguments.folder))
    with tempfile.TemporaryDirectory(prefix="rainbow-regions-") as folder:
        return _run(Demonstration(Path(folder), with_two_nodes(PLACES)))


def _run(demonstration: Demonstration) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        print("Starting three regions and an edge ...", flush=True)
        demonstration.start()
        _show(demonstration)
        while not (ended := list(demonstration.ended())):
            time.sleep(0.5)
        raise DemoFault(f"the server of {ended[0]} has ended: see {demonstration.log(ended[0])}")
    except KeyboardInterrupt:
        return 0
    except (DemoFault, NatsFault) as fault:
        print(fault, file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # it stops already
        print("Stopping ...", flush=True)
        demonstration.stop()


def _show(demonstration: Demonstration) -> None:
    places = demonstration.places
    print("\nRegions")
    for node, (place, number) in demonstration.nodes.items():
        title = place.title if place.keeps_data else f"{place.title} (edge)"
        door = f"{place.host}:{place.doors[number - 1]}"
        print(f"  {node:<8}{title:<32}wss://{door}/xmpp-websocket")
        print(f"  {'':<40}xmpps://{door}   log: {demonstration.log(node)}")
    print("\nCompanies")
    for company in COMPANIES:
        print(f"  {company.name:<10}at home in {company.home}, may use {', '.join(company.also)}")
    print(f"\nPeople, all with the password {demonstration.password}")
    for each in PEOPLE:
        print(f"  {each.address:<20}{each.company:<10}data in {each.region}")
    print("Everybody may log in everywhere, at the edge too, and is served from home.")
    print(
        f"\nClients must trust {places.ca}. Commands: rainbow-xmpp --config {places.folder}/REGION/rainbow.toml ..."
    )
    print("Ctrl-C stops it all.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
