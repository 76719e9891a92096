"""Webhooks: who is told what, once at least and in order; what is never called; nothing is lost."""

import base64
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rainbow_xmpp.outside import NotAllowedUrl, NotReached, Outside, is_public, judge_url
from rainbow_xmpp.plugin import PluginOptions, Role
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.plugins.webhooks import Webhooks
from rainbow_xmpp.plugins.webhooks.courier import GIVE_UP_S, LEASE_S
from rainbow_xmpp.testing import TestServer
from tests.plugins.rest import Caller, logged_in
from tests.plugins.webhook_receiver import HOST, Receiver, receiving


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    async with receiving(tmp_path) as receiver:
        yield receiver


@asynccontextmanager
async def serving(receiver: Receiver, **options: Any) -> AsyncIterator[TestServer]:
    given: dict[type, PluginOptions] = {
        RestApi: RestApi.Options(),
        Webhooks: Webhooks.Options(allowed_hosts=(receiver.allowed,), **options),
    }
    async with TestServer(given) as server:
        server.plugin(Webhooks).outside = receiver.outside()
        yield server


@pytest.fixture
async def server(receiver: Receiver) -> AsyncIterator[TestServer]:
    async with serving(receiver) as server:
        yield server


async def admin_of(server: TestServer, name: str = "ada@acme") -> Caller:
    await server.person(name, role=Role.COMPANY_ADMIN)
    return await logged_in(server, name)


def path(caller: Caller, rest: str = "") -> str:
    return f"/companies/{caller.person.account.company.id}/webhooks{rest}"


async def add(caller: Caller, receiver: Receiver, *events: str) -> dict[str, Any]:
    answer = await caller.call("POST", path(caller), {"url": receiver.url, "events": list(events)})
    assert answer.status == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def later(server: TestServer, seconds: float = 0) -> None:
    """Some time goes by; whatever is due by then is tried."""
    server.clock.advance(seconds)
    await server.run_job(Webhooks.look)
    await server.settle()


def told(receiver: Receiver) -> list[tuple[str, dict[str, str]]]:
    messages = [json.loads(body) for _, body in receiver.calls]
    return [(message["type"], message["data"]) for message in messages]


# -- what is told ------------------------------------------------------------------------------------------


async def test_who_joins_leaves_is_shut_out_and_let_in_is_told_by_id_and_nothing_else(
    server: TestServer, receiver: Receiver
) -> None:
    ada = await admin_of(server)
    await add(ada, receiver)
    bob = await server.person("bob@acme")
    people = server.node.people
    await people.disable(bob.account, actor="system")
    await people.enable(bob.account, actor="system")
    await people.remove(bob.account, actor="system")
    await server.person("carol@globex")
    await server.settle()
    data = {"company_id": bob.account.company.id, "user_id": bob.account.id}
    kinds = ("user.joined", "user.disabled", "user.enabled", "user.left")
    assert told(receiver) == [(kind, data) for kind in kinds]
    everything = b"".join(body for _, body in receiver.calls)
    assert b"bob" not in everything and b"example" not in everything


async def test_links_are_told_to_both_when_they_are_confirmed_and_when_they_end(
    server: TestServer, receiver: Receiver
) -> None:
    ada, gil = await admin_of(server), await admin_of(server, "gil@globex")
    one, other = ada.person.account.company, gil.person.account.company
    old = await server.store.links.ask(one.id, (await server.company("Old")).id)
    await server.store.links.confirm(old.other_id, old.id)
    await server.node.watch.poll()
    await add(ada, receiver, "link.made", "link.revoked")
    await add(gil, receiver, "link.made")
    link = await server.store.links.ask(one.id, other.id)
    await server.node.watch.poll()
    await server.settle()
    assert told(receiver) == []
    await server.store.links.confirm(other.id, link.id)
    await server.node.watch.poll()
    await server.settle()
    ours = {"company_id": one.id, "link_id": link.id, "other_company_id": other.id}
    theirs = {"company_id": other.id, "link_id": link.id, "other_company_id": one.id}
    assert sorted(told(receiver), key=str) == sorted([("link.made", ours), ("link.made", theirs)], key=str)
    receiver.calls.clear()
    await server.store.links.end(one.id, link.id)
    await server.node.watch.poll()
    await server.settle()
    assert told(receiver) == [("link.revoked", ours)]


