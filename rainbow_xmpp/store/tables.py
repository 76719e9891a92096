"""The core's tables, and how a table of people's data is declared (plugins declare theirs the same way)."""

from collections.abc import Sequence

import sqlalchemy as sa

from rainbow_xmpp.store.carried import Carried, Keys, Row, Unreadable
from rainbow_xmpp.store.people import LONG_ID, people_columns, people_constraints

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def people_table(
    name: str,
    *columns: sa.Column[object],
    key: Sequence[str] | None = (),
    carried: Carried = Carried(),  # noqa: B008  # a value
) -> sa.Table:
    """Declare a table of people's data: company, owner, region and created come first, by themselves.

    `key` names the columns that, with company and owner, make the primary key; None when one of `columns`
    is a primary key of its own. Rows follow their owner: removed with the account, moved with it to another
    company or region. Export, erasure and the residency audit find the table by this declaration. `carried`: what
    is special about its rows when their owner moves to another region. A column where not every text will do says what
    one looks like, with {} for what is free: `info={"like": '["{}"]'}`.
    """
    return sa.Table(
        name,
        metadata,
        *people_columns(),
        *columns,
        *people_constraints(name, key),
        info={"people": True, **carried.info},
        sqlite_autoincrement=key is None,
    )


def people_tables() -> list[sa.Table]:
    """Every declared table of people's data, loaded plugins' too, in an order safe for deleting."""
    return [table for table in reversed(metadata.sorted_tables) if table.info.get("people")]


companies = sa.Table(
    "companies",
    metadata,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("name_key", sa.String(200), nullable=False, unique=True),  # the name without regard to case
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("visibility", sa.String(32), nullable=False),
    sa.Column("organisation", sa.String(200), nullable=False),
    sa.Column("service_level", sa.String(64), nullable=False),
    sa.Column("disabled", sa.Boolean(), nullable=False),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.Column(
        "settings", sa.Text(), nullable=False
    ),  # JSON of what differs from the defaults; empty: nothing
)

company_links = sa.Table(
    "company_links",
    metadata,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("company_id", sa.String(24), sa.ForeignKey("companies.id"), nullable=False),  # who asked
    sa.Column("other_id", sa.String(24), nullable=False, index=True),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.Column("confirmed_at", sa.BigInteger()),
    sa.UniqueConstraint("company_id", "other_id"),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("company_id", sa.String(24), sa.ForeignKey("companies.id"), nullable=False),
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.Column("localpart", sa.String(1023), nullable=False, unique=True),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("visibility", sa.String(32), nullable=False),
    sa.Column("service_level", sa.String(64), nullable=False),
    sa.Column("disabled", sa.Boolean(), nullable=False),
    sa.Column("epoch", sa.Integer(), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),  # as others see it
    sa.Column(
        "name_key", sa.String(200), nullable=False, index=True
    ),  # for searching, without regard to case
    sa.Column("listed", sa.Boolean(), nullable=False),  # in the roster of the company
    sa.Column("second_factor", sa.Boolean(), nullable=False),  # the password alone lets nobody in
    sa.Index("ix_users_company_id_name_key", "company_id", "name_key"),
    sa.UniqueConstraint("company_id", "id"),  # what people_table's foreign keys point at
)

emails = people_table(
    "emails",
    sa.Column("address", sa.String(254), nullable=False, unique=True),
    key=("address",),
)


def _credentials_to_cross(row: Row, keys: Keys) -> Row:
    if row["sealed"] is None:
        return row
    plain = keys.sealer.opened(row["key_id"], row["sealed"], row["owner_id"])
    if plain is None:
        raise Unreadable(f"credentials are sealed under the key {row['key_id']}, which is not here")
    return {**row, "sealed": plain, "key_id": None}


def _credentials_to_stay(row: Row, keys: Keys) -> Row:
    if row["sealed"] is None:
        return row
    key_id, sealed = keys.sealer.seal_opened(row["sealed"], row["owner_id"])
    return {**row, "sealed": sealed, "key_id": key_id}


