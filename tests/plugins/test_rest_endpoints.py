"""Companies, people, links, invitations, sessions and the audit log, over the API."""

import re
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugin import TooMany
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.fast import Fast
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.store.values import Role, Visibility
from rainbow_xmpp.testing import TestServer
from tests.plugins.fast_client import BIND, LAPTOP, by_password, by_token, outcome, request, token_in
from tests.plugins.rest import PASSWORD, Caller, basic, call, logged_in


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    options = RestApi.Options(requests_per_minute=0, anonymous_per_minute=0)
    plugins = {RestApi: options, CompanyIsolation: CompanyIsolation.Options(), MfaPin: MfaPin.Options()}
    async with TestServer(plugins) as server:
        yield server


async def as_role(server: TestServer, name: str, role: Role) -> Caller:
    person = await server.person(name)
    await server.store.accounts.set_role(person.account.company.id, person.account.id, role)
    return await logged_in(server, name)


def of(caller: Caller) -> str:
    return f"/companies/{caller.person.account.company.id}"


def user_of(caller: Caller) -> str:
    return f"{of(caller)}/users/{caller.person.account.id}"


# -- people ------------------------------------------------------------------------------------------------


async def test_an_administrator_adds_changes_and_removes_people(server: TestServer) -> None:
    ada = await as_role(server, "ada@acme", Role.COMPANY_ADMIN)
    made = await ada.call("POST", f"{of(ada)}/users", {"email": "new@acme.example", "name": "New"})
    assert made.status == 201, made.text
    user, password = made.json()["user"], "Purple-Kettle-93"
    assert "password" not in made.text
    link = re.search(r"/join/(\S+)", await server.mailbox.next_to("new@acme.example"))
    assert link is not None and link[1] not in made.text
    chosen = await call(server, "POST", f"/member-invitations/{link[1]}", {"new_password": password})
    assert (chosen.status, chosen.json()["user_id"]) == (201, user["id"])
    assert made.headers["location"].endswith(user["id"])
    login = await call(server, "POST", "/auth/login", Authorization=basic("new@acme.example", password))
    assert login.status == 200
    path = f"{of(ada)}/users/{user['id']}"
    changed = await ada.call("PATCH", path, {"name": "Newer", "role": "company_admin", "listed": False})
    assert (changed.json()["name"], changed.json()["role"], changed.json()["listed"]) == (
        "Newer",
        "company_admin",
        False,
    )
    assert (await ada.call("PATCH", path, {"disabled": True})).json()["disabled"] is True
    login = await call(server, "POST", "/auth/login", Authorization=basic("new@acme.example", password))
    assert login.status == 401
    assert (await ada.call("DELETE", path)).status == 204
    assert (await ada.call("GET", path)).status == 404
    taken = await ada.call("POST", f"{of(ada)}/users", {"email": "ada@acme.example"})
    assert (taken.status, taken.json()["type"]) == (409, "urn:rainbow:problem:taken")


