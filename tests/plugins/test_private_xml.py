import pytest

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.private_xml import PrivateXml
from rainbow_xmpp.testing import TestServer, condition_of

PREFS = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>"


def query(content: str) -> str:
    return f"<query xmlns='jabber:iq:private'>{content}</query>"


@pytest.mark.parametrize("type_", ["get", "set"])
@pytest.mark.parametrize(
    ("content", "condition"),
    [
        ("", Condition.BAD_REQUEST),
        (PREFS + "<b xmlns='exodus:prefs'/>", Condition.NOT_ACCEPTABLE),
        ("<inherited/>", Condition.NOT_ACCEPTABLE),
        ("<none xmlns=''/>", Condition.NOT_ACCEPTABLE),
    ],
)
async def test_exactly_one_element_with_a_namespace_of_its_own(type_, content, condition):
    async with TestServer([PrivateXml]) as server:
        ann = await server.login("ann@acme")
        assert condition_of(await ann.ask(type_, query(content))) is condition


async def test_size_and_number_are_bounded():
    options = PrivateXml.Options(max_bytes=1024, max_elements=2)
    async with TestServer({PrivateXml: options}) as server:
        ann = await server.login("ann@acme")
        large = query(f"<a xmlns='x'>{'x' * 1024}</a>")
        assert condition_of(await ann.ask("set", large)) is Condition.POLICY_VIOLATION
        answers = [await ann.ask("set", query(f"<{name} xmlns='x'/>")) for name in ("a", "b", "c", "a")]
        assert [condition_of(answer) for answer in answers] == [
            None,
            None,
            Condition.RESOURCE_CONSTRAINT,
            None,
        ]
