"""Trees: from judged bytes, and back to compact bytes.

A tree is made only for who asks; stanzas that are forwarded stay bytes. Nothing here recurses: depth is
bounded on the way in, and the writer keeps its own stack.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from xml.etree.ElementTree import Element, XMLParser

from rainbow_xmpp.errors import LocalMisuse, PeerViolation, StreamCondition
from rainbow_xmpp.xml import names
from rainbow_xmpp.xml.escaping import escape, escape_attr
from rainbow_xmpp.xml.judge import wrapper

# NCName of XML 1.0 (fifth edition) §2.3 and XML-NAMES §3.
_FIRST = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME = re.compile(f"[{_FIRST}][{_FIRST}.0-9\u00b7\u0300-\u036f\u203f\u2040-]*").fullmatch


def tree_of(data: bytes, inherited_ns: str = "", prefixes: Mapping[str, str] | None = None) -> Element:
    """The tree of one element that the judge has accepted under the same inherited namespaces."""
    parser = XMLParser(encoding="utf-8")  # noqa: S314 (judged: no DOCTYPE, no entities, bounded depth)
    before = wrapper(inherited_ns, prefixes or {})
    if not before:
        parser.feed(data)
        return parser.close()
    parser.feed(before + data + b"</w>")
    wrapped: Element = parser.close()
    return wrapped[0]


def serialise(el: Element, inherited_ns: str = "", *, max_bytes: int = 0) -> bytes:
    """The tree as compact bytes, where the default namespace in force is `inherited_ns`.

    The namespace of an element is declared as default where it changes; attributes of other namespaces than
    that of `xml:lang` get a made-up prefix. The tail of `el` is left out. Raises LocalMisuse for a name or
    node that XML cannot carry; characters it cannot carry become U+FFFD. More than `max_bytes` (0: no
    limit) is a PeerViolation: a peer's prefixes may not grow into many declarations.
    """
    out: list[str] = []
    held = 0
    # What is left to write: an element and the default namespace around it, or a finished piece of text.
    todo: list[str | tuple[Element, str]] = [(el, inherited_ns)]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            out.append(item)
            held += len(item)
            continue
        node, outer_ns = item
        name, ns, start = _start_tag(node, outer_ns)
        held += len(start)
        out.append(start)
        if len(node) or node.text:
            out.append(f">{escape(node.text)}" if node.text else ">")
            todo.append(f"</{name}>")
            _push_children(todo, node, ns)
        else:
            out.append("/>")
        if max_bytes and held > max_bytes:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail=f"more than {max_bytes} bytes")
    return "".join(out).encode()


def _push_children(todo: list[str | tuple[Element, str]], node: Element, ns: str) -> None:
    for child in reversed(node):
        if child.tail:
            todo.append(escape(child.tail))
        todo.append((child, ns))


def _start_tag(node: Element, outer_ns: str) -> tuple[str, str, str]:
    """The name, the namespace and the start tag of `node` as far as its closing `>`."""
    ns, name = _split(node.tag)
    if ns == names.XML:
        # May not be the default namespace (XML-NAMES §3), so its prefix stays and the default goes on.
        name, ns = f"xml:{name}", outer_ns
    parts = [f"<{name}"]
    if ns != outer_ns:
        parts.append(f" xmlns='{escape_attr(ns)}'")
    made_up: dict[str, str] = {}
    for key, value in node.items():
        attr_ns, attr = _split(key)
        if attr == "xmlns" and not attr_ns:
            raise LocalMisuse("namespaces are declared by the writer alone")
        if attr_ns == names.XML:
            attr = f"xml:{attr}"
        elif attr_ns:
            if attr_ns not in made_up:
                made_up[attr_ns] = f"a{len(made_up)}"
                parts.append(f" xmlns:{made_up[attr_ns]}='{escape_attr(attr_ns)}'")
            attr = f"{made_up[attr_ns]}:{attr}"
        parts.append(f" {attr}='{escape_attr(value)}'")
    return name, ns, "".join(parts)


@lru_cache(maxsize=1024)
def _split(tag: object) -> tuple[str, str]:
    """Clark's `{ns}name` as (ns, name), checked; `xml:lang` may be written as such."""
    if not isinstance(tag, str):
        raise LocalMisuse(f"not an element: {tag!r}")
    if tag == "xml:lang":
        return names.XML, "lang"
    ns, brace, name = tag[1:].rpartition("}") if tag.startswith("{") else ("", "}", tag)
    if not brace or not _NAME(name) or ns == names.XMLNS:
        raise LocalMisuse(f"not a name of an element or attribute: {tag!r}")
    return ns, name
