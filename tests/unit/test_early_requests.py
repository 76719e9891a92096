"""What plugins do for those who have not logged in (`before_login`), and what they cannot do."""

import asyncio
import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rainbow_xmpp.config import Limits
from rainbow_xmpp.errors import Condition, LocalMisuse, PeerViolation, StanzaError, StreamCondition
from rainbow_xmpp.plugin import EarlyReply, Element, Payload, Plugin, Stranger, before_login, child_text
from rainbow_xmpp.plugin.login_marks import before_login_element
from rainbow_xmpp.stream.server_stream import MAX_EARLY_REQUESTS
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.visitor import Visitor
from rainbow_xmpp.xml import names

NS = "urn:example:early"
ASK = f"<ask xmlns='{NS}'/>"
DIALOG = f"<dialog xmlns='{NS}'/>"
FIRST = b64encode(b"n,,n=ann,r=0123456789abcdef0123456789abcdef").decode()
AUTH = f"<auth xmlns='{names.SASL}' mechanism='SCRAM-SHA-256'>{FIRST}</auth>"
AUTH2 = (
    f"<authenticate xmlns='{names.SASL2}' mechanism='SCRAM-SHA-256'>"
    f"<initial-response>{FIRST}</initial-response></authenticate>"
)


class Wish(Payload, ns=NS, tag="wish"):
    what: str = child_text(max_len=5)


class Early(Plugin, name="early"):
    """Answers strangers."""

    failure: Exception | None = None
    seen: list[tuple[str, str]]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen = []

    def early_features(self) -> bytes:
        return f"<early xmlns='{NS}'/>".encode()

    @before_login("get", f"{{{NS}}}ask")
    async def count(self, stranger: Stranger, payload: Element) -> Element:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.seen.append((stranger.source, stranger.language))
        stranger.memory["asked"] = asked = stranger.memory.get("asked", 0) + 1
        return Element(f"{{{NS}}}asked", {"times": str(asked)})

    @before_login("set", Wish)
    async def wish(self, stranger: Stranger, wish: Wish) -> None:
        return None

    @before_login_element(f"{{{NS}}}dialog", excuse=f"<over xmlns='{NS}'/>")
    async def talk(self, stranger: Stranger, element: Element) -> EarlyReply:
        if self.failure is not None:
            raise self.failure
        is_over = element.get("over") is not None
        return EarlyReply(f"<dialog xmlns='{NS}'/>".encode(), is_question=not is_over)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Early]) as running:
        yield running


async def refusal(visitor: Visitor, said: str) -> PeerViolation:
    visitor.say(said)
    return await visitor.violation_seen()


def error_of(reply: Element) -> tuple[str, str]:
    error = reply.find("{jabber:client}error")
    assert error is not None
    return error.get("type", ""), error[0].tag.partition("}")[2]


async def test_a_stranger_is_answered_and_remembered_for_one_connection(server: TestServer) -> None:
    visitor = server.knock(lang="fr-CA")
    assert visitor.features.find(f"{{{NS}}}early") is not None
    first, second = await visitor.ask("get", ASK), await visitor.ask("get", ASK, to=server.domain)
    assert (first.get("type"), first[0].get("times"), second[0].get("times")) == ("result", "1", "2")
    assert (first.get("from"), second.get("from"), second.get("to")) == (None, server.domain, None)
    other = server.knock(source="192.0.2.9")
    assert (await other.ask("get", ASK))[0].get("times") == "1"
    assert server.plugin(Early).seen == [
        ("192.0.2.1", "fr"),
        ("192.0.2.1", "fr"),
        ("192.0.2.9", "en"),
    ]


async def test_payloads_are_judged_as_those_of_people_are(server: TestServer) -> None:
    visitor = server.knock()
    assert (await visitor.ask("set", f"<wish xmlns='{NS}'><what>tea</what></wish>")).get("type") == "result"
    refused = await visitor.ask("set", f"<wish xmlns='{NS}'><what>champagne</what></wish>")
    assert error_of(refused) == ("modify", "bad-request")
    visitor.say(f"<iq xmlns='jabber:client' type='get'>{ASK}</iq>")
    assert error_of(await visitor.receive()) == ("modify", "bad-request")  # RFC 6120 §8.1.3


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (sqlite3.OperationalError("locked"), ("wait", "resource-constraint")),
        (RuntimeError("broken"), ("cancel", "internal-server-error")),
        (StanzaError(Condition.NOT_ALLOWED), ("cancel", "not-allowed")),
    ],
    ids=["outage", "fault", "refusal"],
)
async def test_what_fails_is_an_error_and_no_failed_login(
    server: TestServer, failure: Exception, told: tuple[str, str]
) -> None:
    server.plugin(Early).failure = failure
    visitor = server.knock()
    assert error_of(await visitor.ask("get", ASK)) == told
    visitor.say(DIALOG)
    assert await visitor.receive_bytes() == f"<over xmlns='{NS}'/>".encode()
    assert server.node.counters.logins_failed == 0
    server.plugin(Early).failure = None
    assert (await visitor.ask("get", ASK)).get("type") == "result"


