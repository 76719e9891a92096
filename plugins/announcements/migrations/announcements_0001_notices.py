"""Messages of the day and welcome messages, and who has seen them."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "announcements_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "announcements_notices",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("company_id", sa.String(24), nullable=False),
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "company_id", name="pk_announcements_notices"),
    )
    op.create_table(
        "announcements_seen",
        *people_columns(),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("scope", sa.String(24), nullable=False),
        sa.Column("notice", sa.String(24), nullable=False),
        *people_constraints("announcements_seen", ("kind", "scope")),
    )
