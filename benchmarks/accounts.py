"""The people of a load run: the same names and passwords every time, distinct from one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Account:
    """One person; `user` is the part of the JID before the @."""

    user: str
    password: str

    @property
    def email(self) -> str:
        return f"{self.user}@bench.example"


def make_accounts(count: int) -> list[Account]:
    return [Account(f"u{number:05d}", f"Load-{number:05d}-xQ7!") for number in range(count)]


def write_for_client(accounts: Sequence[Account], path: Path) -> None:
    """The load client's own form: one `user password` a line."""
    path.write_text("".join(f"{account.user} {account.password}\n" for account in accounts))


def write_csv(accounts: Sequence[Account], company: str, path: Path) -> None:
    """The form that `user import` reads."""
    lines = [f"{a.email},{company},{a.user},{a.password}\n" for a in accounts]
    path.write_text("email,company,localpart,password\n" + "".join(lines))
