"""Companies and what they keep from each other: the rule, and what two sides may agree on. No stanza, no socket."""

from rainbow_xmpp.company.access import Action
from rainbow_xmpp.company.policy import Relation, may, relation_by_company, visibility_of

__all__ = ["Action", "Relation", "may", "relation_by_company", "visibility_of"]
