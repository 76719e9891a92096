"""Fixtures of the tests of what goes wrong around the server."""

from tests.databases import databases

__all__ = ["databases"]
