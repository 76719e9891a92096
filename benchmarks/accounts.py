"""The people of a load run: the same names and passwords every time, distinct from one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COMPANY = "Bench"
STORM_COMPANY = "Storm"


@dataclass(frozen=True, slots=True)
class Account:
    """One person; `user` is the part of the JID before the @. Companies are ours only."""

    user: str
    password: str
    company: str = COMPANY

    @property
    def email(self) -> str:
        return f"{self.user}@bench.example"


def make_accounts(count: int, *, storm: int = 0) -> list[Account]:
    """So many people, of whom the last `storm` are a company of their own."""
    return [
        Account(
            f"u{number:05d}",
            f"Load-{number:05d}-xQ7!",
            STORM_COMPANY if number >= count - storm else COMPANY,
        )
        for number in range(count)
    ]


def write_for_client(accounts: Sequence[Account], path: Path) -> None:
    """The load client's own form: one `user password` a line."""
    path.write_text("".join(f"{account.user} {account.password}\n" for account in accounts))


def write_csv(accounts: Sequence[Account], path: Path) -> None:
    """The form that `user import` reads."""
    lines = [f"{a.email},{a.company},{a.user},{a.password}\n" for a in accounts]
    path.write_text("email,company,localpart,password\n" + "".join(lines))
