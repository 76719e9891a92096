"""What is let through as XML and what a view knows about it, with each engine."""

import gc
import sys
from types import ModuleType

import pytest

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.xml import XmlLimits
from rainbow_xmpp.xml.model import Child
from tests.unit.xml_engines import CLIENT, xml

__all__ = ["xml"]

CHAT = (
    "<message xmlns='jabber:client' to='bob@acme.example' type='chat' xml:lang='en' id='&lt;1&#x1F600;&apos;'>"
    "<body>Hello &amp; welcome, Grüße</body>"
    "<active xmlns='http://jabber.org/protocol/chatstates'/>"
    "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>x</p></body></html>"
    "</message>"
).encode()


def refused(xml: ModuleType, data: bytes, *args: object) -> StreamCondition:
    """The condition for which `data` is refused."""
    with pytest.raises(PeerViolation) as caught:
        xml.scan(data, *args)
    return caught.value.condition


def test_a_view_keeps_the_received_bytes_and_knows_its_top(xml: ModuleType) -> None:
    view = xml.scan(CHAT)
    assert view.data is CHAT
    assert (view.name, view.ns) == ("message", CLIENT)
    assert view.attrs == {"to": "bob@acme.example", "type": "chat", "xml:lang": "en", "id": "<1😀'"}


def test_a_view_indexes_its_children(xml: ModuleType) -> None:
    view = xml.scan(CHAT)
    assert [(child.name, child.ns) for child in view.children] == [
        ("body", CLIENT),
        ("active", "http://jabber.org/protocol/chatstates"),
        ("html", "http://jabber.org/protocol/xhtml-im"),
    ]
    assert all(type(child) is Child for child in view.children)
    pieces = [view.data[child.start : child.end] for child in view.children]
    assert pieces[0] == "<body>Hello &amp; welcome, Grüße</body>".encode()
    assert pieces[1] == b"<active xmlns='http://jabber.org/protocol/chatstates'/>"
    assert view.children is view.children


@pytest.mark.parametrize(
    ("inner", "has"),
    [
        ("<a/><body>x</body>", True),
        ("<body/>", True),
        ("", False),
        ("<bodY/><x:body xmlns:x='urn:x'/>", False),
        ("<body xmlns='urn:x'/><html><body/></html>", False),
    ],
)
def test_a_body_that_was_seen_in_passing_is_there(xml: ModuleType, inner: str, has: bool) -> None:
    view = xml.scan(f"<message xmlns='{CLIENT}'>{inner}</message>".encode())
    assert view.has("body") is has
    assert view.has_body in (False, has), "one that was not seen may be there"


def test_a_view_answers_questions_about_its_children(xml: ModuleType) -> None:
    view = xml.scan(CHAT)
    assert view.child("body") == view.children[0]
    assert view.has("active", "http://jabber.org/protocol/chatstates")
    assert not view.has("active")
    assert view.child("subject") is None
    assert view.text_of("body") == "Hello & welcome, Grüße"
    assert view.text_of("html", "http://jabber.org/protocol/xhtml-im") == "x"
    assert view.text_of("active", "http://jabber.org/protocol/chatstates") == ""
    assert view.text_of("subject") is None


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        ("a\r\nb\rc", "a\nb\nc"),
        ("<![CDATA[<b>]]>&gt;", "<b>>"),
        ("a<b>c</b>d", "acd"),
        ("a > b", "a > b"),
        ("&amp;lt;&lt;&gt;&apos;&quot;&amp;", "&lt;<>'\"&"),
        ("&#38;lt;", "&lt;"),
    ],
)
def test_the_text_of_a_child_is_decoded(xml: ModuleType, inner: str, text: str) -> None:
    assert xml.scan(f"<message><body a='>'>{inner}</body></message>".encode(), CLIENT).text_of("body") == text


def test_trees_of_a_view_and_its_children_have_their_namespaces(xml: ModuleType) -> None:
    view = xml.scan(CHAT)
    assert view.element().tag == "{jabber:client}message"
    assert view.child_element(view.children[0]).tag == "{jabber:client}body"
    assert view.element()[0].text == "Hello & welcome, Grüße"


