"""The API's door: logging in, tokens, refusals, repetitions, limits, pages of other sites."""

import base64
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.visitor import Visitor
from rainbow_xmpp.xml import names
from tests.plugins.rest import PASSWORD, basic, call, logged_in, with_password


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([RestApi]) as server:
        yield server


# -- logging in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ann", "ann@rainbow.test", "ann@acme.example", "ANN@acme.example"])
async def test_one_logs_in_by_address_jid_or_localpart_and_is_oneself(server: TestServer, name: str) -> None:
    person = await with_password(server, "ann@acme")
    answer = await call(server, "POST", "/auth/login", Authorization=basic(name, PASSWORD))
    assert answer.status == 200, answer.text
    pair = answer.json()
    assert (pair["token_type"], pair["expires_in"], pair["user_id"]) == ("Bearer", 900, person.account.id)
    me = await call(server, "GET", "/users/me", Authorization=f"Bearer {pair['access_token']}")
    assert me.json()["address"] == person.bare
    assert me.json()["emails"] == ["ann@acme.example"]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ???",
        "Bearer abc",
        basic("ann", "wrong"),
        basic("nobody", PASSWORD),
        basic("", PASSWORD),
        basic("ann", ""),
        basic("ann\0", PASSWORD),
        "Basic " + "A" * 9000,
    ],
    ids=range(10),
)
async def test_whoever_is_not_who_they_say_gets_one_and_the_same_answer(
    server: TestServer, authorization: str
) -> None:
    await with_password(server, "ann@acme")
    answer = await call(server, "POST", "/auth/login", Authorization=authorization)
    wrong = await call(server, "POST", "/auth/login", Authorization=basic("ann", "also wrong"))
    assert answer.status in (401, 431)  # a header too long is refused before anybody reads it
    if answer.status == 401:
        assert (answer.body, answer.headers["www-authenticate"]) == (
            wrong.body,
            wrong.headers["www-authenticate"],
        )


