"""What must hold of any input to the XML layer: both engines, the judge (expat) and lxml understand it alike."""

from collections.abc import Iterable
from types import ModuleType
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from lxml import etree

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.xml import parse_stream_open, pure
from rainbow_xmpp.xml.model import DEFAULT_LIMITS, XmlLimits, hint_of
from rainbow_xmpp.xml.namespace import is_namespace
from rainbow_xmpp.xml.view import judge

try:
    from rainbow_xmpp.xml import compiled

    ENGINES: tuple[ModuleType, ...] = (pure, compiled)
except ImportError:
    ENGINES = (pure,)

Tree = tuple[str, tuple[tuple[str, str], ...], str, tuple[tuple["Tree", str], ...]]
"""An element as a value: tag, attributes, text, and its children, each with the text behind it."""

LANG = "{http://www.w3.org/XML/1998/namespace}lang"
STAMPS = (("a&b@c/'d\"", None), ("alice@acme.example/ü", "bob@acme.example"), ("x", "<\ud800\x07>"))
ADDED = Element("{urn:example:added}note", {"of": "'\"<"})
ADDED.text = "&"


class Fault(AssertionError):
    """Those who must agree do not; the message holds the input."""


class Outcome(NamedTuple):
    """What one engine made of an input."""

    condition: StreamCondition | None
    fields: tuple[object, ...] = ()
    stamped: tuple[bytes, ...] = ()
    view: Any = None


def outcome(engine: ModuleType, data: bytes, ns: str, prefixes: dict[str, str], limits: XmlLimits) -> Outcome:
    """What `engine` makes of `data`."""
    try:
        view = engine.scan(data, ns, prefixes, limits)
    except PeerViolation as violation:
        return Outcome(violation.condition)
    fields = (view.data, view.name, view.ns, view.attrs, view.children)
    return Outcome(None, fields, tuple(engine.stamp(view, from_=f, to=t) for f, t in STAMPS), view)


def canonical(el: Any) -> Tree:
    """A tree of lxml's or ElementTree's as a value; a comment or processing instruction is a fault."""
    if not isinstance(el.tag, str):
        raise Fault(f"{el.tag} was let through")
    children = tuple((canonical(child), child.tail or "") for child in el)
    return el.tag, tuple(sorted(el.attrib.items())), el.text or "", children


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


def oracle(
    data: bytes,
    ns: str = "",
    prefixes: dict[str, str] | None = None,
    parser: etree.XMLParser | None = None,
) -> etree._Element:
    """The tree by lxml, an independent parser, which must find exactly one element."""
    declared = (f" xmlns={quoteattr(ns)}" if ns else "") + "".join(
        f" xmlns:{p}='{u}'" for p, u in (prefixes or {}).items()
    )
    wrapped = etree.fromstring(f"<w{declared}>".encode() + data + b"</w>", parser or _parser())
    if len(wrapped) != 1 or wrapped.text or wrapped[0].tail:
        raise Fault("more than one element was let through")
    return wrapped[0]


def check(data: bytes, ns: str, prefixes: dict[str, str], limits: XmlLimits = DEFAULT_LIMITS) -> bool:
    """Whether `data` is accepted; raises Fault when those who must agree do not."""
    outcomes = [outcome(engine, data, ns, prefixes, limits) for engine in ENGINES]
    if all(found.condition for found in outcomes):
        # Both have asked the judge; they must have understood the same.
        if len({found.condition for found in outcomes}) > 1:
            raise Fault(f"{data!r} in {ns!r}: refused as {outcomes}")
        if outcomes[0].condition is StreamCondition.NOT_WELL_FORMED:
            _check_refused(data, ns, prefixes)
        return False
    try:
        judged = Outcome(None, tuple(judge(data, ns, prefixes, limits)))
    except PeerViolation as violation:
        judged = Outcome(violation.condition)
    for found in outcomes:
        if found.condition != judged.condition or found.fields != judged.fields:
            raise Fault(f"{data!r} in {ns!r}: {found} but the judge: {judged}")
        if found.stamped != outcomes[0].stamped:
            raise Fault(f"{data!r} in {ns!r}: stamped {found.stamped} or {outcomes[0].stamped}")
    try:
        _check_accepted(data, ns, prefixes, outcomes)
    except (Fault, etree.XMLSyntaxError) as error:
        raise Fault(f"{data!r} in {ns!r}: {error}") from error
    return True


def _check_refused(data: bytes, ns: str, prefixes: dict[str, str]) -> None:
    """What lxml finds to be one element is refused for what XML-NAMES §2.1 says of namespaces only.

    Left out: names that only the fifth edition of XML 1.0 knows, which expat does not read, and what lxml itself
    finds wrong with namespaces, which it only takes down.
    """
    if data[:1] != b"<" or data[-1:] != b">" or data[-3:] == b"]]>":
        return
    parser = _parser()
    try:
        tree = oracle(data, ns, prefixes, parser)
        canonical(tree)
    except (Fault, etree.XMLSyntaxError):
        return
    names = {name for el in tree.iter() for name in (el.tag, *el.attrib, *(p or "" for p in el.nsmap))}
    uris = {uri or "" for el in tree.iter() for uri in el.nsmap.values()}
    if not parser.error_log and all(map(str.isascii, names)) and all(map(is_namespace, uris)):
        raise Fault(f"{data!r} in {ns!r}: refused though it is well-formed")


