"""Hooks, deliveries that wait or have ended, the links they know of, and how far changes were looked at."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import LONG_ID

revision = "webhooks_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhooks_hooks",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("company_id", sa.String(24), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks_hooks"),
    )
    op.create_index("ix_webhooks_hooks_company_id", "webhooks_hooks", ["company_id"])
    op.create_table(
        "webhooks_deliveries",
        sa.Column("number", LONG_ID, autoincrement=True, nullable=False),
        sa.Column("hook_id", sa.String(24), nullable=False),
        sa.Column("message_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number", name="pk_webhooks_deliveries"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_webhooks_deliveries_hook_id_state", "webhooks_deliveries", ["hook_id", "state", "number"]
    )
    op.create_index("ix_webhooks_deliveries_ended_at", "webhooks_deliveries", ["ended_at"])
    op.create_table(
        "webhooks_links",
        sa.Column("company_id", sa.String(24), nullable=False),
        sa.Column("link_id", sa.String(24), nullable=False),
        sa.Column("other_id", sa.String(24), nullable=False),
        sa.PrimaryKeyConstraint("company_id", "link_id", name="pk_webhooks_links"),
    )
    op.create_table(
        "webhooks_progress",
        sa.Column("name", sa.String(8), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_webhooks_progress"),
    )
