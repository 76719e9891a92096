"""Stamping `from`, `to` and the namespace into the received bytes, with each engine."""

from types import ModuleType

import pytest

from tests.unit.xml_engines import CLIENT, xml

__all__ = ["xml"]

ALICE = "alice@acme.example/x"


def test_the_sender_is_put_into_the_start_tag(xml: ModuleType) -> None:
    view = xml.scan(b"<message xmlns='jabber:client' to='b'><body>x</body></message>")
    assert xml.stamp(view, from_=ALICE) == (
        b"<message from='alice@acme.example/x' xmlns='jabber:client' to='b'><body>x</body></message>"
    )


def test_an_inherited_namespace_is_declared(xml: ModuleType) -> None:
    assert xml.stamp(xml.scan(b"<presence/>", CLIENT), from_=ALICE) == (
        b"<presence xmlns='jabber:client' from='alice@acme.example/x'/>"
    )


def test_without_a_namespace_none_is_declared(xml: ModuleType) -> None:
    assert xml.stamp(xml.scan(b"<presence/>"), from_="a") == b"<presence from='a'/>"
    assert xml.stamp(xml.scan(b"<presence xmlns=''/>", CLIENT), from_="a") == b"<presence from='a' xmlns=''/>"


@pytest.mark.parametrize(
    ("received", "stamped"),
    [
        (b"<m from='x' to='y'/>", b"<m from='a' to='y'/>"),
        (b"<m to='y' from='x'/>", b"<m from='a' to='y'/>"),
        (b'<m to="y"  from = "x\'" ></m>', b"<m from='a' to=\"y\" ></m>"),
        (b"<m\n\tfrom='x'\r\nid='1'/>", b"<m from='a'\r\nid='1'/>"),
        (b"<m from=''/>", b"<m from='a'/>"),
        (b"<m xml:lang='from' id=' from=\"x\"'/>", b"<m from='a' xml:lang='from' id=' from=\"x\"'/>"),
        (b"<m b=\" from='x' \" from='z'>from='y'</m>", b"<m from='a' b=\" from='x' \">from='y'</m>"),
        (b"<m xfrom='1' from-x='2' data.from='3'/>", b"<m from='a' xfrom='1' from-x='2' data.from='3'/>"),
        (b"<m id='>' from='x'><n from='y' to='z'/></m>", b"<m from='a' id='>'><n from='y' to='z'/></m>"),
        (b"<from from='x'/>", b"<from from='a'/>"),
    ],
)
def test_only_the_senders_own_from_is_replaced(xml: ModuleType, received: bytes, stamped: bytes) -> None:
    assert xml.stamp(xml.scan(received), from_="a") == stamped


@pytest.mark.parametrize(
    ("received", "stamped"),
    [
        (b"<m/>", b"<m from='a' to='t'/>"),
        (b"<m id='1' to='y' from='x' type='z'/>", b"<m from='a' to='t' id='1' type='z'/>"),
        (b"<m id='1' from='x' to='y' type='z'/>", b"<m from='a' to='t' id='1' type='z'/>"),
        (b"<m id='1' from='x' type='z' to='y'/>", b"<m from='a' to='t' id='1' type='z'/>"),
        (b"<m to='y' type='z'/>", b"<m from='a' to='t' type='z'/>"),
        (b"<m from='y'/>", b"<m from='a' to='t'/>"),
    ],
)
def test_the_recipient_is_replaced_or_added_when_given(
    xml: ModuleType, received: bytes, stamped: bytes
) -> None:
    assert xml.stamp(xml.scan(received), from_="a", to="t") == stamped


@pytest.mark.parametrize(
    "address", ["o'b&<\">", "grüße@ä.example/♚", "x\x00\x07\ud800\uffff", "\t\r\n", "", "😀"]
)
def test_addresses_are_escaped(xml: ModuleType, address: str) -> None:
    stamped = xml.scan(xml.stamp(xml.scan(b"<m to='b'/>", "urn:a?b=c&d='e'"), from_=address, to=address))
    readable = "".join("\ufffd" if c in "\x00\x07\ud800\uffff" else c for c in address)
    assert stamped.attrs == {"from": readable, "to": readable}
    assert stamped.ns == "urn:a?b=c&d='e'"


def test_prefixed_attributes_are_not_the_senders_from(xml: ModuleType) -> None:
    data = b"<m xmlns:x='urn:x' x:from='1' x:to='2' from='3' to='4' xmlns='jabber:client'/>"
    element = xml.scan(xml.stamp(xml.scan(data), from_="a", to="b")).element()
    assert element.attrib == {"{urn:x}from": "1", "{urn:x}to": "2", "from": "a", "to": "b"}


def test_a_judged_view_is_stamped_like_a_plain_one(xml: ModuleType) -> None:
    data = "<m ü='1' to='y' from='x'><![CDATA[x]]></m>".encode()
    assert xml.stamp(xml.scan(data), from_="a") == "<m from='a' ü='1' to='y'><![CDATA[x]]></m>".encode()


@pytest.mark.parametrize("mark", ["", "<x:y xmlns:x='u'/>"], ids=["plain", "judged"])
@pytest.mark.parametrize("end", [" >", "\r\n>", "\t >"])
def test_text_like_attributes_after_the_start_tag_is_left_alone(xml: ModuleType, mark: str, end: str) -> None:
    rest = f"from='a' to='b' xmlns='c'{mark}</m>"
    view = xml.scan(f"<m from='evil' to='y'{end}{rest}".encode(), CLIENT)
    assert (
        xml.stamp(view, from_="a", to="t") == f"<m xmlns='jabber:client' from='a' to='t'{end}{rest}".encode()
    )
    view = xml.scan(f"<m id='1'{end}<n>from='a' to='b'</n>{mark}</m>".encode(), CLIENT)
    assert xml.stamp(view, from_="a", to="t") == (
        f"<m xmlns='jabber:client' from='a' to='t' id='1'{end}<n>from='a' to='b'</n>{mark}</m>".encode()
    )


def test_a_stamp_needs_a_view_and_addresses(xml: ModuleType) -> None:
    view = xml.scan(b"<m/>")
    for wrong in (lambda: xml.stamp(view), lambda: xml.stamp(view, "a"), lambda: xml.stamp(view, from_=1)):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises((TypeError, AttributeError)):
        xml.stamp(b"<m/>", from_="a")
