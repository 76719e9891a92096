"""Values that stand elsewhere: `{ file = … }`, `{ env = … }`, `{ credential = … }` in a string's place."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from rainbow_xmpp.config.secret import Secret

KINDS = frozenset({"file", "env", "credential"})


def is_reference(value: object) -> TypeGuard[dict[str, str]]:
    """Is this a table with exactly one of the keys `file`, `env`, `credential`, and a text in it?"""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and not KINDS.isdisjoint(value)
        and all(isinstance(named, str) for named in value.values())
    )


class Resolver:
    """Follows references; what cannot be followed is noted in `failures` as (dotted key, text)."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.failures: list[tuple[str, str]] = []

    def resolved(self, value: object, dotted: str, *, section: bool = False) -> object:
        """The value with a Secret for every reference in it; `section` says it is a table for certain."""
        if not section and is_reference(value):
            return self._follow(value, dotted)
        if isinstance(value, dict):
            plugins = dotted == "plugins"
            return {
                key: self.resolved(inner, f"{dotted}.{key}", section=plugins) for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self.resolved(inner, dotted) for inner in value]
        return value

    def _follow(self, reference: Mapping[str, str], dotted: str) -> Secret:
        ((kind, name),) = reference.items()
        if kind == "env":
            return self._variable(name, dotted)
        if kind == "file":
            return self._file(Path(name), dotted)
        directory = self._environ.get("CREDENTIALS_DIRECTORY")
        if directory is None:
            self._failed(
                dotted,
                f'names the credential "{name}", but systemd gave none (LoadCredential= in the unit file)',
            )
            return Secret()
        if "/" in name:
            self._failed(dotted, f'names the credential "{name}"; a credential\'s name has no slash')
            return Secret()
        return self._file(Path(directory) / name, dotted)

    def _variable(self, name: str, dotted: str) -> Secret:
        value = self._environ.get(name)
        if value is None:
            self._failed(dotted, f"names the environment variable {name}, which is not set")
        return Secret(value or "")

    def _file(self, path: Path, dotted: str) -> Secret:
        """A file's text without the line end that editors put at its end."""
        try:
            return Secret(path.read_text().rstrip("\r\n"))
        except OSError as error:
            self._failed(dotted, f"names the file {path}, which cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._failed(dotted, f"names the file {path}, which is not text")
        return Secret()

    def _failed(self, dotted: str, text: str) -> None:
        self.failures.append((dotted, text))
