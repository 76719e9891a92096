"""Invitations by which somebody chooses the first password of an account that was made for them."""

import sqlalchemy as sa
from alembic import op

revision = "mfa_pin_0002"
down_revision = "mfa_pin_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "mfa_pin_invitations", sa.Column("account_id", sa.String(24), nullable=False, server_default="")
    )
