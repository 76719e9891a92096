"""Typed payloads: what they read, what they refuse, and that they write what they read."""

import re
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any
from xml.etree.ElementTree import canonicalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.stanza.payload import Payload, attr, child, child_text, children, flag, text
from rainbow_xmpp.xml import NO_LIMITS, Element, parse, serialise

NS = "urn:example:order:1"


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


class Item(Payload, ns=NS, tag="item"):
    name: str = attr(max_len=20)
    count: int = attr(default=1, ge=1, le=99)


class Gift(Payload, ns="urn:example:gift:1", tag="gift"):
    note: str = text(default="", max_len=40)


class Order(Payload, ns=NS, tag="order"):
    number: int = attr(name="no", ge=1)
    size: Size = attr(default=Size.SMALL)
    rush: bool = attr(default=False)
    weight: float | None = attr(default=None, ge=0, le=1000)
    to: JID | None = attr(default=None)
    lang: str = attr(default="", name="{http://www.w3.org/XML/1998/namespace}lang")
    until: datetime | None = child_text(default=None)
    seal: bytes | None = child_text(default=None)
    code: str = child_text(default="", name="{urn:example:code:1}code", pattern="[A-Z]{2}[0-9]+")
    signed: bool = flag()
    gift: Gift | None = child(default=None)
    items: tuple[Item, ...] = children(default=(), le=3)


FULL = f"""<order xmlns='{NS}' no='7' size='l' rush='true' weight='2.5' to='bob@example.com' xml:lang='de'>
    <until>2026-01-31T12:00:00Z</until><seal>AAEC</seal><code xmlns='urn:example:code:1'>AB12</code><signed/>
    <gift xmlns='urn:example:gift:1'>for you</gift>
    <item name='tea'/><item name='milk' count='2'/></order>"""


def element(xml: str) -> Element:
    return parse(xml.encode(), limits=NO_LIMITS)


def order(inside: str = "", attrs: str = "") -> Order:
    return Order.from_xml(element(f"<order xmlns='{NS}' no='1' {attrs}>{inside}</order>"))


def refusal(inside: str = "", attrs: str = "") -> str:
    """The words of the refusal, which the sender may read."""
    with pytest.raises(StanzaError) as caught:
        order(inside, attrs)
    assert caught.value.condition is Condition.BAD_REQUEST
    return caught.value.text


def test_every_place_and_type_is_read():
    assert Order.from_xml(element(FULL)) == Order(
        number=7,
        size=Size.LARGE,
        rush=True,
        weight=2.5,
        to=JID.parse("bob@example.com"),
        lang="de",
        until=datetime(2026, 1, 31, 12, tzinfo=UTC),
        seal=b"\x00\x01\x02",
        code="AB12",
        signed=True,
        gift=Gift("for you"),
        items=(Item("tea"), Item("milk", 2)),
    )


def test_what_is_written_is_what_was_read():
    written = serialise(Order.from_xml(element(FULL)).to_xml())
    assert canonicalize(written.decode()) == canonicalize(re.sub(r">\s+<", "><", FULL))


def test_what_equals_its_default_is_not_written():
    assert serialise(Order(3).to_xml()) == f"<order xmlns='{NS}' no='3'/>".encode()


def test_unknown_children_are_kept_in_their_order_and_unknown_attributes_are_ignored():
    read = order("<item name='a'/><x xmlns='urn:x'>1<y/></x><gift/><x xmlns='urn:x'>2</x>", "odd='1'")
    assert [el.tag for el in read.extra] == ["{urn:x}x", f"{{{NS}}}gift", "{urn:x}x"]
    again = Order.from_xml(element(serialise(read.to_xml()).decode()))
    assert [(el.tag, el.text) for el in again.extra] == [(el.tag, el.text) for el in read.extra]
    assert "odd" not in again.to_xml().attrib


