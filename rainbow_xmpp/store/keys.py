"""One statement text for any number of keys, so that it is compiled and prepared once.

SQLite is given a JSON list, PostgreSQL an array: one parameter either way, and no limit on its length.
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY


def among(dialect: str, column: sa.ColumnElement[str], name: str = "keys") -> sa.ColumnElement[bool]:
    """`column` is one of the keys given as parameter `name` (made by `key_list`)."""
    if dialect == "postgresql":
        return column == sa.any_(sa.bindparam(name, type_=ARRAY(sa.Text())))
    values = sa.func.json_each(sa.bindparam(name, type_=sa.Text())).table_valued("value")
    return column.in_(sa.select(values.c.value))


def key_list(dialect: str, keys: Sequence[str]) -> str | list[str]:
    """The parameter for `among`."""
    return list(keys) if dialect == "postgresql" else json.dumps(list(keys))


def owners(dialect: str) -> sa.FromClause:
    """A table of (company_id, owner_id), given as the parameters `owner_list` makes; join it first."""
    if dialect == "postgresql":
        texts = ARRAY(sa.Text())
        unnest = sa.func.unnest(sa.bindparam("companies", type_=texts), sa.bindparam("owners", type_=texts))
        return unnest.table_valued("company_id", "owner_id", name="asked").render_derived()
    pair = sa.func.json_each(sa.bindparam("owners", type_=sa.Text())).table_valued("value", name="pair")
    return sa.select(
        sa.func.json_extract(pair.c.value, sa.literal_column("'$[0]'"), type_=sa.Text()).label("company_id"),
        sa.func.json_extract(pair.c.value, sa.literal_column("'$[1]'"), type_=sa.Text()).label("owner_id"),
    ).subquery("asked")


def owner_list(dialect: str, pairs: Sequence[tuple[str, str]]) -> dict[str, str | list[str]]:
    """The parameters for `owners`, from (company id, owner id) pairs."""
    if dialect == "postgresql":
        return {"companies": [company for company, _ in pairs], "owners": [owner for _, owner in pairs]}
    return {"owners": json.dumps(pairs)}
