"""INSERT … ON CONFLICT DO UPDATE, which SQLAlchemy spells once for each database."""

from collections.abc import Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def upsert(dialect: str, table: sa.Table, columns: Sequence[str]) -> sa.Executable:
    """Insert a row of `table`, or set only these columns where its primary key exists already."""
    return _upsert(dialect, table, tuple(columns))


@lru_cache(maxsize=64)
def _upsert(dialect: str, table: sa.Table, columns: tuple[str, ...]) -> sa.Executable:
    key = list(table.primary_key.columns)
    if dialect == "postgresql":
        into = postgresql.insert(table)
        return into.on_conflict_do_update(
            index_elements=key, set_={name: into.excluded[name] for name in columns}
        )
    insert = sqlite.insert(table)
    return insert.on_conflict_do_update(
        index_elements=key, set_={name: insert.excluded[name] for name in columns}
    )


def insert_or_ignore(dialect: str, table: sa.Table) -> sa.Executable:
    """Insert rows of `table`, and leave out those that would break a rule of uniqueness."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
