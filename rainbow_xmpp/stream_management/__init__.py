"""Stream management (XEP-0198): what was received is acknowledged, and a lost connection ends no session."""

from rainbow_xmpp.stream_management.service import StreamManagement

__all__ = ["StreamManagement"]