credentials = people_table(
    "credentials",
    sa.Column("sealed", sa.LargeBinary()),
    sa.Column("key_id", sa.String(8), index=True),
    sa.Column("imported_hash", sa.String(100)),
    carried=Carried(_credentials_to_cross, _credentials_to_stay),
)

authorisations = people_table(
    "authorisations",
    sa.Column("contact_id", sa.String(24), nullable=False, index=True),
    sa.Column("contact_company_id", sa.String(24), nullable=False),
    sa.Column("contact_jid", sa.String(2047), nullable=False),
    sa.Column("id", sa.String(24), nullable=False, index=True),  # of the invitation; both sides have a row
    sa.Column("state", sa.String(16), nullable=False, info={"like": "invited"}),
    sa.Column("note", sa.Text(), nullable=False),
    sa.Column("expires_at", sa.BigInteger()),
    key=("contact_id",),
)

refresh_tokens = people_table(
    "refresh_tokens",
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("family", sa.String(32), nullable=False, index=True),
    sa.Column("expires_at", sa.BigInteger(), nullable=False, index=True),
    sa.Column("used_at", sa.BigInteger()),
    key=("hash",),
)

roster_items = people_table(
    "roster_items",
    sa.Column("contact", sa.String(2047), nullable=False),
    sa.Column("name", sa.Text(), nullable=False),
    sa.Column("subscription", sa.String(4), nullable=False, info={"like": "none"}),
    sa.Column("ask", sa.Boolean(), nullable=False),
    sa.Column("approved", sa.Boolean(), nullable=False),
    sa.Column("pending_in", sa.Boolean(), nullable=False),
    sa.Column("listed", sa.Boolean(), nullable=False),
    sa.Column(
        "groups", sa.Text(), nullable=False, info={"like": '["{}"]'}
    ),  # a JSON list; empty text for none
    sa.Column("request", sa.LargeBinary()),
    sa.Column("version", sa.BigInteger(), nullable=False),  # the roster's when clients last saw a change here
    key=("contact",),
)