async def test_who_was_added_when_too_many_letters_had_gone_out_is_told_of(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await as_role(server, "ada@acme", Role.COMPANY_ADMIN)

    async def refuse(*_: object, **__: object) -> None:
        raise TooMany(60)

    monkeypatch.setattr(MfaPin, "welcome", refuse)
    answer = await ada.call("POST", f"{of(ada)}/users", {"email": "late@acme.example"})
    assert (answer.status, answer.headers["retry-after"]) == (429, "60")
    assert "was added" in answer.json()["detail"]
    again = await ada.call("POST", f"{of(ada)}/users", {"email": "late@acme.example"})
    assert again.status == 409, "it is there"


async def test_people_are_listed_page_by_page(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    for number in range(5):
        await server.person(f"p{number}@acme")
    await server.person("eve@globex")
    seen, after = [], ""
    while after is not None:
        page = await ann.get(f"{of(ann)}/users?limit=2&after={after}")
        seen += [item["address"].partition("@")[0] for item in page["items"]]
        after = page.get("next")
    assert sorted(seen) == ["ann", "p0", "p1", "p2", "p3", "p4"]


async def test_an_administrator_makes_no_operators_and_does_not_touch_them(server: TestServer) -> None:
    ada = await as_role(server, "ada@acme", Role.COMPANY_ADMIN)
    oz = await as_role(server, "oz@acme", Role.OPERATOR)
    refused = await ada.call("POST", f"{of(ada)}/users", {"email": "x@acme.example", "role": "operator"})
    assert refused.status == 403
    for body in ({"role": "user"}, {"disabled": True}):
        assert (await ada.call("PATCH", user_of(oz), body)).status == 403
    assert (await ada.call("DELETE", user_of(oz))).status == 403
    assert (await ada.call("DELETE", user_of(ada))).status == 422


async def test_operators_say_why(server: TestServer) -> None:
    oz = await as_role(server, "oz@ops", Role.OPERATOR)
    ann = await logged_in(server, "ann@acme")
    assert (await oz.call("PATCH", user_of(ann), {"name": "A"})).status == 422
    assert (await oz.call("PATCH", user_of(ann), {"name": "A", "reason": "she asked"})).status == 200
    assert (await oz.call("DELETE", user_of(ann) + "/sessions")).status == 422
    assert (await oz.call("DELETE", user_of(ann) + "/sessions?reason=lost+phone")).status == 204
    records = (await oz.get(f"{of(ann)}/audit"))["items"]
    assert {"she asked", "lost phone"} <= {record["reason"] for record in records}


# -- companies ---------------------------------------------------------------------------------------------


async def test_operators_make_companies_and_their_administrators_shape_them(server: TestServer) -> None:
    oz = await as_role(server, "oz@ops", Role.OPERATOR)
    body = {"name": "Initech", "visibility": "closed", "reason": "contract 17"}
    made = await oz.call("POST", "/companies", body)
    assert made.status == 201, made.text
    assert (await oz.call("POST", "/companies", body)).status == 409
    names = [item["name"] for item in (await oz.get("/companies?limit=200"))["items"]]
    assert "Initech" in names
    ada = await as_role(server, "ada@acme", Role.COMPANY_ADMIN)
    changed = await ada.call("PATCH", of(ada), {"visibilities": ["closed"], "roster_limit": 10})
    assert (changed.json()["visibilities"], changed.json()["roster_limit"]) == (
        ["same_than_company", "closed"],
        10,
    )
    for body in ({"disabled": True}, {"organisation": "Group"}, {"service_level": "enterprise"}):
        assert (await ada.call("PATCH", of(ada), body)).status == 403
        assert (await oz.call("PATCH", of(ada), body | {"reason": "asked"})).status == 200
        if "disabled" in body:
            assert (await oz.call("PATCH", of(ada), {"disabled": False, "reason": "again"})).status == 200


# -- links and invitations -----------------------------------------------------------------------------------


async def test_two_administrators_link_their_companies_and_end_it(server: TestServer) -> None:
    ada = await as_role(server, "ada@acme", Role.COMPANY_ADMIN)
    gus = await as_role(server, "gus@globex", Role.COMPANY_ADMIN)
    globex = gus.person.account.company
    asked = await ada.call("POST", f"{of(ada)}/links", {"company_id": globex.id})
    nobody = await ada.call("POST", f"{of(ada)}/links", {"company_id": "0" * 24})
    assert (asked.status, asked.body) == (nobody.status, nobody.body) == (202, b"")
    (ours,) = (await ada.get(f"{of(ada)}/links"))["items"]
    assert (ours["company"], ours["confirmed_at"]) == ("", None)  # not known before they agree
    (theirs,) = (await gus.get(f"{of(gus)}/links"))["items"]
    assert (theirs["company"], theirs["asked_by_us"]) == ("acme", False)
    assert (await ada.call("POST", f"{of(ada)}/links/{ours['id']}/confirm")).status == 404
    assert (await gus.call("POST", f"{of(gus)}/links/{theirs['id']}/confirm")).status == 200
    services = server.node.services()
    assert await services.may("message", ada.person.account, gus.person.account)
    assert (await ada.call("DELETE", f"{of(ada)}/links/{ours['id']}")).status == 204
    assert not await services.may("message", ada.person.account, gus.person.account)


@pytest.mark.parametrize("to", ["eve@globex.example", "eve@rainbow.test"])
async def test_somebody_is_invited_by_address_and_accepts(server: TestServer, to: str) -> None:
    ann, eve = await logged_in(server, "ann@acme"), await logged_in(server, "eve@globex")
    invited = await ann.call("POST", "/invitations", {"to": to, "note": "we met"})
    nobody = await ann.call("POST", "/invitations", {"to": "nobody@globex.example"})
    assert (invited.status, invited.body) == (nobody.status, nobody.body) == (202, b"")
    await server.settle()
    assert (await ann.get("/invitations"))["items"] == []  # or whoever invites learned who is there
    (asked,) = (await eve.get("/invitations"))["items"]
    assert (asked["state"], asked["note"], asked["address"]) == ("asked", "we met", ann.person.bare)
    assert (await ann.call("POST", f"/invitations/{asked['id']}/accept")).status == 404
    accepted = await eve.call("POST", f"/invitations/{asked['id']}/accept")
    assert accepted.json()["state"] == "accepted"
    services = server.node.services()
    assert await services.may("message", ann.person.account, eve.person.account)
    assert (await ann.call("DELETE", f"/invitations/{asked['id']}")).status == 204
    assert not await services.may("message", ann.person.account, eve.person.account)
    assert (await eve.get("/invitations"))["items"] == []


async def test_an_administrator_sees_and_ends_what_people_agreed_on_and_reads_no_notes(
    server: TestServer,
) -> None:
    ann, eve = await logged_in(server, "ann@acme"), await logged_in(server, "eve@globex")
    ada = await as_role(server, "ada@acme", Role.COMPANY_ADMIN)
    await ann.call("POST", "/invitations", {"to": eve.person.bare, "note": "secret"})
    await server.settle()
    assert (await ada.get(f"{of(ada)}/authorisations"))["items"] == []
    assert not [
        each
        for each in await server.audit("authorisation.invited")
        if each.entry.actor != "system" and each.entry.company_id == ann.person.account.company.id
    ]
    (asked,) = (await eve.get("/invitations"))["items"]
    assert (await eve.call("POST", f"/invitations/{asked['id']}/accept")).status == 200
    (half,) = (await ada.get(f"{of(ada)}/authorisations"))["items"]
    assert (half["user_id"], half["note"]) == (ann.person.account.id, "")
    assert (await ada.call("DELETE", f"{of(ada)}/authorisations/{half['id']}")).status == 204
    assert (await eve.get("/invitations"))["items"] == []


async def test_nobody_isolated_is_invited_and_the_inviter_learns_nothing(server: TestServer) -> None:
    await server.company("island", visibility=Visibility.ISOLATED)
    ivy = await logged_in(server, "ivy@island")
    ann = await logged_in(server, "ann@acme")
    assert (await ann.call("POST", "/invitations", {"to": ivy.person.bare})).status == 202
    await server.settle()
    assert (await ivy.get("/invitations"))["items"] == (await ann.get("/invitations"))["items"] == []


# -- sessions ----------------------------------------------------------------------------------------------


async def test_one_sees_and_ends_ones_own_sessions(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    phone = await server.login("ann@acme", resource="phone")
    found = {item["kind"]: item for item in (await ann.get("/users/me/sessions"))["items"]}
    assert (found["xmpp"]["name"], found["api"]["is_this_one"]) == ("phone", True)
    assert (await ann.call("DELETE", f"/users/me/sessions/{found['xmpp']['id']}")).status == 204
    await server.settle()
    assert not phone.wire.is_open
    assert (await ann.call("DELETE", f"/users/me/sessions/{found['api']['id']}")).status == 204
    assert (await ann.call("GET", "/users/me")).status == 401


async def test_an_administrator_logs_somebody_out(server: TestServer) -> None:
    ada, ann = await as_role(server, "ada@acme", Role.COMPANY_ADMIN), await logged_in(server, "ann@acme")
    online = await server.login("ann@acme")
    assert len((await ada.get(user_of(ann) + "/sessions"))["items"]) == 2
    assert (await ada.call("DELETE", user_of(ann) + "/sessions")).status == 204
    await server.settle()
    assert not online.wire.is_open
    assert (await ann.call("GET", "/users/me")).status == 401


async def test_clients_that_may_come_back_are_listed_and_ended() -> None:
    async with TestServer([RestApi, Fast]) as server:
        ada, ann = await as_role(server, "ada@acme", Role.COMPANY_ADMIN), await logged_in(server, "ann@acme")
        token = token_in(await by_password(server.knock(), password=PASSWORD))
        here = server.knock()
        await by_password(here, password=PASSWORD, id=LAPTOP, inline=request() + BIND)
        found = {item["kind"]: item for item in (await ann.get("/users/me/sessions"))["items"]}
        assert sorted(found) == ["api", "remembered", "xmpp"]
        assert found["remembered"]["client"] == found["xmpp"]["client"] == "Testing, a test"
        seen = {item["kind"]: item for item in (await ada.get(user_of(ann) + "/sessions"))["items"]}
        assert seen["remembered"]["id"] == found["remembered"]["id"]
        assert {item["client"] for item in seen.values()} == {""}  # for its owner only (XEP-0388 §2.3)
        assert (await ann.call("DELETE", f"/users/me/sessions/{found['remembered']['id']}")).status == 204
        assert outcome(await by_token(server.knock(), token)) == "not-authorized"
        assert (await ada.call("DELETE", f"{user_of(ann)}/sessions/{found['xmpp']['id']}")).status == 204
        assert await server.plugin(Fast).clients_of(ann.person.account) == []
        assert (await ann.call("DELETE", f"/users/me/sessions/{found['remembered']['id']}")).status == 404


# -- the audit log -----------------------------------------------------------------------------------------


async def test_each_company_reads_its_own_part_of_the_audit_log(server: TestServer) -> None:
    ada = await as_role(server, "ada@acme", Role.COMPANY_ADMIN)
    gus = await as_role(server, "gus@globex", Role.COMPANY_ADMIN)
    await gus.call("POST", f"{of(gus)}/users", {"email": "x@globex.example"})
    assert {r["company_id"] for r in (await gus.get(f"{of(gus)}/audit"))["items"]} == {
        gus.person.account.company.id
    }
    assert {r["company_id"] for r in (await ada.get(f"{of(ada)}/audit"))["items"]} <= {
        ada.person.account.company.id
    }
    page = await gus.get(f"{of(gus)}/audit?limit=1")
    assert len(page["items"]) == 1
    assert (await gus.get(f"{of(gus)}/audit?limit=1&after={page['next']}"))["items"] != page["items"]


async def test_a_repetition_with_the_same_key_gets_the_same_answer_and_is_done_once(
    server: TestServer,
) -> None:
    ada = await as_role(server, "ada@acme", Role.COMPANY_ADMIN)
    body = {"email": "once@acme.example"}
    first = await ada.call("POST", f"{of(ada)}/users", body, Idempotency_Key="k1")
    again = await ada.call("POST", f"{of(ada)}/users", body, Idempotency_Key="k1")
    assert (first.status, first.body) == (again.status, again.body)
    async with server.store.read() as connection:
        rows = (await connection.exec_driver_sql("SELECT * FROM api_repeats")).all()
    assert first.json()["user"]["id"].encode() not in b"".join(row[-1] for row in rows)
    other = await ada.call("POST", f"{of(ada)}/users", {"email": "b@acme.example"}, Idempotency_Key="k1")
    assert other.status == 422
    assert (await ada.call("POST", f"{of(ada)}/users", body, Idempotency_Key="k2")).status == 409
