"""Every endpoint, called by everybody who may not: the answers follow from what it declares, and from nothing else."""

import base64
import hmac
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rainbow_xmpp.auth.tokens import SigningKey, new_signing_key
from rainbow_xmpp.plugin import PREFIX, Access, EndpointMark
from rainbow_xmpp.store.values import Account, Role
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.web import Answer, exchange
from tests.security.isolation_walk import new_server

NOBODY = "f" * 24
PASSWORD = "Correct-Horse-7"


@dataclass
class Stage:
    """Two companies with an administrator and a person each, and an operator of a third."""

    server: TestServer
    app: web.Application
    people: dict[str, Account]

    async def token(self, who: str) -> str:
        node = self.server.node
        assert node.token_logins is not None
        account = await node.store.accounts.by_id(self.people[who].id)
        assert account is not None
        return node.token_logins._pair(account, await node.store.refresh_tokens.begin(account, 9999)).access

    async def call(
        self, mark: EndpointMark, token: str, *, company: str = "", user: str = "", scheme: str = "Bearer"
    ) -> Answer:
        """About Bob of Acme, unless it is said otherwise."""
        bob = self.people["bob"]
        ids = {"company_id": company or bob.company.id, "user_id": user or bob.id}
        path = re.sub(r"{(\w+)}", lambda found: ids.get(found.group(1), NOBODY), mark.path)
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"{scheme} {token}"} if token else {}
        )
        body = b"{}" if mark.body is not None else b""
        return await exchange(self.app, mark.method, f"{PREFIX}{path}", headers, body)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with new_server() as server:
        people = {}
        for name, company, role in (
            ("bob", "acme", Role.USER),
            ("ada", "acme", Role.COMPANY_ADMIN),
            ("carol", "globex", Role.USER),
            ("gus", "globex", Role.COMPANY_ADMIN),
        ):
            people[name] = (await server.person(f"{name}@{company}", role=role)).account
        yield Stage(server, server.web_app(), people)


def endpoints(stage: Stage) -> list[EndpointMark]:
    """All that want a token, of every plugin that is shipped: a new one cannot be forgotten."""
    found = [mark for mark, _ in stage.server.node.services().declared(EndpointMark)]
    assert len(found) > 20
    return [mark for mark in found if mark.access is not Access.ANYBODY]


def told(answer: Answer) -> tuple[object, ...]:
    """All that the caller can tell; not the time of day."""
    return (
        answer.status,
        {name: value for name, value in answer.headers.items() if name != "date"},
        answer.body,
    )


# -- tokens that are none ------------------------------------------------------------------------------------


def signed(stage: Stage, claims: dict[str, object], key: SigningKey | None = None, **header: object) -> str:
    """Our own token's claims with these changed, signed by our key, or by another."""
    assert stage.server.node.token_logins is not None
    ours = stage.server.node.token_logins._tokens._key
    key = key or ours
    head = {"kid": ours.id, "typ": "at+jwt"} | header
    return jwt.encode(claims, key.private, algorithm="ES256", headers=head)


async def claims(stage: Stage) -> dict[str, object]:
    token = await stage.token("ada")
    found: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return found


async def nothing(stage: Stage) -> str:
    return ""


async def expired(stage: Stage) -> str:
    token = await stage.token("ada")
    stage.server.clock.advance(1000)
    return token


async def wrong_typ(stage: Stage) -> str:
    return signed(stage, await claims(stage), typ="rt+jwt")


async def no_algorithm(stage: Stage) -> str:
    head = {"kid": stage.server.node.token_logins._tokens._key.id, "typ": "at+jwt"}  # type: ignore[union-attr]
    return jwt.encode(await claims(stage), None, algorithm="none", headers=head)


async def key_confusion(stage: Stage) -> str:
    """The public key as the secret of an HMAC; by hand, since libraries refuse to make it."""
    key = stage.server.node.token_logins._tokens._key  # type: ignore[union-attr]
    pem = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = {"alg": "HS256", "kid": key.id, "typ": "at+jwt"}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (head, await claims(stage))
    ]
    text = b".".join(parts)
    signature = base64.urlsafe_b64encode(hmac.digest(pem, text, "sha256")).rstrip(b"=")
    return (text + b"." + signature).decode()


async def foreign_key(stage: Stage) -> str:
    return signed(stage, await claims(stage), SigningKey.from_pem(new_signing_key()))


async def logged_out(stage: Stage) -> str:
    token = await stage.token("ada")
    found = jwt.decode(token, options={"verify_signature": False})
    await stage.server.node.store.refresh_tokens.end_family(found["sid"])
    return token


async def other_password(stage: Stage) -> str:
    token = await stage.token("ada")
    await stage.server.node.people.set_password(stage.people["ada"], PASSWORD, actor="system")
    return token


async def disabled(stage: Stage) -> str:
    token = await stage.token("ada")
    await stage.server.node.people.disable(stage.people["ada"], actor="system")
    return token


async def company_disabled(stage: Stage) -> str:
    token = await stage.token("ada")
    await stage.server.store.companies.update(stage.people["ada"].company.id, disabled=True)
    return token


async def of_another_company(stage: Stage) -> str:
    """Our signature, and a company that is not the account's."""
    return signed(stage, await claims(stage) | {"cid": stage.people["gus"].company.id})


