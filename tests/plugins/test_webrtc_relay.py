"""Who is told of the relay, with which credentials, and when that ends: XEP-0215 and the API."""

import dataclasses
from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element

import pytest

from rainbow_xmpp.config import Secret
from rainbow_xmpp.config.regions import Region
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.plugins.webrtc_relay import WebrtcRelay
from rainbow_xmpp.plugins.webrtc_relay.credentials import parse_username, password_of
from rainbow_xmpp.plugins.webrtc_relay.store import Used
from rainbow_xmpp.store.values import ChangeKind, Role
from rainbow_xmpp.testing import Client, TestServer, condition_of
from tests.plugins.rest import Caller, logged_in

NS = "urn:xmpp:extdisco:2"
SERVICES = f"<services xmlns='{NS}'/>"
SECRET, NEXT = "first-secret-of-16+", "second-secret-of-16+"
DOMAIN = "rainbow.test"
Options = WebrtcRelay.Options


class FakeRelay:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.closed: list[tuple[str, int]] = []

    def close_user(self, userid: str, revoked_until: int) -> None:
        self.closed.append((userid, revoked_until))


def serving(**options: object) -> TestServer:
    made = Options(**{"secret": Secret(SECRET), "mode": "external"} | options)  # type: ignore[arg-type]
    return TestServer({Disco: Disco.Options(), RestApi: RestApi.Options(), WebrtcRelay: made})


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with serving() as server:
        yield server


async def level(server: TestServer, company: str, name: str) -> None:
    found = await server.company(company)
    await server.store.companies.update(found.id, service_level=name)
    await server.node.watch.poll()


async def caller(server: TestServer, who: str) -> Client:
    """Somebody whose company may call."""
    await level(server, who.partition("@")[2], "business")
    return await server.login(who)


async def services(client: Client, query: str = SERVICES) -> list[Element]:
    answer = await client.ask("get", query, to=DOMAIN)
    assert answer.get("type") == "result", condition_of(answer)
    return list(answer[0])


def asking(**named: str) -> str:
    attributes = "".join(f" {name}='{value}'" for name, value in named.items())
    return f"<credentials xmlns='{NS}'><service{attributes}/></credentials>"


async def features(client: Client) -> set[str]:
    answer = await client.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=DOMAIN)
    return {found.get("var", "") for found in answer.iter("{http://jabber.org/protocol/disco#info}feature")}


# -- XEP-0215 ------------------------------------------------------------------------------------------------


async def test_who_may_call_is_told_of_every_way_to_the_relay_with_credentials(server: TestServer):
    ann = await caller(server, "ann@acme")
    assert NS in await features(ann)
    found = await services(ann)
    assert [(each.get("type"), each.get("port"), each.get("transport")) for each in found] == [
        ("stun", "3478", "udp"),
        ("turn", "3478", "udp"),
        ("turn", "3478", "tcp"),
        ("turns", "8443", "tcp"),
    ]
    stun, *relays = found
    assert {each.get("host") for each in found} == {"rainbow.test"}
    assert stun.get("username") is stun.get("restricted") is None
    for each in relays:
        username = each.get("username", "")
        parsed = parse_username(username)
        assert parsed is not None and parsed[0] == server.clock() + 12 * 3600
        assert each.get("password") == password_of(SECRET.encode(), username)
        assert (each.get("restricted"), each.get("expires")) == ("true", "2023-11-15T10:13:20Z")


async def test_the_name_shows_nothing_of_the_person_and_is_the_same_for_all_devices(server: TestServer):
    await level(server, "acme", "business")
    ann = await server.person("ann@acme")
    one, other = await server.login("ann@acme"), await server.login("ann@acme")
    bob = await server.login("bob@acme")
    names = [(await services(client))[1].get("username", "").split(":")[1] for client in (one, other, bob)]
    assert names[0] == names[1] != names[2]
    assert names[0].split("-")[0] == names[2].split("-")[0]
    for told in (ann.account.id, ann.account.company.id, ann.account.localpart, "acme"):
        assert told not in names[0]


async def test_services_of_one_type(server: TestServer):
    ann = await caller(server, "ann@acme")
    answer = await ann.ask("get", f"<services xmlns='{NS}' type='turns'/>", to=DOMAIN)
    assert answer[0].get("type") == "turns"
    assert [each.get("type") for each in answer[0]] == ["turns"]
    assert await services(ann, f"<services xmlns='{NS}' type='ftp'/>") == []


