"""The engine in Python alone: expat judges, regular expressions find the places to stamp."""

from collections.abc import Mapping
from typing import NoReturn
from xml.parsers import expat

from rainbow_xmpp.xml import names
from rainbow_xmpp.xml.escaping import escape_attr
from rainbow_xmpp.xml.framer import Framer
from rainbow_xmpp.xml.judge import SEPARATOR, Judge, check_frame
from rainbow_xmpp.xml.model import DEFAULT_LIMITS, NO_LIMITS, Child, Marks, XmlLimits
from rainbow_xmpp.xml.namespace import is_namespace
from rainbow_xmpp.xml.tags import children_of, marks_of, start_tag_end
from rainbow_xmpp.xml.view import ViewQuestions, judge

SCANNER = "python"

__all__ = ["SCANNER", "Framer", "View", "scan", "stamp"]

_LANG = names.XML + SEPARATOR + "lang"


class View(ViewQuestions):
    """One top-level element as received, judged; immutable.

    `data` is exactly one well-formed element; `name` and `ns` are those of its top element, `attrs` its
    decoded attributes without prefix and `xml:lang` (not to be changed). `children` are its direct child
    elements. Made by `scan` only.
    """

    __slots__ = ("_children", "_marks", "attrs", "data", "name", "ns")

    _children: tuple[Child, ...] | None
    _marks: Marks | None

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a view does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a view does not change")

    @property
    def children(self) -> tuple[Child, ...]:  # type: ignore[override]
        """The direct child elements, indexed when first asked for."""
        if self._children is None:
            children = children_of(self.data, self.ns)
            if children is None:
                children = tuple(Judge(self.data, self.ns, None, NO_LIMITS).children)
            _set_children(self, children)
        assert self._children is not None
        return self._children

    @property
    def hints(self) -> int:  # type: ignore[override]
        """All bits: here it is cheaper to look for the children when somebody wants to know (`hint_of`)."""
        return -1

    @property
    def marks(self) -> Marks:
        """Where the start tag can be stamped, found when first asked for."""
        if self._marks is None:
            _set_marks(self, marks_of(self.data))
        assert self._marks is not None
        return self._marks


_set_data = View.__dict__["data"].__set__
_set_name = View.__dict__["name"].__set__
_set_ns = View.__dict__["ns"].__set__
_set_attrs = View.__dict__["attrs"].__set__
_set_children = View.__dict__["_children"].__set__
_set_marks = View.__dict__["_marks"].__set__
_new = View.__new__


def _view(data: bytes, name: str, ns: str, attrs: dict[str, str], children: tuple[Child, ...] | None) -> View:
    view = _new(View)
    _set_data(view, data)
    _set_name(view, name)
    _set_ns(view, ns)
    _set_attrs(view, attrs)
    _set_children(view, children)
    _set_marks(view, None)
    return view


def scan(
    data: bytes,
    inherited_ns: str = "",
    prefixes: Mapping[str, str] | None = None,
    limits: XmlLimits = DEFAULT_LIMITS,
) -> View:
    """Judge one top-level element and look into it; raises PeerViolation.

    `inherited_ns` and `prefixes` are what the element inherits from a TCP stream's start tag. The data of
    the view are the bytes given, unless they use prefixes that do not stand on their own: then they are
    written anew.
    """
    return _scan_quickly(data, inherited_ns, limits) or _view(*judge(data, inherited_ns, prefixes, limits))


class _NotPlainError(Exception):
    """Ends expat's work."""


def _want_plain_declaration(prefix: str | None, uri: str | None) -> None:
    if prefix or (uri and not is_namespace(uri)):
        raise _NotPlainError


def _want_nothing_else(*_: str) -> None:
    raise _NotPlainError


def _scan_quickly(data: bytes, inherited_ns: str, limits: XmlLimits) -> View | None:
    """The view of an element that cannot break a limit and has no prefix; None: the judge must walk over it.

    Counting bytes bounds what it holds, so expat needs no handler that is called for each element. Whatever expat
    does not like goes to the judge, who knows why.
    """
    if (
        data.count(b"<") > min(limits.depth, limits.elements, limits.declarations)
        or data.count(b"=") > limits.attributes
        or len(max(data.split(b"<"), key=len)) > min(limits.name_length, limits.namespace_length)
        or b"xml:id" in data
    ):
        return None
    check_frame(data, limits)
    parser = expat.ParserCreate("UTF-8", SEPARATOR)
    parser.ordered_attributes = True
    top: list[str] = []
    attributes: list[str] = []

    def start(qualified: str, found: list[str]) -> None:
        parser.StartElementHandler = None
        top.append(qualified)
        attributes.extend(found)

    parser.StartElementHandler = start
    parser.StartNamespaceDeclHandler = _want_plain_declaration
    parser.CommentHandler = parser.ProcessingInstructionHandler = _want_nothing_else
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, _NotPlainError):
        return None
    ns, _, name = top[0].rpartition(SEPARATOR)
    if ns == names.XML:
        return None
    if not ns and inherited_ns:
        if b"xmlns" in data[: start_tag_end(data)]:
            return None
        ns = inherited_ns
    attrs = {}
    for key, value in zip(attributes[::2], attributes[1::2], strict=True):
        if SEPARATOR not in key:
            attrs[key] = value
        elif key == _LANG:
            attrs["xml:lang"] = value
    return _view(data, name, ns, attrs, None)


def stamp(view: View, *, from_: str, to: str | None = None) -> bytes:
    """The received bytes with this `from`, this `to` when given, and the namespace declared."""
    name_end, from_start, from_end, to_start, to_end, has_xmlns = view.marks
    data = view.data
    added = f" from='{escape_attr(from_)}'"
    if not has_xmlns and view.ns:
        added = f" xmlns='{escape_attr(view.ns)}'{added}"
    if to is None:
        to_start = to_end = 0
    else:
        added += f" to='{escape_attr(to)}'"
    head = data[:name_end] + added.encode()
    if not to_start:
        if not from_start:
            return head + data[name_end:]
        return head + data[name_end:from_start] + data[from_end:]
    if not from_start:
        return head + data[name_end:to_start] + data[to_end:]
    if from_start < to_start:
        return head + data[name_end:from_start] + data[from_end:to_start] + data[to_end:]
    return head + data[name_end:to_start] + data[to_end:from_start] + data[from_end:]


View._scan = scan