async def test_a_call_is_signed_as_standard_webhooks_are(server: TestServer, receiver: Receiver) -> None:
    ada = await admin_of(server)
    hook = await add(ada, receiver)
    answer = await ada.call("POST", path(ada, f"/{hook['id']}/test"))
    assert answer.status == 202
    await server.settle()
    ((headers, body),) = receiver.calls
    assert headers["webhook-id"] == answer.json()["id"]
    assert headers["webhook-timestamp"] == str(int(server.clock()))
    key = base64.b64decode(hook["secret"].removeprefix("whsec_"))
    assert len(key) == 32
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    assert headers["content-type"] == "application/json"
    assert "cookie" not in headers and "authorization" not in headers


async def test_a_secret_is_shown_once_sealed_in_the_database_and_can_be_renewed(
    server: TestServer, receiver: Receiver
) -> None:
    ada = await admin_of(server)
    hook = await add(ada, receiver)
    listed = await ada.call("GET", path(ada))
    assert "secret" not in listed.text and "whsec_" not in listed.text
    key = base64.b64decode(hook["secret"].removeprefix("whsec_"))
    folder = Path(server._folder.name)
    assert not any(key in file.read_bytes() for file in folder.iterdir())
    renewed = (await ada.call("POST", path(ada, f"/{hook['id']}/secret"))).json()
    assert renewed["id"] == hook["id"] and renewed["secret"] != hook["secret"]


# -- at least once, in order -------------------------------------------------------------------------------


async def test_a_failure_is_tried_again_under_the_same_id_and_what_came_later_waits(
    server: TestServer, receiver: Receiver
) -> None:
    ada = await admin_of(server)
    await add(ada, receiver)
    receiver.statuses = [500, 302]
    bob, cleo = await server.person("bob@acme"), await server.person("cleo@acme")
    await server.settle()
    assert len(receiver.calls) == 1
    await later(server, 11)
    await later(server, 31)
    assert [data["user_id"] for _, data in told(receiver)] == [bob.account.id] * 3 + [cleo.account.id]
    ids = [headers["webhook-id"] for headers, _ in receiver.calls]
    assert len(set(ids[:3])) == 1 and ids[3] != ids[0]
    assert len({body for _, body in receiver.calls[:3]}) == 1


async def test_after_a_day_a_message_is_given_up_and_it_is_recorded(
    server: TestServer, receiver: Receiver
) -> None:
    ada = await admin_of(server)
    hook = await add(ada, receiver)
    receiver.statuses = [503] * 1000
    await server.person("bob@acme")
    for _ in range(60):
        await later(server, 3600)
        if await server.audit("webhooks.dead"):
            break
    (record,) = await server.audit("webhooks.dead")
    assert (record.entry.target, record.facts["outcome"]) == (hook["id"], "503")
    assert 10 <= int(record.facts["attempts"]) <= GIVE_UP_S / 3600
    counters = server.node.counters
    assert (counters.webhooks_dead, counters.webhooks_delivered) == (1, 0)
    assert counters.webhooks_failed == len(receiver.calls)
    receiver.statuses = []
    await server.person("cleo@acme")
    await server.settle()
    assert counters.webhooks_delivered == 1


async def test_a_slow_or_failing_hook_holds_no_other_up(server: TestServer, receiver: Receiver) -> None:
    ada, gil = await admin_of(server), await admin_of(server, "gil@globex")
    await add(ada, receiver)
    await add(gil, receiver)
    receiver.statuses = [500]
    await server.person("bob@acme")
    await server.settle()
    carol = await server.person("carol@globex")
    await server.settle()
    assert told(receiver)[-1][1]["user_id"] == carol.account.id