async def test_credentials_of_a_named_service(server: TestServer):
    ann = await caller(server, "ann@acme")
    both = await services(ann, asking(host="Rainbow.test", type="turn"))
    assert [each.get("transport") for each in both] == ["udp", "tcp"]
    assert all(each.get("password") for each in both)
    assert len(await services(ann, asking(host=DOMAIN, type="turns", port="8443"))) == 1


@pytest.mark.parametrize(
    ("request_", "condition"),
    [
        (asking(host=DOMAIN, type="turn", port="1"), "item-not-found"),
        (asking(host="elsewhere.test", type="turn"), "item-not-found"),
        (asking(host=DOMAIN, type="stun"), "item-not-found"),
        (asking(host=DOMAIN), "bad-request"),
        (asking(type="turn"), "bad-request"),
        (asking(host=DOMAIN, type="turn", port="x"), "bad-request"),
        (f"<credentials xmlns='{NS}'/>", "bad-request"),
    ],
)
async def test_what_there_is_not_has_no_credentials(server: TestServer, request_: str, condition: str):
    ann = await caller(server, "ann@acme")
    assert condition_of(await ann.ask("get", request_, to=DOMAIN)) == condition


async def test_to_whoever_may_not_call_the_server_has_no_relay():
    """Byte for byte what a server without the plugin says, and one whose plugin is off."""
    told = []
    for plugins in (
        {Disco: Disco.Options()},
        {Disco: Disco.Options(), WebrtcRelay: Options()},
        {Disco: Disco.Options(), WebrtcRelay: Options(secret=Secret(SECRET))},
        {Disco: Disco.Options(), WebrtcRelay: Options(secret=Secret(SECRET), companies=("globex",))},
    ):
        async with TestServer(plugins) as server:
            if plugins.get(WebrtcRelay, Options()).companies:
                await level(server, "acme", "business")
            ann = await server.login("ann@acme")
            assert NS not in await features(ann)
            asked = [SERVICES, asking(host=DOMAIN, type="turn"), f"<credentials xmlns='{NS}'/>"]
            answers = [await ann.ask("get", query, to=DOMAIN) for query in asked]
            told.append([(condition_of(each), [part.tag for part in each.iter()]) for each in answers])
    assert told[0] == told[1] == told[2] == told[3]
    assert {condition for condition, _ in told[0]} == {"service-unavailable"}


async def test_nobody_asks_without_end():
    async with serving(credentials_per_minute=2) as server:
        ann = await caller(server, "ann@acme")
        other = await server.login("ann@acme")
        await services(ann)
        await services(other)
        assert condition_of(await ann.ask("get", SERVICES, to=DOMAIN)) == "resource-constraint"
        server.clock.advance(31)
        await services(ann)


async def test_the_relays_of_the_region_come_first_where_the_person_came_in_or_is_at_home():
    entries = ("us=turn:us.test", "turn:all.test", "default=turn:home.test", "stun:all.test")
    async with serving(services=entries) as server:
        ann = await caller(server, "ann@acme")
        assert [each.get("host") for each in await services(ann)] == [
            "home.test",
            "all.test",
            "all.test",
            "us.test",
        ]
        ann.session.through = "us"  # where she came in, and is
        assert (await services(ann))[0].get("host") == "us.test"


async def test_relays_that_the_configuration_names_for_the_persons_region_come_before_this_servers():
    regions = {
        "emea": Region(country="FR", hosts=("emea.test",), relays=("near.test", "[2001:db8::7]:5000")),
        "na": Region(country="CA", hosts=("na.test",), relays=("far.test",)),
    }
    made = Options(secret=Secret(SECRET), mode="external")
    async with TestServer({Disco: Disco.Options(), WebrtcRelay: made}, regions=regions) as server:
        found = await services(await caller(server, "ann@acme"))
        assert [(each.get("host"), each.get("port"), each.get("type")) for each in found] == [
            *(("near.test", "3478", type_) for type_ in ("stun", "turn", "turn", "turns")),
            *(("2001:db8::7", "5000", type_) for type_ in ("stun", "turn", "turn", "turns")),
            *((DOMAIN, "3478", type_) for type_ in ("stun", "turn", "turn")),
            (DOMAIN, "8443", "turns"),
        ]
        await server.store.companies.add("Initech", "na")
        bob = await caller(server, "bob@Initech")
        assert [each.get("host") for each in await services(bob)] == ["far.test"] * 4 + [DOMAIN] * 4