roster_removals = people_table(
    "roster_removals",
    sa.Column("contact", sa.String(2047), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    key=("contact",),
)

roster_versions = people_table(
    "roster_versions",
    sa.Column("version", sa.BigInteger(), nullable=False),
    # Removals up to this version were forgotten: a client that knows an older one gets the whole roster.
    sa.Column("forgotten", sa.BigInteger(), nullable=False),
)

kept_sessions = people_table(
    "kept_sessions",
    sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
    sa.Column("sealed", sa.LargeBinary(), nullable=False),
    key=None,
    carried=Carried(stays="sessions end with a move: their clients come again"),
)

contact_requests = people_table(
    "contact_requests",
    sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
    sa.Column("to", sa.Text(), nullable=False),  # as the owner wrote it: there may be nobody
    sa.Column("stanza", sa.LargeBinary()),  # None: an invitation without one
    sa.Column("note", sa.Text(), nullable=False),
    sa.Column("expires_at", sa.BigInteger()),
    key=None,
)

home_names = people_table(
    "home_names",
    # What another region asks for: a keyed hash of an address of the owner's (`rainbow_xmpp.regions.names`).
    sa.Column("hash", sa.LargeBinary(16), nullable=False, index=True),
    sa.Column("key_id", sa.String(8), nullable=False),
    key=("hash",),
    carried=Carried(stays="made of names and addresses, here as there"),
)

outbox = people_table(
    "outbox",
    sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
    sa.Column("to_region", sa.String(64), nullable=False),
    sa.Column("parcel", sa.LargeBinary(), nullable=False),  # see `rainbow_xmpp.regions.parcels`
    key=None,
    carried=Carried(must_be_over=True),
)

arrivals = sa.Table(
    "arrivals",
    metadata,
    # Parcels of other regions that were taken, so that one that comes again is known.
    sa.Column("origin", sa.String(64), nullable=False),
    sa.Column("id", sa.BigInteger(), nullable=False),
    sa.Column("number", sa.BigInteger(), nullable=False),  # drawn here for it
    sa.Column("at", sa.BigInteger(), nullable=False, index=True),
    sa.PrimaryKeyConstraint("origin", "id"),
)

moves = sa.Table(
    "moves",
    metadata,
    # A person on the way to another region, or a company with its people; both ends have a row.
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("of_move", sa.String(24), nullable=False, index=True),  # of the company's move; "" for none
    sa.Column("company_id", sa.String(24), nullable=False),
    sa.Column("account_id", sa.String(24), nullable=False, index=True),  # "" for the company itself
    sa.Column("origin", sa.String(64), nullable=False),
    sa.Column("target", sa.String(64), nullable=False),
    sa.Column("step", sa.String(16), nullable=False, index=True),
    sa.Column("actor", sa.String(100), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("asked_at", sa.BigInteger(), nullable=False),
    sa.Column("changed_at", sa.BigInteger(), nullable=False),
    sa.Column("leased_until", sa.BigInteger(), nullable=False),  # a server is at it
    sa.Column("rows", sa.BigInteger(), nullable=False),  # sent so far
    sa.Column(
        "totals", sa.Text(), nullable=False
    ),  # rows and digest by table, as JSON; "" before they are known
    sa.Column("remains", sa.Text(), nullable=False),  # what is left to be proven gone, as JSON
    sa.Column("trouble", sa.Text(), nullable=False),  # why it waits or failed, for administrators
    info={"knows_ids": "a year: who was moved, and when"},
)

move_parts = sa.Table(
    "move_parts",
    metadata,
    # What arrived of somebody who is not here yet, sealed; gone when they are.
    sa.Column("move_id", sa.String(24), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("sealed", sa.LargeBinary(), nullable=False),
    sa.Column("at", sa.BigInteger(), nullable=False, index=True),
    sa.PrimaryKeyConstraint("move_id", "kind", "number"),
)

moved_away = sa.Table(
    "moved_away",
    metadata,
    # Who used to live here and where they live now; all that is kept of them, and for some weeks only.
    sa.Column("localpart", sa.String(1023), primary_key=True),
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("until", sa.BigInteger(), nullable=False, index=True),
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("company_id", sa.String(24), nullable=False),
    sa.Column("account_id", sa.String(24)),
    sa.Column("at", sa.BigInteger(), nullable=False, index=True),
    info={"knows_ids": "for a week, so that every server hears of what was done"},
    sqlite_autoincrement=True,  # an id is never given twice, not even after old rows were forgotten
)

mail_queue = sa.Table(
    "mail_queue",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),  # also what the letter's Message-ID is made of
    sa.Column("company_id", sa.String(24), nullable=False),  # "" while the person belongs to none yet
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("template", sa.String(64), nullable=False),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("sealed", sa.LargeBinary(), nullable=False),  # whom it is for, and what it says
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.Column("expires_at", sa.BigInteger(), nullable=False, index=True),
    sa.Column("next_at", sa.BigInteger(), nullable=False, index=True),  # also until when somebody is at it
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("outcome", sa.String(64), nullable=False),  # of the last attempt, in a word
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),  # without gaps: a gap is damage
    sa.Column("at", sa.BigInteger(), nullable=False, index=True),  # Unix time in milliseconds
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("company_id", sa.String(24), nullable=False, index=True),
    sa.Column("actor", sa.String(100), nullable=False),
    sa.Column("target", sa.String(100), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("facts", sa.Text(), nullable=False),  # a JSON object, written in one way only
    sa.Column("node", sa.String(64), nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("key_id", sa.String(8), nullable=False),
    sa.Column("signature", sa.String(64), nullable=False),
    info={"knows_ids": "as long as the audit log is kept: what was done, to whom"},
)

audit_marks = sa.Table(
    "audit_marks",
    metadata,
    sa.Column("name", sa.String(8), primary_key=True),
    sa.Column("id", sa.BigInteger(), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("key_id", sa.String(8), nullable=False),
    sa.Column("signature", sa.String(64), nullable=False),
)
