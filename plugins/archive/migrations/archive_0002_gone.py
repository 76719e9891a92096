"""Owners that are gone, whose messages are left to be deleted."""

import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import LONG_ID

revision = "archive_0002"
down_revision = "archive_0001"
branch_labels = None
depends_on = None

_SQLITE = """CREATE TRIGGER archive_owner_gone AFTER DELETE ON archive_owners BEGIN
    INSERT OR IGNORE INTO archive_gone (owner) VALUES (OLD.number); END"""
_POSTGRESQL = (
    """CREATE FUNCTION archive_owner_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO archive_gone (owner) VALUES (OLD.number) ON CONFLICT DO NOTHING; RETURN NULL; END $$""",
    """CREATE TRIGGER archive_owner_gone AFTER DELETE ON archive_owners
    FOR EACH ROW EXECUTE FUNCTION archive_owner_gone()""",
)


def upgrade() -> None:
    op.create_table(
        "archive_gone",
        sa.Column("owner", LONG_ID, primary_key=True, autoincrement=False),
    )
    for statement in (_SQLITE,) if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
