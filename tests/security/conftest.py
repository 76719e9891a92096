"""Fixtures of the security tests."""

from tests.doors import door, over, server_store, source, strict, strict_door, strict_process, tcp, wss

__all__ = ["door", "over", "server_store", "source", "strict", "strict_door", "strict_process", "tcp", "wss"]
