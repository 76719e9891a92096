"""Nodes, and what was published to them."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "pep_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pep_nodes",
        *people_columns(),
        sa.Column("node", sa.String(1023), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("affiliations", sa.Text(), nullable=False),
        sa.Column("last_item", sa.String(1023)),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        *people_constraints("pep_nodes", ("node",)),
    )
    op.create_table(
        "pep_items",
        *people_columns(),
        sa.Column("node", sa.String(1023), nullable=False),
        sa.Column("item", sa.String(1023), nullable=False),
        sa.Column("published_us", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        *people_constraints("pep_items", ("node", "item")),
    )
