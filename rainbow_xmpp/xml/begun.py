"""An element of which only the beginning has arrived."""

from xml.parsers import expat

from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.xml.judge import install_refusals, refuse, refuse_as_expat_did

_PARTS_OF_CHARACTERS = bytes(range(0x80, 0x100))
_SHORT_TAG_BYTES = 2048


class Begun:
    """Walks along with an element as it arrives. Knows no namespaces; the whole is judged when it is there.

    Expat begins a tag anew each time that more of it comes (CVE-2023-52425; not all versions in use are
    mended). So of a tag that has become long, only steps of a quarter of its length are shown to expat.
    """

    __slots__ = ("_fed", "_parser", "_seen", "_tag_start")

    def __init__(self) -> None:
        self._parser = expat.ParserCreate("UTF-8")
        install_refusals(self._parser)
        self._fed = 0  # so much of the element expat has been shown,
        self._seen = 0  # of so much it is known
        self._tag_start = 0  # where its last tag begins

    def feed(self, buffer: bytes | bytearray, start: int, *, in_tag: bool) -> None:
        """`buffer` holds the element from `start` on, more of it at each call, and ends `in_tag` or in text.

        Raises PeerViolation.
        """
        held = len(buffer) - start
        opening = buffer.rfind(b"<", start + self._seen)
        if opening >= 0:
            self._tag_start = opening - start
        self._seen = held
        tag_bytes = held - self._tag_start
        if in_tag and tag_bytes > _SHORT_TAG_BYTES and 4 * (held - self._fed) < tag_bytes:
            return
        more = bytes(buffer[start + self._fed :])
        self._fed = held
        if b"\0" in more:
            refuse(StreamCondition.NOT_WELL_FORMED, "a zero byte")
        try:
            self._parser.Parse(more, False)
        except expat.ExpatError as error:
            # A character that was cut in two is no violation of UTF-8.
            refuse_as_expat_did(error, more.strip(_PARTS_OF_CHARACTERS))
