"""Whom people have blocked."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "blocking_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "blocked_jids",
        *people_columns(),
        sa.Column("jid", sa.String(2047), nullable=False),
        *people_constraints("blocked_jids", ("jid",)),
    )