def _check_accepted(data: bytes, ns: str, prefixes: dict[str, str], outcomes: Iterable[Outcome]) -> None:
    tree = oracle(data, ns, prefixes)
    expected = canonical(tree)
    for found in outcomes:
        view = found.view
        if canonical(oracle(view.data, view.ns)) != expected:
            raise Fault(f"the view's data are another element: {view.data!r}")
        plain = {key: value for key, value in tree.attrib.items() if not key.startswith("{")}
        if lang := tree.get(LANG):
            plain["xml:lang"] = lang
        attrs = {key: value for key, value in view.attrs.items() if key != "xml:lang" or value}
        if tree.tag != _tag(view.ns, view.name) or plain != attrs:
            raise Fault(f"name or attributes: {view.ns} {view.name} {view.attrs}")
        _check_children(view, tree)
        _check_edits(view, expected)
        _check_stamps(found, expected)


def _tag(ns: str, name: str) -> str:
    return f"{{{ns}}}{name}" if ns else name


def _check_children(view: Any, tree: etree._Element) -> None:
    if [_tag(c.ns, c.name) for c in view.children] != [child.tag for child in tree]:
        raise Fault(f"names of children: {view.children}")
    if view.text != "".join(tree.itertext()):
        raise Fault(f"text: {view.text!r}")
    firsts: dict[str, etree._Element] = {}
    for child, expected in zip(view.children, tree, strict=True):
        firsts.setdefault(expected.tag, expected)
        alone = canonical(oracle(view.data[child.start : child.end], view.ns))
        if alone != canonical(expected) or alone != canonical(view.child_element(child)):
            raise Fault(f"child {child}: {alone}")
        if view.text_of(child.name, child.ns) != "".join(firsts[expected.tag].itertext()):
            raise Fault(f"text of {child}")
        if not view.hints & hint_of(child.name):
            raise Fault(f"no hint of {child}")
    if view.has_body and not view.has("body"):
        raise Fault("a body that is not there")


def _check_edits(view: Any, expected: Tree) -> None:
    """Cutting children out and adding one changes that and nothing else."""
    tag, attributes, text, children = expected
    for cut in {(), tuple(range(len(children)))[:1], tuple(range(len(children)))}:
        kept_text, kept = text, []
        for number, (child, tail) in enumerate(children):
            if number not in cut:
                kept.append((child, tail))
            elif kept:
                kept[-1] = (kept[-1][0], kept[-1][1] + tail)
            else:
                kept_text += tail
        less = view.without(*(view.children[number] for number in cut))
        wanted = (tag, attributes, kept_text, tuple(kept))
        if canonical(oracle(less.data, less.ns)) != wanted:
            raise Fault(f"without {cut}: {less.data!r}")
        more = less.plus(ADDED)
        wanted = (tag, attributes, kept_text, (*kept, (canonical(ADDED), "")))
        if canonical(oracle(more.data, more.ns)) != wanted or len(more.children) != len(kept) + 1:
            raise Fault(f"plus: {more.data!r}")


def _check_stamps(found: Outcome, expected: Tree) -> None:
    tag, attributes, text, children = expected
    for (from_, to), stamped in zip(STAMPS, found.stamped, strict=True):
        result = oracle(stamped)
        if result.get("from") != from_ or (to and "\ud800" not in to and result.get("to") != to):
            raise Fault(f"not stamped: {stamped!r}")
        changed = ("from", "to") if to else ("from",)
        for name in changed:
            result.attrib.pop(name, None)
        left = tuple(pair for pair in attributes if pair[0] not in changed)
        if canonical(result) != (tag, left, text, children):
            raise Fault(f"stamping changed more than it should: {stamped!r}")


def check_header(data: bytes) -> bool:
    """Whether `data` begins with what is taken for the start tag of a stream; lxml must read the same in it."""
    tags = []
    for engine in ENGINES:
        framer = engine.Framer()
        framer.push(data)
        try:
            tags.append(framer.pull())
        except PeerViolation:
            tags.append(None)
    if len(set(tags)) > 1:
        raise Fault(f"header {data!r}: {tags}")
    if tags[0] is None:
        return False
    data = tags[0].data
    try:
        found = parse_stream_open(data)
    except PeerViolation:
        return False
    end = b"</" + data[1:].split(b">")[0].split()[0] + b">"
    try:
        tree = etree.fromstring(data + end, _parser())
    except etree.XMLSyntaxError as error:
        raise Fault(f"header {data!r}: {error}") from error
    plain = {key: value for key, value in tree.attrib.items() if not key.startswith("{")}
    attrs = {key: value for key, value in found.attrs.items() if key != "xml:lang"}
    declared = {prefix: uri for prefix, uri in tree.nsmap.items() if prefix is not None}
    if len(tree) or tree.text or plain != attrs or tree.tag != _tag(found.ns, found.name):
        raise Fault(f"header {data!r}: {found}")
    if found.default_ns != (tree.nsmap.get(None) or "") or found.prefixes != declared:
        raise Fault(f"header {data!r}: {found.default_ns} {found.prefixes}")
    return True
