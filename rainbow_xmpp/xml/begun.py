"""An element of which only the beginning has arrived."""

from xml.parsers import expat

from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.xml.judge import install_refusals, refuse, refuse_as_expat_did

_PARTS_OF_CHARACTERS = bytes(range(0x80, 0x100))


class Begun:
    """Walks along with an element as it arrives. Knows no namespaces; the whole is judged when it is there."""

    __slots__ = ("_fed", "_parser")

    def __init__(self) -> None:
        self._parser = expat.ParserCreate("UTF-8")
        install_refusals(self._parser)
        self._fed = 0

    def feed(self, buffer: bytes | bytearray, start: int) -> None:
        """`buffer` holds the element from `start` on, more of it at each call; raises PeerViolation."""
        more = bytes(buffer[start + self._fed :])
        self._fed += len(more)
        if b"\0" in more:
            refuse(StreamCondition.NOT_WELL_FORMED, "a zero byte")
        try:
            self._parser.Parse(more, False)
        except expat.ExpatError as error:
            # A character that was cut in two is no violation of UTF-8.
            refuse_as_expat_did(error, more.strip(_PARTS_OF_CHARACTERS))
