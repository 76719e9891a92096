"""The judge: what expat accepts under our rules is XML, everything else closes the stream.

Bytes are forwarded as received only after the judge has accepted every one of them. It knows namespaces,
takes UTF-8 only, and refuses what RFC 6120 §11.1 forbids at first sight: DOCTYPE (and so every entity but
the five), comments and processing instructions. Nothing is fed to expat in pieces, because a long
unfinished token costs expat quadratic time (CVE-2023-52425).
"""

from collections.abc import Mapping
from typing import Final, NoReturn
from xml.parsers import expat

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.xml import names, tags
from rainbow_xmpp.xml.escaping import escape_attr
from rainbow_xmpp.xml.model import Child, XmlLimits
from rainbow_xmpp.xml.namespace import is_namespace

# Cannot stand in XML, so no namespace name can hold it.
SEPARATOR: Final = "\x0c"

_CODES = expat.errors.codes
_CONDITIONS: Final = {
    # Every entity but the five (RFC 6120 §11.1).
    _CODES[expat.errors.XML_ERROR_UNDEFINED_ENTITY]: StreamCondition.RESTRICTED_XML,
    _CODES[expat.errors.XML_ERROR_MISPLACED_XML_PI]: StreamCondition.RESTRICTED_XML,
    _CODES[expat.errors.XML_ERROR_UNBOUND_PREFIX]: StreamCondition.BAD_NAMESPACE_PREFIX,
}


def refuse(condition: StreamCondition, detail: str) -> NoReturn:
    """Close the peer's stream with this condition."""
    raise PeerViolation(condition, detail=detail)


def refuse_as_expat_did(error: expat.ExpatError, data: bytes) -> NoReturn:
    """Close the peer's stream with the condition for what expat complained about."""
    condition = _CONDITIONS.get(error.code, StreamCondition.NOT_WELL_FORMED)
    try:
        data.decode()
    except UnicodeDecodeError:
        condition = StreamCondition.UNSUPPORTED_ENCODING  # RFC 6120 §4.9.3.22 names violations of UTF-8
    refuse(condition, f"not XML: {expat.ErrorString(error.code)}")


def check_frame(data: bytes, limits: XmlLimits) -> None:
    """Refuse what is too long or cannot be exactly one element (RFC 7395 §3.3.3)."""
    if len(data) > limits.max_bytes:
        refuse(StreamCondition.POLICY_VIOLATION, f"{len(data)} bytes, {limits.max_bytes} allowed")
    if data[:1] != b"<" or data[-1:] != b">":
        refuse(StreamCondition.NOT_WELL_FORMED, "not exactly one element")
    if data[1:2] in (b"!", b"?"):
        refuse(StreamCondition.RESTRICTED_XML, "DOCTYPE, comment, declaration or processing instruction")
    if b"\0" in data:
        # Expat would guess at UTF-16 from a zero in the second byte, whatever encoding it was told.
        refuse(StreamCondition.NOT_WELL_FORMED, "a zero byte")


def wrapper(inherited_ns: str, prefixes: Mapping[str, str]) -> bytes:
    """The start tag `<w>` that declares what a stanza inherits from its stream, if anything."""
    if not inherited_ns and not prefixes:
        return b""
    declared = [f" xmlns='{escape_attr(inherited_ns)}'"] if inherited_ns else []
    declared += [f" xmlns:{p}='{escape_attr(ns)}'" for p, ns in prefixes.items() if p != "xml"]
    return f"<w{''.join(declared)}>".encode()


def _refuse_restricted(*_: object) -> None:
    refuse(StreamCondition.RESTRICTED_XML, "comment, processing instruction, DOCTYPE or entity")


def install_refusals(parser: expat.XMLParserType) -> None:
    """Make `parser` refuse everything that RFC 6120 §11.1 forbids."""
    parser.CommentHandler = _refuse_restricted
    parser.ProcessingInstructionHandler = _refuse_restricted
    parser.StartDoctypeDeclHandler = _refuse_restricted
    parser.EntityDeclHandler = _refuse_restricted
    parser.SkippedEntityHandler = _refuse_restricted
    parser.XmlDeclHandler = _refuse_restricted


