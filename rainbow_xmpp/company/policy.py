"""Who may do what with whom: the whole rule, as one function on values.

`docs/admin/isolation.md` shows it as a table, which the tests read.
"""

from __future__ import annotations

from enum import StrEnum

from rainbow_xmpp.company.access import Action
from rainbow_xmpp.store.values import Account, Visibility


class Relation(StrEnum):
    """What two people are to each other; of several the first that holds."""

    COLLEAGUE = "colleague"
    """Of the same company."""
    AUTHORISED = "authorised"
    """One invited the other, who accepted."""
    LINKED = "linked"
    """Of companies that are linked."""
    ORGANISATION = "organisation"
    """Of companies of the same organisation."""
    STRANGER = "stranger"


FINDING = frozenset((Action.SEARCH, Action.PROFILE))
"""What being found means. Being found does not mean being reachable."""

SEARCHES_OUTSIDE = frozenset((Visibility.PUBLIC, Visibility.PRIVATE, Visibility.ORGANISATION))
"""Whose people find public people of other companies."""


# Named once: until CPython 3.12 the name of an enumeration's member is looked up by Python code, and every
# stanza between companies comes by here.
_ISOLATED, _PUBLIC, _AS_COMPANY = Visibility.ISOLATED, Visibility.PUBLIC, Visibility.SAME_THAN_COMPANY
_COLLEAGUE, _LINKED, _STRANGER = Relation.COLLEAGUE, Relation.LINKED, Relation.STRANGER
_AUTHORISED, _ORGANISATION = Relation.AUTHORISED, Relation.ORGANISATION


def may_everything(actor: Visibility, target: Visibility, relation: Relation) -> bool:
    """Whether somebody may do with another whatever they want."""
    if relation is _COLLEAGUE:
        return True
    return (
        (relation is _AUTHORISED or relation is _LINKED)
        and actor is not _ISOLATED
        and target is not _ISOLATED
    )


def may(action: Action, actor: Visibility, target: Visibility, relation: Relation) -> bool:
    """Whether somebody of this effective visibility may do that with somebody of that one."""
    if may_everything(actor, target, relation):
        return True
    if _ISOLATED in (actor, target):
        return False
    if action is Action.INVITE:
        return True
    if action not in FINDING or actor not in SEARCHES_OUTSIDE:
        return False
    if relation is _ORGANISATION:
        return target in (Visibility.PUBLIC, Visibility.ORGANISATION)
    return target is Visibility.PUBLIC


def visibility_of(account: Account) -> Visibility:
    """What counts for an account: its own choice, unless its company is isolated, which nobody chooses to leave."""
    of_company, own = account.company.visibility, account.visibility
    return of_company if own is _AS_COMPANY or of_company is _ISOLATED else own


def relation_by_company(one: Account, other: Account, linked: frozenset[str]) -> Relation:
    """What two people are to each other by their companies; `linked` are those linked to the first one's.

    The public company is a place and no circle of colleagues for those of its people who chose to be less than
    public: to them, and for them, the others there are strangers.
    """
    if one.company.id == other.company.id:
        if not one.company.is_public:
            return _COLLEAGUE
        return _COLLEAGUE if visibility_of(one) is visibility_of(other) is _PUBLIC else _STRANGER
    if other.company.id in linked:
        return _LINKED
    organisation = one.company.organisation
    return _ORGANISATION if organisation and organisation == other.company.organisation else _STRANGER
