"""What can go wrong in the store, told so that an administrator can act on it."""

from collections.abc import Iterable, Sequence

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.store.values import Conflict


class StoreError(RainbowError):
    """The base of the store's errors; `str()` is a sentence for the administrator."""


class AlreadyExists(StoreError):
    """Something unique is taken; `field` names it ("name", "email", "localpart")."""

    def __init__(self, field: str, value: str) -> None:
        super().__init__(f"{field} {value!r} is already taken")
        self.field = field
        self.value = value


class NotFound(StoreError):
    """No such company or account."""

    def __init__(self, what: str, key: str) -> None:
        super().__init__(f"there is no {what} {key!r}")
        self.what = what
        self.key = key


class ChangedMeanwhile(StoreError):
    """What was read is something else by now: read it again."""


class BeingMoved(StoreError):
    """The account, or company, is being moved to another region: until it is there nothing of it changes."""

    def __init__(self, id: str) -> None:
        super().__init__("this is being moved to another region; try again later")
        self.id = id


class InvalidAddress(StoreError, ValueError):
    """Not an e-mail address that somebody could log in with."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not an e-mail address")


class InvalidLocalpart(StoreError, ValueError):
    """Not something that can stand before the @ of a JID."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} cannot stand before the @ of an address")


class InvalidName(StoreError, ValueError):
    """A person's or company's name that is too long, or cannot be shown."""

    def __init__(self, text: str, most: int) -> None:
        super().__init__(f"a name has at most {most} printable characters; {text!r} does not fit")


class ImportRefused(StoreError):
    """Nothing was imported; `conflicts` holds every row in the way."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__(f"{len(conflicts)} rows cannot be imported, so none was")
        self.conflicts = tuple(conflicts)


class SchemaOutdated(StoreError):
    """The database was made by another version of the software."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"{detail}: run rainbow-xmpp --config FILE db upgrade")


class SchemaTooNew(StoreError):
    """The database was made by a newer version of the software."""

    def __init__(self, revisions: Iterable[str]) -> None:
        known = ", ".join(sorted(revisions))
        super().__init__(
            f"the database is at {known}, which this version does not know: use the newer version"
        )


class DatabaseUnreachable(StoreError):
    """The database could not be opened; carries the driver's own words, never the password."""
