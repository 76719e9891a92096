"""The columns and constraints that every table of people's data has.

`tables.people_table` declares with them and migrations create with them, so what is here never changes:
a new rule gets a new function.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.schema import SchemaItem

LONG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""The type of numbers that the database draws: only SQLite's INTEGER PRIMARY KEY counts up by itself."""


def people_columns() -> list[sa.Column[str] | sa.Column[int]]:
    """Company, owner, home region and Unix time of creation (seconds)."""
    return [
        sa.Column("company_id", sa.String(24), nullable=False),
        sa.Column("owner_id", sa.String(24), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    ]


def people_constraints(name: str, key: Sequence[str] | None) -> list[SchemaItem]:
    """The owner exists and is of that company; the owner's removal takes the row along.

    `key`: what makes a row unique within its owner; None for a table with a primary key of its own.
    """
    owner = sa.ForeignKeyConstraint(
        ["company_id", "owner_id"],
        ["users.company_id", "users.id"],
        name=f"fk_{name}_owner",
        onupdate="CASCADE",
        ondelete="CASCADE",
    )
    if key is None:
        return [owner, sa.Index(f"ix_{name}_owner", "company_id", "owner_id")]
    return [owner, sa.PrimaryKeyConstraint("company_id", "owner_id", *key, name=f"pk_{name}")]
