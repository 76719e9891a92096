"""What `plugin new --stage` writes for each stage: a handler that does something, and the test that shows it."""

from typing import NamedTuple


class Sample(NamedTuple):
    """One handler. `names` are imported from `rainbow_xmpp.plugin`; `test` drives the method through a server."""

    names: tuple[str, ...]
    handler: str
    test: str
    test_names: tuple[str, ...] = ()
    state: str = ""
    """What the plugin remembers."""


SAMPLES = {
    "admit": Sample(
        ("Condition", "Passage", "Stage", "StanzaError", "hook"),
        '''
    @hook(Stage.ADMIT)
    def refuse_shouting(self, p: Passage) -> None:
        """Before it is known whom it is for: StanzaError goes to the sender as it is."""
        body = p.view.text_of("body") or ""
        if p.kind == "message" and len(body) > 20 and body.isupper():
            raise StanzaError(Condition.NOT_ACCEPTABLE, "no shouting")
''',
        """

@pytest.mark.asyncio
async def test_shouting_is_refused() -> None:
    async with TestServer([@CLASS@]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.say("A VERY LONG AND LOUD MESSAGE", to=bob.bare)
        assert condition_of(await ann.receive()) is Condition.NOT_ACCEPTABLE
        assert await bob.rest() == []
""",
        ("Condition",),
    ),
    "gate": Sample(
        ("Condition", "Passage", "Stage", "StanzaError", "hook"),
        '''
    @hook(Stage.GATE)
    def leave_robots_alone(self, p: Passage) -> None:
        """May these two speak? Whatever is raised here looks as though nobody had that address."""
        if p.recipient is not None and p.recipient.localpart.startswith("robot"):
            raise StanzaError(Condition.SERVICE_UNAVAILABLE, detail="nobody talks to robots")
''',
        """

@pytest.mark.asyncio
async def test_robots_are_left_alone() -> None:
    async with TestServer([@CLASS@]) as server:
        ann, robot = await server.login("ann@acme"), await server.login("robot@acme")
        ann.say("hello", to=robot.bare)
        assert condition_of(await ann.receive()) is Condition.SERVICE_UNAVAILABLE
        assert await robot.rest() == []
""",
        ("Condition",),
    ),
    "rewrite": Sample(
        ("Element", "Passage", "Stage", "hook"),
        '''
    @hook(Stage.REWRITE, after="forgery_guard")
    def mark(self, p: Passage) -> Passage:
        """Receivers get the `data` of what is returned; a passage itself is never changed."""
        if p.kind != "message":
            return p
        return p._replace(data=scan_again(p.data).plus(Element(f"{{{NS}}}seen")).data)
''',
        """

@pytest.mark.asyncio
async def test_messages_are_marked() -> None:
    async with TestServer([@CLASS@]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.say("hello", to=bob.bare)
        assert (await bob.receive()).find(f"{{{NS}}}seen") is not None
""",
    ),
    "record": Sample(
        ("Passage", "Stage", "hook"),
        '''
    @hook(Stage.RECORD, needed=False)
    async def count(self, p: Passage) -> None:
        """What passed the gate, before it is delivered; with `needed=True` a failure stops it."""
        self.recorded += 1
''',
        """

@pytest.mark.asyncio
async def test_messages_are_counted() -> None:
    async with TestServer([@CLASS@]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        before = server.plugin(@CLASS@).recorded
        ann.say("hello", to=bob.bare)
        await bob.receive()
        assert server.plugin(@CLASS@).recorded == before + 1
""",
        state="        self.recorded = 0\n",
    ),
    "place": Sample(
        ("Passage", "Stage", "hook"),
        '''
    @hook(Stage.PLACE)
    def take(self, p: Passage) -> bool:
        """Nobody is there to take this message. True: it is taken care of; False: the next one is asked."""
        if not p.view.has(@ASKED@.TAG.rpartition("}")[2], NS):
            return False
        self.taken += 1
        return True
''',
        """

@pytest.mark.asyncio
async def test_only_its_own_messages_are_taken_for_people_who_are_away() -> None:
    async with TestServer([@CLASS@]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        ann.say("hello", @ASKED@(), to=bob.bare)
        assert await ann.rest() == []
        assert server.plugin(@CLASS@).taken == 1
        ann.say("hello", to=bob.bare)
        assert condition_of(await ann.receive()) is Condition.SERVICE_UNAVAILABLE
""",
        ("Condition",),
        state="        self.taken = 0\n",
    ),
    "deliver": Sample(
        ("Outcome", "Passage", "Stage", "hook"),
        '''
    @hook(Stage.DELIVER)
    def copy(self, p: Passage, outcome: Outcome) -> None:
        """A message was delivered or stored; copies for others are made here."""
        self.delivered += 1
''',
        """

@pytest.mark.asyncio
async def test_messages_are_seen_when_they_were_delivered() -> None:
    async with TestServer([@CLASS@]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        before = server.plugin(@CLASS@).delivered
        ann.say("hello", to=bob.bare)
        await bob.receive()
        assert server.plugin(@CLASS@).delivered == before + 1
""",
        state="        self.delivered = 0\n",
    ),
    "observe": Sample(
        ("Outcome", "Passage", "Stage", "hook"),
        '''
    @hook(Stage.OBSERVE)
    def watch(self, p: Passage, outcome: Outcome) -> None:
        """What became of it."""
        self.outcomes[outcome] += 1
''',
        """

@pytest.mark.asyncio
async def test_what_became_of_stanzas_is_known() -> None:
    async with TestServer([@CLASS@]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        before = server.plugin(@CLASS@).outcomes[Outcome.DELIVERED]
        ann.say("hello", to=bob.bare)
        await bob.receive()
        assert server.plugin(@CLASS@).outcomes[Outcome.DELIVERED] == before + 1
""",
        ("Outcome",),
        state="        self.outcomes: Counter[Outcome] = Counter()\n",
    ),
}

STORE = '''"""How often each person was greeted."""

import sqlalchemy as sa

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import people_table
from rainbow_xmpp.store.upsert import upsert

greetings = people_table("@NAME@_greetings", sa.Column("times", sa.Integer(), nullable=False))

_OWNED = sa.and_(
    greetings.c.company_id == sa.bindparam("company"), greetings.c.owner_id == sa.bindparam("owner")
)


class Greetings:
    """One number for each account."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, company_id: str, owner_id: str) -> int:
        """Count one more; returns how many there were, with this one. Raises NotFound."""
        asked = {"company": company_id, "owner": owner_id}
        async with self._store.write() as connection:
            row = await owned_by(connection, company_id, owner_id, self._store.now())
            before = (await connection.execute(sa.select(greetings.c.times).where(_OWNED), asked)).scalar()
            times = (before or 0) + 1
            statement = upsert(self._store.dialect, greetings, ("times",))
            await connection.execute(statement, row | {"times": times})
        return times
'''

MIGRATION = '''"""How often each person was greeted."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "@NAME@_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "@NAME@_greetings",
        *people_columns(),
        sa.Column("times", sa.Integer(), nullable=False),
        *people_constraints("@NAME@_greetings", ()),
    )
'''
