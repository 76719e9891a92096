"""Writes the reference page of the configuration from the schema and from what plugins declare."""

from collections.abc import Iterable, Iterator
from dataclasses import MISSING
from typing import Any

from rainbow_xmpp.config.describe import (
    SHARED_OPTIONS,
    Key,
    NamedSections,
    Plugins,
    keys_of,
    named_sections_of,
    own_keys_of,
    sections_of,
    summary_of,
)
from rainbow_xmpp.config.schema import Config

INTRO = """\
# Configuration reference

Every key there is; `rainbow-xmpp config reference` wrote this page from the program itself. How files, `conf.d` and the
environment come together, and how to reload: [configuration](configuration.md).

A key `name` in `[section]` is set from the environment by `RAINBOW_SECTION__NAME`. *Live* keys count at once after
`rainbow-xmpp reload`, the others after a restart. A secret is best kept elsewhere: `{ file = … }`, `{ env = … }` or
`{ credential = … }` may stand in the place of any text, and is never shown.
"""

PLUGINS = """\
## Plugins

`[plugins.NAME]` holds a plugin's options. Each plugin has these:
"""


def reference(plugins: Plugins) -> str:
    """The page, in Markdown."""
    shared = [
        key for key in keys_of(next(iter(plugins.values())).options) if key.field.name in SHARED_OPTIONS
    ]
    parts = [INTRO, *_section(Config, ""), PLUGINS, _rows(shared)]
    for name, table in plugins.items():
        own = own_keys_of(table.options)
        parts += [f"### [plugins.{name}]\n", f"{table.summary}\n"]
        parts += [_rows(own)] if own else []
    return "\n".join(parts).rstrip() + "\n"


def _section(cls: type[Any], name: str) -> Iterator[str]:
    yield f"## [{name}]\n\n{summary_of(cls)}\n" if name else "## At the top\n"
    if rows := _rows(keys_of(cls)):
        yield rows
    for inner, kind in sections_of(cls).items():
        yield from _section(kind, f"{name}.{inner}" if name else inner)
    for named in named_sections_of(cls):
        yield _named_section(named)


def _named_section(named: NamedSections) -> str:
    """A column for each that is shipped."""
    names = " | ".join(f"`{name}`" for name in named.shipped)
    rule = "|---" * (4 + len(named.shipped)) + "|"
    lines = [f"| key | value | {names} | change | meaning |", rule]
    for key in keys_of(named.kind):
        defaults = " | ".join(_shown(getattr(each, key.field.name)) for each in named.shipped.values())
        lines.append(
            f"| `{key.field.name}` | {key.type_in_words} | {defaults} | {_change_and_meaning(key)} |"
        )
    return f"## [{named.name}.NAME]\n\n{named.doc}\n\n" + "\n".join(lines) + "\n"


def _rows(keys: Iterable[Key]) -> str:
    rows = [_row(key) for key in keys]
    if not rows:
        return ""
    return "\n".join(("| key | value | default | change | meaning |", "|---|---|---|---|---|", *rows)) + "\n"


def _row(key: Key) -> str:
    return f"| `{key.field.name}` | {key.type_in_words} | {_default(key)} | {_change_and_meaning(key)} |"


def _change_and_meaning(key: Key) -> str:
    meaning = " ".join(key.field.metadata["doc"].split()).replace("<", "&lt;").replace("|", "\\|")
    return f"{'live' if key.is_live else 'restart'} | {meaning}"


def _default(key: Key) -> str:
    default = key.field.default
    return "must be set" if default is MISSING else _shown(default)


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, (int, float)):
        return f"`{default}`"
    items = default if isinstance(default, tuple) else (default,)
    return ", ".join(f"`{item}`" for item in items if item) or "none"
