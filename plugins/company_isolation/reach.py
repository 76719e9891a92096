"""Who reaches whom across companies."""

from rainbow_xmpp.plugin import Account, Visibility


def may_reach(one: Account, other: Account) -> bool:
    """Whether people of two companies may speak: one of them is public, and neither is isolated.

    The same both ways round, or else a public person could be written to and never answer.
    """
    if _is_isolated(one) or _is_isolated(other):
        return False
    return Visibility.PUBLIC in (one.effective_visibility, other.effective_visibility)


def _is_isolated(account: Account) -> bool:
    """By their own choice, or by their company's, which nobody can leave by a choice of their own."""
    return Visibility.ISOLATED in (account.visibility, account.company.visibility)
