"""When people logged in the last time."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "service_admin_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "service_admin_logins",
        *people_columns(),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *people_constraints("service_admin_logins", ()),
    )