async def test_what_was_done_while_no_server_ran_or_as_it_died_is_told(
    server: TestServer, receiver: Receiver
) -> None:
    """The change is committed, and nobody was left to enter it in the queue."""
    ada = await admin_of(server)
    await add(ada, receiver)
    await server.node.plugins.stop()
    bob = await server.person("bob@acme")
    await server.node.people.disable(bob.account, actor="system")
    options = {"webhooks": Webhooks.Options(allowed_hosts=(receiver.allowed,))}
    await server.node.plugins.start([Webhooks], options, server.node.services())
    server.plugin(Webhooks).outside = receiver.outside()
    await later(server)
    assert [kind for kind, _ in told(receiver)] == ["user.joined", "user.disabled"]


async def test_a_server_that_died_while_it_delivered_is_followed_by_another(
    server: TestServer, receiver: Receiver
) -> None:
    ada = await admin_of(server)
    hook = await add(ada, receiver)
    queue, now = server.plugin(Webhooks).queue, int(server.clock())
    assert await queue.claim(hook["id"], now, until=now + LEASE_S)
    bob = await server.person("bob@acme")
    await later(server, LEASE_S - 1)
    assert told(receiver) == []
    await later(server, 2)
    assert [data["user_id"] for _, data in told(receiver)] == [bob.account.id]


async def test_thousands_of_new_people_are_told_in_order(server: TestServer, receiver: Receiver) -> None:
    from rainbow_xmpp.store.values import NewAccount

    ada = await admin_of(server)
    await add(ada, receiver)
    people = [NewAccount(company="acme", email=f"p{n}@acme.example") for n in range(120)]
    added = await server.store.accounts.add_many(people)
    await server.node.watch.poll()
    await server.settle()
    assert [data["user_id"] for _, data in told(receiver)] == [account.id for account in added]


# -- keeping them ------------------------------------------------------------------------------------------


async def test_administrators_keep_their_own_companys_hooks_only(
    server: TestServer, receiver: Receiver
) -> None:
    ada, gil = await admin_of(server), await admin_of(server, "gil@globex")
    bob = await logged_in(server, "bob@acme")
    hook = await add(ada, receiver)
    for method, rest in (
        ("GET", ""),
        ("GET", f"/{hook['id']}"),
        ("DELETE", f"/{hook['id']}"),
        ("POST", f"/{hook['id']}/test"),
        ("POST", f"/{hook['id']}/secret"),
        ("GET", f"/{hook['id']}/deliveries"),
    ):
        assert (await bob.call(method, path(bob, rest))).status == 403
        assert (await gil.call(method, path(ada, rest))).status == 404
        if rest:
            assert (await gil.call(method, path(gil, rest))).status == 404
    assert (await gil.call("PATCH", path(gil, f"/{hook['id']}"), {"enabled": False})).status == 404
    assert (await ada.get(path(ada, f"/{hook['id']}")))["enabled"] is True


async def test_a_hook_is_changed_switched_off_shown_and_removed(
    server: TestServer, receiver: Receiver
) -> None:
    ada = await admin_of(server)
    hook = await add(ada, receiver)
    one = path(ada, f"/{hook['id']}")
    answer = await ada.call("PATCH", one, {"events": ["user.left", "user.left"], "enabled": False})
    assert (answer.json()["events"], answer.json()["enabled"]) == (["user.left"], False)
    bob = await server.person("bob@acme")
    await server.settle()
    await ada.call("PATCH", one, {"enabled": True})
    await server.node.people.remove(bob.account, actor="system")
    await server.settle()
    assert [kind for kind, _ in told(receiver)] == ["user.left"]
    (delivery,) = (await ada.get(one + "/deliveries?limit=5"))["items"]
    assert (delivery["state"], delivery["outcome"], delivery["attempts"]) == ("delivered", "200", 1)
    assert (await ada.call("DELETE", one)).status == 204
    assert (await ada.get(path(ada)))["items"] == []
    kinds = [record.entry.kind for record in await server.audit() if record.entry.kind.startswith("webhooks")]
    assert kinds == ["webhooks.added", "webhooks.changed", "webhooks.changed", "webhooks.removed"]


