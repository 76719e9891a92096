"""People on their way to another region, what of them arrived, and where those went who used to live here."""

import sqlalchemy as sa
from alembic import op

revision = "core_0010"
down_revision = "core_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "moves",
        sa.Column("id", sa.String(24), primary_key=True),
        sa.Column("of_move", sa.String(24), nullable=False),
        sa.Column("company_id", sa.String(24), nullable=False),
        sa.Column("account_id", sa.String(24), nullable=False),
        sa.Column("origin", sa.String(64), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("totals", sa.Text(), nullable=False),
        sa.Column("remains", sa.Text(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
    )
    for column in ("of_move", "account_id", "step"):
        op.create_index(f"ix_moves_{column}", "moves", [column])
    op.create_table(
        "move_parts",
        sa.Column("move_id", sa.String(24), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("move_id", "kind", "number", name="pk_move_parts"),
    )
    op.create_index("ix_move_parts_at", "move_parts", ["at"])
    op.create_table(
        "moved_away",
        sa.Column("localpart", sa.String(1023), primary_key=True),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_moved_away_until", "moved_away", ["until"])
