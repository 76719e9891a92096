"""A fresh database in a millisecond: the migrations run once for each process, then their result is copied."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rainbow_xmpp.store import upgrade

_templates: dict[tuple[Path, ...], tempfile.TemporaryDirectory[str]] = {}


async def fresh_database(folder: Path, plugin_paths: Iterable[Path] = ()) -> str:
    """The URL of a new SQLite database in `folder`, with all tables of the core and of every plugin."""
    paths = tuple(plugin_paths)
    template = _templates.get(paths)
    if template is None:
        template = tempfile.TemporaryDirectory(prefix="rainbow-template-")
        await upgrade(_url(Path(template.name)), paths)
        _templates[paths] = template
    shutil.copyfile(_file(Path(template.name)), _file(folder))
    return _url(folder)


def _file(folder: Path) -> Path:
    return folder / "rainbow.db"


def _url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{_file(folder)}"
