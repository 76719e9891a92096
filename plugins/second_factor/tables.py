"""Second factors. Secrets are sealed, recovery codes hashed under a key that only the sealed secret tells."""

import sqlalchemy as sa

from rainbow_xmpp.store.carried import boxed
from rainbow_xmpp.store.tables import people_table

BOX = "second factors"
"""What the box is called that secrets are sealed in."""

factors = people_table(
    "second_factors",
    sa.Column("secret", sa.LargeBinary()),  # sealed; empty until the first one is confirmed
    sa.Column("last_step", sa.BigInteger(), nullable=False),  # codes of this step and earlier ones were used
    sa.Column("on_since", sa.BigInteger()),
    sa.Column("tries", sa.Integer(), nullable=False),  # wrong codes
    sa.Column("tries_since", sa.BigInteger(), nullable=False),
    sa.Column("pending", sa.LargeBinary()),  # sealed; waits to be confirmed
    sa.Column("pending_until", sa.BigInteger(), nullable=False),
    carried=boxed(BOX, dict.fromkeys(("secret", "pending"), lambda row: str(row["owner_id"]))),
)

recovery_codes = people_table(
    "second_factor_codes",
    sa.Column("hash", sa.String(64), nullable=False),
    key=("hash",),
)

apps = people_table(
    "second_factor_apps",
    sa.Column("id", sa.String(24), nullable=False),
    sa.Column("name", sa.String(60), nullable=False),
    sa.Column("used_at", sa.BigInteger()),
    key=("id",),
)
