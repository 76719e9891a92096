"""Where people's devices are woken, and what they are to be told; and the key that the server is known by there."""

import sqlalchemy as sa

from rainbow_xmpp.store.carried import Carried
from rainbow_xmpp.store.tables import metadata, people_table

subscriptions = people_table(
    "push_subscriptions",
    sa.Column("node", sa.String(32), nullable=False),
    sa.Column("secret", sa.LargeBinary(), nullable=False),  # SHA-256 of it: it has 256 bits
    sa.Column("target", sa.LargeBinary(), nullable=False),  # sealed: the URL and the keys
    sa.Column("target_hash", sa.LargeBinary(), nullable=False, index=True),  # keyed: of the URL
    sa.Column("shows", sa.String(8), nullable=False, info={"like": "count"}),
    sa.Column("used_at", sa.BigInteger(), nullable=False),
    # where it came from: it is over with that
    sa.Column("epoch", sa.Integer(), nullable=False),
    sa.Column("family", sa.String(64), nullable=False),
    sa.Column("app_password", sa.String(64), nullable=False),
    # XEP-0357: enabled, and by which client
    sa.Column("enabled", sa.Boolean(), nullable=False),
    sa.Column("agent", sa.String(36), nullable=False),
    # what its device is to be told
    sa.Column("unseen", sa.Integer(), nullable=False),  # messages since it was there
    sa.Column("news", sa.BigInteger(), nullable=False),  # rises with each
    sa.Column("last_message", sa.LargeBinary()),  # sealed; NULL where nothing of it may be told
    sa.Column("call_until", sa.BigInteger(), nullable=False),  # somebody calls; 0 = nobody
    sa.Column("expires_at", sa.BigInteger(), nullable=False),
    sa.Column("due_at", sa.BigInteger(), index=True),  # NULL = nothing is to be told
    sa.Column("told_at", sa.BigInteger(), nullable=False),  # when something was told
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("leased_until", sa.BigInteger(), nullable=False),  # a server is telling it
    key=("node",),
    carried=Carried(stays="made for the key that push services know this region by: devices register anew"),
)

keys = sa.Table(
    "push_keys",
    metadata,
    sa.Column("name", sa.String(8), primary_key=True),
    sa.Column("sealed", sa.LargeBinary(), nullable=False),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
)
