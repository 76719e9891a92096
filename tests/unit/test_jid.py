"""Addresses: RFC 7622 with its verified errata."""

import contextlib
import copy
import pickle
import time

import pytest

from rainbow_xmpp.jid import JID, InvalidJID, _parse

# RFC 7622 §3.5 table 1, and the parts each is made of once prepared.
LEGAL = [
    ("juliet@example.com", ("juliet", "example.com", "")),
    ("juliet@example.com/foo", ("juliet", "example.com", "foo")),
    ("juliet@example.com/foo bar", ("juliet", "example.com", "foo bar")),
    ("juliet@example.com/foo@bar", ("juliet", "example.com", "foo@bar")),
    ("foo\\20bar@example.com", ("foo\\20bar", "example.com", "")),
    ("fussball@example.com", ("fussball", "example.com", "")),
    ("fu\u00dfball@example.com", ("fu\u00dfball", "example.com", "")),
    ("\u03c0@example.com", ("\u03c0", "example.com", "")),
    ("\u03a3@example.com/foo", ("\u03c3", "example.com", "foo")),
    ("\u03c3@example.com/foo", ("\u03c3", "example.com", "foo")),
    ("\u03c2@example.com/foo", ("\u03c2", "example.com", "foo")),
    ("king@example.com/\u265a", ("king", "example.com", "\u265a")),
    ("example.com", ("", "example.com", "")),
    ("example.com/foobar", ("", "example.com", "foobar")),
    ("a.example.com/b@example.net", ("", "a.example.com", "b@example.net")),
    # Table 2 calls this a violation; erratum 4560 withdraws that: OpaqueString allows spaces anywhere.
    ("juliet@example.com/ foo", ("juliet", "example.com", " foo")),
]

# RFC 7622 §3.5 table 2 (without the example that erratum 4560 withdraws).
ILLEGAL = [
    '"juliet"@example.com',
    "foo bar@example.com",
    "@example.com/",
    "henry\u2163@example.com",
    "\u265a@example.com",
    "juliet@",
    "/foobar",
]


@pytest.mark.parametrize(("text", "parts"), LEGAL)
def test_legal_examples_of_the_rfc_are_parsed(text: str, parts: tuple[str, str, str]) -> None:
    jid = JID.parse(text)
    assert (jid.local, jid.domain, jid.resource) == parts


@pytest.mark.parametrize("text", ILLEGAL)
def test_illegal_examples_of_the_rfc_are_refused(text: str) -> None:
    with pytest.raises(InvalidJID):
        JID.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "a@b@c",
        "a@b/",
        "@b",
        "a@-b",
        "a@b-",
        "a@b..c",
        "a@.b",
        "a@b_c",
        "a@b c",
        "a'b@c",
        "a<b@c",
        "a&b@c",
        "a:b@c",
        "\uff20@c",  # full-width at-sign becomes @
        "a\u0000@c",
        "a@c/\u0007",
        "a@c/\ud800",
        "\ud800@c",
        "a@\ud800",
        "a@\u265a.example",
        "a@xn--a",
        "a@xn--\u00e4",
        "a@" + "x" * 64,
        "[::1",
        "[::g]",
        "a@[fe80::1%eth0]",
        "a@ab--cd.example",
        "[]",
        "9abc.\u05d0\u05d1",  # RFC 5893 §2: a digit may not begin a label of a right-to-left domain
    ],
)
def test_other_malformed_addresses_are_refused(text: str) -> None:
    with pytest.raises(InvalidJID):
        JID.parse(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Juliet@Example.COM", "juliet@example.com"),
        ("juliet@example.com.", "juliet@example.com"),
        ("\uff2a\uff35\uff2c@example.com", "jul@example.com"),  # full width
        ("e\u0301@example.com", "\u00e9@example.com"),  # NFC
        ("a@xn--fsqu00a.example", "a@\u4f8b\u5b50.example"),
        ("a@\uff45\uff58.example", "a@ex.example"),
        ("a@\u00c4.example", "a@\u00e4.example"),
        ("a@b/x\u00a0y", "a@b/x y"),  # OpaqueString maps other spaces to the usual one
        ("a@[0:0:0:0:0:0:0:1]", "a@[::1]"),
    ],
)
def test_spellings_of_one_address_are_equal(one: str, other: str) -> None:
    assert JID.parse(one) == JID.parse(other)
    assert hash(JID.parse(one)) == hash(JID.parse(other))
    assert str(JID.parse(one)) == str(JID.parse(other))


# RFC 8265 §4.3 tables 5 and 6, as far as a resource may be what a password may be.
@pytest.mark.parametrize(
    ("written", "prepared"),
    [
        ("correct horse battery staple", "correct horse battery staple"),
        ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
        ("\u03c0\u00df\u00e5", "\u03c0\u00df\u00e5"),
        ("Jack of \u2666s", "Jack of \u2666s"),
        ("foo\u1680bar", "foo bar"),
        ("e\u0301", "\u00e9"),
        ("\uff21", "\uff21"),  # width is kept
    ],
)
def test_opaque_strings_are_prepared_as_the_rfc_shows(written: str, prepared: str) -> None:
    assert JID.parse(f"a@b/{written}").resource == prepared


@pytest.mark.parametrize("part", ["my cat is a \u0009by", "a\u200db", "a\u00adb", "\u0378", "\ufdd0"])
def test_what_no_opaque_string_may_have_is_refused(part: str) -> None:
    with pytest.raises(InvalidJID):
        JID.parse(f"a@b/{part}")


