"""Writes a commented configuration file from the schema, so that the two cannot disagree.

Keys that most people leave alone stand in comments, with their defaults; the others are set.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from rainbow_xmpp.config.describe import (
    Key,
    NamedSections,
    Plugins,
    keys_of,
    named_sections_of,
    own_keys_of,
    sections_of,
    summary_of,
)
from rainbow_xmpp.config.regions import Region
from rainbow_xmpp.config.schema import Config
from rainbow_xmpp.config.secret import Secret

WIDTH = 100
_ZERO = re.compile(r"\b0 = (?=\w)")
_UNBROKEN = "0\u00a0=\u00a0"

Settings = Mapping[str, object]
"""Dotted key to the value the file sets, as plain TOML values (a reference is a dict)."""

SHIPPED: Settings = {
    "domain": "localhost",
    "listen.address": "127.0.0.1",
    "listen.port": 8443,
    "listen.redirect_port": 8080,
    "listen.starttls_port": 0,
    "tls.certificate": "dev/cert.pem",
    "tls.key": "dev/key.pem",
    "storage.url": "sqlite+aiosqlite:///data/rainbow.db",
    "metrics.port": 0,
    "auth.sealing_key": {"file": "dev/sealing.key"},
    "auth.token_key": {"file": "dev/token.key"},
    "plugins.webrtc_relay.secret": {"file": "dev/relay.secret"},
}
"""What `conf/rainbow.toml` sets: a server for trying out, on this machine only."""

BENCH: Settings = {
    **{key: value for key, value in SHIPPED.items() if not key.startswith("plugins.")},
    "limits.connections_per_address": 0,
    "limits.half_open_per_address": 0,
    "limits.half_open_connections": 0,
    "limits.logins_per_address_per_minute": 0,
    "limits.login_failures_per_address_per_minute": 0,
    "limits.login_failures_per_account_per_minute": 0,
    "limits.stanzas_per_second": 0,
    "limits.bytes_per_second": 0,
}
"""What `conf/examples/bench.toml` sets: no limits that a load generator on one address would meet, and no relay."""

INTRO = """\
Rainbow XMPP: the configuration of one server.

This file runs as it is, for trying things out on one machine. Keys in comments show their
defaults. Files in conf.d/ beside this one are read after it, in name order, and win over it;
a variable of the environment wins over both: RAINBOW_LISTEN__PORT=9443 sets port in [listen].

In the place of a text, a value may be kept elsewhere:
  { file = "/etc/rainbow/secret" }    a file's contents
  { env = "NAME" }                    a variable of the environment
  { credential = "NAME" }             a credential from systemd (LoadCredential=)

rainbow-xmpp --config FILE check      says everything that is wrong here, with the line."""

BENCH_INTRO = """\
Rainbow XMPP: the configuration for load tests on one machine.

The same as conf/rainbow.toml, but without the limits that all the clients of a load generator
would meet together, since they come from one address, and without the relay for calls. Not for
a server that others can reach."""

PLUGINS = """\
[plugins.NAME]: one table for each plugin that needs settings. Every plugin that comes with the
server runs unless its table says enabled = false. companies = ["Acme"] makes a plugin serve these
companies only (names or ids). These have no settings of their own: {others}."""


REGIONS_INTRO = """\
Rainbow XMPP: the regions, and where each is reached. The same file on every server of every
region; it names places and hosts, never people. Without it there is one region.

A server is of the default region unless the main file says region = "NAME". What people have
stays in their home region. `rainbow-xmpp region list` shows them, `check` judges them."""


def example(settings: Settings, intro: str, plugins: Plugins) -> str:
    """The text of a configuration file: every key with its explanation, `settings` set, plugins' in comments."""
    parts = [_comment(intro), "", *_table(Config, "", settings), "", *_plugin_tables(plugins, settings)]
    return "\n".join(parts) + "\n"


def regions_example(default: str, regions: Mapping[str, Region]) -> str:
    """The text of `regions.toml`: what the keys mean stands with the first region."""
    declared = {key.field.name: key.field for key in keys_of(Config)}
    parts = [_comment(REGIONS_INTRO), "", _comment(declared["default_region"].metadata["doc"])]
    parts.append(f"default_region = {_toml(default)}")
    for number, (name, region) in enumerate(regions.items()):
        parts += ["", f"[regions.{name}]"]
        for key in keys_of(Region):
            value = getattr(region, key.field.name)
            if not number:
                parts.append(_comment(key.field.metadata["doc"]))
            if not number or value != key.field.default:
                parts.append(f"{key.field.name} = {_toml(value)}")
    return "\n".join(parts) + "\n"


def _table(cls: type[Any], name: str, settings: Settings) -> Iterator[str]:
    prefix = f"{name}." if name else ""
    if name:
        yield from ("", _comment(summary_of(cls)), f"[{name}]")
    for key in keys_of(cls):
        yield from _key(key, prefix + key.field.name, settings)
    for inner, kind in sections_of(cls).items():
        yield from _table(kind, prefix + inner, settings)
    for named in named_sections_of(cls):
        yield from _named_tables(named, prefix + named.name)


def _named_tables(named: NamedSections, dotted: str) -> Iterator[str]:
    """Those that are shipped, with their values; what the keys mean stands with the first."""
    yield from ("", _comment(named.doc))
    for number, (name, section) in enumerate(named.shipped.items()):
        yield from (*([""] if number else []), f"[{dotted}.{name}]")
        for key in keys_of(named.kind):
            if not number:
                yield _comment(key.field.metadata["doc"])
            yield f"#{key.field.name} = {_toml(getattr(section, key.field.name))}"


def _plugin_tables(plugins: Plugins, settings: Settings) -> Iterator[str]:
    others = ", ".join(name for name, table in plugins.items() if not own_keys_of(table.options))
    yield _comment(PLUGINS.format(others=others))
    for name, table in plugins.items():
        if own := own_keys_of(table.options):
            dotted = f"plugins.{name}."
            mark = "" if any(setting.startswith(dotted) for setting in settings) else "#"
            yield from ("", _comment(table.summary), f"{mark}[plugins.{name}]")
            for key in own:
                yield from _key(key, dotted + key.field.name, settings)


def _key(key: Key, dotted: str, settings: Settings) -> Iterator[str]:
    yield _comment(key.field.metadata["doc"])
    if dotted in settings:
        yield f"{key.field.name} = {_toml(settings[dotted])}"
    else:
        yield f"#{key.field.name} = {_toml(key.field.default)}"


def _comment(text: str) -> str:
    wrapped = (textwrap.wrap(_ZERO.sub(_UNBROKEN, line), WIDTH - 2) or [""] for line in text.split("\n"))
    lines = (part.replace(_UNBROKEN, "0 = ") for parts in wrapped for part in parts)
    return "\n".join(f"# {line}".rstrip() for line in lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, Secret):
        return _toml(value.reveal())
    return json.dumps(value, ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )  # JSON lets it stand, TOML does not
