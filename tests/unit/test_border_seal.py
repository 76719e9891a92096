"""Sealed requests open for whom they are meant, for what they are meant, and prove who sent them."""

import pytest

from rainbow_xmpp.border import MOST_BYTES
from rainbow_xmpp.border.seal import (
    FRESH_S,
    OVERHEAD_BYTES,
    InvalidRegionKey,
    NotForUs,
    Outcome,
    Seals,
    new_key,
    public_key,
)

NOW = 1_700_000_000.0
PRIVATE = {name: new_key() for name in ("emea", "de", "na")}
PUBLIC = {name: [public_key(key)] for name, key in PRIVATE.items()}
SECRET = b"canary-7f3a"


def seals(name: str, **keys: list[str]) -> Seals:
    return Seals(name, [PRIVATE[name]], PUBLIC | keys)


def test_a_request_opens_at_its_destination_and_proves_its_origin() -> None:
    sealed, opens = seals("emea").seal("de", "home", SECRET, NOW)
    request = seals("de").open("home", sealed, NOW + 1)
    assert (request.origin, request.body, request.is_fresh) == ("emea", SECRET, True)
    answer = opens.open(request.answer.seal(Outcome.ANSWERED, b"yes", NOW + 2))
    assert (answer.outcome, answer.at, answer.body) == (Outcome.ANSWERED, NOW + 2, b"yes")


def test_what_is_seen_on_the_way_says_nothing_and_is_never_the_same() -> None:
    first, _ = seals("emea").seal("de", "home", SECRET, NOW)
    second, _ = seals("emea").seal("de", "home", SECRET, NOW)
    assert SECRET not in first and b"home" not in first and b"emea" not in first
    assert first[25:] != second[25:]
    assert len(first) <= len(SECRET) + OVERHEAD_BYTES
    request = seals("de").open("home", first, NOW)
    answers = {request.answer.seal(Outcome.ANSWERED, SECRET, NOW) for _ in range(2)}
    assert len(answers) == 2 and not any(SECRET in each for each in answers)
    assert MOST_BYTES + OVERHEAD_BYTES < 2**20  # what NATS takes as it comes


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_a_changed_byte_is_found(at: int) -> None:
    sealed = bytearray(seals("emea").seal("de", "home", b"x" * 200, NOW)[0])
    sealed[at] ^= 1
    with pytest.raises(NotForUs):
        seals("de").open("home", bytes(sealed), NOW)


def test_a_request_opens_nowhere_else_and_for_nothing_else() -> None:
    sealed, _ = seals("emea").seal("de", "home", SECRET, NOW)
    for receiver, service in (("na", "home"), ("de", "deliver"), ("emea", "home")):
        with pytest.raises(NotForUs):
            seals(receiver).open(service, sealed, NOW)
    for rubbish in (b"", b"\x01", sealed[:70], b"\x02" + sealed[1:]):
        with pytest.raises(NotForUs):
            seals("de").open("home", rubbish, NOW)


def test_a_third_region_cannot_speak_for_another() -> None:
    stranger = Seals("emea", [PRIVATE["na"]], PUBLIC | {"emea": PUBLIC["na"]})
    sealed, _ = stranger.seal("de", "home", SECRET, NOW)
    with pytest.raises(NotForUs):  # it was sealed as by emea, and the key is na's
        seals("de").open("home", sealed, NOW)


@pytest.mark.parametrize(
    ("age_s", "is_fresh"), [(FRESH_S, True), (-FRESH_S, True), (FRESH_S + 1, False), (-61, False)]
)
def test_what_was_recorded_is_old_after_a_minute(age_s: float, is_fresh: bool) -> None:
    sealed, _ = seals("emea").seal("de", "home", b"", NOW)
    assert seals("de").open("home", sealed, NOW + age_s).is_fresh is is_fresh


def test_an_answer_belongs_to_its_request() -> None:
    asking, answering = seals("emea"), seals("de")
    first, opens_first = asking.seal("de", "home", b"1", NOW)
    second, _ = asking.seal("de", "home", b"2", NOW)
    other = answering.open("home", second, NOW).answer.seal(Outcome.ANSWERED, b"2", NOW)
    right = answering.open("home", first, NOW).answer.seal(Outcome.ANSWERED, b"1", NOW)
    for wrong in (other, b"", right[:-1], bytes(12) + right[12:], first):
        with pytest.raises(NotForUs):
            opens_first.open(wrong)
    assert opens_first.open(right).body == b"1"


def test_a_key_is_replaced_while_everybody_goes_on() -> None:
    """emea's nodes have both private keys first; regions.toml reaches the others one by one, emea last."""
    new = new_key()
    before, after = PUBLIC, PUBLIC | {"emea": [public_key(new), *PUBLIC["emea"]]}
    for emea_knows, de_knows in ((before, before), (before, after), (after, after)):
        emea = Seals("emea", [new, PRIVATE["emea"]], emea_knows)
        de = Seals("de", [PRIVATE["de"]], de_knows)
        assert de.open("home", emea.seal("de", "home", b"out", NOW)[0], NOW).body == b"out"
        assert emea.open("home", de.seal("emea", "home", b"in", NOW)[0], NOW).body == b"in"
    only_new = Seals("de", [PRIVATE["de"]], PUBLIC | {"emea": [public_key(new)]})
    with pytest.raises(NotForUs):
        only_new.open("home", seals("emea").seal("de", "home", b"", NOW)[0], NOW)


def test_keys_that_do_not_fit_are_told_and_not_shown() -> None:
    with pytest.raises(InvalidRegionKey, match=r"neither border\.key nor border\.old_key"):
        Seals("emea", [PRIVATE["de"]], PUBLIC)
    with pytest.raises(InvalidRegionKey, match=r"neither border\.key"):
        Seals("uk", [PRIVATE["de"]], PUBLIC)
    with pytest.raises(InvalidRegionKey, match=r"border\.key is no key") as caught:
        Seals("emea", ["c2VjcmV0"], PUBLIC)
    assert "c2VjcmV0" not in str(caught.value)
    zero = "A" * 43 + "="  # a point of small order: whatever is exchanged with it is 0
    with pytest.raises(InvalidRegionKey, match=r"regions\.de\.key"):
        seals("emea", de=[zero])
