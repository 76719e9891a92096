"""What is kept, in SQLite or PostgreSQL; all SQL is in here or in a plugin's own store."""

from .migrate import upgrade
from .store import Store

__all__ = ["Store", "upgrade"]
