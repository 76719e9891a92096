"""People whose service level is the company's have none of their own, so that it follows when the company's changes."""

import sqlalchemy as sa
from alembic import op

revision = "core_0004"
down_revision = "core_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    users = sa.table("users", sa.column("company_id", sa.String()), sa.column("service_level", sa.String()))
    companies = sa.table("companies", sa.column("id", sa.String()), sa.column("service_level", sa.String()))
    of_company = (
        sa.select(companies.c.service_level).where(companies.c.id == users.c.company_id).scalar_subquery()
    )
    op.execute(sa.update(users).where(users.c.service_level == of_company).values(service_level=""))
