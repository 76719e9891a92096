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


def may(action: Action, actor: Visibility, target: Visibility, relation: Relation) -> bool:
    """Whether somebody of this effective visibility may do that with somebody of that one."""
    if relation is Relation.COLLEAGUE:
        return True
    if Visibility.ISOLATED in (actor, target):
        return False
    if relation in (Relation.AUTHORISED, Relation.LINKED) or action is Action.INVITE:
        return True
    if action not in FINDING or actor not in SEARCHES_OUTSIDE:
        return False
    if relation is Relation.ORGANISATION:
        return target in (Visibility.PUBLIC, Visibility.ORGANISATION)
    return target is Visibility.PUBLIC


def visibility_of(account: Account) -> Visibility:
    """What counts for an account: its own choice, unless its company is isolated, which nobody chooses to leave."""
    if account.company.visibility is Visibility.ISOLATED:
        return Visibility.ISOLATED
    return account.effective_visibility


def relation_by_company(one: Account, other: Account, linked: frozenset[str]) -> Relation:
    """What two people are to each other by their companies; `linked` are those linked to the first one's.

    The public company is a place and no circle of colleagues for those of its people who chose to be less than
    public: to them, and for them, the others there are strangers.
    """
    if one.company.id == other.company.id:
        if not one.company.is_public:
            return Relation.COLLEAGUE
        both = (visibility_of(one), visibility_of(other))
        return Relation.COLLEAGUE if set(both) == {Visibility.PUBLIC} else Relation.STRANGER
    if other.company.id in linked:
        return Relation.LINKED
    organisation = one.company.organisation
    if organisation and organisation == other.company.organisation:
        return Relation.ORGANISATION
    return Relation.STRANGER
