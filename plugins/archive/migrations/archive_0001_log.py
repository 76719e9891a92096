"""Everybody's log of messages, what of it waits for a device, and what was said already."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import LONG_ID, people_columns, people_constraints

revision = "archive_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archive_owners",
        *people_columns(),
        sa.Column("number", LONG_ID, primary_key=True, autoincrement=True),
        sa.Column("account_id", sa.String(24), nullable=False),
        sa.Column("rule", sa.String(8), nullable=False),
        sa.Column("always", sa.Text(), nullable=False),
        sa.Column("never", sa.Text(), nullable=False),
        *people_constraints("archive_owners", None),
        sa.UniqueConstraint("account_id", name="uq_archive_owners_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "archive_messages",
        sa.Column("key", LONG_ID, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.BigInteger(), nullable=False),
        sa.Column("stanza", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "archive_by_owner",
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_archive_by_owner"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "archive_by_peer",
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "peer", "key", name="pk_archive_by_peer"),
        sqlite_with_rowid=False,
    )
    indexed = op.create_table("archive_indexed", sa.Column("key", sa.BigInteger(), nullable=False))
    op.bulk_insert(indexed, [{"key": 0}])
    op.create_table(
        "archive_waiting",
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_archive_waiting"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "archive_origins",
        sa.Column("origin", LONG_ID, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
