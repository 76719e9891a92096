"""Fixtures of the tests of what goes wrong around the server."""

from tests.databases import databases
from tests.doors import door, over, server_store

__all__ = ["databases", "door", "over", "server_store"]
