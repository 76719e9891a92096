"""Bound resources: what a session is, where it is found, how a connection becomes one."""

from rainbow_xmpp.session.circle import Circle
from rainbow_xmpp.session.layer import Layer
from rainbow_xmpp.session.session import ENDED_BY_ADMINISTRATOR, Session, Settling, Wire
from rainbow_xmpp.session.table import Home, SessionTable

__all__ = ["ENDED_BY_ADMINISTRATOR", "Circle", "Home", "Layer", "Session", "SessionTable", "Settling", "Wire"]