def test_payloads_that_differ_in_unknown_children_only_are_equal():
    assert order("<x xmlns='urn:x'/>") == order()


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ("size='m'", "size must be one of s, l"),
        ("rush='yes'", "rush must be true or false"),
        ("rush='True'", "rush must be true or false"),
        ("weight='heavy'", "weight must be a number"),
        ("weight='nan'", "weight must be a number"),
        ("weight='inf'", "weight must be a number"),
        ("weight='1e999'", "weight must be a number"),
        ("weight='1_0'", "weight must be a number"),
        ("weight='\u0663'", "weight must be a number"),
        ("weight='-0.5'", "weight is -0.5; 0 to 1000 are allowed"),
        ("to='@'", "to must be an address"),
        (f"to='{'a' * 4000}@b'", "to must be an address"),
    ],
)
def test_a_wrong_attribute_is_refused_in_words_that_name_it(attrs, words):
    assert refusal(attrs=attrs) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("", "no must be a whole number"),
        ("x", "no must be a whole number"),
        ("1_000", "no must be a whole number"),
        ("\u0661", "no must be a whole number"),
        ("1.0", "no must be a whole number"),
        ("--1", "no must be a whole number"),
        ("9" * 5000, "no must be a whole number"),
        (str(2**63), "no must be a whole number"),
        ("0", "no is 0; at least 1 is allowed"),
    ],
)
def test_a_number_that_is_none_is_refused(number, words):
    with pytest.raises(StanzaError, match=f"^{re.escape(words)}$"):
        Order.from_xml(element(f"<order xmlns='{NS}' no='{number}'/>"))


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("<until>yesterday</until>", "until must be a time such as 2026-01-31T12:00:00Z"),
        ("<until>2026-01-31</until>", "until must be a time such as 2026-01-31T12:00:00Z"),
        ("<until>2026-01-31T12:00:00</until>", "until must be a time such as 2026-01-31T12:00:00Z"),
        ("<until>2026-02-31T12:00:00Z</until>", "until must be a time such as 2026-01-31T12:00:00Z"),
        ("<until>9999-12-31T23:59:59-12:00</until>", "until must be a time such as 2026-01-31T12:00:00Z"),
        ("<until>20260131T120000Z</until>", "until must be a time such as 2026-01-31T12:00:00Z"),
        ("<seal>A</seal>", "seal must be base64"),
        ("<seal>\u00e4\u00f6\u00fc=</seal>", "seal must be base64"),
        ("<code xmlns='urn:example:code:1'>ab</code>", "code is not of the form that is asked for"),
        ("<until/><until/>", "until must be a time such as 2026-01-31T12:00:00Z"),
        ("<signed/><signed/>", "signed stands there twice"),
        ("<gift xmlns='urn:example:gift:1'/>" * 2, "gift stands there twice"),
        ("<item/>", "name is missing"),
        ("<item name='a' count='100'/>", "count is 100; 1 to 99 are allowed"),
        (f"<item name='{'n' * 21}'/>", "name has 21 characters; 20 are allowed"),
        ("<item name='a'/>" * 4, "item stands there too often; at most 3 is allowed"),
    ],
)
def test_a_wrong_child_is_refused_in_words_that_name_it(inside, words):
    assert refusal(inside) == words


def test_what_must_be_there_is_missed():
    class Needy(Payload, ns=NS, tag="needy"):
        who: JID = child_text()
        items: tuple[Item, ...] = children(le=2)

    for inside, words in [("<item name='a'/>", "who is missing"), ("<who>a@b</who>", "item is missing")]:
        with pytest.raises(StanzaError, match=words):
            Needy.from_xml(element(f"<needy xmlns='{NS}'>{inside}</needy>"))
    assert Needy.from_xml(element(f"<needy xmlns='{NS}'><who>a@b</who><item name='a'/></needy>"))


def test_a_text_without_a_default_must_not_be_empty():
    class Note(Payload, ns=NS, tag="note"):
        words: str = text(max_len=5)

    assert Note.from_xml(element(f"<note xmlns='{NS}'>hello</note>")).words == "hello"
    for inside, told in [("", "the text is missing"), ("hello!", "the text has 6 characters; 5 are allowed")]:
        with pytest.raises(StanzaError, match=told):
            Note.from_xml(element(f"<note xmlns='{NS}'>{inside}</note>"))


