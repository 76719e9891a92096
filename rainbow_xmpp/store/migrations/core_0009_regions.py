"""What regions need to reach each other: names by their keyed hashes, and what is on its way to another region."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import LONG_ID, people_columns, people_constraints

revision = "core_0009"
down_revision = "core_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "home_names",
        *people_columns(),
        sa.Column("hash", sa.LargeBinary(16), nullable=False),
        sa.Column("key_id", sa.String(8), nullable=False),
        *people_constraints("home_names", ("hash",)),
    )
    op.create_index("ix_home_names_hash", "home_names", ["hash"])
    op.create_table(
        "outbox",
        *people_columns(),
        sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
        sa.Column("to_region", sa.String(64), nullable=False),
        sa.Column("parcel", sa.LargeBinary(), nullable=False),
        *people_constraints("outbox", None),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "arrivals",
        sa.Column("origin", sa.String(64), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "id", name="pk_arrivals"),
    )
    op.create_index("ix_arrivals_at", "arrivals", ["at"])
