"""Looking into start tags of XML that the judge has accepted; meaningless on anything else."""

import re

from rainbow_xmpp.xml.model import Child, Marks

_NAME = re.compile(rb"<([^\s/>]+)")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=<>/"']+)\s*=\s*("[^"]*"|'[^']*')""")
_START_TAG = re.compile(rb"""<[^\s/>"']++(?:[^"'>]++|"[^"]*+"|'[^']*+')*+>""")
# Any tag; for a start tag its name, its attributes and the slash of an empty element.
_TAG = re.compile(rb"""<(?:/[^>]*+|([^\s/>]++)((?:[^"'>/]++|"[^"]*+"|'[^']*+')*+)(/?))>""")
# The ampersand comes last, so that `&amp;lt;` becomes `&lt;`.
_REFERENCES = (("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", '"'), ("&amp;", "&"))


def start_tag_end(data: bytes, start: int = 0) -> int:
    """The offset just after the start tag (or empty-element tag) that begins at `start`."""
    match = _START_TAG.match(data, start)
    assert match is not None, "the judge accepted this tag"
    return match.end()


def name_of(data: bytes) -> bytes:
    """The qualified name of the tag that `data` begins with; empty when it begins with none."""
    match = _NAME.match(data)
    return match[1] if match else b""


def marks_of(data: bytes) -> Marks:
    """Where the top start tag of `data` can be stamped."""
    match = _NAME.match(data)
    assert match is not None, "the judge accepted this tag"
    pos = name_end = match.end()
    spans = {b"from": (0, 0), b"to": (0, 0)}
    has_xmlns = False
    end = start_tag_end(data)  # never into the text behind it, which may look like more attributes
    while attribute := _ATTRIBUTE.match(data, pos, end):
        pos = attribute.end()
        name = attribute[1]
        if name in spans:
            spans[name] = attribute.span()
        elif name == b"xmlns":
            has_xmlns = True
    return Marks(name_end, *spans[b"from"], *spans[b"to"], has_xmlns)


def children_of(data: bytes, ns: str) -> tuple[Child, ...] | None:
    """The direct children of `data`, whose own namespace is `ns`; None when the judge must tell them.

    Meant for the plain kind: the judge knows CDATA sections, prefixes of children and references in namespaces.
    """
    if b"<![" in data:
        return None
    children: list[Child] = []
    name, child_ns, start, depth = "", "", 0, 0
    for tag in _TAG.finditer(data):
        qualified, attributes, empty = tag.groups()
        if qualified is None:
            depth -= 1
        else:
            if depth == 1:
                found = _default_namespace(attributes, ns)
                if found is None or b":" in qualified:
                    return None
                name, child_ns, start = qualified.decode(), found, tag.start()
            depth += not empty
        if depth == 1 and start and (qualified is None or empty):
            children.append(Child(name, child_ns, start, tag.end()))
    return tuple(children)


def _default_namespace(attributes: bytes, inherited: str) -> str | None:
    """What these attributes make the default namespace; None when it has to be decoded."""
    if b"xmlns" not in attributes:
        return inherited
    for attribute in _ATTRIBUTE.finditer(attributes):
        if attribute[1] == b"xmlns":
            uri = attribute[2][1:-1]
            return None if b"&" in uri else uri.decode()
    return inherited


def text_between(data: bytes, start: int, end: int) -> str | None:
    """The text of the element in `data[start:end]`; None when it has markup, character references or CR."""
    if data.endswith(b"/>", start, end):
        return ""
    inner = data[start_tag_end(data, start) : data.rfind(b"</", start, end)]
    if b"<" in inner or b"&#" in inner or b"\r" in inner:
        return None
    text = inner.decode()
    if "&" in text:
        for reference, character in _REFERENCES:
            text = text.replace(reference, character)
    return text
