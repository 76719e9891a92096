import pytest

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.private_xml import PrivateXml
from rainbow_xmpp.testing import TestServer, condition_of
from rainbow_xmpp.xml import serialise

PREFS = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>"


def query(content: str) -> str:
    return f"<query xmlns='jabber:iq:private'>{content}</query>"


async def test_what_was_stored_comes_back_to_every_session_of_the_account():
    async with TestServer([PrivateXml]) as server:
        ann, also_ann = await server.login("ann@acme"), await server.login("ann@acme")
        assert len(await ann.ask("set", query(PREFS))) == 0
        answer = await also_ann.ask("get", query("<exodus xmlns='exodus:prefs'/>"))
        assert serialise(answer[0]).decode() == query(PREFS)


async def test_what_was_never_stored_comes_back_empty():
    async with TestServer([PrivateXml]) as server:
        ann = await server.login("ann@acme")
        await ann.ask("set", query(PREFS))
        asked = query("<storage xmlns='storage:bookmarks'/>")
        assert serialise((await ann.ask("get", asked))[0]).decode() == asked


async def test_an_element_replaces_the_one_of_its_name_and_no_other():
    async with TestServer([PrivateXml]) as server:
        ann = await server.login("ann@acme")
        for content in (PREFS, "<a xmlns='exodus:prefs'>1</a>", PREFS.replace("Hamlet", "Yorick")):
            await ann.ask("set", query(content))
        first = await ann.ask("get", query("<exodus xmlns='exodus:prefs'/>"))
        second = await ann.ask("get", query("<a xmlns='exodus:prefs'/>"))
        assert first.findtext(".//{exodus:prefs}defaultnick") == "Yorick"
        assert second.findtext(".//{exodus:prefs}a") == "1"


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


@pytest.mark.parametrize("type_", ["get", "set"])
async def test_colleagues_neither_read_nor_write_it(type_):
    async with TestServer([PrivateXml]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await bob.ask("set", query(PREFS))
        answer = await ann.ask(type_, query("<exodus xmlns='exodus:prefs'/>"), to=bob.bare)
        assert condition_of(answer) is Condition.FORBIDDEN
        kept = await bob.ask("get", query("<exodus xmlns='exodus:prefs'/>"))
        assert kept.findtext(".//{exodus:prefs}defaultnick") == "Hamlet"


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