def test_a_stanza_of_a_tcp_stream_inherits_the_default_namespace(xml: ModuleType) -> None:
    data = b"<message to='b'><body>x</body><y xmlns=''/></message>"
    view = xml.scan(data, CLIENT)
    assert view.data is data
    assert view.ns == CLIENT
    assert [(c.name, c.ns) for c in view.children] == [("body", CLIENT), ("y", "")]
    assert view.element().tag == "{jabber:client}message"


def test_a_namespace_taken_back_is_not_inherited(xml: ModuleType) -> None:
    assert xml.scan(b"<message xmlns=''/>", CLIENT).ns == ""
    assert xml.scan(b"<message a='>' xmlns=''/>", CLIENT).ns == ""
    assert xml.scan(b"<message xmlns='other'/>", CLIENT).ns == "other"


def test_a_prefixed_top_is_written_anew_without_prefix(xml: ModuleType) -> None:
    view = xml.scan(b"<c:message xmlns:c='jabber:client' to='b' c:x='1'><c:body>hi</c:body><d/></c:message>")
    assert view.data.startswith(b"<message xmlns='jabber:client'")
    assert (view.name, view.ns, view.attrs) == ("message", CLIENT, {"to": "b"})
    assert [(c.name, c.ns) for c in view.children] == [("body", CLIENT), ("d", "")]
    assert view.element().get("{jabber:client}x") == "1"


def test_inherited_prefixes_are_made_to_stand_on_their_own(xml: ModuleType) -> None:
    view = xml.scan(b"<message to='b'><x:thing a='&#10;'>t</x:thing>u</message>", CLIENT, {"x": "urn:x"})
    assert [(c.name, c.ns) for c in view.children] == [("thing", "urn:x")]
    assert xml.scan(view.data).element().tag == "{jabber:client}message"
    assert view.child_element(view.children[0]).get("a") == "\n"


def test_children_stand_on_their_own_when_the_top_declares_prefixes(xml: ModuleType) -> None:
    view = xml.scan(
        b"<message xmlns='jabber:client' xmlns:q='urn:q'><q:foo q:a='1'><q:bar/></q:foo></message>"
    )
    (child,) = view.children
    assert xml.scan(view.data[child.start : child.end]).ns == "urn:q"
    assert view.child_element(child)[0].tag == "{urn:q}bar"


def test_prefixes_declared_where_they_are_used_stay_as_they_are(xml: ModuleType) -> None:
    data = b"<message to='b'><x:foo xmlns:x='urn:x' x:a='1'><x:bar/></x:foo></message>"
    view = xml.scan(data, CLIENT, {"stream": "urn:s"})
    assert view.data is data
    assert view.children[0][:2] == ("foo", "urn:x")


def test_elements_can_be_cut_out_and_added(xml: ModuleType) -> None:
    view = xml.scan(b"<message><a/>x<b>1</b><a/></message>", CLIENT)
    smaller = view.without(*[child for child in view.children if child.name == "a"])
    assert smaller.data == b"<message>x<b>1</b></message>"
    assert smaller.ns == CLIENT
    assert type(smaller) is type(view)
    extra = xml.scan(b"<stanza-id xmlns='urn:xmpp:sid:0' id='&lt;'/>").element()
    assert smaller.plus(extra).data == (
        b"<message>x<b>1</b><stanza-id xmlns='urn:xmpp:sid:0' id='&lt;'/></message>"
    )
    assert xml.scan(b"<message a='/>' />", CLIENT).plus(extra).data == (
        b"<message a='/>' ><stanza-id xmlns='urn:xmpp:sid:0' id='&lt;'/></message>"
    )


