"""Trees to bytes and back, and text into XML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rainbow_xmpp.errors import LocalMisuse, PeerViolation, StreamCondition
from rainbow_xmpp.xml import Element, escape, escape_attr, parse, serialise
from rainbow_xmpp.xml.namespace import is_namespace

XML = "http://www.w3.org/XML/1998/namespace"


def child(parent: Element, tag: str, text: str = "", tail: str = "", **attributes: str) -> Element:
    """A new last child."""
    el = Element(tag, attributes)
    el.text, el.tail = text, tail
    parent.append(el)
    return el


def test_a_namespace_is_declared_only_where_it_changes() -> None:
    iq = Element("{jabber:client}iq", {"type": "result", "id": "1"})
    query = child(iq, "{jabber:iq:roster}query")
    child(child(query, "{jabber:iq:roster}item", jid="a@b"), "{jabber:iq:roster}group", "Friends")
    child(iq, "{jabber:client}error")
    child(iq, "plain")
    assert serialise(iq) == (
        b"<iq xmlns='jabber:client' type='result' id='1'><query xmlns='jabber:iq:roster'><item jid='a@b'>"
        b"<group>Friends</group></item></query><error/><plain xmlns=''/></iq>"
    )
    assert serialise(iq, "jabber:client").startswith(b"<iq type='result'")


def test_attributes_of_other_namespaces_get_a_prefix() -> None:
    el = Element("{u}a", {f"{{{XML}}}lang": "de", "{u}b": "1", "{v}c": "2", "{v}d": "3", "e": "4"})
    data = serialise(el)
    assert data == (
        b"<a xmlns='u' xml:lang='de' xmlns:a0='u' a0:b='1' xmlns:a1='v' a1:c='2' a1:d='3' e='4'/>"
    )
    assert parse(data).attrib == el.attrib
    assert serialise(Element("a", {"xml:lang": "de"})) == b"<a xml:lang='de'/>"


def test_an_element_of_the_xml_namespace_keeps_its_prefix() -> None:
    top = Element("{u}a")
    child(child(top, f"{{{XML}}}b"), "{u}c")
    assert serialise(top) == b"<a xmlns='u'><xml:b><c/></xml:b></a>"


def test_text_and_tails_are_kept_but_for_the_tail_of_the_top() -> None:
    top = Element("a")
    top.text, top.tail = "1<", "never"
    child(child(top, "b", "2&", "4\r"), "c", "", "3>")
    assert serialise(top) == b"<a>1&lt;<b>2&amp;<c/>3&gt;</b>4&#13;</a>"
    assert parse(serialise(top))[0].tail == "4\r"


@pytest.mark.parametrize(
    ("tag", "attribute"),
    [
        ("a b", None),
        ("a:b", None),
        ("", None),
        ("1a", None),
        ("a/><evil", None),
        ("{u", None),
        ("{u}", None),
        ("{http://www.w3.org/2000/xmlns/}a", None),
        ("a", "b='' c"),
        ("a", "xmlns"),
        ("a", "xmlns:b"),
        ("a", "b:c"),
        ("a", "{http://www.w3.org/2000/xmlns/}b"),
        ("a\n", None),
    ],
)
def test_a_name_that_would_break_out_is_misuse(tag: str, attribute: str | None) -> None:
    with pytest.raises(LocalMisuse):
        serialise(Element(tag, {attribute: "x"} if attribute else {}))


def test_a_comment_in_a_tree_is_misuse() -> None:
    from xml.etree.ElementTree import Comment

    top = Element("a")
    top.append(Comment("x"))
    with pytest.raises(LocalMisuse):
        serialise(top)


def test_a_deep_tree_is_written_without_recursion() -> None:
    top = el = Element("a")
    for _ in range(50_000):
        el = child(el, "a")
    assert serialise(top).count(b"<a>") == 50_000
    while len(top):  # taken apart from the top, because the interpreter itself would recurse
        top = top[0]


def test_a_tree_is_judged_as_a_view_is() -> None:
    assert parse(b"<a xmlns='u'><b/></a>")[0].tag == "{u}b"
    assert parse(b"<a><x:b/></a>", "v", {"x": "u"})[0].tag == "{u}b"
    for data, condition in (
        (b"<a><!-- --></a>", StreamCondition.RESTRICTED_XML),
        (b"<a/><b/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>" * 65 + b"</a>" * 65, StreamCondition.POLICY_VIOLATION),
    ):
        with pytest.raises(PeerViolation) as caught:
            parse(data)
        assert caught.value.condition == condition


def test_text_is_escaped() -> None:
    assert escape("a<b>&'\"\r\n\t") == "a&lt;b&gt;&amp;'\"&#13;\n\t"
    assert escape_attr("a<b>&'\"\r\n\t") == "a&lt;b&gt;&amp;&apos;&quot;&#13;&#10;&#9;"
    plain = "Nothing (to) escape, here: 100%!"
    assert escape(plain) is plain
    assert escape_attr(plain) is plain


def test_what_xml_cannot_carry_becomes_a_replacement_character() -> None:
    assert escape("a\x00b\x0bc\ud800d\uffffe") == "a\ufffdb\ufffdc\ufffdd\ufffde"
    assert escape_attr("\x07") == "\ufffd"


@given(st.text(), st.text(), st.text())
def test_any_text_survives_or_is_replaced(text: str, value: str, tail: str) -> None:
    top = Element("{u}a", {"b": value})
    child(top, "{v}c", text, tail)
    read = parse(serialise(top))

    def readable(original: str) -> str:
        return "".join(
            c
            if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
            else "\ufffd"
            for c in original
        )

    assert read.get("b") == readable(value)
    assert (read[0].text or "", read[0].tail or "") == (readable(text), readable(tail))


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("", True),
        ("jabber:client", True),
        ("vcard-temp", True),
        ("vcard-temp:x:update", True),
        ("http://jabber.org/protocol/muc#user", True),
        ("http://user@a.example:80/b/c?d=e#f", True),
        ("urn:xmpp:jingle:apps:rtp:rtcp-fb:0", True),
        ("/a//b", True),
        ("//a/b", True),
        ("#a", True),
        ("a%20b", True),
        ("a b", False),
        ("a}b", False),
        ("{a", False),
        ("a%2", False),
        ("ä", False),
        ("1:a", False),
        (":a", False),
        ("a#b#c", False),
        ("http://a:b/", False),
        ("http://a:/", False),
        ("a\n", False),
    ],
)
def test_a_namespace_name_is_a_uri(name: str, good: bool) -> None:
    assert is_namespace(name) is good
