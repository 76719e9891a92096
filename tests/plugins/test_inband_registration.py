"""Registering, setting and changing passwords over XMPP itself, as stock clients do it (XEP-0077, XEP-0445)."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rainbow_xmpp.plugins.account_pages import AccountPages
from rainbow_xmpp.plugins.inband_registration import InbandRegistration
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.stanza.forms import FORM
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.visitor import Visitor
from rainbow_xmpp.xml import Element, escape, names
from tests.plugins.letters import pin_to

PASSWORD = "Purple-Kettle-93"
NEW = "Silver-Anchor-41"
R = f"{{{names.REGISTER}}}"
QUERY = f"<query xmlns='{names.REGISTER}'/>"


async def server_with(registration: str = "open", **options: Any) -> TestServer:
    chosen = {"registration": registration, "per_source_per_hour": 10_000, **options}
    return TestServer(
        {
            MfaPin: MfaPin.Options(**chosen),
            AccountPages: AccountPages.Options(),
            InbandRegistration: InbandRegistration.Options(),
        }
    )


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with await server_with() as running:
        yield running


def submit(form_type: str = names.REGISTER, **values: str) -> str:
    """A submitted form, with `x_pin` for `x-pin`."""
    fields = "".join(
        f"<field var='{name.replace('x_', 'x-')}'><value>{escape(value)}</value></field>"
        for name, value in {"FORM_TYPE": form_type, **values}.items()
    )
    return f"<query xmlns='{names.REGISTER}'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>"


def told(reply: Element) -> tuple[str, str]:
    """The type and condition of an error; ("", "") for a result."""
    error = reply.find("{jabber:client}error")
    return ("", "") if error is None else (error.get("type", ""), error[0].tag.partition("}")[2])


def form_of(reply: Element) -> dict[str, str]:
    """The fields of the form in an answer, with what stands in them."""
    form = reply.find(f"{R}query/{FORM}")
    assert form is not None, "there is no form"
    fields = form.iterfind("{jabber:x:data}field")
    return {field.get("var", ""): field.findtext("{jabber:x:data}value") or "" for field in fields}


def announced(visitor: Visitor) -> set[str]:
    return {el.tag for el in visitor.features} & {
        f"{{{names.REGISTER_FEATURE}}}register",
        f"{{{names.INVITED_REGISTER}}}register",
    }


async def can_log_in(server: TestServer, name: str, password: str, visitor: Visitor | None = None) -> bool:
    visitor = visitor or server.knock()
    data = b64encode(f"\0{name}\0{password}".encode()).decode()
    visitor.say(
        f"<authenticate xmlns='{names.SASL2}' mechanism='PLAIN'><initial-response>{data}</initial-response>"
        "<bind xmlns='urn:xmpp:bind:0'/></authenticate>"
    )
    return (await visitor.receive()).tag == f"{{{names.SASL2}}}success"


# -- registering ---------------------------------------------------------------------------------------------------


async def test_somebody_registers_in_two_steps_and_logs_in_on_the_same_connection(server: TestServer) -> None:
    visitor = server.knock()
    assert len(announced(visitor)) == 2
    first = await visitor.ask("get", QUERY, to=server.domain)
    assert {"FORM_TYPE", "username", "email", "x-pin", "password", "x-purpose"} <= form_of(first).keys()
    assert form_of(first)["FORM_TYPE"] == names.REGISTER
    assert first.find(f"{R}query/{R}instructions") is not None
    url = first.find(f"{R}query/{{{names.OOB}}}x/{{{names.OOB}}}url")
    assert url is not None
    assert url.text == f"{server.node.config.public_url}/register"
    assert first.find(f"{R}query/{R}password") is None  # nobody could register by legacy fields

    assert visitor.allowed_s == 0
    second = await visitor.ask("set", submit(email="Zoe@New.example"))
    assert visitor.allowed_s == 600  # a letter takes its time
    assert told(second) == ("modify", "not-acceptable")  # what clients show again (Gajim)
    assert form_of(second)["username"] == "zoe\\40new.example"
    pin = await pin_to(server, "zoe@new.example")
    done = await visitor.ask("set", submit(x_pin=pin, password=PASSWORD, name="Zoë", username="x"))
    assert (done.get("type"), len(done)) == ("result", 0)
    assert visitor.session is None  # nobody is logged in by it
    assert await can_log_in(server, "zoe\\40new.example", PASSWORD, visitor)
    record = await server.store.accounts.for_login("zoe@new.example")
    assert record is not None
    assert (record.account.name, record.account.company.name) == ("Zoë", "Rainbow")


async def test_a_client_with_one_form_finishes_on_another_connection(server: TestServer) -> None:
    """Converse takes a new connection after an error, and shows the first form again."""
    first = server.knock()
    await first.ask("get", QUERY)
    blank = {"x_purpose": "register", "x_pin": "", "password": "", "name": ""}
    assert told(await first.ask("set", submit(email="zoe@new.example", **blank))) == (
        "modify",
        "not-acceptable",
    )
    first.abort()
    second = server.knock(source="192.0.2.77")  # the same network
    blank |= {"x_pin": await pin_to(server, "zoe@new.example"), "password": PASSWORD}
    assert (await second.ask("set", submit(email="ZOE@new.example", **blank))).get("type") == "result"
    assert await can_log_in(server, "zoe@new.example", PASSWORD)


async def test_the_code_is_worth_nothing_in_another_network(server: TestServer) -> None:
    await server.knock().ask("set", submit(email="zoe@new.example"))
    pin = await pin_to(server, "zoe@new.example")
    elsewhere = server.knock(source="203.0.113.9")
    answers = submit(email="zoe@new.example", x_pin=pin, password=PASSWORD)
    assert told(await elsewhere.ask("set", answers)) == ("modify", "not-acceptable")
    assert (await server.knock().ask("set", answers)).get("type") == "result"


async def test_somebody_sets_a_new_password_and_old_sessions_end(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    visitor = server.knock()
    await visitor.ask("set", submit(email="ann@acme.example", x_purpose="reset"))
    pin = await pin_to(server, "ann@acme.example")
    done = await visitor.ask("set", submit(x_pin=pin, password=NEW))
    assert done.get("type") == "result", told(done)
    await server.settle()
    assert not ann.wire.is_open
    assert await can_log_in(server, "ann", NEW)
    assert "was changed" in await server.mailbox.next_to("ann@acme.example")


async def test_what_is_wrong_is_told_with_the_form_and_in_the_readers_language(server: TestServer) -> None:
    visitor = server.knock(lang="fr")
    bad = await visitor.ask("set", submit(email="not an address"))
    assert told(bad) == ("modify", "not-acceptable")
    text = bad.find(f"{{jabber:client}}error/{{{names.STANZAS}}}text")
    assert text is not None
    assert text.text is not None
    assert text.text.startswith("Veuillez indiquer")
    assert text.get(f"{{{names.XML}}}lang") == "fr"
    assert form_of(bad)["email"] == ""
    await visitor.ask("set", submit(email="zoe@new.example"))
    pin = await pin_to(server, "zoe@new.example")
    for password, word in (("short", "au moins"), ("", "vide")):
        weak = await visitor.ask("set", submit(x_pin=pin, password=password))
        assert told(weak) == ("modify", "not-acceptable")
        assert word in "".join(weak.itertext())
    wrong = await visitor.ask("set", submit(x_pin=f"{(int(pin) + 1) % 1_000_000:06d}", password=PASSWORD))
    assert told(wrong) == ("modify", "not-acceptable")
    assert (await visitor.ask("set", submit(x_pin=pin, password=PASSWORD))).get("type") == "result"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (
            f"<query xmlns='{names.REGISTER}'><username>a</username><password>b</password></query>",
            "not-acceptable",
        ),
        (QUERY, "not-acceptable"),
        (submit(), "not-acceptable"),
        (submit(x_pin="123456", password=PASSWORD), "not-acceptable"),
        (submit(email="a@b.example", x_purpose="rule"), "not-acceptable"),
        (submit(email="a" * 300), "not-acceptable"),
        (submit("jabber:iq:search", email="a@b.example"), "not-acceptable"),
        (f"<query xmlns='{names.REGISTER}'><remove/></query>", "unexpected-request"),
    ],
    ids=[
        "legacy fields",
        "nothing",
        "empty form",
        "no request",
        "purpose",
        "too long",
        "other form",
        "remove",
    ],
)
async def test_what_does_not_fit_is_refused(server: TestServer, query: str, error: str) -> None:
    visitor = server.knock()
    assert told(await visitor.ask("set", query))[1] == error
    assert (await visitor.ask("get", QUERY)).get("type") == "result"
    assert server.mailbox.letters == []


async def test_whoever_gives_up_begins_anew(server: TestServer) -> None:
    visitor = server.knock()
    await visitor.ask("set", submit(email="zoe@new.example"))
    pin = await pin_to(server, "zoe@new.example")
    cancel = f"<query xmlns='{names.REGISTER}'><x xmlns='jabber:x:data' type='cancel'/></query>"
    assert (await visitor.ask("set", cancel)).get("type") == "result"
    assert told(await visitor.ask("set", submit(x_pin=pin, password=PASSWORD)))[1] == "not-acceptable"


async def test_the_answer_is_the_same_whoever_has_the_address(server: TestServer) -> None:
    """Known, unknown, switched off; to register and to reset; asking, and a wrong code."""
    await server.person("ann@acme")
    off = await server.person("off@acme")
    await server.node.people.disable(off.account, actor="test")
    for purpose in ("register", "reset"):
        seen = set()
        for address in ("ann@acme.example", "new@acme.example", "off@acme.example"):
            visitor = server.knock()
            asked, wrong = [
                await _bytes(visitor, submit(**values))
                for values in (
                    {"email": address, "x_purpose": purpose},
                    {"x_pin": "000000", "password": PASSWORD},
                )
            ]
            masked = (asked + b"|" + wrong).replace(address.replace("@", "\\40").encode(), b"ADDRESS")
            seen.add(masked)
        assert len(seen) == 1, seen
    failed = server.node.counters.pins_failed
    assert failed == 6


async def _bytes(visitor: Visitor, query: str) -> bytes:
    visitor.say(f"<iq xmlns='jabber:client' type='set' id='same'>{query}</iq>")
    return await visitor.receive_bytes()


async def test_guesses_are_counted_over_connections(server: TestServer) -> None:
    await server.knock().ask("set", submit(email="zoe@new.example"))
    pin = await pin_to(server, "zoe@new.example")
    for number in range(5):
        guess = f"{(int(pin) + 1 + number) % 1_000_000:06d}"
        answers = submit(email="zoe@new.example", x_pin=guess, password=PASSWORD)
        assert told(await server.knock().ask("set", answers))[1] == "not-acceptable"
    right = submit(email="zoe@new.example", x_pin=pin, password=PASSWORD)
    assert told(await server.knock().ask("set", right))[1] == "not-acceptable"
    assert server.node.counters.pins_void == 1


async def test_too_many_requests_of_a_network_are_told_to_wait() -> None:
    async with await server_with(per_source_per_hour=1) as server:
        visitor = server.knock()
        await visitor.ask("set", submit(email="one@new.example"))
        late = server.knock()
        later = await late.ask("set", submit(email="two@new.example"))
        assert told(later) == ("wait", "resource-constraint")
        assert late.allowed_s == 0  # who gets no letter need not wait for one


async def test_an_outage_is_told_to_wait_and_no_failed_login(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise sqlite3.OperationalError("away")

    monkeypatch.setattr(server.node.store.accounts, "for_login", away)
    visitor = server.knock()
    assert told(await visitor.ask("set", submit(email="zoe@new.example"))) == ("wait", "resource-constraint")
    assert server.node.counters.logins_failed == 0


# -- who may register ----------------------------------------------------------------------------------------------


async def test_where_nobody_registers_nothing_is_announced_or_done() -> None:
    async with await server_with("closed") as server:
        visitor = server.knock()
        assert announced(visitor) == set()
        for kind, query in (("get", QUERY), ("set", submit(email="zoe@new.example"))):
            assert told(await visitor.ask(kind, query)) == ("cancel", "service-unavailable")
        assert server.mailbox.letters == []


async def test_without_a_desk_nothing_is_announced_or_done() -> None:
    async with TestServer([InbandRegistration]) as server:
        visitor = server.knock()
        assert announced(visitor) == set()
        assert told(await visitor.ask("get", QUERY)) == ("cancel", "service-unavailable")
        token = f"<preauth xmlns='{names.PARS}' token='x'/>"
        assert told(await visitor.ask("set", token)) == ("cancel", "service-unavailable")


async def test_where_people_are_invited_they_register_by_nothing_else() -> None:
    async with await server_with("invitation") as server:
        visitor = server.knock()
        assert "x-purpose" not in form_of(await visitor.ask("get", QUERY))
        refused = await visitor.ask("set", submit(email="zoe@new.example", x_purpose="register"))
        assert told(refused) == ("cancel", "not-allowed")
        await server.person("ann@acme")
        await visitor.ask("set", submit(email="ann@acme.example"))  # a password that was forgotten
        pin = await pin_to(server, "ann@acme.example")
        assert (await visitor.ask("set", submit(x_pin=pin, password=NEW))).get("type") == "result"


async def test_a_reload_opens_and_closes_it(server: TestServer) -> None:
    assert len(announced(server.knock())) == 2
    server.reconfigure({MfaPin: MfaPin.Options(registration="closed")})
    assert announced(server.knock()) == set()


# -- invitations (XEP-0445) ----------------------------------------------------------------------------------------


async def invitation(server: TestServer, address: str = "zoe@acme.example") -> str:
    company = await server.company("acme")
    await server.plugin(MfaPin).invite(company, address, actor="admin")
    found = re.search(r"/join/([A-Za-z0-9_-]+)", await server.mailbox.next_to(address))
    assert found is not None
    return found[1]


def preauth(token: str) -> str:
    return f"<preauth xmlns='{names.PARS}' token='{token}'/>"


async def test_the_invited_join_with_a_password_alone() -> None:
    async with await server_with("invitation") as server:
        token = await invitation(server)
        visitor = server.knock()
        accepted = await visitor.ask("set", preauth(token), to=server.domain)
        assert (accepted.get("type"), accepted.get("from"), len(accepted)) == ("result", server.domain, 0)
        form = form_of(await visitor.ask("get", QUERY))
        assert "x-pin" not in form
        assert form["username"] == "zoe\\40acme.example"
        weak = await visitor.ask("set", submit(password="short"))
        assert told(weak) == ("modify", "not-acceptable")
        server.clock.advance(8 * 86_400)  # "MUST NOT be rejected due to token expiry"
        assert (await visitor.ask("set", submit(password=PASSWORD, name="Zoë"))).get("type") == "result"
        record = await server.store.accounts.for_login("zoe@acme.example")
        assert record is not None
        assert (record.account.company.name, record.account.name) == ("acme", "Zoë")
        assert await can_log_in(server, "zoe@acme.example", PASSWORD, visitor)
        assert told(await server.knock().ask("set", preauth(token))) == ("cancel", "item-not-found")


async def test_the_page_of_an_invitation_leads_to_chat_clients() -> None:
    async with await server_with("invitation") as server:
        token = await invitation(server)
        page = await server.http("GET", f"/join/{token}")
        assert f'href="xmpp:{server.domain}?register;preauth={token}"' in page.text
        assert 'href="xmpp:' not in (await server.http("GET", "/join/none")).text
    async with TestServer([MfaPin, AccountPages]) as without:
        page = await without.http("GET", f"/join/{await invitation(without)}")
        assert page.status == 200
        assert 'href="xmpp:' not in page.text


async def test_a_token_counts_once_and_is_asked_for_when_it_is_shown() -> None:
    async with await server_with("invitation") as server:
        token = await invitation(server)
        one, other = server.knock(), server.knock()
        for visitor in (one, other):
            assert (await visitor.ask("set", preauth(token))).get("type") == "result"
        both = await asyncio.gather(*(v.ask("set", submit(password=PASSWORD)) for v in (one, other)))
        assert sorted(told(reply)[1] for reply in both) == ["", "item-not-found"]
        late = await invitation(server, "late@acme.example")
        server.clock.advance(8 * 86_400)
        for bad in (late, "", "nonsense", "x" * 500):
            assert told(await server.knock().ask("set", preauth(bad))) == ("cancel", "item-not-found")
        server.reconfigure({MfaPin: MfaPin.Options(registration="closed")})
        good = await invitation(server, "good@acme.example")
        assert told(await server.knock().ask("set", preauth(good))) == ("cancel", "item-not-found")


# -- those who are logged in ---------------------------------------------------------------------------------------


async def with_password(server: TestServer, name: str = "ann@acme") -> Client:
    person = await server.person(name)
    await server.node.people.set_password(person.account, PASSWORD, actor="test")
    return await server.login(name)


CHANGE = "jabber:iq:register:changepassword"


async def test_who_is_logged_in_is_told_so(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    for to in ("", server.domain):
        query = (await ann.ask("get", QUERY, to=to)).find(f"{R}query")
        assert query is not None
        assert query.find(f"{R}registered") is not None
        assert query.findtext(f"{R}username") == "ann"
        assert "acme.example" not in "".join(query.itertext())
    info = await ann.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=server.domain)
    assert info.get("type") == "error"  # no disco here; see `features`
    assert names.REGISTER in server.node.plugins.features()


async def test_a_password_is_changed_by_the_form_that_asks_for_the_old_one(server: TestServer) -> None:
    ann = await with_password(server)
    phone = await server.login("ann@acme")
    legacy = f"<query xmlns='{names.REGISTER}'><username>ann</username><password>{NEW}</password></query>"
    first = await ann.ask("set", legacy, to=server.domain)
    assert told(first) == ("modify", "not-authorized")
    assert form_of(first) == {"FORM_TYPE": CHANGE, "username": "ann", "old_password": "", "password": ""}
    assert NEW not in "".join(first.itertext())
    for old, new, error in (
        ("wrong", NEW, ("modify", "not-authorized")),
        (PASSWORD, "short", ("modify", "not-acceptable")),
        (PASSWORD, NEW, ("", "")),
    ):
        values = {"username": f"ann@{server.domain}", "old_password": old, "password": new}
        assert told(await ann.ask("set", submit(CHANGE, **values))) == error
    await server.settle()
    assert (ann.wire.is_open, phone.wire.is_open) == (True, False)  # who proved to know the old one goes on
    assert (await can_log_in(server, "ann", NEW), await can_log_in(server, "ann", PASSWORD)) == (True, False)
    assert "was changed" in await server.mailbox.next_to("ann@acme.example")
    await server.node.people.disable(ann.account, actor="test")
    await server.settle()
    assert not ann.wire.is_open


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("<remove/>", ("cancel", "not-allowed")),
        ("<remove/><username/>", ("modify", "bad-request")),
        ("", ("modify", "bad-request")),
        ("<username>ann</username><password/>", ("modify", "bad-request")),
        ("<password>x</password>", ("modify", "bad-request")),
        ("<username>bob</username><password>x</password>", ("modify", "bad-request")),
        ("<username>nobody</username><password>x</password>", ("modify", "bad-request")),
    ],
)
async def test_what_else_is_asked_changes_nothing(
    server: TestServer, query: str, error: tuple[str, str]
) -> None:
    ann = await with_password(server)
    await server.person("bob@acme")
    answer = await ann.ask("set", f"<query xmlns='{names.REGISTER}'>{query}</query>")
    assert told(answer) == error
    assert await can_log_in(server, "ann", PASSWORD)


async def test_nobody_changes_the_password_of_somebody_else(server: TestServer) -> None:
    ann, bob = await with_password(server), await with_password(server, "bob@acme")
    values = {"username": "bob", "old_password": PASSWORD, "password": NEW}
    assert told(await ann.ask("set", submit(CHANGE, **values))) == ("modify", "bad-request")
    refused = await ann.ask("set", submit(CHANGE, **values), to=bob.bare)
    assert told(refused) == ("cancel", "service-unavailable")
    assert await can_log_in(server, "bob", PASSWORD)


async def test_the_old_password_is_not_guessed_here_more_often_than_at_a_login(server: TestServer) -> None:
    ann = await with_password(server)
    limit = server.node.config.limits.login_failures_per_account_per_minute
    values = {"username": "ann", "old_password": "wrong", "password": NEW}
    seen = [told(await ann.ask("set", submit(CHANGE, **values)))[1] for _ in range(limit + 2)]
    assert seen[0] == "not-authorized"
    assert seen[-1] == "resource-constraint"
    right = values | {"old_password": PASSWORD}
    assert told(await ann.ask("set", submit(CHANGE, **right))) == ("wait", "resource-constraint")
