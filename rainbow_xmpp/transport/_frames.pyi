"""Frames that need no rule but the simplest, in C."""

def texts(data: bytes, most: int, /) -> list[bytes] | None:
    """The payloads in `data` when it is nothing but whole, final text frames of at most `most` bytes, else None."""
