"""Secrets of authenticator apps, recovery codes, and what app passwords are called."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "second_factor_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "second_factors",
        *people_columns(),
        sa.Column("secret", sa.LargeBinary()),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("on_since", sa.BigInteger()),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tries_since", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.LargeBinary()),
        sa.Column("pending_until", sa.BigInteger(), nullable=False),
        *people_constraints("second_factors", ()),
    )
    op.create_table(
        "second_factor_codes",
        *people_columns(),
        sa.Column("hash", sa.String(64), nullable=False),
        *people_constraints("second_factor_codes", ("hash",)),
    )
    op.create_table(
        "second_factor_apps",
        *people_columns(),
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        *people_constraints("second_factor_apps", ("id",)),
    )