# RFC 8265 §3.5 tables 1 and 2, RFC 5892 appendix A, RFC 5893.
@pytest.mark.parametrize(
    ("written", "prepared"),
    [
        ("Fu\u00dfball", "fu\u00dfball"),
        ("\u03a3", "\u03c3"),
        ("l\u00b7l", "l\u00b7l"),  # a middle dot between two l
        ("\u05d0\u05d1", "\u05d0\u05d1"),
        ("\u0130", "i\u0307"),
    ],
)
def test_localparts_are_prepared_as_the_rfc_says(written: str, prepared: str) -> None:
    assert JID.parse(f"{written}@b").local == prepared


@pytest.mark.parametrize(
    "local",
    [
        "henry\u2163",
        "\u265a",
        "a\u00b7b",
        "\u0660\u06f0",  # two kinds of Arabic digits
        "\u05d0a",  # left to right inside right to left
        "a\u200db",
        "\u00a0",
        "a\u3000b",
    ],
)
def test_what_no_localpart_may_have_is_refused(local: str) -> None:
    with pytest.raises(InvalidJID):
        JID.parse(f"{local}@b")


def test_the_resource_keeps_its_case() -> None:
    assert JID.parse("a@b/Home") != JID.parse("a@b/home")


@pytest.mark.parametrize("text", [text for text, _ in LEGAL])
def test_the_text_of_a_jid_is_parsed_to_the_same_jid(text: str) -> None:
    jid = JID.parse(text)
    assert JID.parse(str(jid)) == jid
    assert JID(jid.local, jid.domain, jid.resource) == jid


@pytest.mark.parametrize("part", ["{}@example.com", "a@example.com/{}"])
def test_a_part_has_at_most_1023_bytes(part: str) -> None:
    for fits, too_long in (
        ("x" * 1023, "x" * 1024),
        ("\u00e4" * 511, "\u00e4" * 512),
        ("y" * 1023, "y" * 99999),
    ):
        assert JID.parse(part.format(fits))
        with pytest.raises(InvalidJID):
            JID.parse(part.format(too_long))


def test_a_domain_has_at_most_1023_bytes() -> None:
    assert JID.parse("a." * 511 + "b")
    with pytest.raises(InvalidJID):
        JID.parse("a." * 511 + "bbb")


def test_the_bare_jid_is_the_same_without_resource() -> None:
    full = JID.parse("a@b/c")
    assert (full.is_full, full.is_bare) == (True, False)
    assert full.bare == JID.parse("a@b")
    assert full.bare.is_bare
    assert full.bare.bare is full.bare
    assert JID.parse("b").is_bare


def test_a_resource_is_prepared_when_added() -> None:
    bare = JID.parse("a@b")
    assert bare.with_resource("x\u00a0y") == JID.parse("a@b/x y")
    assert JID.parse("a@b/c").with_resource("d") == JID.parse("a@b/d")
    assert JID.parse("a@b/c").with_resource("") == bare
    with pytest.raises(InvalidJID):
        bare.with_resource("\x07")


def test_parts_are_prepared_when_a_jid_is_made_of_them() -> None:
    assert JID("Alice", "ACME.example", "x") == JID.parse("alice@acme.example/x")
    with pytest.raises(InvalidJID):
        JID("a@b", "c")
    with pytest.raises(InvalidJID):
        JID("a", "c/d")
    with pytest.raises(InvalidJID):
        JID("a", "")


def test_a_jid_does_not_change() -> None:
    jid = JID.parse("a@b/c")
    with pytest.raises(AttributeError):
        jid.local = "x"
    with pytest.raises(AttributeError):
        del jid.local
    with pytest.raises(AttributeError):
        jid.other = 1  # type: ignore[attr-defined]


def test_jids_are_ordered_by_their_text() -> None:
    a, b = JID.parse("a@b"), JID.parse("b@a")
    assert sorted([b, a]) == [a, b]
    assert (a < b, a <= a, b > a, b >= b) == (True, True, True, True)
    assert a != "a@b"
    with pytest.raises(TypeError):
        assert a < "b"  # type: ignore[operator]


def test_jids_can_be_copied_and_pickled() -> None:
    jid = JID.parse("a@b/c")
    assert copy.deepcopy(jid) == jid
    assert pickle.loads(pickle.dumps(jid)) == jid


def test_a_refusal_never_repeats_the_address() -> None:
    with pytest.raises(InvalidJID) as caught:
        JID.parse("secret name@example.com")
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


HOSTILE = {
    "marks in the wrong order": "a\u0301\u0316" * 9 + "a",
    "two letters that shrink": "e\u0301",
    "wide": "\uff41",
    "jamo": "\u1112\u1161\u11ab",
    "right to left": "\u0627",
    "ligature": "\ufdfa",
    "joiner": "\u0915\u094d\u200d",
    "labels": "ä.",
}


@pytest.mark.parametrize("alphabet", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("form", ["{}@b", "a@{}", "a@b/{}"])
def test_no_text_takes_more_than_linear_time(alphabet: str, form: str) -> None:
    def cpu_of(size: int) -> float:
        part = (alphabet * size)[:size]
        begun = time.thread_time()
        for _ in range(10):
            with contextlib.suppress(InvalidJID):
                _parse(form.format(part))
        return time.thread_time() - begun

    # Four times as much: 4 when linear, 16 when quadratic; what is refused at once takes no time at all.
    assert min(cpu_of(1000) for _ in range(5)) < 11 * min(cpu_of(250) for _ in range(5)) + 0.001


@pytest.mark.parametrize("form", ["{}@b", "a@{}", "a@b/{}"])
def test_what_would_take_long_is_refused_unprepared(form: str) -> None:
    marks = "a" + "\u0301\u0316" * 16
    begun = time.thread_time()
    for _ in range(200):
        for part in ("ä" * 100_000, marks * 30, marks):
            with pytest.raises(InvalidJID):
                _parse(form.format(part))
    assert time.thread_time() - begun < 1
