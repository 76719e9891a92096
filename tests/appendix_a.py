"""The tables of RFC 6121 appendix A, written down from its text on their own."""

from collections.abc import Mapping
from typing import NamedTuple

STATES: Mapping[str, tuple[str, bool, bool]] = {
    "None": ("none", False, False),
    "None + Pending Out": ("none", True, False),
    "None + Pending In": ("none", False, True),
    "None + Pending Out+In": ("none", True, True),
    "To": ("to", False, False),
    "To + Pending In": ("to", False, True),
    "From": ("from", False, False),
    "From + Pending Out": ("from", True, False),
    "Both": ("both", False, False),
}
"""Each state (A.1) as subscription, "Pending Out", "Pending In"; by the RFC's name for it."""

MIRRORED: Mapping[str, str] = {
    "None": "None",
    "None + Pending Out": "None + Pending In",
    "None + Pending In": "None + Pending Out",
    "None + Pending Out+In": "None + Pending Out+In",
    "To": "From",
    "To + Pending In": "From + Pending Out",
    "From": "To",
    "From + Pending Out": "To + Pending In",
    "Both": "Both",
}
"""The contact's state when both rosters agree."""

OUTBOUND: Mapping[str, str] = {
    "subscribe": """
        None                  | MUST     | None + Pending Out
        None + Pending Out    | MUST     |
        None + Pending In     | MUST     | None + Pending Out+In
        None + Pending Out+In | MUST     |
        To                    | MUST     |
        To + Pending In       | MUST     |
        From                  | MUST     | From + Pending Out
        From + Pending Out    | MUST     |
        Both                  | MUST     |
    """,
    "unsubscribe": """
        None                  | MUST     |
        None + Pending Out    | MUST     | None
        None + Pending In     | MUST     |
        None + Pending Out+In | MUST     | None + Pending In
        To                    | MUST     | None
        To + Pending In       | MUST     | None + Pending In
        From                  | MUST     |
        From + Pending Out    | MUST     | From
        Both                  | MUST     | From
    """,
    "subscribed": """
        None                  | MUST NOT |
        None + Pending Out    | MUST NOT |
        None + Pending In     | MUST     | From
        None + Pending Out+In | MUST     | From + Pending Out
        To                    | MUST NOT |
        To + Pending In       | MUST     | Both
        From                  | MUST NOT |
        From + Pending Out    | MUST NOT |
        Both                  | MUST NOT |
    """,
    "unsubscribed": """
        None                  | MUST NOT |
        None + Pending Out    | MUST NOT |
        None + Pending In     | MUST     | None
        None + Pending Out+In | MUST     | None + Pending Out
        To                    | MUST NOT |
        To + Pending In       | MUST     | To
        From                  | MUST     | None
        From + Pending Out    | MUST     | None + Pending Out
        Both                  | MUST     | To
    """,
}
"""A.2: existing state, route?, new state ("" = no state change)."""

INBOUND: Mapping[str, str] = {
    "subscribe": """
        None                  | MUST      | None + Pending In
        None + Pending Out    | MUST      | None + Pending Out+In
        None + Pending In     | MUST NOT  |
        None + Pending Out+In | MUST NOT  |
        To                    | MUST      | To + Pending In
        To + Pending In       | MUST NOT  |
        From                  | MUST NOT* |
        From + Pending Out    | MUST NOT* |
        Both                  | MUST NOT* |
    """,
    "unsubscribe": """
        None                  | MUST NOT  |
        None + Pending Out    | MUST NOT  |
        None + Pending In     | MUST*     | None
        None + Pending Out+In | MUST*     | None + Pending Out
        To                    | MUST NOT  |
        To + Pending In       | MUST*     | To
        From                  | MUST*     | None
        From + Pending Out    | MUST*     | None + Pending Out
        Both                  | MUST*     | To
    """,
    "subscribed": """
        None                  | MUST NOT  |
        None + Pending Out    | MUST      | To
        None + Pending In     | MUST NOT  |
        None + Pending Out+In | MUST      | To + Pending In
        To                    | MUST NOT  |
        To + Pending In       | MUST NOT  |
        From                  | MUST NOT  |
        From + Pending Out    | MUST      | Both
        Both                  | MUST NOT  |
    """,
    "unsubscribed": """
        None                  | MUST NOT  |
        None + Pending Out    | MUST      | None
        None + Pending In     | MUST NOT  |
        None + Pending Out+In | MUST      | None + Pending In
        To                    | MUST      | None
        To + Pending In       | MUST      | None + Pending In
        From                  | MUST NOT  |
        From + Pending Out    | MUST      | From
        Both                  | MUST      | From
    """,
}
"""A.3: existing state, deliver?, new state; "*": the server answers for the user."""


REPLIES: Mapping[str, str] = {"subscribe": "subscribed", "unsubscribe": "unsubscribed"}
"""What a server answers for its user (A.3.1, A.3.2)."""


class Row(NamedTuple):
    """A line of a table."""

    kind: str
    before: str
    is_passed_on: bool
    """The stanza is routed, or delivered."""
    is_answered: bool
    """The server answers for its user."""
    after: str


def rows(tables: Mapping[str, str]) -> list[Row]:
    """The lines of all four tables."""
    found = []
    for kind, table in tables.items():
        for line in table.strip().splitlines():
            before, verdict, after = (cell.strip() for cell in line.split("|"))
            found.append(
                Row(
                    kind,
                    before,
                    verdict.startswith("MUST") and "NOT" not in verdict,
                    "*" in verdict,
                    after or before,
                )
            )
    assert len(found) == 36
    return found