async def test_a_company_has_so_many_hooks_and_no_more(receiver: Receiver) -> None:
    async with serving(receiver, hooks_per_company=2) as server:
        ada = await admin_of(server)
        statuses = [(await ada.call("POST", path(ada), {"url": receiver.url})).status for _ in range(3)]
        assert statuses == [201, 201, 422]


async def test_what_ended_is_forgotten_after_some_days(server: TestServer, receiver: Receiver) -> None:
    ada = await admin_of(server)
    hook = await add(ada, receiver)
    await ada.call("POST", path(ada, f"/{hook['id']}/test"))
    await server.settle()
    server.clock.advance(8 * 86_400)
    await server.run_job(Webhooks.forget)
    ada = await logged_in(server, "ada@acme")
    assert (await ada.get(path(ada, f"/{hook['id']}/deliveries")))["items"] == []


# -- what is never called ----------------------------------------------------------------------------------

URLS = [
    "http://hooks.example/in",
    "https://other.example/in",
    "https://hooks.example:444/in",
    "https://hooks.example@evil.example/",
    "https://user:pass@hooks.example/",
    "https://hooks.example.evil.example/",
    "https://evil.example/hooks.example",
    "https://hooks.example\\@evil.example/",
    "https://hooks.example#@evil.example/",
    "https://hooks.example/#a",
    "https://hooks.example./in",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0/",
    "https://localhost/",
    "https://hooks%2eexample/",
    "https://hооks.example/",  # Cyrillic o
    "https://hooks.example/\r\nHost: evil",
    "https://hooks.example/ x",
    "ftp://hooks.example/",
    "file:///etc/passwd",
    "//hooks.example/",
    "https:///in",
    "https://hooks.example:0x1bb/",
    "https://hooks.example:99999/",
    "https://hooks.example/" + "a" * 2000,
    "",
]


@pytest.mark.parametrize("url", URLS, ids=range(len(URLS)))
async def test_a_url_that_the_operator_does_not_allow_is_refused(url: str) -> None:
    with pytest.raises(NotAllowedUrl):
        judge_url(url, ["hooks.example", "localhost", "127.0.0.1"])


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://hooks.example/in?x=1", "hooks.example"),
        ("https://HOOKS.example:443/", "Hooks.Example"),
        ("https://hooks.example:8443/", "hooks.example:8443"),
    ],
)
def test_a_url_of_an_allowed_host_is_called(url: str, host: str) -> None:
    assert judge_url(url, [host]) == url


async def test_as_shipped_nobody_is_called(receiver: Receiver) -> None:
    assert Webhooks.Options().allowed_hosts == ()
    async with TestServer([RestApi, Webhooks]) as server:
        ada = await admin_of(server)
        answer = await ada.call("POST", path(ada), {"url": receiver.url})
        assert (answer.status, answer.json()["type"]) == (422, "urn:rainbow:problem:url-not-allowed")


async def test_a_host_that_is_no_longer_allowed_is_no_longer_called(
    server: TestServer, receiver: Receiver
) -> None:
    ada = await admin_of(server)
    hook = await add(ada, receiver)
    server.reconfigure({Webhooks: Webhooks.Options(allowed_hosts=("other.example",))})
    await server.person("bob@acme")
    await server.settle()
    assert receiver.calls == []
    (delivery,) = (await ada.get(path(ada, f"/{hook['id']}/deliveries")))["items"]
    assert (delivery["state"], delivery["outcome"]) == ("waiting", "host-not-allowed")


SPECIAL = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1"),
    *("::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::"),
    *("2002:a00:1::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2001:2::1", "2001:10::1", "100::1"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "2600::1%1", "fec0::1", "ff02::1", "5f00::1"),
    *("3fff::1", "", "localhost", "127.1", "2130706433", "0x7f000001", "1.2.3.4.5", "1.2.3.4/8"),
]


