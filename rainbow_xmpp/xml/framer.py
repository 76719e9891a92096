"""Cuts a TCP stream (RFC 6120 §4) into its start tag, its top-level elements and its end tag."""

import re
from collections.abc import Callable

from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.xml import tags
from rainbow_xmpp.xml.begun import Begun
from rainbow_xmpp.xml.boundary import CDATA, DONE, MALFORMED, RESTRICTED, TEXT, advance
from rainbow_xmpp.xml.judge import refuse
from rainbow_xmpp.xml.model import Token, TokenKind

Advance = Callable[[bytes | bytearray, int, int, int], tuple[int, int, int]]

Whole = Callable[[bytes, int], list[bytes] | None]

MOST_LEVELS = 512
"""Of an element that has not arrived as a whole; more than any configuration lets the judge accept."""

_BLANK = re.compile(rb"[ \t\r\n]*")
_DECLARATION = re.compile(
    rb"""<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.\d"|'1\.\d')"""
    rb"""(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"(?P<a>[\w.\-]+)"|'(?P<b>[\w.\-]+)'))?"""
    rb"""(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>"""
)


class Framer:
    """Push bytes as they arrive, pull tokens until there is none.

    Boundaries only: every token must still be judged. White space between elements is swallowed (RFC 6120
    §4.6.1). `max_bytes`, which may be changed at any time, bounds each token, finished or not. After the
    stream's end tag everything is thrown away. `push` and `pull` are linear in what was pushed, however it
    was cut; `pull` raises PeerViolation, after which the framer is not to be used.
    """

    __slots__ = (
        "_begun",
        "_buffer",
        "_declared",
        "_depth",
        "_find",
        "_mode",
        "_name",
        "_pos",
        "_start",
        "_state",
        "_whole",
        "max_bytes",
        "met_blanks",
    )

    def __init__(
        self, max_bytes: int = 10_240, find: Advance = advance, whole: Whole = lambda data, max_bytes: None
    ) -> None:
        self.max_bytes = max_bytes
        self.met_blanks = False
        """White space was swallowed; whoever asks sets it back."""
        self._find = find
        self._whole = whole
        # Bytes while a push has met an empty buffer, so that whole elements are never copied.
        self._buffer: bytes | bytearray = b""
        self._begun: Begun | None = None
        self._start = 0  # where the next token begins, all before it has been given out
        self._pos = 0  # how far the search for its end has come
        self._mode = TEXT
        self._depth = 0
        self._state = TokenKind.OPEN
        self._name = b""
        self._declared = False  # an XML declaration has gone before

    @property
    def pending(self) -> int:
        """How many bytes are held."""
        return len(self._buffer) - self._start

    def whole(self, data: bytes) -> list[bytes] | None:
        """The elements in `data`, in place of `push` and `pull`, when they are all there is and nothing is held.

        None where `push` has to decide. Each element must still be judged.
        """
        if self._state is not TokenKind.ELEMENT or self._start != len(self._buffer):
            return None
        return self._whole(data, self.max_bytes)

    def push(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self._start == len(self._buffer):
            self._buffer = data if isinstance(data, bytes) else bytes(data)
            self._start = self._pos = 0
            return
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer[self._start :])
        else:
            del self._buffer[: self._start]
        self._pos -= self._start
        self._start = 0
        self._buffer += data

    def rest(self) -> bytes:
        """What is held and was not given out; the framer is not to be used then."""
        return bytes(self._buffer[self._start :])

    def restart(self) -> None:
        """The stream begins anew (RFC 6120 §4.3.3): the next token is an OPEN. What is held is kept."""
        self._state, self._declared = TokenKind.OPEN, False
        self._pos, self._mode, self._depth = self._start, TEXT, 0

    def pull(self) -> Token | None:
        """The next token, or None until more has been pushed; raises PeerViolation."""
        if self._start == self._pos and not self._begin():
            return None
        self._pos, self._mode, self._depth = self._find(self._buffer, self._pos, self._mode, self._depth)
        if self._mode == DONE:
            return self._finished()
        if self._mode == RESTRICTED:
            refuse(StreamCondition.RESTRICTED_XML, "comment, processing instruction, DOCTYPE or entity")
        if self._mode == MALFORMED:
            refuse(StreamCondition.NOT_WELL_FORMED, "a < inside a tag")
        self._check_size(self.pending)
        return None

    def check_held(self) -> None:
        """Refuse what is held of an element when nothing that follows can make it good; raises PeerViolation.

        Otherwise its end would be waited for in vain, with all that comes after it. To be called when there
        is no token; linear in what was pushed.
        """
        if self._state is not TokenKind.ELEMENT or self._start == self._pos:
            return
        if self._buffer[self._start : self._start + 2] == b"</":
            return  # the beginning of the stream's end tag
        if self._depth > MOST_LEVELS:
            # Before expat keeps 130 bytes for each of them.
            refuse(StreamCondition.POLICY_VIOLATION, f"more than {MOST_LEVELS} levels")
        if self._begun is None:
            head = bytes(self._buffer[self._start : self._start + len(self._name) + 2])
            if tags.name_of(head) == self._name:
                refuse(StreamCondition.POLICY_VIOLATION, "a stream header inside the stream")
            self._begun = Begun()
        self._begun.feed(self._buffer, self._start, in_tag=self._mode not in (TEXT, CDATA))

    def _begin(self) -> bool:
        """Skip to the `<` of the next token, not looked at so far; False when more is needed."""
        buffer = self._buffer
        start = self._start
        if start == len(buffer):
            self._drop_all()
            return False
        if self._state is TokenKind.CLOSE:
            self._drop_all()
            return False
        plain = self._state is TokenKind.ELEMENT and start + 1 < len(buffer) and buffer[start] == 0x3C
        if plain and buffer[start + 1] not in b"/!?":
            self._mode, self._depth = TEXT, 0
            return True
        return self._begin_unusual()

    def _begin_unusual(self) -> bool:
        """As `_begin`, for white space, tags of the stream and what is refused."""
        buffer = self._buffer
        start = self._skip_blanks()
        may_declare = self._state is TokenKind.OPEN and not self._declared
        if may_declare and buffer[start : start + 2] == b"<?":
            if not self._drop_declaration():
                return False
            start = self._skip_blanks()
        head = bytes(buffer[start : start + 2])
        if not head:
            return False
        if head[:1] != b"<":
            before_open = self._state is TokenKind.OPEN
            refuse(
                StreamCondition.NOT_WELL_FORMED if before_open else StreamCondition.BAD_FORMAT,
                "text outside of elements",
            )
        if len(head) < 2:
            return False
        if head == b"<!" or head == b"<?":
            refuse(StreamCondition.RESTRICTED_XML, "comment, processing instruction, DOCTYPE or entity")
        if head == b"</" and self._state is TokenKind.OPEN:
            refuse(StreamCondition.NOT_WELL_FORMED, "an end tag before any start tag")
        self._mode = TEXT
        self._depth = -1 if self._state is TokenKind.OPEN else 1 if head == b"</" else 0
        return True

    def _finished(self) -> Token:
        data = bytes(self._buffer[self._start : self._pos])
        self._start = self._pos
        self._begun = None
        kind = self._state
        if kind is TokenKind.OPEN:
            self._name = tags.name_of(data)
            self._state = TokenKind.ELEMENT
        elif data.startswith(b"</"):
            if data[2:-1].rstrip() != self._name:
                refuse(
                    StreamCondition.NOT_WELL_FORMED,
                    "an end tag that does not belong to the stream's start tag",
                )
            kind = self._state = TokenKind.CLOSE
        self._check_size(len(data))
        return Token(kind, data)

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            refuse(StreamCondition.POLICY_VIOLATION, f"{size} bytes, {self.max_bytes} allowed")

    def _skip_blanks(self) -> int:
        blank = _BLANK.match(self._buffer, self._start)
        assert blank is not None, "it matches nothing too"
        self.met_blanks = self.met_blanks or blank.end() > self._start
        self._start = self._pos = blank.end()
        return self._start

    def _drop_declaration(self) -> bool:
        """Drop the XML declaration, which names no other encoding than UTF-8; False when more is needed."""
        head = bytes(self._buffer[self._start : self._start + 256])
        end = head.find(b"?>") + 2
        if end < 2:
            if len(head) == 256 or not b"<?xml".startswith(head[:5]):
                refuse(StreamCondition.RESTRICTED_XML, "a processing instruction")
            return False
        declaration = _DECLARATION.fullmatch(head, 0, end)
        if not declaration:
            condition = (
                StreamCondition.NOT_WELL_FORMED if head[:5] == b"<?xml" else StreamCondition.RESTRICTED_XML
            )
            refuse(condition, "not an XML declaration")
        encoding = declaration["a"] or declaration["b"] or b"utf-8"
        if encoding.lower() not in (b"utf-8", b"utf8"):
            refuse(StreamCondition.UNSUPPORTED_ENCODING, "not UTF-8")
        self._start = self._pos = self._start + end
        self._declared = True
        return True

    def _drop_all(self) -> None:
        """Keep nothing, so that an idle stream holds no memory."""
        self._buffer = b""
        self._start = self._pos = 0
