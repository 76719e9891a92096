"""Names of people, settings of companies, links between companies, authorisations between people, refresh tokens."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "core_0003"
down_revision = "core_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("name", sa.String(200), nullable=False, server_default=""))
    op.add_column("users", sa.Column("name_key", sa.String(200), nullable=False, server_default=""))
    op.add_column("users", sa.Column("listed", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_index("ix_users_company_id_name_key", "users", ["company_id", "name_key"])
    op.create_index("ix_users_name_key", "users", ["name_key"])
    op.add_column("companies", sa.Column("settings", sa.Text(), nullable=False, server_default=""))
    for table in ("companies", "users"):
        levels = sa.table(table, sa.column("service_level", sa.String()))
        op.execute(
            sa.update(levels).where(levels.c.service_level == "standard").values(service_level="essential")
        )
    op.create_table(
        "company_links",
        sa.Column("id", sa.String(24), primary_key=True),
        sa.Column("company_id", sa.String(24), sa.ForeignKey("companies.id"), nullable=False),
        sa.Column("other_id", sa.String(24), nullable=False, index=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger()),
        sa.UniqueConstraint("company_id", "other_id"),
    )
    op.create_table(
        "authorisations",
        *people_columns(),
        sa.Column("contact_id", sa.String(24), nullable=False, index=True),
        sa.Column("contact_company_id", sa.String(24), nullable=False),
        sa.Column("contact_jid", sa.String(2047), nullable=False),
        sa.Column("id", sa.String(24), nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        *people_constraints("authorisations", ("contact_id",)),
    )
    op.create_table(
        "refresh_tokens",
        *people_columns(),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("family", sa.String(32), nullable=False, index=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, index=True),
        sa.Column("used_at", sa.BigInteger()),
        *people_constraints("refresh_tokens", ("hash",)),
    )
