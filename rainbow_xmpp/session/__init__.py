"""Bound resources: what a session is, where it is found, how a connection becomes one."""

from rainbow_xmpp.session.circle import Circle
from rainbow_xmpp.session.session import Session, Wire
from rainbow_xmpp.session.table import Home, SessionTable

__all__ = ["Circle", "Home", "Session", "SessionTable", "Wire"]