# -- rotation ------------------------------------------------------------------------------------------------


async def test_a_new_secret_is_pushed_to_those_who_asked_and_to_nobody_else(server: TestServer):
    ann, bob = await caller(server, "ann@acme"), await server.login("bob@acme")
    carol = await server.login("carol@globex")
    old = (await services(ann, f"<services xmlns='{NS}' type='turn'/>"))[0]
    server.reconfigure(
        {
            WebrtcRelay: Options(
                secret=Secret(NEXT),
                previous_secret=Secret(SECRET),
                services=("turn:rainbow.test", "turn:new.test"),
            )
        }
    )
    push = await ann.asked()
    assert (push.get("type"), push.get("from")) == ("set", DOMAIN)
    assert push[0].tag == f"{{{NS}}}services" and push[0].get("type") == "turn"
    assert [(each.get("action"), each.get("host"), each.get("transport")) for each in push[0]] == [
        ("modify", "rainbow.test", "udp"),
        ("add", "new.test", "udp"),
        ("delete", "rainbow.test", "tcp"),
    ]
    new = push[0][0]
    assert new.get("password") == password_of(NEXT.encode(), new.get("username", "")) != old.get("password")
    assert await bob.rest() == await carol.rest() == []


async def test_a_session_that_ended_is_pushed_nothing(server: TestServer):
    ann = await caller(server, "ann@acme")
    await services(ann)
    await ann.leave()
    await server.settle()
    assert not server.plugin(WebrtcRelay)._asked


# -- the API -------------------------------------------------------------------------------------------------


async def api_caller(server: TestServer, who: str, role: Role = Role.USER) -> Caller:
    await server.person(who, role=role)
    found = await logged_in(server, who)
    await level(server, who.partition("@")[2], "business")
    return found


async def test_a_browser_can_hand_the_answer_to_its_peer_connection(server: TestServer):
    ann = await api_caller(server, "ann@acme")
    answer = await ann.call("GET", "/relay/credentials")
    assert answer.status == 200 and answer.headers["cache-control"] == "no-store"
    stun, turn = answer.json()["iceServers"]
    assert stun == {"urls": ["stun:rainbow.test:3478"]}
    assert turn["urls"] == [
        "turn:rainbow.test:3478?transport=udp",
        "turn:rainbow.test:3478?transport=tcp",
        "turns:rainbow.test:8443?transport=tcp",
    ]
    assert turn["credential"] == password_of(SECRET.encode(), turn["username"])
    assert answer.json()["expires_at"].startswith("2023-11-15T10:13:2")  # her password was changed just now


async def test_by_the_api_too_whoever_may_not_call_finds_nothing(server: TestServer):
    eve = await logged_in(server, "eve@globex")
    nothing = await eve.call("GET", "/relay/nothing")
    for path in ("/relay/credentials", "/relay/usage"):
        answer = await eve.call("GET", path)
        assert (answer.status, answer.json()["type"]) == (404, nothing.json()["type"])


# -- minutes -------------------------------------------------------------------------------------------------


async def userid_of(client: Client) -> str:
    parsed = parse_username((await services(client))[-1].get("username", ""))
    assert parsed is not None
    return parsed[1]


