"""What one person may want of another: the questions that are asked about every two people, on every path."""

from enum import StrEnum


class Action(StrEnum):
    """What somebody wants to do with somebody else."""

    SEARCH = "search"
    """Find them by searching."""
    PROFILE = "profile"
    """See who they are: name, company, vCard, avatar, what they can do."""
    PRESENCE = "presence"
    """See whether they are there, and show oneself to them."""
    INVITE = "invite"
    """Ask them to agree, with a first note."""
    MESSAGE = "message"
    """Write to them, and ask their devices things."""
    CALL = "call"
    """Call them."""
    ROOM = "room"
    """Invite them into a room."""
