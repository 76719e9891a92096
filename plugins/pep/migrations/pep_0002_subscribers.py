"""Who subscribed to a node by asking for it."""

import sqlalchemy as sa
from alembic import op

revision = "pep_0002"
down_revision = "pep_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pep_nodes", sa.Column("subscribers", sa.Text(), nullable=False, server_default=""))