async def test_minutes_are_counted_while_media_passes_and_shown_to_administrators(server: TestServer):
    ann, bob = await caller(server, "ann@acme"), await server.login("bob@acme")
    desk = server.plugin(WebrtcRelay).desk
    for client, seconds in ((ann, 90), (bob, 30)):
        userid = await userid_of(client)
        desk.accounting.opened(userid)
        desk.accounting.moved(userid, seconds, 8000 * seconds, 4000 * seconds)
        desk.accounting.moved(userid, 600, 50 * 600, 50 * 600)  # checks, beside a call that needs no relay
        desk.accounting.closed(userid)
    desk.accounting.moved("0123-nobody", 60, 10**6, 0)
    await server.run_job(WebrtcRelay.account)
    await server.run_job(WebrtcRelay.account)
    admin = await api_caller(server, "ada@acme", Role.COMPANY_ADMIN)
    shown = await admin.get(f"/companies/{admin.person.account.company.id}/relay/usage?limit=1")
    assert (shown["month"], shown["most_minutes_per_person"]) == ("2023-11", 1000)
    assert shown["usage"] == {
        "minutes": 2,
        "allocations": 2,
        "bytes_in": 8000 * 120 + 60_000,
        "bytes_out": 4000 * 120 + 60_000,
    }
    rest = await admin.get(
        f"/companies/{admin.person.account.company.id}/relay/usage?after={shown['next']}&month=2023-11"
    )
    people = {each["user_id"]: each["usage"]["minutes"] for each in shown["items"] + rest["items"]}
    assert people == {ann.account.id: 2, bob.account.id: 1}
    me = await logged_in(server, "ann@acme")
    assert await me.get("/relay/usage") == {"month": "2023-11", "minutes": 2, "most_minutes": 1000}
    before = await admin.get(f"/companies/{admin.person.account.company.id}/relay/usage?month=2023-10")
    assert before["items"] == [] and before["usage"]["minutes"] == 0


async def test_when_the_minutes_are_used_up_there_are_no_credentials_and_calls_end(server: TestServer):
    plugin = server.plugin(WebrtcRelay)
    plugin.desk.relay = relay = FakeRelay()
    ann = await caller(server, "ann@acme")
    userid = await userid_of(ann)
    plugin.desk.accounting.opened(userid)
    plugin.desk.accounting.moved(userid, 1000 * 60 - 1, 10**9, 10**9)
    await server.run_job(WebrtcRelay.account)
    assert relay.closed == []
    plugin.desk.accounting.moved(userid, 1, 10**9, 10**9)
    await server.run_job(WebrtcRelay.account)
    assert [userid for userid, _ in relay.closed] == [userid]
    left = await services(ann)
    assert [(each.get("type"), each.get("password"), each.get("restricted")) for each in left[:2]] == [
        ("stun", None, None),
        ("turn", None, "true"),
    ]
    refused = await ann.ask("get", asking(host=DOMAIN, type="turn"), to=DOMAIN)
    assert condition_of(refused) == "resource-constraint"
    me = await logged_in(server, "ann@acme")
    answer = await me.call("GET", "/relay/credentials")
    assert (answer.status, answer.json()["type"].rpartition(":")[2]) == (403, "minutes-used-up")
    server.clock.advance(31 * 86_400)  # December
    assert (await services(await server.login("ann@acme")))[1].get("password")


async def test_a_companys_minutes_are_everybodys():
    async with serving(minutes_per_company=1) as server:
        ann, bob = await caller(server, "ann@acme"), await server.login("bob@acme")
        carol = await caller(server, "carol@globex")
        accounting = server.plugin(WebrtcRelay).desk.accounting
        accounting.moved(await userid_of(ann), 60, 10**6, 10**6)
        await server.run_job(WebrtcRelay.account)
        assert (await services(bob))[1].get("password") is None
        assert (await services(carol))[1].get("password")


async def test_what_a_removed_person_used_goes_with_the_account_and_stays_in_the_companys_sum(
    server: TestServer,
):
    ann = await caller(server, "ann@acme")
    desk = server.plugin(WebrtcRelay).desk
    userid = await userid_of(ann)
    desk.accounting.moved(userid, 60, 10**6, 0)
    await server.run_job(WebrtcRelay.account)
    company = ann.account.company.id
    assert [each.used.seconds for each in await desk.usage.of_people(company, 202311, after="", most=9)] == [
        60
    ]
    desk.accounting.moved(userid, 60, 10**6, 0)
    await server.node.people.remove(ann.account, actor="system")
    await server.run_job(WebrtcRelay.account)
    assert await desk.usage.of_people(company, 202311, after="", most=9) == []
    assert await desk.usage.of_company(company, 202311) == Used(120, 0, 2 * 10**6, 0)


