"""Contact requests and invitations on their way: written before anybody looks whether there is such a person."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import LONG_ID, people_columns, people_constraints

revision = "core_0008"
down_revision = "core_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contact_requests",
        *people_columns(),
        sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
        sa.Column("to", sa.Text(), nullable=False),
        sa.Column("stanza", sa.LargeBinary()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        *people_constraints("contact_requests", None),
        sqlite_autoincrement=True,
    )
