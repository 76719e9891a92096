"""Subscription states: the tables of RFC 6121 appendix A, pre-approval, and the ends of roster items."""

from dataclasses import replace

import pytest

from rainbow_xmpp.roster.subscription import inbound, outbound, removal, renamed, state_of
from rainbow_xmpp.store.values import RosterItem, Subscription
from tests.appendix_a import INBOUND, OUTBOUND, REPLIES, STATES, Row, rows

CONTACT = "contact@example.net"
STANZA = b"<presence type='subscribe' from='contact@example.net'/>"


def item_in(state: str, **more: object) -> RosterItem:
    subscription, ask, pending_in = STATES[state]
    return RosterItem(
        contact=CONTACT,
        name="Friend",
        groups=("Friends",),
        subscription=Subscription(subscription),
        ask=ask,
        pending_in=pending_in,
        request=STANZA if pending_in else None,
        **more,  # type: ignore[arg-type]
    )


def name_of(item: RosterItem | None) -> str:
    if item is None:
        return "None"
    key = (str(item.subscription), item.ask, item.pending_in)
    return next(name for name, state in STATES.items() if state == key)


def named(row: Row) -> str:
    return f"{row.kind} in {row.before}"


@pytest.mark.parametrize("row", rows(OUTBOUND), ids=named)
def test_what_our_user_sends_moves_the_state_as_the_rfc_says(row: Row) -> None:
    decision = outbound(item_in(row.before), row.kind, CONTACT)
    assert name_of(decision.item) == row.after
    assert decision.route is row.is_passed_on
    assert decision.item is not None
    assert (decision.item.name, decision.item.groups) == ("Friend", ("Friends",))


@pytest.mark.parametrize("row", rows(INBOUND), ids=named)
def test_what_the_contact_sends_moves_the_state_as_the_rfc_says(row: Row) -> None:
    decision = inbound(item_in(row.before), row.kind, CONTACT, STANZA)
    assert name_of(decision.item) == row.after
    assert decision.deliver is row.is_passed_on
    assert decision.auto_reply == (REPLIES[row.kind] if row.is_answered else None)
    assert decision.item is not None
    assert (decision.item.name, decision.item.groups) == ("Friend", ("Friends",))


@pytest.mark.parametrize("row", rows(OUTBOUND) + rows(INBOUND), ids=named)
def test_a_request_is_kept_exactly_while_it_is_pending(row: Row) -> None:
    for decision in (
        outbound(item_in(row.before), row.kind, CONTACT),
        inbound(item_in(row.before), row.kind, CONTACT, STANZA),
    ):
        assert decision.item is not None
        assert (decision.item.request is not None) is decision.item.pending_in


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_recognised(state: str) -> None:
    assert state_of(item_in(state)).value == (
        Subscription(STATES[state][0]),
        STATES[state][1],
        STATES[state][2],
    )
    assert state_of(None).value == (Subscription.NONE, False, False)


# -- contacts of whom nothing is kept yet --------------------------------------------------------------


def test_asking_somebody_new_puts_them_into_the_roster() -> None:
    decision = outbound(None, "subscribe", CONTACT)
    assert decision.route
    assert decision.item == RosterItem(contact=CONTACT, ask=True)
    assert decision.item is not None and decision.item.visible


def test_leaving_somebody_unknown_is_passed_on_and_keeps_nothing() -> None:
    decision = outbound(None, "unsubscribe", CONTACT)
    assert (decision.item, decision.route) == (None, True)


def test_refusing_somebody_who_never_asked_does_nothing() -> None:
    decision = outbound(None, "unsubscribed", CONTACT)
    assert (decision.item, decision.route) == (None, False)


def test_a_strangers_request_is_kept_whole_but_is_not_in_the_roster() -> None:
    decision = inbound(None, "subscribe", CONTACT, STANZA)
    assert decision.deliver
    assert decision.item == RosterItem(contact=CONTACT, pending_in=True, request=STANZA, listed=False)
    assert decision.item is not None and not decision.item.visible


def test_approving_a_stranger_puts_them_into_the_roster() -> None:
    asked = inbound(None, "subscribe", CONTACT, STANZA).item
    decision = outbound(asked, "subscribed", CONTACT)
    assert decision.route
    assert decision.item == RosterItem(contact=CONTACT, subscription=Subscription.FROM)
    assert decision.item is not None and decision.item.visible


def test_asking_back_puts_a_stranger_into_the_roster_and_keeps_the_request() -> None:
    asked = inbound(None, "subscribe", CONTACT, STANZA).item
    item = outbound(asked, "subscribe", CONTACT).item
    assert item == RosterItem(contact=CONTACT, ask=True, pending_in=True, request=STANZA)