async def test_what_cannot_be_written_is_kept_for_the_next_time(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
):
    ann = await caller(server, "ann@acme")
    desk = server.plugin(WebrtcRelay).desk
    desk.accounting.moved(await userid_of(ann), 60, 10**6, 0)

    async def fail(*_: object) -> None:
        raise OSError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(desk.usage, "add", fail)
        await server.run_job(WebrtcRelay.account)
    await server.run_job(WebrtcRelay.account)
    assert (await desk.usage.of_company(ann.account.company.id, 202311)).seconds == 60


async def test_what_people_used_is_dropped_after_a_year_and_a_month(server: TestServer):
    ann = await caller(server, "ann@acme")
    desk = server.plugin(WebrtcRelay).desk
    desk.accounting.moved(await userid_of(ann), 60, 10**6, 0)
    await server.run_job(WebrtcRelay.account)
    for days, left in ((395, 1), (40, 0)):
        server.clock.advance(days * 86_400)
        await server.run_job(WebrtcRelay.tidy)
        company = ann.account.company.id
        assert len(await desk.usage.of_people(company, 202311, after="", most=9)) == left
    assert (await desk.usage.of_company(ann.account.company.id, 202311)).seconds == 60


# -- the end of a right --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        "disabled",
        "removed",
        "logged out",
        "password",
        "company disabled",
        "level of the company",
        "own level",
    ],
)
async def test_calls_end_with_the_account_its_logins_and_its_right(server: TestServer, end: str):
    plugin = server.plugin(WebrtcRelay)
    plugin.desk.relay = relay = FakeRelay()
    ann, bob = await caller(server, "ann@acme"), await caller(server, "bob@globex")
    gone = await userid_of(ann)
    await userid_of(bob)
    account, people = ann.account, server.node.people
    if end == "disabled":
        await people.disable(account, actor="system")
    elif end == "removed":
        await people.remove(account, actor="system")
    elif end == "logged out":
        await people.end_sessions(account, actor="system")
    elif end == "password":
        await people.set_password(account, "Correct-Horse-7", actor="system")
    elif end == "company disabled":
        await server.store.companies.update(account.company.id, disabled=True)
    elif end == "level of the company":
        await server.store.companies.update(account.company.id, service_level="essential")
    else:
        await server.store.accounts.set_service_level(account.company.id, account.id, "essential")
    await server.node.watch.poll()
    assert {userid for userid, _ in relay.closed} == {gone}
    assert all(until >= server.clock() + 12 * 3600 for _, until in relay.closed)


async def test_after_a_forced_logout_new_credentials_are_good_and_old_ones_are_not(server: TestServer):
    plugin = server.plugin(WebrtcRelay)
    plugin.desk.relay = relay = FakeRelay()
    ann = await caller(server, "ann@acme")
    old = parse_username((await services(ann))[1].get("username", ""))
    await server.node.people.end_sessions(ann.account, actor="system")
    await server.settle()
    ann = await server.login("ann@acme")
    new = parse_username((await services(ann))[1].get("username", ""))
    ((userid, until), *_) = relay.closed
    assert old is not None and new is not None
    assert old[1] == new[1] == userid
    assert old[0] <= until < new[0]


async def test_what_is_void_is_told_again_to_a_relay_that_begins_anew(server: TestServer):
    plugin = server.plugin(WebrtcRelay)
    ann = await caller(server, "ann@acme")
    userid = await userid_of(ann)
    await server.node.people.disable(ann.account, actor="system")
    await server.settle()
    plugin.desk.relay = relay = FakeRelay()
    await plugin.desk.start()
    assert [userid for userid, _ in relay.closed] == [userid]
    server.clock.advance(13 * 3600)
    await server.run_job(WebrtcRelay.tidy)
    relay.closed.clear()
    await plugin.desk.start()
    assert relay.closed == []


async def test_a_session_that_outlives_the_change_is_sent_other_credentials(server: TestServer):
    ann = await caller(server, "ann@acme")
    old = parse_username((await services(ann))[1].get("username", ""))
    account = ann.account
    await server.store.accounts.bump_epoch(account.company.id, account.id, ChangeKind.SESSIONS_ENDED)
    ann.session.account = dataclasses.replace(account, epoch=account.epoch + 1)  # it knows the new epoch
    await server.node.watch.poll()
    push = await ann.asked()
    new = parse_username(push[0][1].get("username", ""))
    assert old is not None and new is not None and new[0] > old[0]
