"""Whose log it is: a number for each account, and what its owner wants kept (XEP-0441)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import sqlalchemy as sa

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.archive import tables
from rainbow_xmpp.plugins.archive.numbers import peer_of
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.batch import Batcher
from rainbow_xmpp.store.ownership import owned_by_each
from rainbow_xmpp.store.upsert import insert_or_ignore
from rainbow_xmpp.xml import escape_attr, names

MOST_IN_MEMORY = 50_000
"""Accounts whose number and wishes are kept in memory."""

_o = tables.owners.c


class Rule(StrEnum):
    """What is kept of talks with people who stand in none of the two lists."""

    ALWAYS = "always"
    NEVER = "never"
    ROSTER = "roster"


@dataclass(frozen=True, slots=True)
class Owner:
    """An account as its log knows it."""

    number: int
    mark: bytes
    """The beginning of a stanza-id by this account (XEP-0359), up to the id."""
    peer: int = 0
    """Its number in the logs of others; see `peer_of`."""
    rule: Rule = Rule.ALWAYS
    always: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    wants_all: bool = field(init=False)
    """Whoever it talks with."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "wants_all", self.rule is Rule.ALWAYS and not self.never)

    def wants(self, peer: str) -> bool | None:
        """Whether talks with this JID are kept (XEP-0441 §4); None when that is for the roster to say."""
        if self.wants_all:
            return True
        bare = peer.partition("/")[0]
        if peer in self.never or bare in self.never:
            return False
        if peer in self.always or bare in self.always:
            return True
        return None if self.rule is Rule.ROSTER else self.rule is Rule.ALWAYS

    def number_in(self, stanza: bytes) -> int:
        """The id in this log that the server gave a stanza; 0 when it gave it none.

        Elements of clients that claim to be such are taken out before (`forgery_guard`).
        """
        begin = stanza.rfind(self.mark)
        if begin < 0:
            return 0
        begin += len(self.mark)
        digits = stanza[begin : stanza.find(b"'", begin)]
        return int(digits) if digits.isdigit() else 0

    def marked(self, stanza: bytes, number: int) -> bytes:
        """The stanza with its id in this log; it must have an end tag."""
        if stanza.endswith(b"</message>"):
            return b"%b%b%d'/></message>" % (stanza[:-10], self.mark, number)
        end = stanza.rindex(b"</")
        return b"%b%b%d'/>%b" % (stanza[:end], self.mark, number, stanza[end:])


class Owners:
    """All owners, from memory where possible."""

    def __init__(self, store: Store, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._known: dict[str, Owner] = {}
        self._asked: Batcher[tuple[str, str], Sequence[str | int]] = Batcher(self._load)

    def peek(self, account: Account) -> Owner | None:
        """The owner, when it is in memory."""
        return self._known.get(account.id)

    async def find(self, account: Account) -> Owner | None:
        """The owner, given a number when it has none yet; None when the account has been removed."""
        found = await self._asked.get((account.company.id, account.id))
        if found is None:
            return None
        number, rule, always, never = found
        bare = self._bare(account)
        mark = f"<stanza-id xmlns='{names.STANZA_ID}' by='{escape_attr(bare)}' id='".encode()
        owner = Owner(int(number), mark, peer_of(bare), Rule(str(rule)), _lines(always), _lines(never))
        if len(self._known) >= MOST_IN_MEMORY:
            self._known.pop(next(iter(self._known)))
        self._known[account.id] = owner
        return owner

    async def want(
        self, account: Account, rule: Rule, always: frozenset[str], never: frozenset[str]
    ) -> Owner | None:
        """Keep this from now on (XEP-0441)."""
        owner = await self.find(account)
        if owner is None:
            return None
        values = {"rule": rule.value, "always": "\n".join(sorted(always)), "never": "\n".join(sorted(never))}
        async with self._store.write() as connection:
            await connection.execute(
                sa.update(tables.owners).where(_o.number == owner.number).values(**values)
            )
        wanted = self._known[account.id] = replace(owner, rule=rule, always=always, never=never)
        return wanted

    def forget(self, account_id: str) -> None:
        """Read it anew the next time."""
        self._known.pop(account_id, None)

    async def close(self) -> None:
        """Answer what was asked for."""
        await self._asked.close()

    def _bare(self, account: Account) -> str:
        return f"{account.localpart}@{self._domain}"

    async def _load(self, asked: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[str | int]]:
        found = await self._read(asked)
        new = [pair for pair in asked if pair not in found]
        if new:
            async with self._store.write() as connection:
                rows = await owned_by_each(connection, new, self._store.now())
                if rows:
                    unwritten = {"rule": Rule.ALWAYS.value, "always": "", "never": ""}
                    insert = insert_or_ignore(self._store.dialect, tables.owners)
                    await connection.execute(
                        insert, [{**row, **unwritten, "account_id": row["owner_id"]} for row in rows]
                    )
            found |= await self._read(new)
        return found

    async def _read(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Sequence[str | int]]:
        statement = sa.select(_o.company_id, _o.owner_id, _o.number, _o.rule, _o.always, _o.never).where(
            _o.account_id.in_([owner for _, owner in asked])
        )
        async with self._store.read() as connection:
            rows = await connection.execute(statement)
            return {(row[0], row[1]): tuple(row[2:]) for row in rows}


def _lines(text: str | int) -> frozenset[str]:
    return frozenset(str(text).split("\n")) - {""}