@pytest.mark.parametrize("data", [CHAT, b"<m a='\t'><x:y xmlns:x='u'/></m>"], ids=["plain", "judged"])
def test_a_view_does_not_change(xml: ModuleType, data: bytes) -> None:
    view = xml.scan(data)
    for name in ("data", "name", "ns", "attrs", "children", "other"):
        with pytest.raises(AttributeError):
            setattr(view, name, None)
    with pytest.raises(AttributeError):
        del view.data


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<!DOCTYPE a><a/>", StreamCondition.RESTRICTED_XML),
        (b"<!-- x --><a/>", StreamCondition.RESTRICTED_XML),
        (b"<?xml version='1.0'?><a/>", StreamCondition.RESTRICTED_XML),
        (b"<?x y?><a/>", StreamCondition.RESTRICTED_XML),
        (b"<a><!-- x --></a>", StreamCondition.RESTRICTED_XML),
        (b"<a><?x y?></a>", StreamCondition.RESTRICTED_XML),
        (b"<a><?xml version='1.0'?></a>", StreamCondition.RESTRICTED_XML),
        (b"<a>&lol;</a>", StreamCondition.RESTRICTED_XML),
        (b"<a b='&lol;'/>", StreamCondition.RESTRICTED_XML),
        (b"<a xml:id='b'/>", StreamCondition.RESTRICTED_XML),
        (b"<a><b xml:id='1'/></a>", StreamCondition.RESTRICTED_XML),
        (b"<a/><b/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a/>text>", StreamCondition.NOT_WELL_FORMED),
        (b" <a/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a/> ", StreamCondition.NOT_WELL_FORMED),
        (b"\xef\xbb\xbf<a/>", StreamCondition.NOT_WELL_FORMED),
        (b"", StreamCondition.NOT_WELL_FORMED),
        (b"<", StreamCondition.NOT_WELL_FORMED),
        (b"<>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>", StreamCondition.NOT_WELL_FORMED),
        (b"<w>", StreamCondition.NOT_WELL_FORMED),
        (b"<w>>", StreamCondition.NOT_WELL_FORMED),
        (b"</w><w>", StreamCondition.NOT_WELL_FORMED),
        (b"<a/></w><w>", StreamCondition.NOT_WELL_FORMED),
        (b"<a></b>", StreamCondition.NOT_WELL_FORMED),
        (b"<a b='1' b='2'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a b='1'c='2'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a b='<'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a b=1/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a b/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>]]></a>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>&#0;</a>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>&#xD800;</a>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>&#x110000;</a>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>&#4294967361;</a>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>\x01</a>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>\x00</a>", StreamCondition.NOT_WELL_FORMED),
        (b"<\x00a\x00/\x00>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>\xef\xbf\xbf</a>", StreamCondition.NOT_WELL_FORMED),
        (b"<a:b:c xmlns:a='x'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a xmlns:b=''/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a xmlns:b='u' xmlns:c='u' b:x='' c:x=''/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a xmlns='http://www.w3.org/XML/1998/namespace'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a xmlns='http://www.w3.org/2000/xmlns/'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a xmlns='a}b'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a xmlns='a&#125;b'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a xmlns='http://a b'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a xmlns='1:b'/>", StreamCondition.NOT_WELL_FORMED),
        (b"<a:b/>", StreamCondition.BAD_NAMESPACE_PREFIX),
        (b"<a b:c='d'/>", StreamCondition.BAD_NAMESPACE_PREFIX),
        (b"<xml:a/>", StreamCondition.INVALID_NAMESPACE),
        (b"<a>\xff</a>", StreamCondition.UNSUPPORTED_ENCODING),
        (b"<a>\xc0\x80</a>", StreamCondition.UNSUPPORTED_ENCODING),
        (b"<a>\xed\xa0\x80</a>", StreamCondition.UNSUPPORTED_ENCODING),
        (b"<a>\xf4\x90\x80\x80</a>", StreamCondition.UNSUPPORTED_ENCODING),
        (b"<a>\xe2\x82</a>", StreamCondition.UNSUPPORTED_ENCODING),
    ],
)
@pytest.mark.parametrize("ns", ["", CLIENT], ids=["websocket", "tcp"])
def test_what_is_not_one_plain_element_is_refused(
    xml: ModuleType, data: bytes, condition: StreamCondition, ns: str
) -> None:
    assert refused(xml, data, ns) == condition


