"""Fixtures of the unit tests: a store on each kind of database."""

from tests.databases import database_url, databases, empty_database_url, kind, store

__all__ = ["database_url", "databases", "empty_database_url", "kind", "store"]
