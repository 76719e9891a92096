"""Tokens for logging in fast."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "fast_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fast_tokens",
        *people_columns(),
        sa.Column("agent", sa.String(36), nullable=False),
        sa.Column("slot", sa.String(8), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("proven_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("software", sa.String(128), nullable=False),
        sa.Column("device", sa.String(128), nullable=False),
        *people_constraints("fast_tokens", ("agent", "slot")),
    )
    op.create_index("ix_fast_tokens_expires_at", "fast_tokens", ["expires_at"])