@pytest.mark.parametrize("kind", ["unsubscribed", "unsubscribe"], ids=["refused by us", "withdrawn by them"])
def test_a_strangers_request_that_ends_leaves_nothing(kind: str) -> None:
    asked = inbound(None, "subscribe", CONTACT, STANZA).item
    if kind == "unsubscribed":
        decision = outbound(asked, kind, CONTACT)
        assert (decision.item, decision.route) == (None, True)
    else:
        withdrawn = inbound(asked, kind, CONTACT, b"")
        assert (withdrawn.item, withdrawn.deliver) == (None, True)


def test_a_listed_contact_whose_request_ends_stays_in_the_roster() -> None:
    decision = outbound(item_in("None + Pending In"), "unsubscribed", CONTACT)
    assert decision.item == item_in("None")


@pytest.mark.parametrize("kind", ["unsubscribe", "subscribed", "unsubscribed"])
def test_what_a_stranger_has_no_right_to_send_is_ignored(kind: str) -> None:
    decision = inbound(None, kind, CONTACT, STANZA)
    assert (decision.item, decision.deliver, decision.auto_reply) == (None, False, None)


def test_a_second_request_does_not_replace_the_first() -> None:
    asked = inbound(None, "subscribe", CONTACT, STANZA).item
    decision = inbound(asked, "subscribe", CONTACT, b"<presence>again</presence>")
    assert (decision.item, decision.deliver) == (asked, False)


# -- pre-approval (RFC 6121 §3.4) ----------------------------------------------------------------------


def test_approving_somebody_new_beforehand_notes_it_and_tells_nobody() -> None:
    decision = outbound(None, "subscribed", CONTACT)
    assert decision.item == RosterItem(contact=CONTACT, approved=True)
    assert not decision.route


@pytest.mark.parametrize("state", ["None", "None + Pending Out", "To"])
def test_approving_a_contact_beforehand_changes_nothing_else(state: str) -> None:
    decision = outbound(item_in(state), "subscribed", CONTACT)
    assert decision.item == replace(item_in(state), approved=True)
    assert not decision.route


@pytest.mark.parametrize("state", ["From", "From + Pending Out", "Both"])
def test_approving_who_sees_us_already_is_ignored(state: str) -> None:
    decision = outbound(item_in(state), "subscribed", CONTACT)
    assert (decision.item, decision.route) == (item_in(state), False)


@pytest.mark.parametrize(
    ("before", "after"),
    [("None", "From"), ("None + Pending Out", "From + Pending Out"), ("To", "Both")],
)
def test_a_request_that_was_approved_beforehand_is_granted_without_asking(before: str, after: str) -> None:
    approved = outbound(item_in(before), "subscribed", CONTACT).item
    decision = inbound(approved, "subscribe", CONTACT, STANZA)
    assert (name_of(decision.item), decision.deliver) == (after, False)
    assert decision.auto_reply == "subscribed"
    assert decision.item is not None and decision.item.request is None


@pytest.mark.parametrize(
    ("state", "after", "route"),
    [("None", "None", False), ("To", "To", False), ("From", "None", True), ("Both", "To", True)],
)
def test_a_refusal_ends_the_approval(state: str, after: str, route: bool) -> None:
    decision = outbound(item_in(state, approved=True), "unsubscribed", CONTACT)
    assert (name_of(decision.item), decision.route) == (after, route)
    assert decision.item is not None and not decision.item.approved
    again = inbound(decision.item, "subscribe", CONTACT, STANZA)
    assert (again.deliver, again.auto_reply) == (True, None)


# -- removing and renaming (RFC 6121 §2.3 to §2.5) -----------------------------------------------------


@pytest.mark.parametrize(
    ("state", "send"),
    [
        ("None", ()),
        ("None + Pending Out", ("unsubscribe",)),
        ("None + Pending In", ("unsubscribed",)),
        ("None + Pending Out+In", ("unsubscribe", "unsubscribed")),
        ("To", ("unsubscribe",)),
        ("To + Pending In", ("unsubscribe", "unsubscribed")),
        ("From", ("unsubscribed",)),
        ("From + Pending Out", ("unsubscribe", "unsubscribed")),
        ("Both", ("unsubscribe", "unsubscribed")),
    ],
)
def test_removing_a_contact_ends_what_is_between_the_two(state: str, send: tuple[str, ...]) -> None:
    assert (removal(item_in(state)).item, removal(item_in(state)).send) == (None, send)


def test_naming_a_stranger_puts_them_into_the_roster_with_the_request_pending() -> None:
    asked = inbound(None, "subscribe", CONTACT, STANZA).item
    assert asked is not None
    named = renamed(asked, "Eve", ("Work",))
    assert named == replace(asked, name="Eve", groups=("Work",), listed=True)
    assert named.visible


@pytest.mark.parametrize("kind", ["probe", "", "unavailable"])
def test_other_kinds_of_presence_are_our_own_mistake(kind: str) -> None:
    with pytest.raises(KeyError):
        outbound(None, kind, CONTACT)
    with pytest.raises(KeyError):
        inbound(None, kind, CONTACT, STANZA)