@pytest.mark.parametrize("address", SPECIAL)
def test_a_special_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["::1"]]
)
async def test_a_name_with_one_special_address_is_not_called_at_all(
    receiver: Receiver, addresses: list[str]
) -> None:
    async def there(host: str) -> list[str]:
        return addresses

    outside = Outside(resolve=there)
    with pytest.raises(NotReached, match="address-not-allowed"):
        await outside.post(receiver.url, b"{}", {}, timeout_s=5)
    await outside.close()
    assert receiver.calls == []


async def test_a_name_is_resolved_once_and_what_was_judged_is_connected_to(receiver: Receiver) -> None:
    """DNS rebinding: another answer the second time is never asked for, and would be judged."""
    answers: Iterator[list[str]] = iter([["127.0.0.1"], ["127.0.0.2"]])
    judged: list[str] = []

    async def changing(host: str) -> list[str]:
        return next(answers)

    def permits(address: str) -> bool:
        judged.append(address)
        return address == "127.0.0.1"

    outside = Outside(resolve=changing, permits=permits, tls=receiver._tls)
    assert (await outside.post(receiver.url, b"{}", {}, timeout_s=5)).status == 200
    assert judged == ["127.0.0.1", "127.0.0.1"]  # when it was resolved, and where the socket was made
    with pytest.raises(NotReached):
        await outside.post(receiver.url, b"{}", {}, timeout_s=5)
    await outside.close()
    assert len(receiver.calls) == 1


async def test_an_address_in_the_url_is_judged_where_the_socket_is_made(receiver: Receiver) -> None:
    outside = Outside(tls=receiver._tls)
    for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1"):
        with pytest.raises(NotReached):
            await outside.post(f"https://{host}:{receiver.port}/", b"{}", {}, timeout_s=5)
    await outside.close()
    assert receiver.calls == []


async def test_a_redirect_is_a_failure_and_nobody_follows_it(receiver: Receiver) -> None:
    receiver.statuses = [302]
    receiver.headers = {"Location": receiver.url}
    outside = receiver.outside()
    assert (await outside.post(receiver.url, b"{}", {}, timeout_s=5)).status == 302
    await outside.close()
    assert len(receiver.calls) == 1


async def test_a_certificate_of_somebody_else_is_refused(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "other").mkdir()
    async with receiving(tmp_path / "other", "other.example") as other:
        outside = other.outside()
        with pytest.raises(NotReached, match="certificate"):
            await outside.post(other.url, b"{}", {}, timeout_s=5)  # the name is not in it
        await outside.close()
    outside = Outside(resolve=receiver.outside()._resolver._resolve, permits=lambda _: True)
    with pytest.raises(NotReached, match="certificate"):
        await outside.post(receiver.url, b"{}", {}, timeout_s=5)  # nobody knows its authority
    await outside.close()


async def test_a_long_answer_is_not_read(receiver: Receiver) -> None:
    receiver.body = b"x" * 30_000_000
    receiver.headers = {"Set-Cookie": "a=b"}
    outside = receiver.outside()
    for _ in range(2):
        assert (await outside.post(receiver.url, b"{}", {}, timeout_s=20)).status == 200
    await outside.close()
    assert all("cookie" not in headers for headers, _ in receiver.calls)


@pytest.mark.parametrize(
    ("hosts", "is_wrong"),
    [
        (("hooks.example.com", "crm.example.com:8443"), False),
        (("*",), True),
        (("*.example.com",), True),
        (("https://hooks.example.com",), True),
        (("127.0.0.1",), True),
        (("localhost",), True),
        (("a.example:0",), True),
        (("",), True),
    ],
)
def test_the_operators_list_has_names_of_hosts(hosts: tuple[str, ...], is_wrong: bool) -> None:
    assert bool(list(Webhooks.Options(allowed_hosts=hosts).problems())) is is_wrong


async def test_the_description_of_the_api_names_the_endpoints(server: TestServer) -> None:
    answer = await server.http("GET", "/api/v1/openapi.json")
    paths = answer.json()["paths"]
    assert "/companies/{company_id}/webhooks/{webhook_id}/deliveries" in paths
    assert HOST not in answer.text
