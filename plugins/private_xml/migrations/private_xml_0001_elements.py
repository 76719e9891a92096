"""What clients keep with their accounts."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "private_xml_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "private_xml",
        *people_columns(),
        sa.Column("element", sa.String(1024), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        *people_constraints("private_xml", ("element",)),
    )