def test_white_space_around_a_value_counts_in_texts_only():
    read = order("<until>\n 2026-01-31T12:00:00Z </until>", "rush=' 1 ' weight=' 1.5\t'")
    assert (read.rush, read.weight, read.until) == (True, 1.5, datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert Item.from_xml(element(f"<item xmlns='{NS}' name=' a '/>")).name == " a "


def test_a_flag_is_its_childs_presence_and_a_text_says_true_or_false():
    class Both(Payload, ns=NS, tag="both"):
        told: bool = child_text(default=False)
        shown: bool = flag()

    assert Both.from_xml(element(f"<both xmlns='{NS}'><told>1</told><shown/></both>")) == Both(True, True)
    assert Both.from_xml(element(f"<both xmlns='{NS}'><told>false</told></both>")) == Both()


def test_children_of_several_types_keep_their_order():
    class Box(Payload, ns=NS, tag="box"):
        inside: tuple[Item | Gift, ...] = children(default=())

    xml = f"<box xmlns='{NS}'><item name='a'/><gift xmlns='urn:example:gift:1'>g</gift><item name='b'/></box>"
    read = Box.from_xml(element(xml))
    assert read.inside == (Item("a"), Gift("g"), Item("b"))
    assert Box.from_xml(read.to_xml()) == read


@pytest.mark.parametrize("xml", [f"<ordre xmlns='{NS}' no='1'/>", "<order xmlns='urn:x' no='1'/>"])
def test_another_element_is_refused(xml):
    with pytest.raises(StanzaError, match=r"^order is expected$"):
        Order.from_xml(element(xml))


# -- what is found when a plugin is loaded ---------------------------------------------------------------------


def test_a_payload_says_its_name():
    with pytest.raises(LocalMisuse, match=r"Nameless needs ns= and tag="):

        class Nameless(Payload):
            pass


def test_a_subclass_may_read_more_of_the_same_element():
    class Parcel(Order):
        box: int = attr(default=0)

    assert Parcel.TAG == Order.TAG
    assert Parcel.from_xml(element(f"<order xmlns='{NS}' no='1' box='2'/>")) == Parcel(1, box=2)


@pytest.mark.parametrize(
    ("kind", "place", "words"),
    [
        (int, 5, r"Wrong\.field: say where it stands: attr\(\), text\(\), "),
        (
            list[int],
            attr(default=None),
            r"Wrong\.field: .* cannot stand in an attribute or a text; use str, ",
        ),
        (int | str, attr(default=None), r"Wrong\.field: .* cannot stand in an attribute"),
        (Item, children(default=()), r"Wrong\.field: children\(\) is for .* tuple\[X, \.\.\.\]"),
        (tuple[int, ...], children(default=()), r"Wrong\.field: .* whose type is a Payload"),
        (int, child(default=None), r"Wrong\.field: .* whose type is a Payload"),
        (str, attr(default="", ge=1), r"Wrong\.field: ge= and le= are for numbers; .* max_len= and pattern="),
        (str, attr(default="", pattern="["), r"Wrong\.field: the pattern cannot be used"),
        ("Nowhere", attr(default=None), r"Wrong: the type Nowhere must be known"),
        (str, flag(), r"Wrong\.field: flag\(\) is for a field of the type bool"),
        (str, attr(default="", name="other"), r"Wrong\.field: another field stands in the same place"),
    ],
)
def test_a_field_that_xml_cannot_carry_is_told_at_load(kind, place, words):
    body: dict[str, Any] = {"__annotations__": {"other": str, "field": kind}, "__module__": __name__}
    wrong = type("Wrong", (Payload,), body | {"other": attr(default=""), "field": place}, ns=NS, tag="wrong")
    with pytest.raises(LocalMisuse, match=words):
        wrong.check()


def test_a_time_without_an_offset_is_not_written():
    with pytest.raises(LocalMisuse, match="no moment"):
        Order(1, until=datetime(2026, 1, 1)).to_xml()


# -- whatever the values are -----------------------------------------------------------------------------------

XML_TEXT = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=("Cs",), exclude_characters="\ufffe\uffff")
)
MOMENTS = st.datetimes(
    datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(timezone(timedelta(hours=5, minutes=30)))
)
ORDERS = st.builds(
    Order,
    number=st.integers(1, 2**63 - 1),
    size=st.sampled_from(Size),
    rush=st.booleans(),
    weight=st.none() | st.floats(0, 1000),
    to=st.sampled_from([None, JID.parse("a@b"), JID.parse("x@b/'<&\">")]),
    lang=st.sampled_from(["", "de", "zh-Hant"]),
    until=st.none() | MOMENTS,
    seal=st.none() | st.binary(max_size=40),
    code=st.just("")
    | st.from_regex("[A-Z]{2}[0-9]{1,5}", fullmatch=True, alphabet=st.characters(codec="ascii")),
    signed=st.booleans(),
    gift=st.none() | st.builds(Gift, note=XML_TEXT.filter(lambda note: len(note) <= 40)),
    items=st.lists(
        st.builds(Item, name=XML_TEXT.filter(lambda name: len(name) <= 20), count=st.integers(1, 99)),
        max_size=3,
    ).map(tuple),
)


@given(ORDERS)
def test_whatever_is_written_is_read_again(made: Order):
    assert Order.from_xml(element(serialise(made.to_xml()).decode())) == made


HOSTILE = XML_TEXT | st.sampled_from(
    ["", " ", "0" * 400, "-", "1e5", "NaN", "2026-13-01T00:00:00Z", "=", "@/"]
)


@given(st.dictionaries(st.sampled_from(["no", "size", "rush", "weight", "to"]), HOSTILE), st.lists(HOSTILE))
def test_whatever_comes_is_read_or_refused(attrs, inside):
    el = Element(Order.TAG, attrs)
    for tag, value in zip(["until", "seal", "code", "signed", "item", "gift"], inside, strict=False):
        inner = Element(f"{{{NS}}}{tag}", {"name": value, "count": value})
        inner.text = value
        el.append(inner)
    try:
        Order.from_xml(el).to_xml()
    except StanzaError as error:
        assert error.condition is Condition.BAD_REQUEST
