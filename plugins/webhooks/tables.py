"""Hooks and what waits for them. They are a company's own and hold nobody's data: an id of a person at the most."""

import sqlalchemy as sa

from rainbow_xmpp.store.people import LONG_ID
from rainbow_xmpp.store.tables import metadata

hooks = sa.Table(
    "webhooks_hooks",
    metadata,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("company_id", sa.String(24), nullable=False, index=True),
    sa.Column("url", sa.String(2000), nullable=False),
    sa.Column("events", sa.Text(), nullable=False),  # a JSON list; [] = all
    sa.Column("secret", sa.LargeBinary(), nullable=False),  # sealed
    sa.Column("enabled", sa.Boolean(), nullable=False),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.Column("leased_until", sa.BigInteger(), nullable=False),  # a server is delivering to it
)

deliveries = sa.Table(
    "webhooks_deliveries",
    metadata,
    sa.Column(
        "number", LONG_ID, primary_key=True, autoincrement=True
    ),  # the order in which they are delivered
    sa.Column("hook_id", sa.String(24), nullable=False),
    sa.Column("message_id", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("body", sa.Text(), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.Column("next_at", sa.BigInteger(), nullable=False),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),  # of the last attempt: a status, or why none came
    sa.Column("ended_at", sa.BigInteger(), index=True),
    sa.Index("ix_webhooks_deliveries_hook_id_state", "hook_id", "state", "number"),
    info={"knows_ids": "until they are forgotten: what happened to whom"},
    sqlite_autoincrement=True,
)

known_links = sa.Table(
    "webhooks_links",
    metadata,
    sa.Column("company_id", sa.String(24), primary_key=True),
    sa.Column("link_id", sa.String(24), primary_key=True),
    sa.Column("other_id", sa.String(24), nullable=False),
)

progress = sa.Table(
    "webhooks_progress",
    metadata,
    sa.Column("name", sa.String(8), primary_key=True),
    sa.Column("change_id", sa.BigInteger(), nullable=False),  # changes up to this one were looked at
)
