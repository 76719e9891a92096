"""Messages kept for people who are not online."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import LONG_ID, people_columns, people_constraints

revision = "offline_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "offline_messages",
        *people_columns(),
        sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
        sa.Column("stanza", sa.LargeBinary(), nullable=False),
        *people_constraints("offline_messages", None),
        sqlite_autoincrement=True,
    )
