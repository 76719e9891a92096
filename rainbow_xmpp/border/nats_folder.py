"""Writes the configuration of NATS servers into a directory for each region, and compares what is there with it."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rainbow_xmpp.border.nats_files import NODES, NatsTls, files_of, leaves_of, secrets_of
from rainbow_xmpp.config import Config, Region
from rainbow_xmpp.errors import RainbowError

MOST_DIFFERENCES = 5
"""So many are told of each file."""
WritePrivate = Callable[[Path, bytes], None]
"""Writes a file that only its owner reads."""


class NothingToWrite(RainbowError):
    """`regions.toml` does not say what NATS servers there are; the text is for administrators."""


def tls_of(config: Config) -> NatsTls:
    """Where the NATS servers have their certificates."""
    border = config.border
    return NatsTls(border.nats_certificate, border.nats_key, border.nats_ca)


def require_servers(name: str, regions: Mapping[str, Region]) -> None:
    """Raises NothingToWrite unless all servers of a region are named."""
    region = regions[name]
    for key, is_there in (
        ("bus_servers", region.bus_servers),
        ("border_servers", region.border_servers or not region.kind.keeps_data),
        ("hangs_on", region.hangs_on or region.kind.keeps_data),
    ):
        if not is_there:
            raise NothingToWrite(f"regions.{name}.{key} is missing: say it in regions.toml")


def write_folder(out: Path, name: str, config: Config, write_private: WritePrivate) -> list[Path]:
    """What the servers of one region need, in its directory below `out`; passwords that are there stay.

    Raises NothingToWrite and OSError.
    """
    require_servers(name, config.regions)
    folder = out / name
    for password in _passwords_of(out, name, config.regions).values():
        if not password.exists():
            write_private(password, secrets.token_urlsafe(32).encode() + b"\n")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file, text in files_of(name, config.regions, tls_of(config)).items():
        (folder / file).write_text(text)
        written.append(folder / file)
    for file, text in secrets_of(name, config.regions, _read_passwords(out, name, config.regions)).items():
        write_private(folder / file, text.encode())
        written.append(folder / file)
    return written


def differences(folder: Path, name: str, config: Config) -> Iterator[tuple[Path, list[str]]]:
    """Each file of a region that is in its directory `folder`, and how it differs from what would be written."""
    for file, text in files_of(name, config.regions, tls_of(config)).items():
        path = folder / file
        if path.exists():
            found = path.read_text(errors="replace").splitlines()
            yield path, _differences(text.splitlines(), found)


def _differences(wanted: list[str], found: list[str]) -> list[str]:
    told = []
    matcher = difflib.SequenceMatcher(None, wanted, found, autojunk=False)
    for what, start, end, there, until in matcher.get_opcodes():
        if what == "equal":
            continue
        lines = " / ".join(line.strip() for line in found[there:until])
        instead = " / ".join(line.strip() for line in wanted[start:end])
        if not lines:
            told.append(f"line {there + 1}: {instead} is missing")
        else:
            told.append(
                f"line {there + 1}: {lines}"
                + (f" instead of {instead}" if instead else " does not belong there")
            )
    if len(told) > MOST_DIFFERENCES:
        told[MOST_DIFFERENCES:] = [f"and {len(told) - MOST_DIFFERENCES} more"]
    return told


def _passwords_of(out: Path, name: str, regions: Mapping[str, Region]) -> Mapping[str, Path]:
    """The files with passwords by what they are for: each leaf of this border, and the nodes of the region."""
    leaves = leaves_of(name, regions) if regions[name].border_servers else [name]
    return {leaf: out / leaf / "leaf.password" for leaf in leaves} | {NODES: out / name / "nodes.password"}


def _read_passwords(out: Path, name: str, regions: Mapping[str, Region]) -> Mapping[str, str]:
    return {what: path.read_text().strip() for what, path in _passwords_of(out, name, regions).items()}
