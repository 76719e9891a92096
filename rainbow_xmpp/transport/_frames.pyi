"""Frames that need no rule but the simplest, in C."""

def texts(data: bytes, most: int, /) -> tuple[list[bytes], int]:
    """The payloads of whole, final text frames of at most `most` bytes that `data` begins with, and where they end."""
