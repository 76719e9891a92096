"""Sessions that may be resumed after a restart (XEP-0198). What they were sent is sealed."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import LONG_ID, people_columns, people_constraints

revision = "core_0007"
down_revision = "core_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_sessions",
        *people_columns(),
        sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        *people_constraints("kept_sessions", None),
        sqlite_autoincrement=True,
    )
