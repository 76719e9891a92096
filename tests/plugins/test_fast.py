"""Fast Authentication Streamlining Tokens (XEP-0484): logging in once, and coming back in one round trip."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from rainbow_xmpp.plugin import Account, ClientLoggedOut, Plugin, Role, with_tasks
from rainbow_xmpp.plugins.fast import DAY_S, HOUR_S, MOST_COUNT, Fast, hashed_token
from rainbow_xmpp.plugins.fast.hashed_token import Proof, initiator, name_in, possible_with
from rainbow_xmpp.plugins.fast.store import tokens
from rainbow_xmpp.session.tasks import Ask, Done, Fail, TaskStep
from rainbow_xmpp.store.errors import DatabaseUnreachable
from rainbow_xmpp.testing import Person, TestServer
from rainbow_xmpp.xml import Element, names, serialise
from tests.plugins.fast_client import (
    BIND,
    CHANNEL,
    ENDP,
    FAST,
    LAPTOP,
    NONE,
    PASSWORD,
    SASL2,
    agent,
    by_password,
    by_token,
    data_of,
    given,
    outcome,
    person,
    proof,
    request,
    token_in,
)

TASK = "urn:example:task"
Act = Callable[[TestServer, Account], Awaitable[object]]


class Asking(Plugin, name="asking"):
    """Wants the number 1 from everybody."""

    @with_tasks()
    async def remaining(self, account: Account, done: Sequence[str]) -> Sequence["Number"]:
        return () if "NUMBER" in done else (Number(),)


class Number:
    name, text = "NUMBER", "Say 1."

    async def step(self, payload: Sequence[Element]) -> TaskStep:
        if not payload:
            return Ask(b"")
        return Done() if payload[0].text == "1" else Fail()


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Fast]) as running:
        yield running


@pytest.fixture
async def ann(server: TestServer) -> Person:
    return await person(server)


async def first_token(server: TestServer, **how: str) -> str:
    return token_in(await by_password(server.knock(), **how))


async def rows(server: TestServer) -> list[sa.RowMapping]:
    async with server.store.read() as connection:
        return list((await connection.execute(sa.select(tokens))).mappings())


# What is offered (§3.1)


@pytest.mark.parametrize(("bindings", "offered"), [({}, [NONE]), (CHANNEL, [ENDP, NONE])])
async def test_mechanisms_are_announced_that_the_connection_can_do(
    server: TestServer, bindings: dict[str, bytes], offered: list[str]
) -> None:
    features = server.knock(bindings=bindings).features
    fast = features.find(f"{SASL2}authentication/{SASL2}inline/{FAST}fast")
    assert fast is not None
    assert [mechanism.text for mechanism in fast] == offered
    assert fast.get("tls-0rtt") is None
    others = [each.text for each in features.iterfind(f"{SASL2}authentication/{SASL2}mechanism")]
    assert not set(others) & {NONE, ENDP}


def test_channels_that_a_connection_may_have_some_day_have_their_mechanisms() -> None:
    assert possible_with(("tls-exporter", "tls-unique"))[:2] == ("HT-SHA-256-EXPR", "HT-SHA-256-UNIQ")


# Tokens are given (§3.2, §3.3) and used (§3.4)


async def test_a_client_comes_back_in_one_round_trip_with_a_resource(server: TestServer, ann: Person) -> None:
    success = await by_password(server.knock())
    token = given(success)
    assert token is not None
    assert token.expiry == f"{datetime.fromtimestamp(server.clock() + 14 * DAY_S, UTC):%Y-%m-%dT%H:%M:%SZ}"
    back = server.knock(sender=ann.bare)
    welcome = await by_token(back, token.token, inline=BIND)
    assert outcome(welcome) == "success"
    assert data_of(welcome) == proof(token.token, b"Responder")
    assert welcome.findtext(f"{SASL2}authorization-identifier", "").startswith(f"{ann.bare}/Test/")
    assert given(welcome) is None
    assert back.session is not None
    assert back.session.account.id == ann.account.id


@pytest.mark.parametrize(
    "name", ["ann", "ann@rainbow.test", "ann@acme.example", "ann\\40acme.example", "Ann"]
)
async def test_whoever_comes_back_is_named_as_at_any_login(
    server: TestServer, ann: Person, name: str
) -> None:
    token = await first_token(server)
    assert outcome(await by_token(server.knock(), token, name)) == "success"


async def test_tokens_are_given_to_clients_that_ask_and_name_themselves(
    server: TestServer, ann: Person
) -> None:
    for inline, id in [("", LAPTOP), (request(), ""), (request(), "no uuid"), (request("PLAIN"), LAPTOP)]:
        assert given(await by_password(server.knock(), inline=inline, id=id)) is None
    assert given(await by_password(server.knock(), inline=request(ENDP))) is None  # not offered there
    assert await rows(server) == []


async def test_a_token_is_bound_to_its_mechanism_channel_client_and_account(
    server: TestServer, ann: Person
) -> None:
    await person(server, "bob@acme")
    there = b"the hash of the certificate"
    bound = token_in(await by_password(server.knock(bindings=CHANNEL), inline=request(ENDP)))
    refused = [
        await by_token(server.knock(bindings=CHANNEL), bound),
        await by_token(server.knock(), bound, mechanism=ENDP, channel=there),
        await by_token(server.knock(bindings=CHANNEL), bound, mechanism=ENDP, channel=b"another server's"),
        await by_token(server.knock(bindings=CHANNEL), bound, mechanism=ENDP, channel=there, id=LAPTOP),
        await by_token(server.knock(bindings=CHANNEL), bound, mechanism=ENDP, channel=there, id=""),
        await by_token(server.knock(bindings=CHANNEL), bound, "bob", mechanism=ENDP, channel=there),
    ]
    assert {outcome(reply) for reply in refused} == {"not-authorized"}
    loose = token_in(await by_password(server.knock(bindings=CHANNEL), inline=request(NONE), id=LAPTOP))
    strict = await by_token(server.knock(bindings=CHANNEL), loose, mechanism=ENDP, channel=there, id=LAPTOP)
    assert outcome(strict) == "not-authorized"
    welcome = await by_token(server.knock(bindings=CHANNEL), bound, mechanism=ENDP, channel=there)
    assert data_of(welcome) == proof(bound, b"Responder", there)


async def test_a_refusal_is_that_of_a_wrong_password_whoever_is_meant(
    server: TestServer, ann: Person
) -> None:
    token = await first_token(server)
    await person(server, "dis@acme")
    shut = token_in(await by_password(server.knock(), "dis"))
    account = (await server.person("dis@acme")).account
    await server.node.people.disable(account, actor="test")

    replies = [
        await by_token(server.knock(), f"{token}x"),
        await by_token(server.knock(), token, id=LAPTOP),
        await by_token(server.knock(), token, "nobody"),
        await by_token(server.knock(), shut, "dis"),
        await by_password(server.knock(), password="Wrong-1 password"),
    ]
    assert len({serialise(reply) for reply in replies}) == 1
    assert outcome(replies[0]) == "not-authorized"


async def test_a_wrong_token_costs_the_same_whoever_is_meant(
    server: TestServer, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lookups, statements, openings and proofs: for an account with tokens, one without, and none."""
    await first_token(server)
    assert outcome(await by_token(server.knock(), await first_token(server))) == "success"
    await first_token(server)  # ann has one in use and a new one
    await person(server, "bob@acme")
    fast, work = server.plugin(Fast), list[str]()

    def counted(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def call(*arguments: object) -> object:
            work.append(name)
            return original(*arguments)

        monkeypatch.setattr(owner, name, call)

    counted(server.store.accounts, "for_login")
    counted(fast._kept, "of_agent")
    counted(fast._box, "open")
    counted(hashed_token, "initiator")
    costs = set()
    for name in ("ann", "bob", "nobody"):
        work.clear()
        assert outcome(await by_token(server.knock(), "wrong", name)) == "not-authorized"
        costs.add(tuple(work))
    assert costs == {("for_login", "of_agent", "open", "initiator", "open", "initiator")}


@pytest.mark.parametrize("message", [b"", b"ann", b"ann\0short", b"\0" + bytes(32), b"\xff\0" + bytes(32)])
def test_what_is_no_message_of_a_hashed_token_is_of_nobody(message: bytes) -> None:
    assert name_in(message) == ""
    with pytest.raises(ValueError):
        Proof.read(message)


def test_a_proof_may_contain_any_byte() -> None:
    for number in range(300):
        token = str(number).encode()
        assert Proof.read(b"ann\0" + initiator(token, b"")).is_of(token, b"")


async def test_wrong_tokens_are_counted_as_wrong_passwords_are(server: TestServer, ann: Person) -> None:
    token = await first_token(server)
    for _ in range(12):
        last = await by_token(server.knock(), "wrong")
    assert outcome(last) == "temporary-auth-failure"
    assert outcome(await by_token(server.knock(), token)) == "temporary-auth-failure"  # unjudged
    assert outcome(await by_token(server.knock(source="192.0.2.9"), token)) == "success"


async def test_the_header_may_name_nobody_else(server: TestServer, ann: Person) -> None:
    await person(server, "bob@acme")
    token = await first_token(server)
    assert outcome(await by_token(server.knock(sender="bob@rainbow.test"), token)) == "invalid-authzid"


# The replay counter (§3.4)


async def test_a_count_is_used_once_and_only_upwards(server: TestServer, ann: Person) -> None:
    token = await first_token(server)
    for count, wanted in [
        ("1", "success"),
        ("1", "not-authorized"),
        ("7", "success"),
        ("6", "not-authorized"),
    ]:
        assert outcome(await by_token(server.knock(), token, fast=f"count='{count}'")) == wanted
    assert outcome(await by_token(server.knock(), token)) == "success"  # nobody here takes early data
    assert outcome(await by_token(server.knock(), token, fast=f"count='{MOST_COUNT}'")) == "success"


@pytest.mark.parametrize("count", ["0", "-1", "x", "", "1.0", "1_0", "١", str(MOST_COUNT + 1), "9" * 100])
async def test_a_count_is_a_positive_integer(server: TestServer, ann: Person, count: str) -> None:
    token = await first_token(server)
    assert outcome(await by_token(server.knock(), token, fast=f"count='{count}'")) == "not-authorized"


async def test_of_replays_at_once_one_is_let_in(server: TestServer, ann: Person) -> None:
    token = await first_token(server)
    replies = await asyncio.gather(
        *(by_token(server.knock(source=f"192.0.2.{n}"), token, fast="count='3'") for n in range(6))
    )
    assert sorted(map(outcome, replies)) == ["not-authorized"] * 5 + ["success"]


async def test_a_new_token_may_be_used_twice_at_once(server: TestServer, ann: Person) -> None:
    token = await first_token(server)
    replies = await asyncio.gather(*(by_token(server.knock(), token) for _ in range(4)))
    assert {outcome(reply) for reply in replies} == {"success"}
    assert [row["slot"] for row in await rows(server)] == ["current"]


# Rotation (§3.5) and the end of tokens (§3.6)


async def test_an_old_token_is_replaced_and_counts_until_the_new_one_is_used(
    server: TestServer, ann: Person
) -> None:
    old = await first_token(server)
    server.clock.advance(23 * HOUR_S)
    assert given(await by_token(server.knock(), old)) is None
    server.clock.advance(HOUR_S)
    unheard = token_in(await by_token(server.knock(), old))
    again = token_in(await by_token(server.knock(), old))  # the connection broke before the client heard
    assert len({old, unheard, again}) == 3
    assert outcome(await by_token(server.knock(), unheard)) == "not-authorized"
    assert outcome(await by_token(server.knock(), old, fast="count='1'")) == "success"
    latest = token_in(await by_token(server.knock(), old))
    assert outcome(await by_token(server.knock(), latest)) == "success"
    assert outcome(await by_token(server.knock(), old)) == "not-authorized"
    assert len(await rows(server)) == 1


async def test_a_token_that_is_asked_for_anew_replaces_one_that_was_not_used(
    server: TestServer, ann: Person
) -> None:
    unused = await first_token(server)
    used = await first_token(server)
    assert outcome(await by_token(server.knock(), unused)) == "not-authorized"
    next_one = token_in(await by_token(server.knock(), used, inline=request()))
    assert outcome(await by_token(server.knock(), next_one)) == "success"


async def test_clients_have_tokens_of_their_own(server: TestServer, ann: Person) -> None:
    phone, laptop = await first_token(server), await first_token(server, id=LAPTOP)
    assert outcome(await by_token(server.knock(), phone)) == "success"
    assert outcome(await by_token(server.knock(), laptop, id=LAPTOP)) == "success"


async def test_a_client_that_is_logged_out_where_it_is_does_not_come_back_by_its_token(
    server: TestServer, ann: Person
) -> None:
    """By an administrator's command (XEP-0133), the API or the page: all of them tell of it."""
    phone, laptop = await first_token(server), await first_token(server, id=LAPTOP)
    pending = server.node.events.tell(ClientLoggedOut(ann.account, LAPTOP))
    assert pending is not None
    await pending
    assert outcome(await by_token(server.knock(), laptop, id=LAPTOP)) == "not-authorized"
    assert outcome(await by_token(server.knock(), phone)) == "success"


@pytest.mark.parametrize("word", ["1", "true"])
async def test_a_client_ends_its_token(server: TestServer, ann: Person, word: str) -> None:
    token = await first_token(server)
    server.clock.advance(2 * DAY_S)
    goodbye = await by_token(server.knock(), token, fast=f"invalidate='{word}'")
    assert (outcome(goodbye), given(goodbye)) == ("success", None)
    assert await rows(server) == []
    assert outcome(await by_token(server.knock(), token)) == "not-authorized"


async def test_a_client_may_end_its_token_and_take_another(server: TestServer, ann: Person) -> None:
    token = await first_token(server)
    other = token_in(await by_token(server.knock(), token, inline=request(), fast="invalidate='1'"))
    assert outcome(await by_token(server.knock(), token)) == "not-authorized"
    assert outcome(await by_token(server.knock(), other)) == "success"
    assert outcome(await by_token(server.knock(), other, fast="invalidate='0'")) == "success"


async def test_an_expired_token_is_told_apart_from_a_wrong_one(server: TestServer, ann: Person) -> None:
    token = await first_token(server)
    server.clock.advance(14 * DAY_S - 1)
    assert outcome(await by_token(server.knock(), token)) == "success"
    server.clock.advance(1)
    assert outcome(await by_token(server.knock(), token)) == "credentials-expired"
    assert outcome(await by_token(server.knock(), "wrong")) == "not-authorized"


async def test_everybody_logs_in_anew_now_and_then(server: TestServer, ann: Person) -> None:
    token = await first_token(server)
    for _ in range(8):
        server.clock.advance(10 * DAY_S)
        token = token_in(await by_token(server.knock(), token, inline=request()))
    server.clock.advance(10 * DAY_S)
    assert outcome(await by_token(server.knock(), token)) == "credentials-expired"
    server.reconfigure({Fast: Fast.Options(full_login_days=0)})
    token = await first_token(server)
    for _ in range(10):
        server.clock.advance(13 * DAY_S)
        token = token_in(await by_token(server.knock(), token))
    server.reconfigure({Fast: Fast.Options(token_days=1)})  # counts for tokens that were given, too
    server.clock.advance(DAY_S)
    assert outcome(await by_token(server.knock(), token)) == "credentials-expired"


async def new_password(server: TestServer, account: Account) -> None:
    await server.node.people.set_password(account, "Another-2 password", actor="test")


async def new_role(server: TestServer, account: Account) -> None:
    await server.store.accounts.set_role(account.company.id, account.id, Role.COMPANY_ADMIN)


async def log_out_everywhere(server: TestServer, account: Account) -> None:
    await server.node.people.end_sessions(account, actor="test")


async def disable_and_enable(server: TestServer, account: Account) -> None:
    await server.node.people.disable(account, actor="test")
    await server.node.people.enable(account, actor="test")


async def second_factor(server: TestServer, account: Account) -> None:
    await server.store.accounts.set_second_factor(account.company.id, account.id, True)


@pytest.mark.parametrize(
    "act", [new_password, new_role, log_out_everywhere, disable_and_enable, second_factor]
)
async def test_tokens_end_with_what_ends_logins(server: TestServer, ann: Person, act: Act) -> None:
    used, new = await first_token(server), await first_token(server, id=LAPTOP)
    assert outcome(await by_token(server.knock(), used)) == "success"
    await act(server, ann.account)
    assert outcome(await by_token(server.knock(), used)) == "credentials-expired"
    assert outcome(await by_token(server.knock(), new, id=LAPTOP)) == "credentials-expired"
    assert await server.plugin(Fast).clients_of((await server.person("ann@acme")).account) == []
    await server.run_job(Fast.forget_dead)
    assert await rows(server) == []
    assert outcome(await by_token(server.knock(), used)) == "not-authorized"


async def test_a_token_that_comes_too_late_for_a_new_password_lets_nobody_in(
    server: TestServer, ann: Person
) -> None:
    """The password changes while the client is on its way in."""
    token = await first_token(server)
    fast = server.plugin(Fast)
    use = fast._kept.use

    async def slow_use(*arguments: object, **more: bool) -> bool:
        result = await use(*arguments, **more)  # type: ignore[arg-type]
        await new_password(server, ann.account)
        await server.node.watch.poll()
        return result

    fast._kept.use = slow_use  # type: ignore[method-assign,assignment]
    back = server.knock()
    assert outcome(await by_token(back, token, inline=BIND)) == "temporary-auth-failure"
    assert back.session is None


async def test_tokens_go_with_their_owner(server: TestServer, ann: Person) -> None:
    token = await first_token(server)
    await server.node.people.remove(ann.account, actor="test")
    assert await rows(server) == []
    assert outcome(await by_token(server.knock(), token)) == "not-authorized"


async def test_the_job_drops_what_is_over_and_nothing_else(server: TestServer, ann: Person) -> None:
    await first_token(server)
    server.clock.advance(7 * DAY_S)
    laptop = await first_token(server, id=LAPTOP)
    server.clock.advance(7 * DAY_S)
    await server.run_job(Fast.forget_dead)
    assert [row["agent"] for row in await rows(server)] == [LAPTOP]
    assert outcome(await by_token(server.knock(), laptop, id=LAPTOP)) == "success"


async def test_of_too_many_clients_those_are_forgotten_that_stayed_away(
    server: TestServer, ann: Person
) -> None:
    server.reconfigure({Fast: Fast.Options(clients_per_person=2)})
    third = "7b1ce4f0-7a6a-4f5e-9d3c-5a2f6c1e7b13"
    phone = await first_token(server)
    server.clock.advance(10)
    laptop = await first_token(server, id=LAPTOP)
    server.clock.advance(10)
    assert outcome(await by_token(server.knock(), phone)) == "success"
    server.clock.advance(10)
    assert outcome(await by_token(server.knock(), await first_token(server, id=third), id=third)) == "success"
    assert outcome(await by_token(server.knock(), laptop, id=LAPTOP)) == "not-authorized"
    assert outcome(await by_token(server.knock(), phone)) == "success"


# Who gets one


async def test_a_token_is_given_after_all_tasks_and_spares_them_afterwards() -> None:
    """§3.3, §4.2: nothing is handed out on the way, and whoever comes back is asked for nothing."""
    async with TestServer([Fast, Asking]) as server:
        await person(server)
        visitor = server.knock()
        more = await by_password(visitor)
        assert outcome(more) == "continue"
        assert more.find(f".//{FAST}token") is None
        assert await rows(server) == []
        visitor.say(f"<next xmlns='{names.SASL2}' task='NUMBER'><n xmlns='{TASK}'>2</n></next>")
        assert outcome(await visitor.receive()) == "not-authorized"
        assert await rows(server) == []
        visitor = server.knock()
        await by_password(visitor)
        visitor.say(f"<next xmlns='{names.SASL2}' task='NUMBER'><n xmlns='{TASK}'>1</n></next>")
        token = token_in(await visitor.receive())
        assert outcome(await by_token(server.knock(), token)) == "success"


async def test_whoever_comes_by_a_token_of_the_api_gets_none(server: TestServer, ann: Person) -> None:
    """It would outlive the login that the session ends with."""
    logins = server.node.token_logins
    assert logins is not None
    pair = await logins.log_in("ann", PASSWORD, "192.0.2.1")
    message = b64encode(f"n,,\x01auth=Bearer {pair.access}\x01\x01".encode()).decode()  # type: ignore[union-attr]
    visitor = server.knock()
    visitor.say(
        f"<authenticate xmlns='{names.SASL2}' mechanism='OAUTHBEARER'><initial-response>{message}"
        f"</initial-response>{agent(LAPTOP)}{request()}</authenticate>"
    )
    success = await visitor.receive()
    assert (outcome(success), given(success)) == ("success", None)


async def test_whoever_comes_by_an_app_password_gets_none(server: TestServer, ann: Person) -> None:
    """It would outlive the app password."""

    async def nothing(connection: object) -> None:
        return None

    await server.node.app_passwords.add(ann.account, "1" * 24, "abcd-efgh-2345", nothing)
    success = await by_password(server.knock(), password="abcd-efgh-2345")
    assert (outcome(success), given(success)) == ("success", None)
    assert await rows(server) == []


async def test_whom_the_plugin_does_not_serve_gets_none_and_is_not_let_in(
    server: TestServer, ann: Person
) -> None:
    token = await first_token(server)
    server.reconfigure({Fast: Fast.Options(companies=("other",))})
    assert outcome(await by_token(server.knock(), token)) == "not-authorized"
    assert given(await by_password(server.knock(), id=LAPTOP)) is None


# At rest


async def test_the_database_alone_lets_nobody_in(server: TestServer, ann: Person) -> None:
    token = await first_token(server)
    (row,) = await rows(server)
    assert not any(token.encode() in str(value).encode() or value == token.encode() for value in row.values())
    assert outcome(await by_token(server.knock(), row["sealed"].hex())) == "not-authorized"
    bob = await person(server, "bob@acme")
    moved = {
        **row,
        "owner_id": bob.account.id,
        "company_id": bob.account.company.id,
        "epoch": bob.account.epoch,
    }
    async with server.store.write() as connection:
        await connection.execute(sa.insert(tokens), moved)  # ann's token, written to bob
    assert outcome(await by_token(server.knock(), token, "bob")) == "not-authorized"


async def test_without_a_database_nobody_is_told_that_the_token_is_wrong(
    server: TestServer, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await first_token(server)

    async def away(*_: object) -> None:
        raise DatabaseUnreachable("away")

    with monkeypatch.context() as patched:
        patched.setattr(server.plugin(Fast)._kept, "of_agent", away)
        assert outcome(await by_token(server.knock(), token)) == "temporary-auth-failure"
    assert outcome(await by_token(server.knock(), token)) == "success"


async def test_coming_back_writes_only_when_there_is_something_to_write(
    server: TestServer, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await first_token(server)
    assert outcome(await by_token(server.knock(), token)) == "success"

    def refused() -> None:
        raise AssertionError("a login wrote")

    monkeypatch.setattr(server.plugin(Fast)._kept._store, "write", refused, raising=False)
    assert outcome(await by_token(server.knock(), token)) == "success"
    assert server.node.counters.fast_logins == 2
    assert server.node.counters.fast_tokens == 1
