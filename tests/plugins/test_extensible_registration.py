"""Registration and recovery in steps (XEP-0389), by the plugin `inband_registration`."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugins.inband_registration.flows import Flows
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.stanza.forms import FORM
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.visitor import Visitor
from rainbow_xmpp.xml import Element, escape, names
from tests.plugins.letters import pin_to
from tests.plugins.test_inband_registration import NEW, PASSWORD, can_log_in, server_with, told

NS = names.REGISTER2
R = f"{{{NS}}}"
CANCEL = f"<cancel xmlns='{NS}'/>"
FIELD, VALUE = "{jabber:x:data}field", "{jabber:x:data}value"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with await server_with() as running:
        yield running


def choose(what: str = "register", flow: str = "code") -> str:
    return f"<{what} xmlns='{NS}'><flow id='{flow}'/></{what}>"


def respond(**values: str) -> str:
    fields = "".join(
        f"<field var='{name}'><value>{escape(value)}</value></field>"
        for name, value in {"FORM_TYPE": NS, **values}.items()
    )
    return f"<response xmlns='{NS}'><x xmlns='jabber:x:data' type='submit'>{fields}</x></response>"


async def say(visitor: Visitor, text: str) -> Element:
    visitor.say(text)
    return await visitor.receive()


def asked(challenge: Element) -> list[str]:
    """The fields of the form in a challenge."""
    assert (challenge.tag, challenge.get("type")) == (f"{R}challenge", "jabber:x:data")
    form = challenge.find(FORM)
    assert form is not None
    assert form.get("type") == "form"
    found = [field.get("var", "") for field in form.iterfind(FIELD)]
    assert form.findtext(f"{FIELD}/{VALUE}") == NS
    return found[1:]


async def refusal(visitor: Visitor, said: str) -> tuple[str, str]:
    visitor.say(said)
    violation = await visitor.violation_seen()
    return violation.condition, violation.specific


async def test_what_is_offered_has_flows_with_names_in_every_language(server: TestServer) -> None:
    features = server.knock().features
    for what in ("register", "recovery"):
        flows = features.findall(f"{R}{what}/{R}flow")
        assert [flow.get("id") for flow in flows] == ["code"]
        spoken = [name.get(f"{{{names.XML}}}lang") for name in flows[0].iterfind(f"{R}name")]
        assert spoken == ["en", "zh", "fr"]
        assert [each.get("type") for each in flows[0].iterfind(f"{R}challenge")] == ["jabber:x:data"]
    assert features.find(f"{{{names.SASL}}}mechanisms") is not None
    assert NS in server.node.plugins.features()


@pytest.mark.parametrize(("mode", "offered"), [("open", 2), ("invitation", 1), ("closed", 1)])
async def test_registration_is_offered_where_it_is_open_and_recovery_always(mode: str, offered: int) -> None:
    async with await server_with(mode) as server:
        visitor = server.knock()
        assert len([el for el in visitor.features if el.tag.startswith(R)]) == offered
        if offered == 1:
            assert await refusal(visitor, choose()) == ("undefined-condition", f"{R}invalid-flow")


async def test_somebody_registers_step_by_step_and_logs_in_on_the_same_stream(server: TestServer) -> None:
    visitor = server.knock()
    assert asked(await say(visitor, choose())) == ["email"]
    assert asked(await say(visitor, respond(email="Zoe@new.example"))) == ["pin", "password", "name"]
    pin = await pin_to(server, "zoe@new.example")
    success = await say(visitor, respond(pin=pin, password=PASSWORD, name="Zoë"))
    record = await server.store.accounts.for_login("zoe@new.example")
    assert record is not None
    localpart = record.account.localpart
    assert [(el.tag, el.text) for el in success] == [
        (f"{R}jid", f"{localpart}@{server.domain}"),
        (f"{R}username", localpart),
    ]
    assert (success.tag, visitor.session) == (f"{R}success", None)
    assert await can_log_in(server, localpart, PASSWORD, visitor)


async def test_somebody_recovers_and_old_sessions_end(server: TestServer) -> None:
    ann, visitor = await server.login("ann@acme"), server.knock()
    assert asked(await say(visitor, choose("recovery"))) == ["email"]
    assert asked(await say(visitor, respond(email="ann@acme.example"))) == ["pin", "password"]
    pin = await pin_to(server, "ann@acme.example")
    success = await say(visitor, respond(pin=pin, password=NEW))
    assert success.findtext(f"{R}username") == "ann"
    await server.settle()
    assert not ann.wire.is_open
    assert await can_log_in(server, "ann", NEW)


async def test_what_does_not_fit_is_asked_for_again_in_the_readers_language(server: TestServer) -> None:
    visitor = server.knock(lang="fr")
    await say(visitor, choose())
    for bad in (respond(email="nonsense"), respond(), f"<response xmlns='{NS}'/>"):
        assert asked(await say(visitor, bad)) == ["email"]
    await say(visitor, respond(email="zoe@new.example"))
    pin = await pin_to(server, "zoe@new.example")
    weak = await say(visitor, respond(pin=pin, password="short"))
    assert asked(weak) == ["pin", "password", "name"]
    assert "mot de passe" in "".join(weak.itertext())
    wrong = await say(visitor, respond(pin=f"{(int(pin) + 1) % 1_000_000:06d}", password=PASSWORD))
    assert asked(wrong) == ["pin", "password", "name"]
    assert (await say(visitor, respond(pin=pin, password=PASSWORD))).tag == f"{R}success"


async def test_the_answer_is_the_same_whoever_has_the_address(server: TestServer) -> None:
    await server.person("ann@acme")
    off = await server.person("off@acme")
    await server.node.people.disable(off.account, actor="test")
    for what in ("register", "recovery"):
        seen = set()
        for address in ("ann@acme.example", "new@acme.example", "off@acme.example"):
            visitor, heard = server.knock(), []
            for said in (
                choose(what),
                respond(email=address),
                respond(pin="000000", password=PASSWORD),
                respond(pin="000000", password="short"),
            ):
                visitor.say(said)
                heard.append(await visitor.receive_bytes())
            seen.add(tuple(heard))
        assert len(seen) == 1


@pytest.mark.parametrize(
    "said", [choose(flow="other"), f"<register xmlns='{NS}'/>", f"<recovery xmlns='{NS}'><flow/></recovery>"]
)
async def test_a_flow_that_is_not_offered_ends_the_stream(server: TestServer, said: str) -> None:
    assert await refusal(server.knock(), said) == ("undefined-condition", f"{R}invalid-flow")


async def test_steps_out_of_turn_end_the_stream(server: TestServer) -> None:
    assert (await refusal(server.knock(), respond(email="a@b.example")))[0] == "policy-violation"
    visitor = server.knock()
    await say(visitor, choose())
    assert (await refusal(visitor, choose("recovery")))[0] == "policy-violation"
    visitor = server.knock()
    await say(visitor, choose())
    login = f"<auth xmlns='{names.SASL}' mechanism='PLAIN'/>"
    assert (await refusal(visitor, login))[0] == "not-authorized"


@pytest.mark.parametrize(
    "over", [CANCEL, f"<response xmlns='{NS}'><x xmlns='jabber:x:data' type='cancel'/></response>"]
)
async def test_whoever_gives_up_can_log_in(server: TestServer, over: str) -> None:
    await server.person("ann@acme")
    person = await server.person("ann@acme")
    await server.node.people.set_password(person.account, PASSWORD, actor="test")
    visitor = server.knock()
    await say(visitor, choose())
    visitor.say(over)
    visitor.say(CANCEL)  # one too many, as when two of them cross
    assert await can_log_in(server, "ann", PASSWORD, visitor)


async def test_an_outage_or_a_reload_cancels_the_flow(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise sqlite3.OperationalError("away")

    visitor = server.knock()
    await say(visitor, choose())
    with monkeypatch.context() as patched:
        patched.setattr(server.node.store.accounts, "for_login", away)
        assert (await say(visitor, respond(email="zoe@new.example"))).tag == f"{R}cancel"
    assert server.node.counters.logins_failed == 0
    await say(visitor, choose())
    server.reconfigure({MfaPin: MfaPin.Options(registration="closed")})
    assert (await say(visitor, respond(email="zoe@new.example"))).tag == f"{R}cancel"
    assert server.mailbox.letters == []


async def test_who_is_logged_in_finds_no_flows(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    for what in ("register", "recovery"):
        listed = await ann.ask("get", f"<{what} xmlns='{NS}'/>", to=server.domain)
        assert [(el.tag, len(el)) for el in listed] == [(R + what, 0)]
        assert told(await ann.ask("set", choose(what))) == ("cancel", "item-not-found")


def test_every_step_says_how_it_ends_when_it_fails() -> None:
    """The core sends `excuse`, since such elements have no errors."""
    marks = [mark for name in dir(Flows) for mark in getattr(getattr(Flows, name), "_rainbow_marks", ())]
    assert {mark.excuse for mark in marks if hasattr(mark, "excuse")} == {CANCEL}
