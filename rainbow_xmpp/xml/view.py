"""A stanza as it was received: looked into, but not taken apart.

What both engines share: the questions one can ask a view, and the path by way of expat.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, NamedTuple, Self
from xml.etree.ElementTree import Element

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.xml import names, tags
from rainbow_xmpp.xml.judge import Judge, refuse
from rainbow_xmpp.xml.model import DEFAULT_LIMITS, NO_LIMITS, Child, XmlLimits
from rainbow_xmpp.xml.tree import serialise, tree_of

_NOTHING = b"<![CDATA[]]>"
"""Keeps brackets before an element that is cut out from becoming `]]>` with what stood behind it."""


class ViewQuestions:
    """What one can ask a view; its fields are the engine's, which also sets `_scan`."""

    __slots__ = ()

    data: bytes
    name: str
    ns: str
    attrs: dict[str, str]
    children: tuple[Child, ...]
    hints: int
    has_body: bool = False
    """There is a direct child `<body/>` in the view's own namespace, which was seen in passing; False where one has to
    look."""
    _scan: ClassVar[Callable[..., object]]

    def child(self, name: str, ns: str | None = None) -> Child | None:
        """The first direct child of that name, in the view's own namespace unless `ns` says another."""
        wanted = self.ns if ns is None else ns
        for child in self.children:
            if child.name == name and child.ns == wanted:
                return child
        return None

    def has(self, name: str, ns: str | None = None) -> bool:
        """Whether there is such a direct child; `ns` as in `child`."""
        return self.child(name, ns) is not None

    def text_of(self, name: str, ns: str | None = None) -> str | None:
        """All text inside the first such child, "" when it has none; None when there is no such child."""
        found = self.child(name, ns)
        if found is None:
            return None
        text = tags.text_between(self.data, found.start, found.end)
        if text is not None:
            return text
        return "".join(self.child_element(found).itertext())

    @property
    def text(self) -> str:
        """All text inside the element, without a tree where it is plain."""
        plain = tags.text_between(self.data, 0, len(self.data))
        return plain if plain is not None else "".join(self.element().itertext())

    def element(self) -> Element:
        """The whole as a tree, made anew at each call."""
        return tree_of(self.data, self.ns)

    def child_element(self, child: Child) -> Element:
        """One of `children` as a tree, made anew at each call."""
        return tree_of(self.data[child.start : child.end], self.ns)

    def without(self, *children: Child) -> Self:
        """The same element with these of its children cut out."""
        kept, pos = [], 0
        for child in sorted(children, key=lambda c: c.start):
            kept.append(self.data[pos : child.start])
            if kept[-1].endswith(b"]"):
                kept.append(_NOTHING)
            pos = child.end
        return self._again(b"".join([*kept, self.data[pos:]]))

    def plus(self, *elements: Element) -> Self:
        """The same element with these added behind its children."""
        added = b"".join(serialise(el, self.ns) for el in elements)
        if self.data.endswith(b"/>") and tags.start_tag_end(self.data) == len(self.data):
            end = b"></" + tags.name_of(self.data) + b">"
            return self._again(self.data[:-2] + end[:1] + added + end[1:])
        end_tag = self.data.rindex(b"</")
        return self._again(self.data[:end_tag] + added + self.data[end_tag:])

    def _again(self, data: bytes) -> Self:
        view = type(self)._scan(data, "" if self.ns == "" else self.ns, {}, NO_LIMITS)
        assert isinstance(view, type(self))
        return view

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {len(self.data)} bytes>"


class Judged(NamedTuple):
    """What the judge found: the fields of a view."""

    data: bytes
    name: str
    ns: str
    attrs: dict[str, str]
    children: tuple[Child, ...]


def judge(data: bytes, inherited_ns: str, prefixes: Mapping[str, str] | None, limits: XmlLimits) -> Judged:
    """Judge by way of expat; raises PeerViolation.

    An element whose top tag has or declares a prefix, or that needs a prefix of its stream, is written anew,
    so that a view's top tag is never prefixed and each child's bytes stand on their own.
    """
    inherited: Mapping[str, str] | None = None
    try:
        found = Judge(data, inherited_ns, None, limits)
    except PeerViolation as violation:
        if not prefixes or violation.condition is not StreamCondition.BAD_NAMESPACE_PREFIX:
            raise
        inherited = prefixes
        found = Judge(data, inherited_ns, inherited, limits)
    if found.ns == names.XML:
        refuse(StreamCondition.INVALID_NAMESPACE, "an element of the xml namespace")
    if found.top_prefixed or found.top_prefixes or inherited:
        data = serialise(tree_of(data, inherited_ns, inherited), max_bytes=limits.max_bytes)
        # Each made-up prefix is a declaration of its own.
        rewritten = replace(limits, attributes=2 * limits.attributes, declarations=limits.max_bytes)
        found = Judge(data, "", None, rewritten)
    return Judged(data, found.name, found.ns, found.attrs, tuple(found.children))


def parse(
    data: bytes,
    inherited_ns: str = "",
    prefixes: Mapping[str, str] | None = None,
    limits: XmlLimits = DEFAULT_LIMITS,
) -> Element:
    """One element as a tree, judged by the same rules as `scan`; raises PeerViolation."""
    Judge(data, inherited_ns, prefixes, limits)
    return tree_of(data, inherited_ns, prefixes)
