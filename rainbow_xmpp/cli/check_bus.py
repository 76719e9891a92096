"""`check bus`: the NATS servers of this region, what they let through, and the ways to other regions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError

from rainbow_xmpp.border import Refused, Unreachable
from rainbow_xmpp.border.look import look_at
from rainbow_xmpp.border.nats import LOOK, NatsBorder
from rainbow_xmpp.border.nats_files import MAX_PAYLOAD
from rainbow_xmpp.border.nats_folder import differences
from rainbow_xmpp.border.seal import FRESH_S
from rainbow_xmpp.bus.nats import BusUnreachable, connect, in_effect
from rainbow_xmpp.cli.checks import Finding, Mark
from rainbow_xmpp.config import Config
from rainbow_xmpp.errors import RainbowError

MUCH_SKEW_S = 5.0
"""Clocks that differ more deserve a word; at `FRESH_S` nothing is taken any more."""
VIOLATION_S = 0.3
"""So long a NATS server may take to say that something is forbidden, after it has answered what came later."""
REMEDY = "write the files anew (region nats-config) and restart the NATS server"


def check_bus(config: Config) -> Iterator[Finding]:
    """Connects as the server does. Nothing is changed, and no other region sees more than a question for an answer."""
    if not config.cluster.is_on:
        yield _found(Mark.WARNING, "cluster.servers is empty: this server is alone, and needs no NATS server")
        return
    if config.border.nats_folder:
        yield from _files(config)
    elif config.border.is_on:
        yield _found(
            Mark.WARNING, "border.nats_folder is empty: the files of the NATS servers are not compared"
        )
    yield from asyncio.run(_all(config))


def _found(mark: Mark, text: str) -> Finding:
    return Finding(mark, "bus", text)


def _files(config: Config) -> Iterator[Finding]:
    """What is in place is what `regions.toml` says, or somebody changed one of them."""
    folder = Path(config.border.nats_folder)
    is_any = False
    for path, found in differences(folder, config.home_region, config):
        is_any = True
        if not found:
            yield _found(Mark.GOOD, f"{path} is what regions.toml says")
        for text in found:
            yield _found(Mark.BAD, f"{path}, {text}{_danger(text)}; {REMEDY}")
    if not is_any:
        yield _found(
            Mark.BAD, f"{folder} has no file that region nats-config would write for {config.home_region}"
        )
    for path in sorted(folder.glob("*.secrets.conf")):
        if path.stat().st_mode & 0o077:
            yield _found(Mark.BAD, f"{path} is open to others: chmod 600 {path}")


def _danger(text: str) -> str:
    """What the worst differences mean."""
    for word, meaning in (
        ("jetstream", "names of people would be stored, and in all regions"),
        ("no_advertise", "servers would go around firewalls, by addresses that they are told"),
        ("reject_unknown_cluster", "servers of nobody could join"),
        ("publish", "other things would cross the border"),
        ("subscribe", "other things would cross the border"),
        ("verify", "servers would not have to prove who they are"),
    ):
        if word in text:
            return f" ({meaning})"
    return ""


async def _all(config: Config) -> list[Finding]:
    found = [finding async for finding in _servers(config)]
    if config.border.is_on and not any(finding.mark is Mark.BAD for finding in found):
        found += [finding async for finding in _forbidden(config)]
        found += [finding async for finding in _regions(config)]
    return found


async def _servers(config: Config) -> AsyncIterator[Finding]:
    for server in config.cluster.servers:
        try:
            client = await connect(replace(config.cluster, servers=(server,)), "rainbow-check")
        except BusUnreachable as error:
            yield _found(Mark.BAD, f"{error}; does it run, and are cluster.user, password and ca right?")
            continue
        try:
            yield _found(Mark.GOOD, f"{server} answers: NATS {client._server_info['version']}")
            if client.max_payload < MAX_PAYLOAD:
                yield _found(
                    Mark.BAD,
                    f"{server} takes {client.max_payload} bytes at once; set max_payload to {MAX_PAYLOAD}",
                )
            if client._server_info.get("jetstream"):
                yield _found(Mark.BAD, f"{server} has JetStream on, which stores names of people; {REMEDY}")
        finally:
            await client.close()


async def _forbidden(config: Config) -> AsyncIterator[Finding]:
    """The region's own servers must not be able to hear or say what is another region's."""
    said: list[str] = []

    async def on_error(error: Exception) -> None:
        said.append(str(error).lower())

    here = config.home_region
    others = [name for name in config.regions if name != here]
    client = await connect(config.cluster, "rainbow-check", inbox=f"xr.{here}.r", on_error=on_error)
    try:
        hear = [">", "$SYS.>", *(f"{kind}.{other}.>" for other in others for kind in ("xr", "rx"))]
        say = ["$JS.API.INFO", *(f"rx.{other}.all" for other in others)]
        await _try(client, hear, say)
        open_ = [f"hear {each}" for each in hear if not _is_refused(said, "subscription", each)]
        open_ += [f"say {each}" for each in say if not _is_refused(said, "publish", each)]
    finally:
        await client.close()
    for each in open_:
        yield _found(Mark.BAD, f"servers of {here} may {each} on the bus, which must be closed; {REMEDY}")
    if not open_:
        yield _found(
            Mark.GOOD, f"what is not for {here} is closed: {len(hear) + len(say)} subjects were tried"
        )


async def _try(client: Client, hear: list[str], say: list[str]) -> None:
    async def nothing(message: object) -> None:
        pass

    for subject in hear:
        await client.subscribe(subject, cb=nothing)
    for subject in say:
        await client.publish(subject, b"")
    await in_effect(client)
    await asyncio.sleep(VIOLATION_S)


def _is_refused(said: list[str], what: str, subject: str) -> bool:
    return any(f'permissions violation for {what} to "{subject.lower()}"' in each for each in said)


async def _regions(config: Config) -> AsyncIterator[Finding]:
    try:
        border = await NatsBorder.open(config, answers_looks=False)
    except (RainbowError, NatsError) as error:
        yield _found(Mark.BAD, str(error))
        return
    try:
        names = [name for name in border.regions if border.may_ask(name)]
        for found in await asyncio.gather(*(_region(border, name) for name in names)):
            for each in found:
                yield each
    finally:
        await border.close()


async def _region(border: NatsBorder, name: str) -> list[Finding]:
    try:
        look = await look_at(border, name)
    except (Unreachable, Refused) as error:
        return [
            _found(
                Mark.BAD,
                f"{error}; does a server of {name} run with [border], are its key and the one here right in both "
                "regions.toml, and do the border servers reach each other?",
            )
        ]
    told = f"{name} answers in {look.round_trip_s * 1000:.1f} ms; the clock here is {look.ahead_s:+.1f} s from its own"
    if abs(look.ahead_s) > MUCH_SKEW_S:
        found = [_found(Mark.WARNING, f"{told}: set it right, at {FRESH_S:.0f} s nothing crosses any more")]
    else:
        found = [_found(Mark.GOOD, told)]
    if border.is_edge:
        found.append(await _fence(border, name))
    return found


async def _fence(border: NatsBorder, name: str) -> Finding:
    """The border itself must stop what edges may not ask; the region refuses it as well, which then is seen."""
    try:
        await border.ask(name, LOOK, b"")
    except Unreachable:
        return _found(Mark.GOOD, f"the border lets nothing through to {name} that edges may not ask")
    except Refused:
        pass
    return _found(
        Mark.BAD,
        f"the border lets questions through to {name} that edges may not ask; {REMEDY} of the border",
    )
