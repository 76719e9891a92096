"""Queries for ranges of keys of one log, of one person or of one talk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from rainbow_xmpp.plugins.archive import tables

_m = tables.messages.c
_owner = sa.bindparam("owner", type_=sa.BigInteger)
_peer = sa.bindparam("peer", type_=sa.BigInteger)
_least = sa.bindparam("least", type_=sa.BigInteger)
_greatest = sa.bindparam("greatest", type_=sa.BigInteger)
_most = sa.bindparam("most", type_=sa.Integer)


def page(dialect: str, by_peer: bool, is_backward: bool) -> sa.SelectBase:
    """The first messages of a range, or the last; in no order."""
    some = _keys(dialect, by_peer, is_backward).limit(_most).subquery()
    return sa.select(_m.key, _m.stanza).select_from(some.join(tables.messages, _m.key == some.c.key))


def number(dialect: str, by_peer: bool) -> sa.SelectBase:
    """How many messages there are in a range; the sum of all rows."""
    return _all_of([sa.select(sa.func.count(key)).where(*where) for key, where in _ranges(dialect, by_peer)])


def _keys(dialect: str, by_peer: bool, is_backward: bool) -> sa.Select[int] | sa.CompoundSelect[int]:
    keys = _all_of([sa.select(key.label("key")).where(*where) for key, where in _ranges(dialect, by_peer)])
    key: sa.ColumnClause[int] = sa.column("key")
    return keys.order_by(key.desc() if is_backward else key)


def _ranges(dialect: str, by_peer: bool) -> Iterator[tuple[sa.Column[int], list[sa.ColumnElement[bool]]]]:
    """Where the keys of a log stand: in the index, and behind its end in the messages themselves.

    What is behind the end has greater keys than all that is before, and one statement sees both at the same moment.
    The index may hold some keys behind the end already (`tail.py`); they do not count.
    """
    index = (tables.by_peer if by_peer else tables.by_owner).c
    indexed = sa.select(tables.indexed.c.key).scalar_subquery()
    greatest = sa.func.min(_greatest, indexed) if dialect == "sqlite" else _greatest
    where = [index.owner == _owner, index.key >= _least, index.key <= greatest]
    yield index.key, [*where, index.peer == _peer] if by_peer else where
    if dialect == "sqlite":
        where = [_m.key > sa.func.max(indexed, _least - 1), _m.key <= _greatest, _m.owner == _owner]
        yield _m.key, [*where, _m.peer == _peer] if by_peer else where


def _all_of(parts: Sequence[sa.Select[int]]) -> sa.Select[int] | sa.CompoundSelect[int]:
    return sa.union_all(*parts) if len(parts) > 1 else parts[0]


def containing(dialect: str, look_back: int) -> sa.SelectBase:
    """Of the last so many messages of a talk those whose bytes contain `words`, newest first."""
    words = sa.bindparam("words", type_=sa.LargeBinary)
    keys = _keys(dialect, by_peer=True, is_backward=True).limit(look_back).subquery()
    is_inside = (
        sa.func.instr(_m.stanza, words)
        if dialect == "sqlite"
        else sa.func.pg_catalog.position(_m.stanza, words)
    )
    return (
        sa.select(_m.key, _m.stanza)
        .select_from(keys.join(tables.messages, _m.key == keys.c.key))
        .where(is_inside > 0)
        .order_by(_m.key.desc())
    )