async def test_a_plugin_can_end_the_stream_with_a_condition_of_its_own(server: TestServer) -> None:
    server.plugin(Early).failure = PeerViolation(
        StreamCondition.UNDEFINED_CONDITION, specific=f"{{{NS}}}wrong"
    )
    violation = await refusal(server.knock(), DIALOG)
    assert (violation.condition, violation.specific) == ("undefined-condition", f"{{{NS}}}wrong")


@pytest.mark.parametrize(
    "said",
    [
        f"<iq xmlns='jabber:client' type='set' id='1'>{ASK}</iq>",
        f"<iq xmlns='jabber:client' type='get' id='1'>{ASK}{ASK}</iq>",
        f"<iq xmlns='jabber:client' type='get' id='1' to='ann@rainbow.test'>{ASK}</iq>",
        "<iq xmlns='jabber:client' type='get' id='1' to='other.example'><ask xmlns='urn:example:early'/></iq>",
        "<iq xmlns='jabber:client' type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        f"<message xmlns='jabber:client'>{ASK}</message>",
        f"<iq xmlns='jabber:client' type='get' id='1'>{DIALOG}</iq>",
    ],
)
async def test_every_other_stanza_ends_the_stream(server: TestServer, said: str) -> None:
    assert (await refusal(server.knock(), said)).condition == "not-authorized"


async def test_other_elements_end_the_stream(server: TestServer) -> None:
    for said in (f"<other xmlns='{NS}'/>", ASK):
        assert (await refusal(server.knock(), said)).condition == "unsupported-stanza-type"


@pytest.mark.parametrize("auth", [AUTH, AUTH2], ids=["SASL", "SASL2"])
@pytest.mark.parametrize("said", [f"<iq xmlns='jabber:client' type='get' id='1'>{ASK}</iq>", DIALOG])
async def test_nothing_is_answered_inside_a_login(server: TestServer, auth: str, said: str) -> None:
    visitor = server.knock()
    visitor.say(auth)
    assert (await visitor.receive()).tag.endswith("}challenge")
    assert (await refusal(visitor, said)).condition == "not-authorized"


async def test_nobody_logs_in_before_a_question_is_settled(server: TestServer) -> None:
    visitor = server.knock()
    visitor.say(DIALOG)
    await visitor.receive()
    assert (await refusal(visitor, AUTH)).condition == "not-authorized"
    settled = server.knock()
    for said in (DIALOG, f"<dialog xmlns='{NS}' over=''/>", AUTH):
        settled.say(said)
        answer = await settled.receive()
    assert answer.tag.endswith("}challenge")


async def test_after_a_failed_login_strangers_are_answered_again(server: TestServer) -> None:
    visitor = server.knock()
    visitor.say(f"<auth xmlns='{names.SASL}' mechanism='NOTHING'/>")
    assert (await visitor.receive()).tag.endswith("}failure")
    assert (await visitor.ask("get", ASK)).get("type") == "result"


async def test_one_connection_asks_so_often_and_no_more(server: TestServer) -> None:
    visitor = server.knock()
    for _ in range(MAX_EARLY_REQUESTS):
        assert (await visitor.ask("get", ASK)).get("type") == "result"
    violation = await refusal(visitor, f"<iq xmlns='jabber:client' type='get' id='x'>{ASK}</iq>")
    assert violation.condition == "policy-violation"
    assert len(server.plugin(Early).seen) == MAX_EARLY_REQUESTS


async def test_what_one_address_asks_counts_as_its_logins_do() -> None:
    """Connections are free to open, so what one of them may ask bounds nothing."""
    async with TestServer([Early], limits=Limits(logins_per_address_per_minute=3)) as server:
        for _ in range(3):
            assert (await server.knock().ask("get", ASK)).get("type") == "result"
        request = f"<iq xmlns='jabber:client' type='get' id='x'>{ASK}</iq>"
        assert (await refusal(server.knock(), request)).condition == "policy-violation"
        assert (await refusal(server.knock(), DIALOG)).condition == "policy-violation"
        assert (await server.knock(source="192.0.2.9").ask("get", ASK)).get("type") == "result"
        assert server.node.counters.limit_login_attempts == 2


async def test_requests_wait_for_each_other(server: TestServer) -> None:
    visitor = server.knock()
    for number in range(3):
        visitor.say(f"<iq xmlns='jabber:client' type='get' id='{number}'>{ASK}</iq>")
    replies = [await visitor.receive() for _ in range(3)]
    assert [(reply.get("id"), reply[0].get("times")) for reply in replies] == [
        ("0", "1"),
        ("1", "2"),
        ("2", "3"),
    ]


async def test_two_plugins_cannot_answer_the_same() -> None:
    class Other(Plugin, name="other"):
        """Wants it as well."""

        @before_login("get", f"{{{NS}}}ask")
        async def ask(self, stranger: Stranger, payload: Element) -> None: ...

    with pytest.raises(LocalMisuse, match="before login by early"):
        async with TestServer([Early, Other]):
            pass


def test_a_handler_is_asked_for_requests_only() -> None:
    with pytest.raises(LocalMisuse, match="'get' or 'set'"):
        before_login("result", f"{{{NS}}}ask")
    with pytest.raises(LocalMisuse, match="namespace"):
        before_login_element("dialog", excuse="")