WORTHLESS: dict[str, Callable[[Stage], Awaitable[str]]] = {
    "no token": nothing,
    "expired": expired,
    "wrong typ": wrong_typ,
    "alg none": no_algorithm,
    "key confusion": key_confusion,
    "a foreign key": foreign_key,
    "logged out": logged_out,
    "password changed": other_password,
    "disabled": disabled,
    "company disabled": company_disabled,
    "another company's id": of_another_company,
}


@pytest.mark.parametrize("make", WORTHLESS.values(), ids=WORTHLESS)
async def test_without_a_good_token_every_endpoint_says_the_same(
    stage: Stage, make: Callable[[Stage], Awaitable[str]]
) -> None:
    token = await make(stage)
    for mark in endpoints(stage):
        answer = await stage.call(mark, token)
        assert answer.status == 401, (mark.method, mark.path, answer.text)
        nobodys = await stage.call(mark, token, company=NOBODY, user=NOBODY)
        assert told(answer) == told(nobodys)


@pytest.mark.parametrize("scheme", ["Basic", "Token", "bearer:", ""])
async def test_a_good_token_in_another_scheme_is_none(stage: Stage, scheme: str) -> None:
    token = await stage.token("ada")
    for mark in endpoints(stage):
        assert (await stage.call(mark, token, scheme=scheme)).status == 401


# -- tokens of others ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["carol", "gus"])
async def test_to_people_of_other_companies_what_is_not_theirs_is_not_there(stage: Stage, who: str) -> None:
    """Another company's user and administrator: the same, byte for byte, as for ids that nobody has."""
    token = await stage.token(who)
    for mark in endpoints(stage):
        if "{" not in mark.path and mark.access is not Access.OPERATOR:
            continue  # about oneself
        answer = await stage.call(mark, token)
        names_company = "{company_id}" in mark.path
        assert answer.status in ({404} if names_company else {403, 404, 422}), (
            mark.method,
            mark.path,
            answer.text,
        )
        nobodys = await stage.call(mark, token, company=NOBODY, user=NOBODY)
        assert told(answer) == told(nobodys), (mark.method, mark.path)


@pytest.mark.parametrize("who", ["ada", "gus"])
async def test_a_person_of_another_company_is_nobody_in_ones_own(stage: Stage, who: str) -> None:
    """{company_id} is the caller's own, {user_id} a person of the other company."""
    token = await stage.token(who)
    own = stage.people[who].company.id
    other = stage.people["carol" if who == "ada" else "bob"].id
    for mark in endpoints(stage):
        if "{user_id}" in mark.path:
            answer = await stage.call(mark, token, company=own, user=other)
            assert answer.status == 404, (mark.method, mark.path, answer.text)
            assert told(answer) == told(await stage.call(mark, token, company=own, user=NOBODY))


async def test_who_administers_nothing_is_refused_what_is_for_administrators(stage: Stage) -> None:
    for mark in endpoints(stage):
        answer = await stage.call(mark, await stage.token("bob"))  # one of them logs out
        if mark.access in (Access.COMPANY_ADMIN, Access.OPERATOR):
            assert answer.status == 403, (mark.method, mark.path, answer.text)
        else:
            assert answer.status not in (401, 403) or mark.path.endswith("/password"), (
                mark.method,
                mark.path,
                answer.text,
            )


async def test_what_is_for_operators_is_not_for_administrators_of_companies(stage: Stage) -> None:
    token = await stage.token("ada")
    for mark in endpoints(stage):
        if mark.access is Access.OPERATOR:
            assert (await stage.call(mark, token)).status == 403, (mark.method, mark.path)


async def test_whatever_an_operator_must_explain_can_be_explained(stage: Stage) -> None:
    """Every endpoint that changes something for administrators takes a reason, in its body or its query."""
    for mark in endpoints(stage):
        if mark.method == "GET" or mark.access not in (Access.COMPANY_ADMIN, Access.OPERATOR):
            continue
        fields = {
            name
            for struct in (mark.body, mark.query)
            if struct is not None
            for name in struct.__struct_fields__
        }
        assert "reason" in fields, f"{mark.method} {mark.path}"


async def test_one_session_that_an_operator_ends_stands_in_the_audit_log_with_the_reason(
    stage: Stage,
) -> None:
    server = stage.server
    phone = await server.login("bob@acme")
    otto = await server.person("otto@hosting", role=Role.OPERATOR)
    stage.people["otto"] = otto.account
    bob = stage.people["bob"]
    sessions = f"{PREFIX}/companies/{bob.company.id}/users/{bob.id}/sessions"
    headers = {"Authorization": f"Bearer {await stage.token('otto')}"}
    listed = await exchange(stage.app, "GET", sessions, headers, b"")
    [one] = [each["id"] for each in listed.json()["items"] if each["kind"] == "xmpp"]
    assert (await exchange(stage.app, "DELETE", f"{sessions}/{one}", headers, b"")).status == 422
    assert phone.wire.is_open
    answer = await exchange(stage.app, "DELETE", f"{sessions}/{one}?reason=ticket%2017", headers, b"")
    assert answer.status == 204
    [record] = await server.audit("rest_api.session_ended")
    assert (record.entry.reason, record.entry.target) == ("ticket 17", bob.id)
