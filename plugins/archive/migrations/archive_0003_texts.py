"""The words of messages, to be searched."""

import sqlalchemy as sa
from alembic import op

revision = "archive_0003"
down_revision = "archive_0002"
branch_labels = None
depends_on = None

_SQLITE = """CREATE VIRTUAL TABLE archive_texts USING fts5(
    words, detail=none, tokenize="unicode61 remove_diacritics 0 tokenchars '@_'")"""
_POSTGRESQL = (
    "CREATE TABLE archive_texts (number BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
    "CREATE INDEX ix_archive_texts_words ON archive_texts USING gin (words)",
)


def upgrade() -> None:
    known = op.create_table("archive_texts_known", sa.Column("number", sa.BigInteger(), nullable=False))
    op.bulk_insert(known, [{"number": 0}])
    for statement in (_SQLITE,) if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
