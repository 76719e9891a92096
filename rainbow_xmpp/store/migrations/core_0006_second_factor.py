"""Whose password alone does not suffice."""

import sqlalchemy as sa
from alembic import op

revision = "core_0006"
down_revision = "core_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "users", sa.Column("second_factor", sa.Boolean(), nullable=False, server_default=sa.false())
    )
