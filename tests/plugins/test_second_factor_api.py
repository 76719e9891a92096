"""Second factors over the API: making one, logging in with it, and what the tokens in between are good for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rainbow_xmpp.plugin import Account, FactorRule
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.plugins.second_factor import SecondFactorAtLogin
from rainbow_xmpp.store.values import Role
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.web import Answer
from tests.plugins.rest import PASSWORD, Caller, basic, call, logged_in, with_password
from tests.plugins.test_second_factor import App, fresh, rule

MINE = "/users/me/second-factor"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([RestApi, CompanyIsolation, SecondFactorAtLogin]) as running:
        yield running


async def enrol(caller: Caller) -> tuple[App, list[str]]:
    """The caller turns a factor on, and goes on with the tokens that come of it."""
    begun = await caller.call("POST", MINE + "/enrolment", {"password": PASSWORD})
    assert begun.status == 200, begun.text
    app = App(caller.server, begun.json()["uri"])
    done = await caller.call("POST", MINE + "/confirmation", {"code": app.code()})
    assert done.status == 200, done.text
    assert done.headers["cache-control"] == "no-store"
    tokens = done.json()["tokens"]
    caller.token, caller.refresh = tokens["access_token"], tokens["refresh_token"]
    caller.server.clock.advance(60)
    return app, done.json()["recovery_codes"]


async def login(server: TestServer, name: str = "ann", password: str = PASSWORD) -> Answer:
    return await call(server, "POST", "/auth/login", Authorization=basic(name, password))


async def waiting(server: TestServer, name: str = "ann", wanted: str = "second_factor") -> str:
    """The token of somebody whose password was right."""
    answer = await login(server, name)
    assert (answer.status, answer.json()["wanted"]) == (202, wanted), answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["token"])


async def send(
    server: TestServer, token: str, path: str, body: object = None, method: str = "POST"
) -> Answer:
    return await call(server, method, path, body, Authorization=f"Bearer {token}")


async def test_a_login_is_completed_by_a_code(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    app, recovery = await enrol(ann)
    assert (await ann.get(MINE))["recovery_codes_left"] == 10
    token = await waiting(server)
    wrong = await send(server, token, "/auth/second-factor", {"code": app.wrong()})
    assert (wrong.status, wrong.json()["type"]) == (422, "urn:rainbow:problem:wrong-code")
    code = app.code()
    pair = await send(server, token, "/auth/second-factor", {"code": code})
    assert pair.status == 200
    assert (await send(server, pair.json()["access_token"], "/users/me", method="GET")).status == 200
    again = await call(server, "POST", "/auth/refresh", {"refresh_token": pair.json()["refresh_token"]})
    assert again.status == 200
    assert (await send(server, token, "/auth/second-factor", {"code": code})).status == 422
    assert (await send(server, token, "/auth/second-factor", {"code": recovery[0]})).status == 200
    assert (await send(server, token, "/auth/second-factor", {"code": recovery[0]})).status == 422


async def test_fifty_at_once_log_in_once_with_a_code(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    app, _ = await enrol(ann)
    token = await waiting(server)
    tries = [send(server, token, "/auth/second-factor", {"code": app.code()}) for _ in range(50)]
    statuses = [answer.status for answer in await asyncio.gather(*tries)]
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 422, 429}


async def test_the_token_between_is_good_for_nothing_else(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    app, _ = await enrol(ann)
    token = await waiting(server)
    for method, path, body in (
        ("GET", "/users/me", None),
        ("GET", MINE, None),
        ("POST", MINE + "/enrolment", {"password": PASSWORD, "code": app.code()}),
        ("POST", "/auth/logout", None),
        ("POST", "/auth/second-factor/enrolment", None),
        ("POST", "/auth/second-factor/confirmation", {"code": app.code()}),
    ):
        assert (await send(server, token, path, body, method)).status == 401, path
    assert (await call(server, "POST", "/auth/refresh", {"refresh_token": token[:200]})).status == 401
    for other in (ann.token, "", "nonsense", token + "x"):
        assert (await send(server, other, "/auth/second-factor", {"code": app.code()})).status == 401
    server.clock.advance(311)
    assert (await send(server, token, "/auth/second-factor", {"code": app.code()})).status == 401


async def test_the_token_between_dies_with_the_password(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    app, _ = await enrol(ann)
    token = await waiting(server)
    await server.node.people.set_password(ann.person.account, "Silver-Anchor-41", actor="test")
    assert (await send(server, token, "/auth/second-factor", {"code": app.code()})).status == 401


async def test_what_was_logged_in_ends_and_this_login_goes_on(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    pair = (await login(server)).json()
    other = Caller(server, ann.person, pair["access_token"], pair["refresh_token"])
    before = ann.token
    await enrol(ann)
    assert (await other.call("GET", "/users/me")).status == 401
    assert (await call(server, "POST", "/auth/refresh", {"refresh_token": other.refresh})).status == 401
    assert (await send(server, before, "/users/me", method="GET")).status == 401
    assert (await ann.call("GET", "/users/me")).status == 200


async def test_making_and_ending_one_asks_for_the_password(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    bodies: list[tuple[str, dict[str, str]]] = [("/enrolment", {}), ("/app-passwords", {"name": "Gajim"})]
    for path, body in bodies:
        refused = await ann.call("POST", MINE + path, body | {"password": "Wrong-1 password"})
        assert (refused.status, refused.json()["type"]) == (403, "urn:rainbow:problem:wrong-password")
    app, _ = await enrol(ann)
    refused = await ann.call("POST", MINE + "/removal", {"password": "Wrong-1 x", "code": app.code()})
    assert refused.status == 403
    refused = await ann.call("POST", MINE + "/removal", {"password": PASSWORD, "code": app.wrong()})
    assert refused.status == 422
    done = await ann.call("POST", MINE + "/removal", {"password": PASSWORD, "code": app.code()})
    assert done.status == 200
    assert (await send(server, done.json()["access_token"], MINE, method="GET")).json()["is_on"] is False
    assert (await login(server)).status == 200


async def test_app_passwords_over_the_api(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    body = {"name": "Gajim", "password": PASSWORD}
    assert (await ann.call("POST", MINE + "/app-passwords", body)).status == 409
    await enrol(ann)
    made = await ann.call("POST", MINE + "/app-passwords", body)
    assert made.status == 201
    (listed,) = (await ann.get(MINE))["app_passwords"]
    assert (listed["id"], listed["name"], listed["used_at"]) == (made.json()["id"], "Gajim", None)
    assert made.json()["password"] not in str(await ann.get(MINE))
    assert (await login(server, password=made.json()["password"])).status == 401  # they are for XMPP
    path = f"{MINE}/app-passwords/{made.json()['id']}"
    ben = await logged_in(server, "ben@acme")
    assert (await ben.call("DELETE", path)).status == 404
    assert (await ann.call("DELETE", path)).status == 204
    assert (await ann.call("DELETE", path)).status == 404
    assert (await ann.call("POST", MINE + "/app-passwords", body | {"name": "   "})).status == 422


async def test_recovery_codes_over_the_api(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    app, recovery = await enrol(ann)
    made = await ann.call("POST", MINE + "/recovery-codes", {"code": app.code()})
    assert len(set(made.json()["recovery_codes"]) - set(recovery)) == 10


# -- where the company requires it -------------------------------------------------------------------


async def required(server: TestServer, account: Account) -> None:
    await rule(server, await fresh(server, account), FactorRule.REQUIRED)


async def test_whoever_must_enrol_does_that_and_nothing_else(server: TestServer) -> None:
    ann = await with_password(server, "ann@acme")
    await required(server, ann.account)
    token = await waiting(server, wanted="enrolment")
    assert (await send(server, token, "/users/me", method="GET")).status == 401
    assert (await send(server, token, "/auth/second-factor", {"code": "123456"})).status == 401
    nothing = await send(server, token, "/auth/second-factor/confirmation", {"code": "123456"})
    assert nothing.status == 409
    begun = await send(server, token, "/auth/second-factor/enrolment")
    app = App(server, begun.json()["uri"])
    wrong = await send(server, token, "/auth/second-factor/confirmation", {"code": app.wrong()})
    assert wrong.status == 422
    done = await send(server, token, "/auth/second-factor/confirmation", {"code": app.code()})
    assert done.status == 200
    access = done.json()["tokens"]["access_token"]
    assert (await send(server, access, "/users/me", method="GET")).status == 200
    assert (await send(server, token, "/auth/second-factor/enrolment")).status == 401
    server.clock.advance(60)
    await waiting(server)


async def test_a_login_from_before_is_not_renewed(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    await required(server, ann.person.account)
    assert (await ann.call("GET", "/users/me")).status == 200  # until it is over
    assert (await call(server, "POST", "/auth/refresh", {"refresh_token": ann.refresh})).status == 401
    assert (await ann.call("GET", "/users/me")).status == 401


# -- administrators ----------------------------------------------------------------------------------


async def admin(server: TestServer, name: str, role: Role) -> Caller:
    await server.person(name, role=role)
    return await logged_in(server, name)


async def test_administrators_turn_it_off_for_others(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    await enrol(ann)
    account = ann.person.account
    path = f"/companies/{account.company.id}/users/{account.id}/second-factor"
    ben = await logged_in(server, "ben@acme")
    stranger = await admin(server, "gus@globex", Role.COMPANY_ADMIN)
    assert (await ben.call("DELETE", path)).status == 403
    assert (await stranger.call("DELETE", path)).status == 404
    ada = await admin(server, "ada@acme", Role.COMPANY_ADMIN)
    assert (await ada.call("DELETE", path + "?reason=lost")).status == 204
    assert (await ada.call("DELETE", path)).status == 404
    assert (await ann.call("GET", "/users/me")).status == 401
    assert (await login(server)).status == 200
    (record,) = await server.audit("second_factor.turned_off_by_administrator")
    assert (record.entry.actor, record.entry.reason) == (ada.person.account.id, "lost")


async def test_administrators_have_no_way_around_their_own_or_an_operators(server: TestServer) -> None:
    ada = await admin(server, "ada@acme", Role.COMPANY_ADMIN)
    await enrol(ada)
    account = ada.person.account
    path = f"/companies/{account.company.id}/users/{account.id}/second-factor"
    assert (await ada.call("DELETE", path)).status == 403
    oscar = await admin(server, "oscar@acme", Role.OPERATOR)
    await enrol(oscar)
    path = f"/companies/{account.company.id}/users/{oscar.person.account.id}/second-factor"
    assert (await ada.call("DELETE", path)).status == 403


async def test_administrators_say_what_the_company_wants_and_see_who_has_one(server: TestServer) -> None:
    ada = await admin(server, "ada@acme", Role.COMPANY_ADMIN)
    ann = await logged_in(server, "ann@acme")
    company = f"/companies/{ann.person.account.company.id}"
    assert (await ann.get(company))["second_factor"] == "optional"
    assert (await ann.call("PATCH", company, {"second_factor": "off"})).status == 403
    assert (await ada.call("PATCH", company, {"second_factor": "never"})).status == 422
    await enrol(ada)
    changed = await ada.call("PATCH", company, {"second_factor": "required"})
    assert changed.json()["second_factor"] == "required"
    for account, has_one in ((ada.person.account, True), (ann.person.account, False)):
        assert (await ada.get(f"{company}/users/{account.id}"))["second_factor"] is has_one
    await waiting(server, wanted="enrolment")


async def test_the_description_has_both_answers_of_a_login(server: TestServer) -> None:
    document: dict[str, Any] = (await call(server, "GET", "/openapi.json")).json()
    assert {"200", "202", "401"} <= set(document["paths"]["/auth/login"]["post"]["responses"])
    assert document["paths"]["/auth/second-factor"]["post"]["security"] == [{"token": []}]