class Judge:
    """Walks once over one top-level element and keeps what a view needs to know; raises PeerViolation.

    What the element inherits is declared on a wrapper around it, at depth 0.
    """

    def __init__(
        self, data: bytes, inherited_ns: str, prefixes: Mapping[str, str] | None, limits: XmlLimits
    ) -> None:
        check_frame(data, limits)
        before = wrapper(inherited_ns, prefixes or {})
        self._data = data
        self._limits = limits
        self._shift = len(before)
        self._depth = -1 if before else 0
        self._elements = 0
        self._declarations = 0
        self._declared_here: dict[str, str] = {}
        self._child = ("", "")
        self._starts = [0, 0, 0]  # where the open elements of depth 1 and 2 begin
        self._end_of_top = 0
        self.name = ""
        self.ns = ""
        self.attrs: dict[str, str] = {}
        self.children: list[Child] = []
        self.top_prefixed = False
        self.top_prefixes: dict[str, str] = {}
        self.top_default_ns: str | None = None
        self._parser = self._new_parser()
        try:
            self._parser.Parse(before + data + b"</w>" if before else data, True)
        except expat.ExpatError as error:
            refuse_as_expat_did(error, data)
        finally:
            # The parser's handlers know us and we know the parser: without this, what expat holds (10 KiB) would
            # stay until the garbage collector comes by, which is seldom.
            self._parser.StartElementHandler = None
            self._parser.EndElementHandler = None
            self._parser.StartNamespaceDeclHandler = None
            del self._parser
        if self._end_of_top != len(data):
            refuse(StreamCondition.NOT_WELL_FORMED, "not exactly one element")

    def _new_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("UTF-8", SEPARATOR)
        parser.namespace_prefixes = True
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartNamespaceDeclHandler = self._declare
        install_refusals(parser)
        return parser

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        limits = self._limits
        uri = uri or ""
        self._declarations += 1
        self._declared_here[prefix or ""] = uri
        if self._depth < 0:
            return
        if self._declarations > limits.declarations or len(uri) > limits.namespace_length:
            refuse(StreamCondition.POLICY_VIOLATION, "too many or too long namespace declarations")
        if prefix and len(prefix) > limits.name_length:
            refuse(StreamCondition.POLICY_VIOLATION, "a prefix too long")
        if not is_namespace(uri):
            refuse(StreamCondition.NOT_WELL_FORMED, "a namespace that is no URI")

    def _start(self, qualified: str, attributes: list[str]) -> None:
        declared, self._declared_here = self._declared_here, {}
        self._depth += 1
        if self._depth == 0:
            self._declarations = 0
            return
        self._elements += 1
        self._check_element(len(attributes) // 2 + len(declared))
        ns, name = self._split(qualified)
        if self._depth <= 2:
            self._starts[self._depth] = self._parser.CurrentByteIndex - self._shift
        if self._depth == 1:
            if self.name:
                refuse(StreamCondition.NOT_WELL_FORMED, "not exactly one element")
            self.name, self.ns = name, ns
            self.top_prefixed = qualified.count(SEPARATOR) == 2
            self.top_default_ns = declared.pop("", None)
            self.top_prefixes = declared
        elif self._depth == 2:
            self._child = (name, ns)
        for attribute, value in zip(attributes[::2], attributes[1::2], strict=True):
            ns, name = self._split(attribute)
            if ns == names.XML and name == "id":
                # Receivers' parsers that know it drop the stream when its value is no name (libxml2 in lxml).
                refuse(StreamCondition.RESTRICTED_XML, "an xml:id")
            if self._depth == 1 and not ns:
                self.attrs[name] = value
            elif self._depth == 1 and ns == names.XML and name == "lang":
                self.attrs["xml:lang"] = value

    def _check_element(self, attributes: int) -> None:
        limits = self._limits
        if self._depth > limits.depth:
            refuse(StreamCondition.POLICY_VIOLATION, f"more than {limits.depth} levels")
        if self._elements > limits.elements:
            refuse(StreamCondition.POLICY_VIOLATION, f"more than {limits.elements} elements")
        if attributes > limits.attributes:
            refuse(StreamCondition.POLICY_VIOLATION, f"more than {limits.attributes} attributes")

    def _split(self, qualified: str) -> tuple[str, str]:
        """Expat's `ns name prefix`, where ns and prefix may be absent, as (ns, name)."""
        ns, name = qualified.split(SEPARATOR)[:2] if SEPARATOR in qualified else ("", qualified)
        if len(name) > self._limits.name_length:
            refuse(StreamCondition.POLICY_VIOLATION, "a name too long")
        return ns, name

    def _end(self, _: str) -> None:
        depth = self._depth
        self._depth = depth - 1
        if depth == 1:
            self._end_of_top = self._end_here(self._starts[1])
        elif depth == 2:
            start = self._starts[2]
            self.children.append(Child(*self._child, start, self._end_here(start)))

    def _end_here(self, start: int) -> int:
        """The offset just after the element that began at `start` and whose end is being reported."""
        start_tag_end = tags.start_tag_end(self._data, start)
        if self._data[start_tag_end - 2] == 0x2F:  # `/>`
            return start_tag_end
        # Not found when it is the wrapper's end tag that ends an unfinished `<w>` of the peer: expat will object.
        return self._data.find(b">", self._parser.CurrentByteIndex - self._shift) + 1
