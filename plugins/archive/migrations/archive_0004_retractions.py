"""Retractions that are on the disk, and of which what they take back has yet to be wiped out."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import LONG_ID

revision = "archive_0004"
down_revision = "archive_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archive_retractions",
        sa.Column("number", LONG_ID, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
    )
