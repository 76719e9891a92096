import pytest

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.private_xml import PrivateXml
from rainbow_xmpp.testing import TestServer, condition_of

PREFS = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>"


def query(content: str) -> str:
    return f"<query xmlns='jabber:iq:private'>{content}</query>"


@pytest.mark.parametrize(
    ("type_", "content", "condition"),
    [
        ("get", "", Condition.BAD_REQUEST),
        ("set", "", Condition.NOT_ACCEPTABLE),
        ("get", PREFS + "<b xmlns='exodus:prefs'/>", Condition.NOT_ACCEPTABLE),
        ("set", PREFS + "<b xmlns='other:prefs'/>", Condition.NOT_ACCEPTABLE),
        ("get", "<inherited/>", Condition.NOT_ACCEPTABLE),
        ("set", "<inherited/>", Condition.NOT_ACCEPTABLE),
        ("get", "<none xmlns=''/>", Condition.NOT_ACCEPTABLE),
        ("set", "<none xmlns=''/>", Condition.NOT_ACCEPTABLE),
    ],
)
async def test_elements_have_a_namespace_of_their_own_and_one_is_asked_for_at_a_time(
    type_, content, condition
):
    async with TestServer([PrivateXml]) as server:
        ann = await server.login("ann@acme")
        assert condition_of(await ann.ask(type_, query(content))) is condition


async def test_several_elements_of_one_namespace_are_stored_together_or_not_at_all():
    async with TestServer({PrivateXml: PrivateXml.Options(max_elements=2)}) as server:
        ann = await server.login("ann@acme")
        two, three = (
            "".join(f"<{name} xmlns='exodus:prefs'>{text}</{name}>" for name in names)
            for names, text in (("ab", "kept"), ("abc", "not"))
        )
        assert condition_of(await ann.ask("set", query(two))) is None
        assert condition_of(await ann.ask("set", query(three))) is Condition.RESOURCE_CONSTRAINT
        for name in "ab":
            answer = await ann.ask("get", query(f"<{name} xmlns='exodus:prefs'/>"))
            assert answer.findtext(f".//{{exodus:prefs}}{name}") == "kept"


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
