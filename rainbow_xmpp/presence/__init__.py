"""Presence: who hears of whom (RFC 6121 §4)."""

from rainbow_xmpp.presence.service import PresenceService

__all__ = ["PresenceService"]
