"""The states of a stream, and what ends it, without a connection."""

import pytest

from rainbow_xmpp.errors import PeerViolation, SeeOther, StreamCondition
from rainbow_xmpp.sasl import Offer
from rainbow_xmpp.stream import ServerStream, State, StreamSettings, TcpFraming, WebSocketFraming
from rainbow_xmpp.stream.states import TRANSITIONS, Seen

BOTH = pytest.mark.parametrize("framing", [TcpFraming(), WebSocketFraming()], ids=lambda f: f.name)


def stream_in(state: State) -> ServerStream:
    stream = ServerStream(StreamSettings("a.example"), TcpFraming(), Offer.of(["PLAIN"], {}))
    stream.state = state
    return stream


@pytest.mark.parametrize("seen", Seen)
@pytest.mark.parametrize("state", State)
def test_what_the_table_does_not_list_is_a_violation(state: State, seen: Seen) -> None:
    stream = stream_in(state)
    if seen in TRANSITIONS[state]:
        stream.see(seen)
        assert stream.state is TRANSITIONS[state][seen]
        return
    with pytest.raises(PeerViolation) as caught:
        stream.see(seen)
    is_nobody_yet = state in (
        State.SECURING,
        State.NEGOTIATING,
        State.AUTHENTICATING,
        State.ANSWERING,
        State.CONVERSING,
    )
    assert (caught.value.condition is StreamCondition.NOT_AUTHORIZED) is is_nobody_yet
    assert stream.state is state


def test_every_state_can_be_reached_and_left_by_the_end() -> None:
    reached = {state for moves in TRANSITIONS.values() for state in moves.values()}
    assert reached | {State.WAIT_OPEN} == set(State)
    assert all(moves.get(Seen.CLOSE) is State.CLOSED for state, moves in TRANSITIONS.items() if moves)


def test_nobody_is_bound_without_a_proof() -> None:
    """Every way from the first header to a bound resource goes through SASL."""
    proofs = {Seen.SASL_SUCCESS, Seen.PROOF}
    without, last = {State.WAIT_OPEN}, set[State]()
    while without != last:
        last = set(without)
        without |= {to for at in last for seen, to in TRANSITIONS[at].items() if seen not in proofs}
    assert without.isdisjoint({State.BINDING, State.BOUND, State.PROVEN, State.TASKS})


def test_nobody_logs_in_without_tls() -> None:
    without, last = {State.SECURING}, set[State]()
    while without != last:
        last = set(without)
        without |= {to for at in last for seen, to in TRANSITIONS[at].items() if seen is not Seen.START_TLS}
    assert without == {State.SECURING, State.CLOSED}


@BOTH
def test_markup_in_a_reason_stays_text(framing: TcpFraming | WebSocketFraming) -> None:
    violation = PeerViolation(StreamCondition.RESET, "a<b&c", detail="secret")
    said = b"".join(framing.farewell(violation))
    assert b"a&lt;b&amp;c" in said
    assert b"secret" not in said


@BOTH
def test_a_target_is_escaped_where_it_stands(framing: TcpFraming | WebSocketFraming) -> None:
    said = b"".join(framing.farewell(SeeOther("a<b", "wss://a/?'<&")))
    assert b"a&lt;b</see-other-host>" in said or b"'wss://a/?&apos;&lt;&amp;'" in said