async def test_guessing_is_slowed(server: TestServer) -> None:
    await with_password(server, "ann@acme")
    statuses = [
        (await call(server, "POST", "/auth/login", Authorization=basic("ann", f"wrong-{n}"))).status
        for n in range(15)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429


async def test_a_refresh_token_gives_the_next_pair_once(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    answer = await call(server, "POST", "/auth/refresh", {"refresh_token": ann.refresh})
    assert answer.status == 200
    again = await call(server, "POST", "/auth/refresh", {"refresh_token": ann.refresh})
    assert again.status == 401
    for token in (ann.token, answer.json()["access_token"]):  # whoever stole one shall have none
        assert (await call(server, "GET", "/users/me", Authorization=f"Bearer {token}")).status == 401


async def xmpp_by(server: TestServer, token: str) -> Visitor:
    """A session that came by a token of the API (RFC 7628)."""
    visitor = server.knock()
    message = base64.b64encode(f"n,,\x01auth=Bearer {token}\x01\x01".encode()).decode()
    visitor.say(
        f"<authenticate xmlns='{names.SASL2}' mechanism='OAUTHBEARER'><initial-response>{message}"
        f"</initial-response><bind xmlns='{names.BIND2}'/></authenticate>"
    )
    assert (await visitor.receive()).tag == f"{{{names.SASL2}}}success"
    return visitor


async def test_a_refresh_token_used_twice_ends_the_sessions_of_its_login_and_no_others(
    server: TestServer,
) -> None:
    """Whoever stole one may be connected with what it gave; wherever the login ended, each server hears of it."""
    ann = await logged_in(server, "ann@acme")
    other = (await call(server, "POST", "/auth/login", Authorization=basic("ann", PASSWORD))).json()
    theirs, others = await xmpp_by(server, ann.token), await xmpp_by(server, other["access_token"])
    for _ in range(2):
        await call(server, "POST", "/auth/refresh", {"refresh_token": ann.refresh})
    await server.node.watch.poll()
    assert (await theirs.violation_seen()).condition is StreamCondition.POLICY_VIOLATION
    assert others.is_open
    places = await call(server, "GET", "/users/me/sessions", Authorization=f"Bearer {other['access_token']}")
    login = next(place for place in places.json()["items"] if place["kind"] == "api")
    bearer = f"Bearer {other['access_token']}"
    await call(server, "DELETE", f"/users/me/sessions/{login['id']}", Authorization=bearer)
    await others.violation_seen()


async def test_a_login_that_ends_on_the_way_in_lets_nobody_in(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await logged_in(server, "ann@acme")
    logins = server.node.token_logins
    assert logins is not None
    who = logins.who

    async def late(access: str) -> object:
        found = await who(access)
        await logins.log_out(found[1].family)
        await server.node.watch.poll()
        return found

    monkeypatch.setattr(logins, "who", late)
    visitor = server.knock()
    message = base64.b64encode(f"n,,\x01auth=Bearer {ann.token}\x01\x01".encode()).decode()
    visitor.say(
        f"<authenticate xmlns='{names.SASL2}' mechanism='OAUTHBEARER'><initial-response>{message}"
        f"</initial-response><bind xmlns='{names.BIND2}'/></authenticate>"
    )
    assert (await visitor.receive()).tag == f"{{{names.SASL2}}}failure"
    assert visitor.session is None


async def test_logging_out_ends_this_login_at_once_and_no_other(server: TestServer) -> None:
    ann, other = await logged_in(server, "ann@acme"), await logged_in(server, "ann@acme")
    # setting the password anew ended the first one's token: log in again
    answer = await call(server, "POST", "/auth/login", Authorization=basic("ann", PASSWORD))
    ann.token = answer.json()["access_token"]
    assert (await ann.call("POST", "/auth/logout")).status == 204
    assert (await ann.call("GET", "/users/me")).status == 401
    assert (await other.call("GET", "/users/me")).status == 200


CHANGES = {
    "password": lambda server, ann: server.node.people.set_password(ann, "Another-Horse-8", actor="system"),
    "disabled": lambda server, ann: server.node.people.disable(ann, actor="system"),
    "removed": lambda server, ann: server.node.people.remove(ann, actor="system"),
    "logged out everywhere": lambda server, ann: server.node.people.end_sessions(ann, actor="system"),
    "company disabled": lambda server, ann: server.store.companies.update(ann.company.id, disabled=True),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_ends_sessions_ends_tokens_at_once(server: TestServer, change) -> None:
    ann = await logged_in(server, "ann@acme")
    await change(server, ann.person.account)
    assert (await ann.call("GET", "/users/me")).status == 401


async def test_a_token_is_over_after_a_quarter_of_an_hour(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    server.clock.advance(911)
    answer = await ann.call("GET", "/users/me")
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


# -- oneself -----------------------------------------------------------------------------------------------


async def test_one_changes_ones_name_and_visibility(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    answer = await ann.call("PATCH", "/users/me", {"name": "Ann O.", "visibility": "closed"})
    assert answer.status == 200, answer.text
    assert (answer.json()["name"], answer.json()["visibility"]) == ("Ann O.", "closed")
    refused = await ann.call("PATCH", "/users/me", {"visibility": "public"})
    assert (refused.status, refused.json()["type"]) == (422, "urn:rainbow:problem:not-allowed")
    assert (await ann.get("/users/me"))["visibility"] == "closed"


@pytest.mark.parametrize(
    "body", [{"role": "operator"}, {"company_id": "a" * 24}, {"name": 1}, {"name": "x" * 300}, [], "x", None]
)
async def test_nobody_makes_themselves_more_than_they_are(server: TestServer, body: object) -> None:
    ann = await logged_in(server, "ann@acme")
    data = b"null" if body is None else body
    answer = await ann.call("PATCH", "/users/me", data)
    assert answer.status == 422
    assert (await ann.get("/users/me"))["role"] == "user"


async def test_changing_the_password_asks_for_the_old_one_and_ends_everything(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    online = await server.login("ann@acme")

    async def change(old: str, new: str) -> tuple[int, str]:
        answer = await ann.call("POST", "/users/me/password", {"old_password": old, "new_password": new})
        return answer.status, answer.json()["type"].rpartition(":")[2] if answer.body else ""

    assert await change("wrong", "Another-Horse-8") == (403, "wrong-password")
    assert await change(PASSWORD, "short") == (422, "weak-password")
    assert await change(PASSWORD, "Another-Horse-8") == (204, "")
    await server.settle()
    assert not online.wire.is_open
    assert (await ann.call("GET", "/users/me")).status == 401
    answer = await call(server, "POST", "/auth/refresh", {"refresh_token": ann.refresh})
    assert answer.status == 401


async def test_the_old_password_is_guessed_here_no_more_often_than_at_a_login(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    body = {"old_password": "wrong", "new_password": "Another-Horse-8"}
    tries = server.node.config.limits.login_failures_per_account_per_minute
    seen = [(await ann.call("POST", "/users/me/password", body)).status for _ in range(tries + 2)]
    assert (seen[0], seen[-1]) == (403, 429)
    late = await ann.call("POST", "/users/me/password", body | {"old_password": PASSWORD})
    assert late.status == 429
    assert int(late.headers["retry-after"]) > 0


async def test_what_was_changed_meanwhile_is_not_changed_blindly(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    tag = (await ann.call("GET", "/users/me")).headers["etag"]
    assert (await ann.call("GET", "/users/me", If_None_Match=tag)).status == 304
    assert (await ann.call("PATCH", "/users/me", {"name": "A"}, If_Match=tag)).status == 200
    assert (await ann.call("PATCH", "/users/me", {"name": "B"}, If_Match=tag)).status == 412
    assert (await ann.call("PATCH", "/users/me", {"name": "B"}, If_Match="*")).status == 200


# -- requests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/users/../users/me", 404),
        ("GET", "/users/%6de", 200),
        ("DELETE", "/users/me", 405),
        ("PUT", "/auth/login", 405),
    ],
)
async def test_what_is_not_there_is_a_problem_document_too(
    server: TestServer, method: str, path: str, status: int
) -> None:
    ann = await logged_in(server, "ann@acme")
    answer = await ann.call(method, path)
    assert answer.status == status
    if status >= 400:
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 30000, {}, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        (b"{" + b" " * 70_000 + b"}", {}, 413),
    ],
    ids=["half", "no UTF-8", "deep", "no JSON", "compressed", "large"],
)
async def test_a_body_that_is_no_body_is_refused(server: TestServer, body, headers, status) -> None:
    ann = await logged_in(server, "ann@acme")
    assert (await ann.call("PATCH", "/users/me", body, **headers)).status == status


async def test_requests_are_limited_for_each_login_and_each_address() -> None:
    options = RestApi.Options(requests_per_minute=5, anonymous_per_minute=6)
    async with TestServer({RestApi: options}) as server:
        ann = await logged_in(server, "ann@acme")
        statuses = [(await ann.call("GET", "/users/me")).status for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2
        statuses = [(await call(server, "GET", "/users/me")).status for _ in range(7)]
        assert statuses[-1] == 429
        server.clock.advance(60)
        assert (await ann.call("GET", "/users/me")).status == 200


async def test_pages_of_other_sites_may_use_it_only_where_they_are_allowed() -> None:
    options = RestApi.Options(origins=("https://admin.example",))
    async with TestServer({RestApi: options}) as server:
        ann = await logged_in(server, "ann@acme")
        for origin, allowed in (
            ("https://admin.example", True),
            ("https://evil.example", False),
            ("null", False),
        ):
            for answer in (
                await ann.call("GET", "/users/me", Origin=origin),
                await call(server, "OPTIONS", "/users/me", Origin=origin),
            ):
                assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
                assert "access-control-allow-credentials" not in answer.headers


async def test_without_a_key_for_tokens_there_is_no_api() -> None:
    async with TestServer([RestApi], token_key="") as server:
        assert (await call(server, "GET", "/openapi.json")).status == 404


async def test_the_description_names_every_endpoint_and_is_openapi(server: TestServer) -> None:
    answer = await call(server, "GET", "/openapi.json")
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    assert {"/auth/login", "/auth/refresh", "/auth/logout", "/users/me"} <= set(document["paths"])
    assert document["paths"]["/users/me"]["get"]["security"] == [{"token": []}]
