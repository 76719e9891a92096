"""Notices, and who has seen them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from rainbow_xmpp.plugins.announcements.notices import Kind, Notice, Words
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.batch import Batcher
from rainbow_xmpp.store.keys import owner_list, owners
from rainbow_xmpp.store.ownership import owned_by_each
from rainbow_xmpp.store.tables import metadata, people_table, users
from rainbow_xmpp.store.upsert import upsert

# A company's own text, and nobody's personal data.
notices = sa.Table(
    "announcements_notices",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("company_id", sa.String(24), primary_key=True),
    sa.Column("id", sa.String(24), nullable=False),
    sa.Column("since", sa.BigInteger(), nullable=False),
    sa.Column("subject", sa.Text(), nullable=False),
    sa.Column("body", sa.Text(), nullable=False),
)

seen = people_table(
    "announcements_seen",
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("scope", sa.String(24), nullable=False),
    sa.Column("notice", sa.String(24), nullable=False),
    key=("kind", "scope"),
)

_n, _s = notices.c, seen.c
_ALL = sa.select(_n.kind, _n.company_id, _n.id, _n.since, _n.body, _n.subject)


class Knowledge(NamedTuple):
    """What somebody has been shown."""

    since: int
    """When the account was made (Unix time in seconds)."""
    shown: dict[tuple[str, str], str]
    """The last notice's id, by kind and scope."""


class _Sight(NamedTuple):
    company_id: str
    owner_id: str
    kind: str
    scope: str
    notice: str


class Notices:
    """A few texts, and a row for each person who has seen one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        asked = owners(store.dialect)
        self._who = store.prepare(
            sa.select(
                users.c.company_id, users.c.id, users.c.created_at, _s.kind, _s.scope, _s.notice
            ).select_from(
                asked.join(
                    users,
                    sa.and_(users.c.company_id == asked.c.company_id, users.c.id == asked.c.owner_id),
                ).outerjoin(seen, sa.and_(_s.company_id == users.c.company_id, _s.owner_id == users.c.id))
            )
        )
        self._questions: Batcher[tuple[str, str], Knowledge] = Batcher(self._read_knowledge)
        self._sights: Batcher[_Sight, bool] = Batcher(self._write_sights)

    async def all(self) -> list[Notice]:
        """Every notice that counts now."""
        async with self._store.read() as connection:
            return [
                Notice(Kind(kind), company_id, id, since, Words(body, subject))
                for kind, company_id, id, since, body, subject in await connection.execute(_ALL)
            ]

    async def put(self, notice: Notice) -> None:
        """In place of the one of this kind and company."""
        row = {
            "kind": str(notice.kind),
            "company_id": notice.company_id,
            "id": notice.id,
            "since": notice.since,
            "subject": notice.words.subject,
            "body": notice.words.body,
        }
        columns = ("id", "since", "subject", "body")
        async with self._store.write() as connection:
            await connection.execute(upsert(self._store.dialect, notices, columns), row)

    async def drop(self, kind: Kind, company_id: str) -> None:
        """The notice, and who has seen it."""
        async with self._store.write() as connection:
            await connection.execute(
                sa.delete(notices).where(_n.kind == str(kind), _n.company_id == company_id)
            )
            await connection.execute(sa.delete(seen).where(_s.kind == str(kind), _s.scope == company_id))

    async def known_to(self, company_id: str, owner_id: str) -> Knowledge | None:
        """None: there is no such account. Many questions at once are one query."""
        return await self._questions.get((company_id, owner_id))

    async def was_shown(self, notice: Notice, company_id: str, owner_id: str) -> None:
        """This person has it; many at once are one transaction."""
        await self._sights.get(_Sight(company_id, owner_id, str(notice.kind), notice.company_id, notice.id))

    async def close(self) -> None:
        """Wait until what was seen is on the disk."""
        await self._questions.close()
        await self._sights.close()

    async def _read_knowledge(self, asked: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Knowledge]:
        found: dict[tuple[str, str], Knowledge] = {}
        for company_id, owner_id, since, kind, scope, notice in await self._store.fetch(
            self._who, owner_list(self._store.dialect, asked)
        ):
            known = found.setdefault((company_id, owner_id), Knowledge(int(since), {}))
            if kind is not None:
                known.shown[kind, scope] = notice
        return found

    async def _write_sights(self, sights: Sequence[_Sight]) -> Mapping[_Sight, bool]:
        async with self._store.write() as connection:
            pairs = sorted({(sight.company_id, sight.owner_id) for sight in sights})
            people = {
                (row["company_id"], row["owner_id"]): row
                for row in await owned_by_each(connection, pairs, self._store.now())
            }
            rows = [
                people[sight[:2]] | {"kind": sight.kind, "scope": sight.scope, "notice": sight.notice}
                for sight in sights
                if sight[:2] in people
            ]
            if rows:
                await connection.execute(upsert(self._store.dialect, seen, ("notice",)), rows)
        return dict.fromkeys(sights, True)
