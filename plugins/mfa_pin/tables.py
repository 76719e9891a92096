"""Requests for PINs, and invitations into companies. Addresses are sealed, PINs and tokens hashed."""

import sqlalchemy as sa

from rainbow_xmpp.store.tables import metadata

requests = sa.Table(
    "mfa_pin_requests",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("purpose", sa.String(16), nullable=False),
    sa.Column("subject", sa.String(40), nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("company_id", sa.String(24), nullable=False),
    sa.Column("account_id", sa.String(24), nullable=False),
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("template", sa.String(64), nullable=False),  # what its letters say
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("address", sa.LargeBinary(), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("is_real", sa.Boolean(), nullable=False),
    sa.Column("tries_left", sa.Integer(), nullable=False),
    sa.Column("sends", sa.Integer(), nullable=False),
    sa.Column("created_at", sa.BigInteger(), nullable=False, index=True),
    sa.Column("expires_at", sa.BigInteger(), nullable=False),
    sa.Column("next_send_at", sa.BigInteger(), nullable=False),
    sa.Index("ix_mfa_pin_requests_subject_created_at", "subject", "created_at"),
    sa.Index("ix_mfa_pin_requests_source_created_at", "source", "created_at"),
)

invitations = sa.Table(
    "mfa_pin_invitations",
    metadata,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("company_id", sa.String(24), nullable=False, index=True),
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("token", sa.String(64), nullable=False, unique=True),
    sa.Column("address", sa.LargeBinary(), nullable=False),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.Column("expires_at", sa.BigInteger(), nullable=False, index=True),
    sa.Column("account_id", sa.String(24), nullable=False, server_default=""),  # one that was made already
)
