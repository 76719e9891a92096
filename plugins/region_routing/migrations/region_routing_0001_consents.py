"""Who said that what they write may go to other regions."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "region_routing_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "region_consents",
        *people_columns(),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        *people_constraints("region_consents", ()),
    )
