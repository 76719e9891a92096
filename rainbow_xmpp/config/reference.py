"""Values that stand elsewhere: `{ file = … }`, `{ env = … }`, `{ credential = … }` in a string's place."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from rainbow_xmpp.config.secret import Secret

MOST_BYTES = 65_536
"""No secret is longer; somebody named another file, or a device that never ends."""
KINDS = frozenset({"file", "env", "credential"})


def is_reference(value: object) -> TypeGuard[dict[str, str]]:
    """Is this a table with exactly one of the keys `file`, `env`, `credential`, and a text in it?"""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and not KINDS.isdisjoint(value)
        and all(isinstance(named, str) for named in value.values())
    )


def is_text(text: str) -> bool:
    """What is no UTF-8 in the environment, Python keeps as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


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
        elif not is_text(value):
            self._failed(dotted, f"names the environment variable {name}, which is not UTF-8 text")
            return Secret()
        return Secret(value or "")

    def _file(self, path: Path, dotted: str) -> Secret:
        """A file's text without the line end that editors put at its end."""
        try:
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
            text = data.decode("utf-8-sig").rstrip("\r\n")
        except OSError as error:
            self._failed(dotted, f"names the file {path}, which cannot be read: {error.strerror}")
        except ValueError:  # of a file's contents, or of a name that no file can have
            self._failed(dotted, f"names the file {path}, which is not UTF-8 text")
        else:
            if len(data) > MOST_BYTES:
                self._failed(dotted, f"names the file {path}, which has more than {MOST_BYTES} bytes")
                return Secret()
            return Secret(text)
        return Secret()

    def _failed(self, dotted: str, text: str) -> None:
        self.failures.append((dotted, text))
