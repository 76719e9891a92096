"""The first tables: companies, users, credentials, rosters, changes; and the public company."""

import time

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.store.people import LONG_ID, people_columns, people_constraints

revision = "core_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _companies()
    _users()
    _rosters()
    op.create_table(
        "changes",
        sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("company_id", sa.String(24), nullable=False),
        sa.Column("account_id", sa.String(24)),
        sa.Column("at", sa.BigInteger(), nullable=False, index=True),
        sqlite_autoincrement=True,
    )


def _companies() -> None:
    companies = op.create_table(
        "companies",
        sa.Column("id", sa.String(24), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("name_key", sa.String(200), nullable=False, unique=True),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("visibility", sa.String(32), nullable=False),
        sa.Column("organisation", sa.String(200), nullable=False),
        sa.Column("service_level", sa.String(64), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    public = {
        "id": new_id(),
        "name": "Rainbow",
        "name_key": "rainbow",
        "region": "default",
        "visibility": "public",
        "organisation": "",
        "service_level": "standard",
        "disabled": False,
        "created_at": int(time.time()),
    }
    op.bulk_insert(companies, [public])


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(24), primary_key=True),
        sa.Column("company_id", sa.String(24), sa.ForeignKey("companies.id"), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("localpart", sa.String(1023), nullable=False, unique=True),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("visibility", sa.String(32), nullable=False),
        sa.Column("service_level", sa.String(64), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.UniqueConstraint("company_id", "id"),
    )
    op.create_table(
        "emails",
        *people_columns(),
        sa.Column("address", sa.String(254), nullable=False, unique=True),
        *people_constraints("emails", ("address",)),
    )
    op.create_table(
        "credentials",
        *people_columns(),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("key_id", sa.String(8), index=True),
        sa.Column("imported_hash", sa.String(100)),
        *people_constraints("credentials", ()),
    )


def _rosters() -> None:
    op.create_table(
        "roster_items",
        *people_columns(),
        sa.Column("contact", sa.String(2047), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subscription", sa.String(4), nullable=False),
        sa.Column("ask", sa.Boolean(), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("pending_in", sa.Boolean(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        *people_constraints("roster_items", ("contact",)),
    )
    op.create_table(
        "roster_removals",
        *people_columns(),
        sa.Column("contact", sa.String(2047), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        *people_constraints("roster_removals", ("contact",)),
    )
    op.create_table(
        "roster_versions",
        *people_columns(),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("forgotten", sa.BigInteger(), nullable=False),
        *people_constraints("roster_versions", ()),
    )
