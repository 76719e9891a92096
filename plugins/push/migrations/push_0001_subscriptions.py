"""Subscriptions for push notifications with what is to be told, and the server's key."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "push_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "push_subscriptions",
        *people_columns(),
        sa.Column("node", sa.String(32), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("target", sa.LargeBinary(), nullable=False),
        sa.Column("target_hash", sa.LargeBinary(), nullable=False),
        sa.Column("shows", sa.String(8), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("family", sa.String(64), nullable=False),
        sa.Column("app_password", sa.String(64), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("agent", sa.String(36), nullable=False),
        sa.Column("unseen", sa.Integer(), nullable=False),
        sa.Column("news", sa.BigInteger(), nullable=False),
        sa.Column("last_message", sa.LargeBinary()),
        sa.Column("call_until", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=False),
        *people_constraints("push_subscriptions", ("node",)),
    )
    op.create_index("ix_push_subscriptions_target_hash", "push_subscriptions", ["target_hash"])
    op.create_index("ix_push_subscriptions_due_at", "push_subscriptions", ["due_at"])
    op.create_table(
        "push_keys",
        sa.Column("name", sa.String(8), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_push_keys"),
    )