@pytest.mark.parametrize(
    "data",
    [
        b"<a/>",
        b"<a />",
        b"<a></a >",
        b"<a b = '1'\n c=\"'\"/>",
        b"<a>]]&gt; ]] > </a>",
        b"<a>&#9;&#x10FFFF;&#0000065;</a>",
        b"<a>\x7f\xc2\x85\xef\xbf\xbd\xf4\x8f\xbf\xbf</a>",
        b"<a xml:lang='de' xml:space='preserve'/>",
        b"<a><xmlns/><xml:b/></a>",
        b"<c:a xmlns:c='u'><xmlns/><xml:b xml:c=''/></c:a>",
        b"<a><![CDATA[<!-- <?x?> ]] ]>]]></a>",
        b"<a>\xc2\xb7</a>",
        "<naïve ünder='ö'/>".encode(),
        b"<a xmlns='vcard-temp'/>",
        b"<a xmlns='http://jabber.org/protocol/muc#user'/>",
        b"<a xmlns='http://a.example:80/b?c=d&amp;e#f'/>",
        b"<a><b xmlns=''/></a>",
    ],
)
@pytest.mark.parametrize("ns", ["", CLIENT], ids=["websocket", "tcp"])
def test_unusual_but_sound_xml_is_accepted(xml: ModuleType, data: bytes, ns: str) -> None:
    view = xml.scan(data, ns)
    assert xml.scan(view.data, view.ns).element().tag == view.element().tag
    assert view.data == data or data.startswith(b"<c:")


LIMITS = XmlLimits(
    max_bytes=300, depth=3, elements=5, attributes=4, declarations=3, name_length=8, namespace_length=20
)


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        ("<a>" + "x" * 293 + "</a>", "<a>" + "x" * 294 + "</a>"),
        ("<a><b><c/></b></a>", "<a><b><c><d/></c></b></a>"),
        ("<a>" + "<b/>" * 4 + "</a>", "<a>" + "<b/>" * 5 + "</a>"),
        ("<a b='' c='' d='' e=''/>", "<a b='' c='' d='' e='' f=''/>"),
        ("<a xmlns='u' b='' c='' d=''/>", "<a xmlns='u' b='' c='' d='' e=''/>"),
        ("<a><b xmlns:u='u' u:c='' d='' e=''/></a>", "<a><b xmlns:u='u' u:c='' d='' e='' f=''/></a>"),
        (
            "<a xmlns='1'><b xmlns='2'/><b xmlns='3'/></a>",
            "<a xmlns='1'><b xmlns='2'/><b xmlns='3'/><b xmlns='4'/></a>",
        ),
        ("<abcdefgh/>", "<abcdefghi/>"),
        ("<a abcdefgh=''/>", "<a abcdefghi=''/>"),
        ("<a><b abcdefgh=''/></a>", "<a><b abcdefghi=''/></a>"),
        ("<a><abcdefgh:b xmlns:abcdefgh='u'/></a>", "<a><abcdefghi:b xmlns:abcdefghi='u'/></a>"),
        (f"<a xmlns='{'u' * 20}'/>", f"<a xmlns='{'u' * 21}'/>"),
        (f"<a><x:b xmlns:x='{'u' * 20}'/></a>", f"<a><x:b xmlns:x='{'u' * 21}'/></a>"),
    ],
)
@pytest.mark.parametrize("ns", ["", CLIENT], ids=["websocket", "tcp"])
def test_limits_are_kept_to_the_last_one_allowed(xml: ModuleType, within: str, beyond: str, ns: str) -> None:
    assert xml.scan(within.encode(), ns, {"s": "urn:a:long:namespace:of:the:stream"}, LIMITS).name
    assert refused(xml, beyond.encode(), ns, {}, LIMITS) == StreamCondition.POLICY_VIOLATION


