"""Service discovery as values (XEP-0030): what something is, can do, and has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from rainbow_xmpp.jid import JID
from rainbow_xmpp.stanza.payload import Payload, attr, children
from rainbow_xmpp.xml import Element, names

_LANG = f"{{{names.XML}}}lang"


class Identity(Payload, ns=names.DISCO_INFO, tag="identity"):
    """What something is (§3.1), from the registrar's list of categories and types."""

    category: str = attr()
    type: str = attr()
    name: str = attr(default="")
    lang: str = attr(default="", name=_LANG)


class Feature(Payload, ns=names.DISCO_INFO, tag="feature"):
    """One thing that something can do."""

    var: str = attr()


class DiscoInfo(Payload, ns=names.DISCO_INFO, tag="query"):
    """The answer to a disco#info request; forms (XEP-0128) stand in `extra`."""

    node: str = attr(default="")
    identities: tuple[Identity, ...] = children(default=(), le=100)
    features: tuple[Feature, ...] = children(default=(), le=1000)

    @classmethod
    def of(
        cls,
        identities: Iterable[Identity] = (),
        features: Iterable[str] = (),
        forms: Iterable[Element] = (),
        *,
        node: str = "",
    ) -> Self:
        """From names of features; each of them stands once, in the order of their names."""
        listed = tuple(Feature(name) for name in sorted(set(features)))
        return cls(node, tuple(identities), listed, extra=tuple(forms))

    @property
    def names(self) -> frozenset[str]:
        """The features by name."""
        return frozenset(feature.var for feature in self.features)


class DiscoItem(Payload, ns=names.DISCO_ITEMS, tag="item"):
    """Something that belongs to what was asked (§4.1)."""

    jid: JID = attr()
    node: str = attr(default="")
    name: str = attr(default="")


class DiscoItems(Payload, ns=names.DISCO_ITEMS, tag="query"):
    """The answer to a disco#items request."""

    node: str = attr(default="")
    items: tuple[DiscoItem, ...] = children(default=(), le=10_000)
