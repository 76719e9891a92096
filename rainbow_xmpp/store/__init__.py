"""What is kept, in SQLite or PostgreSQL; all SQL is in here or in a plugin's own store."""

from rainbow_xmpp.store.migrate import upgrade
from rainbow_xmpp.store.store import Store

__all__ = ["Store", "upgrade"]