def test_the_usual_limits_hold_for_large_stanzas(xml: ModuleType) -> None:
    assert xml.scan(b"<a>" + b"<b/>" * 511 + b"</a>").children[510].name == "b"
    assert refused(xml, b"<a>" + b"<b/>" * 512 + b"</a>") == StreamCondition.POLICY_VIOLATION
    assert xml.scan(b"<a>" * 64 + b"</a>" * 64)
    assert refused(xml, b"<a>" * 65 + b"</a>" * 65) == StreamCondition.POLICY_VIOLATION
    attributes = [f" a{i}=''".encode() for i in range(25)]
    assert len(xml.scan(b"<a" + b"".join(attributes[:24]) + b"/>").attrs) == 24
    assert refused(xml, b"<a" + b"".join(attributes) + b"/>") == StreamCondition.POLICY_VIOLATION
    assert xml.scan(b"<a>" + b"x" * (262_144 - 7) + b"</a>")
    assert refused(xml, b"<a>" + b"x" * (262_144 - 6) + b"</a>") == StreamCondition.POLICY_VIOLATION


def test_limits_beyond_what_the_scanner_itself_holds_are_kept_as_well(xml: ModuleType) -> None:
    limits = XmlLimits(depth=200, attributes=100)
    for levels, allowed in ((200, True), (201, False)):
        data = b"<a>" * levels + b"</a>" * levels
        assert allowed is is_accepted(xml, data, limits)
    for count, allowed in ((100, True), (101, False)):
        data = b"<a><b " + b" ".join(b"c%d=''" % i for i in range(count)) + b"/></a>"
        assert allowed is is_accepted(xml, data, limits)
    view = xml.scan(b"<a>" * 200 + b"</a>" * 200, limits=limits)
    assert [child.name for child in view.children] == ["a"]


def test_limits_change_from_one_scan_to_the_next(xml: ModuleType) -> None:
    data, low, high = b"<a><b/><b/></a>", XmlLimits(elements=2), XmlLimits(elements=3)
    for _ in range(3):
        assert not is_accepted(xml, data, low)
        assert is_accepted(xml, data, high)
        assert is_accepted(xml, data, XmlLimits())
        assert not is_accepted(xml, data, XmlLimits(elements=2))
    with pytest.raises((TypeError, AttributeError)):
        xml.scan(data, limits=None)
    assert not is_accepted(xml, data, low)


def is_accepted(xml: ModuleType, data: bytes, limits: XmlLimits) -> bool:
    try:
        xml.scan(data, limits=limits)
    except PeerViolation as violation:
        assert violation.condition is StreamCondition.POLICY_VIOLATION
        return False
    return True


def test_prefixes_cannot_make_a_stanza_grow_past_the_limit(xml: ModuleType) -> None:
    long = "urn:" + "x" * 400
    declared = f"<a:a xmlns:a='{long}' xmlns:b='urn:b'>"
    data = (declared + "<b:b><a:a/></b:b>" * 240 + "</a:a>").encode()
    assert len(data) < 10_000
    assert refused(xml, data, "", {}, XmlLimits(max_bytes=50_000)) == StreamCondition.POLICY_VIOLATION


def test_a_billion_laughs_are_refused_at_once(xml: ModuleType) -> None:
    entities = "".join(f"<!ENTITY l{i} '{f'&l{i - 1};' * 10 if i else 'lol'}'>" for i in range(10))
    data = f"<!DOCTYPE a [{entities}]><a>&l9;</a>".encode()
    assert refused(xml, data) == StreamCondition.RESTRICTED_XML


def test_a_refusal_does_not_repeat_what_was_sent(xml: ModuleType) -> None:
    with pytest.raises(PeerViolation) as caught:
        xml.scan(b"<secret></secrets>")
    assert caught.value.text == ""
    assert "secret" not in caught.value.detail


def test_views_leave_nothing_behind(xml: ModuleType) -> None:
    def use() -> None:
        for data in (CHAT, b"<m a='\t'><x:y xmlns:x='u'/></m>"):
            view = xml.scan(data)
            assert view.attrs and view.children and xml.stamp(view, from_="a&b")
            assert sys.getrefcount(view) == 2

    use()
    gc.collect()
    before, references = len(gc.get_objects()), sys.getrefcount(CHAT)
    for _ in range(200):
        use()
    gc.collect()
    assert len(gc.get_objects()) - before < 50
    assert sys.getrefcount(CHAT) == references


def test_a_scan_takes_bytes_only(xml: ModuleType) -> None:
    for wrong in ("<a/>", None, 1):
        with pytest.raises((TypeError, AttributeError)):
            xml.scan(wrong)
