"""What people and companies used of the relay in each month, and whose credentials are void."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "webrtc_relay_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webrtc_relay_person_months",
        *people_columns(),
        sa.Column("month", sa.Integer(), nullable=False),
        sa.Column("userid", sa.String(64), nullable=False),
        *_used_columns(),
        *people_constraints("webrtc_relay_person_months", ("month",)),
    )
    op.create_index("ix_webrtc_relay_person_months_userid", "webrtc_relay_person_months", ["userid"])
    op.create_table(
        "webrtc_relay_company_months",
        sa.Column("company_id", sa.String(24), nullable=False),
        sa.Column("month", sa.Integer(), nullable=False),
        *_used_columns(),
        sa.PrimaryKeyConstraint("company_id", "month", name="pk_webrtc_relay_company_months"),
    )
    op.create_table(
        "webrtc_relay_revocations",
        sa.Column("userid", sa.String(64), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("userid", name="pk_webrtc_relay_revocations"),
    )


def _used_columns() -> list[sa.Column[int]]:
    names = ("seconds", "allocations", "bytes_in", "bytes_out")
    return [sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in names]
