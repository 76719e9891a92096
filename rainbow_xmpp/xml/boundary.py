"""Where a top-level element ends, found in pieces as they arrive and in linear time.

`advance` only looks for the end; whether the piece is XML is the judge's question. A wrong boundary can
therefore only lead to a refusal.
"""

import re
from enum import IntEnum

_NAME = re.compile(rb"<([^\s<>\"'/!?]+)")
_CDATA = b"<![CDATA["
_IN_TAG = re.compile(rb"""["'<>]""")
# A whole start tag, for the usual case that all of it is here.
_WHOLE_TAG = re.compile(rb"""<[^<>"'/!?](?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+>""")


class Mode(IntEnum):
    """What the byte at the position is part of; the last three end the search."""

    TEXT = 0
    TAG = 1
    SINGLE_QUOTED = 2
    DOUBLE_QUOTED = 3
    END_TAG = 4
    CDATA = 5
    DONE = 6
    RESTRICTED = 7
    MALFORMED = 8


TEXT, TAG, SINGLE_QUOTED, DOUBLE_QUOTED, END_TAG, CDATA, DONE, RESTRICTED, MALFORMED = map(int, Mode)


def advance(buffer: bytes | bytearray, pos: int, mode: int, depth: int) -> tuple[int, int, int]:
    """Go on looking from `pos`; returns position, mode and depth to go on from, or a mode that ends it.

    A search begins at the `<` of a start tag with mode TEXT and depth 0; DONE's position is just after the
    element. With depth -1 it ends after the first start tag. Nothing is looked at twice but the few bytes
    of a `<![CDATA[` or `]]>` cut in two, and start tags, at most once more.
    """
    size = len(buffer)
    if pos == 0 and depth == 0 and type(buffer) is bytes and _whole(buffer):
        return size, DONE, 0
    while True:
        if mode == TEXT:
            pos = buffer.find(b"<", pos)
            if pos < 0 or pos + 1 == size:
                return (size if pos < 0 else pos), TEXT, depth
            after = buffer[pos + 1]
            if after == 0x2F:  # /
                mode = END_TAG
            elif after == 0x21:  # !
                opening = buffer[pos : pos + 9]
                if not _CDATA.startswith(opening):
                    return pos, RESTRICTED, depth
                if len(opening) < 9:
                    return pos, TEXT, depth
                pos, mode = pos + 9, CDATA
            elif after == 0x3F:  # ?
                return pos, RESTRICTED, depth
            elif whole := _WHOLE_TAG.match(buffer, pos):
                pos = whole.end()
                if buffer[pos - 2] != 0x2F:
                    depth += 1
                if depth <= 0:
                    return pos, DONE, depth
            else:
                pos, mode = pos + 1, TAG
        elif mode == END_TAG:
            pos = buffer.find(b">", pos)
            if pos < 0:
                return size, END_TAG, depth
            pos, mode, depth = pos + 1, TEXT, depth - 1
            if depth <= 0:
                return pos, DONE, depth
        elif mode == TAG:
            pos, mode, depth = _through_tag(buffer, pos, depth)
            if mode == TAG or mode >= DONE:
                return pos, mode, depth
        elif mode == CDATA:
            end = buffer.find(b"]]>", pos)
            if end < 0:
                return max(pos, size - 2), CDATA, depth
            pos, mode = end + 3, TEXT
        else:
            pos = buffer.find(b'"' if mode == DOUBLE_QUOTED else b"'", pos)
            if pos < 0:
                return size, mode, depth
            pos, mode = pos + 1, TAG


def _through_tag(buffer: bytes | bytearray, pos: int, depth: int) -> tuple[int, int, int]:
    """From within a start tag to its end or to the next quote; still TAG when the data ends before."""
    found = _IN_TAG.search(buffer, pos)
    if not found:
        return len(buffer), TAG, depth
    pos = found.end()
    what = buffer[pos - 1]
    if what == 0x3C:  # <
        return pos, MALFORMED, depth
    if what != 0x3E:
        return pos, DOUBLE_QUOTED if what == 0x22 else SINGLE_QUOTED, depth
    if buffer[pos - 2] != 0x2F:
        depth += 1
    return pos, TEXT if depth > 0 else DONE, depth


def _whole(data: bytes) -> bool:
    """Whether `data` is surely one whole element, if it is XML at all: the usual case, told without a walk.

    So it is when it ends with an end tag of its first name and this name begins only one start tag: each
    end tag needs its start tag. Without `<!` every `<` is markup. If it is not XML, the judge refuses it.
    """
    if data[-1:] != b">" or b"<!" in data or b"<?" in data:
        return False
    first = _NAME.match(data)
    if not first:
        return False
    name = first[1]
    if data.endswith(b"</" + name + b">"):
        return data.count(b"<" + name) == 1
    return data[-2:] == b"/>" and _WHOLE_TAG.fullmatch(data) is not None
