"""When people were last seen."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "last_activity_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "last_activity",
        *people_columns(),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        *people_constraints("last_activity", ()),
    )
