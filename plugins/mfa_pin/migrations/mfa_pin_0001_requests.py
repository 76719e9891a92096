"""Requests for PINs, and invitations into companies."""

import sqlalchemy as sa
from alembic import op

revision = "mfa_pin_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mfa_pin_requests",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(40), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("company_id", sa.String(24), nullable=False),
        sa.Column("account_id", sa.String(24), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("template", sa.String(64), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_real", sa.Boolean(), nullable=False),
        sa.Column("tries_left", sa.Integer(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("next_send_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mfa_pin_requests"),
    )
    for columns in (("created_at",), ("subject", "created_at"), ("source", "created_at")):
        op.create_index(f"ix_mfa_pin_requests_{'_'.join(columns)}", "mfa_pin_requests", list(columns))
    op.create_table(
        "mfa_pin_invitations",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("company_id", sa.String(24), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mfa_pin_invitations"),
        sa.UniqueConstraint("token", name="uq_mfa_pin_invitations_token"),
    )
    for column in ("company_id", "expires_at"):
        op.create_index(f"ix_mfa_pin_invitations_{column}", "mfa_pin_invitations", [column])
