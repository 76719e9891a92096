"""One vCard for each account."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "vcard_temp_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vcards",
        *people_columns(),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        *people_constraints("vcards", ()),
    )
