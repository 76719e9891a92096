"""`region list`, `rename` and `key`: the regions there are, what they are called, what they are known by."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.console import Failed, json_option, note, print_facts, print_rows, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.cli.move import region_moves
from rainbow_xmpp.config.problem import did_you_mean
from rainbow_xmpp.config.regions import ONLY_REGION

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store

COLUMNS = ("region", "name", "country", "kind", "hosts", "relays", "is")


@click.group()
def region() -> None:
    """Regions: where data of people lies."""


region.add_command(region_moves)


@region.command("list")
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    """List the regions as configured, and say which is this server's and which is the default."""
    config = invocation.config()
    rows: list[dict[str, object]] = [
        {
            "region": name,
            "name": each.name or name,
            "country": each.country,
            "kind": str(each.kind),
            "hosts": list(each.hosts),
            "relays": list(each.relays),
            "is": [
                word for word, which in _roles(config.home_region, config.default_region) if which == name
            ],
        }
        for name, each in config.regions.items()
    ]
    if not rows and not as_json:
        click.echo(f"No regions are configured: there is one, called {ONLY_REGION}.")
        return
    print_rows(rows, COLUMNS, as_json=as_json)


@region.command()
@click.argument("old")
@click.argument("new")
@reason_option
@json_option
@pass_invocation
def rename(invocation: Invocation, old: str, new: str, reason: str, as_json: bool) -> None:
    """Call the region OLD of what this database keeps NEW from now on; nothing is moved.

    For a region that was given another name in the configuration, while no server runs on the database.
    """
    config = invocation.config()

    async def work(store: "Store") -> dict[str, object]:
        from rainbow_xmpp.cli.recording import record
        from rainbow_xmpp.company.regions import Regions
        from rainbow_xmpp.observe.audit import Kind

        Regions.of(config).require([new])
        rows = await store.regions.rename(old, new)
        if not rows:
            raise Failed(f'Nothing here is of a region "{old}".')
        await record(store, config, Kind.REGION_RENAMED, reason=reason, old=old, new=new)
        return {"old": old, "new": new, "rows": rows}

    print_facts(invocation.with_store(config, work), as_json=as_json)


@region.command("key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def key_(file: Path, as_json: bool) -> None:
    """Make the pair of keys by which other regions know this one: the private key into FILE, the public one shown.

    FILE goes to every server of the region and to nobody else ([border] key); the public key into regions.toml.
    """
    from rainbow_xmpp.border.seal import new_key, public_key
    from rainbow_xmpp.cli.devcert import write_private

    if file.exists():
        raise Failed(f"{file} exists; a key that is in use must not be lost. Name another file.")
    private = new_key()
    write_private(file, private.encode() + b"\n")
    print_facts({"key": public_key(private), "private_key": str(file)}, as_json=as_json)
    note('Write the public key into [regions.NAME] of regions.toml, everywhere: key = "…"')


@region.command("nats-config")
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write; each region gets a directory of its own in it.",
)
@click.option("--region", "only", default="", metavar="NAME", help="This region only; otherwise all.")
@json_option
@pass_invocation
def nats_config(invocation: Invocation, out: Path, only: str, as_json: bool) -> None:
    """Write the configuration of the NATS servers of the regions, as regions.toml has them, below DIR.

    Passwords are made where there are none, and stay where there are some. Nothing is started or reloaded.
    """
    from rainbow_xmpp.border.nats_folder import write_folder
    from rainbow_xmpp.cli.devcert import write_private

    config = invocation.config_to_look_at()
    if only and only not in config.regions:
        raise Failed(f'"{only}" is no region{did_you_mean(only, config.regions)}')
    written = [
        {"region": name, "file": str(path)}
        for name in ([only] if only else config.regions)
        for path in write_folder(out, name, config, write_private)
    ]
    print_rows(written, ("region", "file"), as_json=as_json)
    note(
        f"Start each server with nats-server --config FILE; {out}/NAME/nodes.password is cluster.password there."
    )


@region.command("haproxy-config")
@click.argument("nodes", nargs=-1, required=True)
@click.option("--ends-tls", is_flag=True, help="HAProxy ends TLS; NODES have the plain_port of each then.")
@click.option(
    "--ca", default="", help="PEM file with who signed the nodes' certificates, unless the system knows."
)
@click.option(
    "--certificate",
    default="",
    help="With --ends-tls: where HAProxy finds its certificate chain and key, in one file.",
)
@pass_invocation
def haproxy_config(
    invocation: Invocation, nodes: tuple[str, ...], ends_tls: bool, ca: str, certificate: str
) -> None:
    """Print the configuration of an HAProxy in front of NODES, each HOST:PORT, that are configured as this one."""
    from rainbow_xmpp.config.haproxy import SYSTEM_CA, Front, haproxy, node_problems

    for problem in node_problems(nodes):
        raise Failed(problem)
    front = Front.of(
        invocation.config(), nodes, ends_tls=ends_tls, ca=ca or SYSTEM_CA, certificate=certificate
    )
    click.echo(haproxy(front), nl=False)


def _roles(here: str, default: str) -> list[tuple[str, str]]:
    return [("this server", here), ("default", default)]
