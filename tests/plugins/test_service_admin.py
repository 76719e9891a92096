import re
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.auth.authenticator import Refused
from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.plugin import Asker, Role
from rainbow_xmpp.plugins.adhoc import AdHoc
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.service_admin import SHORT, ServiceAdmin
from rainbow_xmpp.plugins.service_admin.listing import MOST
from rainbow_xmpp.store.values import NewAccount
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.commands import Shown, execute, listed, run

A = "http://jabber.org/protocol/admin#"
NODES = {
    "add-user",
    "delete-user",
    "disable-user",
    "reenable-user",
    "end-user-session",
    "get-user-lastlogin",
    "user-stats",
    "get-registered-users-num",
    "get-disabled-users-num",
    "get-online-users-num",
    "get-registered-users-list",
    "get-disabled-users-list",
    "get-online-users-list",
}
GOOD = "Sunny&kazoo7"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([AdHoc, Disco, ServiceAdmin, MfaPin]) as made:
        yield made


@pytest.fixture
async def operator(server: TestServer) -> Client:
    return await server.login("opal@Hosting", role=Role.OPERATOR)


@pytest.fixture
async def admin(server: TestServer) -> Client:
    return await server.login("ada@acme", role=Role.COMPANY_ADMIN)


async def is_disabled(server: TestServer, localpart: str) -> bool:
    account = await server.store.accounts.by_localpart(localpart)
    assert account is not None
    return account.disabled


async def recorded(server: TestServer) -> list[tuple[str, str, str]]:
    entries = [record.entry for record in await server.audit()]
    return [(entry.kind, entry.actor, entry.target) for entry in entries]


WHY = {"x-reason": "ticket 17"}

# Who is offered what


async def test_administrators_are_offered_the_commands_and_nobody_else(server, operator, admin):
    assert {node for node, _ in await listed(operator)} == {"people", *(A + node for node in NODES)}
    assert await listed(admin) == await listed(operator)
    assert await listed(await server.login("bob@acme")) == []


@pytest.mark.parametrize("node", ["change-user-password", "get-user-password", "get-user-roster"])
async def test_passwords_and_contacts_are_not_offered(operator, node):
    assert (await execute(operator, A + node)).error[0] == "item-not-found"


# Why


@pytest.mark.parametrize(
    ("node", "values"),
    [
        ("add-user", {"email": "dan@acme.example"}),
        ("disable-user", {"accountjids": ["bob@acme.example"]}),
        ("reenable-user", {"accountjids": ["bob@acme.example"]}),
        ("delete-user", {"accountjids": ["bob@acme.example"]}),
        ("end-user-session", {"accountjids": ["bob@acme.example"]}),
    ],
)
async def test_an_operator_says_why_and_it_stands_in_the_audit_log(server, operator, admin, node, values):
    await server.login("bob@acme")
    before = len(await server.audit())
    refused = await run(operator, A + node, **values)
    assert refused.error == ("bad-request", "bad-payload", "operators say why")
    assert len(await server.audit()) == before
    await run(operator, A + node, **WHY, **values)
    assert {record.entry.reason for record in (await server.audit())[before:]} == {"ticket 17"}


async def test_a_companys_administrator_may_say_why(server, admin):
    await server.login("bob@acme")
    await run(admin, f"{A}disable-user", accountjids=["bob@acme.example"])
    await run(admin, f"{A}reenable-user", **WHY, accountjids=["bob@acme.example"])
    assert [record.entry.reason for record in await server.audit()][-2:] == ["", "ticket 17"]


# Adding people


async def test_who_is_added_chooses_a_password_by_letter_and_no_administrator_sees_one(server, operator):
    shown = await run(
        operator, f"{A}add-user", **WHY, accountjid=f"bob@{server.domain}", email="Bob@acme.example"
    )
    assert "password" not in str(shown.fields)
    record = await server.store.accounts.for_login("bob@acme.example")
    assert record is not None and (record.account.localpart, record.account.company.name) == (
        "bob",
        "Hosting",
    )
    assert ("user.added", operator.account.id, record.account.id) in await recorded(server)
    link = re.search(r"/join/(\S+)", await server.mailbox.next_to("bob@acme.example"))
    assert link is not None
    joined = await server.plugin(MfaPin).join(link[1], GOOD, asker=Asker("127.0.0.1"))
    assert joined.id == record.account.id


async def test_the_form_asks_for_no_password_and_one_that_is_sent_counts_for_nothing(server, admin):
    assert not {"password", "password-verify"} & set((await execute(admin, f"{A}add-user")).fields)
    both = {"password": GOOD, "password-verify": GOOD, "given_name": "Bob", "surname": "Stone"}
    await run(admin, f"{A}add-user", email="bob@acme.example", **both)
    record = await server.store.accounts.for_login("bob@acme.example")
    assert record is not None
    assert (record.account.name, record.account.company.name) == ("Bob Stone", "acme")
    assert len(record.account.localpart) == 32
    found = await server.node.authenticator.check_password(("bob@acme.example",), GOOD, "127.0.0.1")
    assert isinstance(found, Refused)


async def test_where_no_letters_are_sent_nobody_is_added():
    async with TestServer([AdHoc, ServiceAdmin]) as server:
        admin = await server.login("ada@acme", role=Role.COMPANY_ADMIN)
        told = (await run(admin, f"{A}add-user", email="bob@acme.example")).error
        assert told[0] == "not-allowed" and "no letters" in told[2]
        assert await server.store.accounts.for_login("bob@acme.example") is None


async def test_an_operator_says_the_company_and_an_administrator_is_not_asked(server, operator, admin):
    await server.company("globex")
    assert "x-company" in (await execute(operator, f"{A}add-user")).fields
    assert "x-company" not in (await execute(admin, f"{A}add-user")).fields
    await run(operator, f"{A}add-user", **WHY, email="bob@globex.example", **{"x-company": "globex"})
    await run(admin, f"{A}add-user", email="eve@acme.example", **{"x-company": "globex"})
    companies = [
        record.account.company.name
        for email in ("bob@globex.example", "eve@acme.example")
        if (record := await server.store.accounts.for_login(email)) is not None
    ]
    assert companies == ["globex", "acme"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "E-mail address (email) is required"),
        ({"email": "nonsense"}, "'nonsense' is not an e-mail address"),
        ({"email": "b@x.example", "accountjid": "b@other.example"}, "must be of the form name@rainbow.test"),
        ({"email": "b@nowhere@x"}, "is not an e-mail address"),
        ({"email": "b b@x.example"}, "is not an e-mail address"),
        ({"email": "b@x"}, "no letter could be sent to this address"),
        ({"email": "b@x.example", "x-company": "Nowhere"}, "there is no company Nowhere"),
    ],
)
async def test_what_does_not_fit_is_told_and_can_be_corrected(operator, values, told):
    talk = (await execute(operator, f"{A}add-user")).session_id
    wrong = await execute(operator, f"{A}add-user", session_id=talk, values={**WHY, **values})
    assert wrong.error[:2] == ("bad-request", "bad-payload")
    assert told in wrong.error[2]
    again = {"email": "b@x.example", "accountjid": "", "x-company": ""}
    assert (
        await execute(operator, f"{A}add-user", session_id=talk, values={**WHY, **again})
    ).status == "completed"


async def test_what_is_taken_is_a_conflict_and_an_administrator_does_not_learn_whose(server, operator, admin):
    await server.person("carol@globex")
    taken = {"accountjid": f"carol@{server.domain}", "email": "new@x.example"}
    told = (await run(operator, f"{A}add-user", **WHY, **taken)).error
    assert told == ("conflict", "", "the localpart belongs to another account")
    taken_mail = {"email": "carol@globex.example"}
    answers = {(await run(admin, f"{A}add-user", **values)).error for values in (taken, taken_mail)}
    assert answers == {("conflict", "", "the address or the e-mail address belongs to another account")}


# Changing people


async def test_a_disabled_person_is_out_at_once_and_may_come_back(server, admin):
    bob = await server.login("bob@acme")
    assert (await run(admin, f"{A}disable-user", accountjids=[bob.bare])).notes == [("info", "1 shut out")]
    assert bob.wire.violation is not None
    assert bob.wire.violation.condition is StreamCondition.NOT_AUTHORIZED
    assert await is_disabled(server, "bob")
    await run(admin, f"{A}reenable-user", accountjids=["bob@acme.example"])
    assert not await is_disabled(server, "bob")
    kinds = [kind for kind, actor, target in await recorded(server) if target == bob.account.id]
    assert kinds == ["user.disabled", "user.enabled"]


async def test_a_deleted_person_is_gone(server, admin):
    bob, eve = await server.login("bob@acme"), await server.person("eve@acme")
    shown = await run(admin, f"{A}delete-user", accountjids=[bob.bare, eve.bare])
    assert shown.notes == [("info", "2 removed")]
    assert await server.store.accounts.by_localpart("bob") is None
    assert not bob.wire.is_open


async def test_sessions_are_ended_all_or_one(server, operator):
    phone, desk = await server.login("bob@acme"), await server.login("bob@acme")
    await run(operator, f"{A}end-user-session", **WHY, accountjids=[phone.jid])
    assert phone.wire.violation is not None
    assert phone.wire.violation.condition is StreamCondition.POLICY_VIOLATION
    assert desk.wire.violation is None
    await run(operator, f"{A}end-user-session", **WHY, accountjids=[phone.bare])
    assert desk.wire.violation is not None
    again = await server.login("bob@acme")
    await server.node.watch.poll()
    assert again.wire.violation is None
    kinds = [kind for kind, _, target in await recorded(server) if target == phone.account.id]
    assert kinds == ["service_admin.session_ended", "user.sessions_ended"]


@pytest.mark.parametrize(
    "node", ["delete-user", "disable-user", "reenable-user", "end-user-session", "get-user-lastlogin"]
)
async def test_people_of_another_company_are_like_people_who_do_not_exist(server, admin, node):
    carol = await server.login("carol@globex")
    answers = []
    for who in (carol.bare, f"nobody@{server.domain}", "carol@globex.example", "nobody@globex.example"):
        refused = await run(admin, A + node, accountjids=[who])
        answers.append((*refused.error[:2], refused.error[2].replace(who, "…")))
    assert set(answers) == {("bad-request", "bad-payload", "…: nobody is called that")}
    assert carol.wire.is_open


async def test_either_all_are_changed_or_none(server, admin):
    bob = await server.person("bob@acme")
    refused = await run(admin, f"{A}disable-user", accountjids=[bob.bare, f"nobody@{server.domain}"])
    assert refused.error[2] == f"nobody@{server.domain}: nobody is called that"
    assert not await is_disabled(server, "bob")


async def test_nobody_removes_the_own_account_and_operators_only_operators_change(server, operator, admin):
    await server.login("otto@acme", role=Role.OPERATOR)
    own = await run(admin, f"{A}delete-user", accountjids=[admin.bare])
    assert own.error[0] == "not-allowed"
    theirs = await run(admin, f"{A}disable-user", accountjids=[f"otto@{server.domain}"])
    assert theirs.error[0] == "forbidden"
    assert (
        await run(operator, f"{A}disable-user", **WHY, accountjids=[f"otto@{server.domain}"])
    ).status == "completed"


async def test_an_administrator_who_moves_to_another_company_acts_there(server, admin):
    bob = await server.person("bob@acme")
    talk = (await execute(admin, f"{A}disable-user")).session_id
    globex = await server.company("globex")
    admin.session.account = admin.session.account.__class__(
        **{f: getattr(admin.account, f) for f in admin.account.__slots__} | {"company": globex}
    )
    refused = await execute(admin, f"{A}disable-user", session_id=talk, values={"accountjids": [bob.bare]})
    assert "nobody is called that" in refused.error[2]


# Looking at people


async def test_numbers_and_lists_are_of_whom_the_asker_is_responsible_for(server, operator, admin):
    bob, carol = await server.login("bob@acme"), await server.login("carol@globex")
    await server.person("dan@acme")
    await run(operator, f"{A}disable-user", **WHY, accountjids=["dan@acme.example"])

    async def asked(who: Client, node: str) -> Shown:
        return await execute(who, A + node)

    for who, registered, online in (
        (operator, {"opal", "ada", "bob", "carol", "dan"}, {"opal", "ada", "bob", "carol"}),
        (admin, {"ada", "bob", "dan"}, {"ada", "bob"}),
    ):
        jids = {f"{name}@{server.domain}" for name in registered}
        assert set((await asked(who, "get-registered-users-list")).fields["registereduserjids"]) == jids
        number = (await asked(who, "get-registered-users-num")).fields["registeredusersnum"]
        assert number == [str(len(registered))]
        found = (await asked(who, "get-online-users-list")).fields["onlineuserjids"]
        assert set(found) == {f"{name}@{server.domain}" for name in online}
        assert (await asked(who, "get-online-users-num")).fields["onlineusersnum"] == [str(len(online))]
        assert (await asked(who, "get-disabled-users-num")).fields["disabledusersnum"] == ["1"]
        found = (await asked(who, "get-disabled-users-list")).fields["disableduserjids"]
        assert found == [f"dan@{server.domain}"]
    assert bob.wire.is_open and carol.wire.is_open


async def test_of_a_long_list_one_is_asked_how_much_to_see(server, admin):
    await server.store.accounts.add_many(
        [NewAccount(company="acme", email=f"p{n}@acme.example") for n in range(SHORT)]
    )
    node = f"{A}get-registered-users-list"
    first = await execute(admin, node)
    assert (first.status, first.notes) == ("executing", [("info", f"There are {SHORT + 1}.")])
    some = await execute(admin, node, session_id=first.session_id, values={"max_items": "25"})
    assert len(some.fields["registereduserjids"]) == 25
    assert some.notes == [("warn", f"25 of {SHORT + 1} are shown")]
    assert len((await run(admin, node, max_items="none")).fields["registereduserjids"]) == SHORT + 1


def rows_of(shown: Shown) -> list[list[str | None]]:
    table = shown.command[-1]
    return [[value.text for value in item.iter("{jabber:x:data}value")] for item in table[1:]]


async def test_people_are_found_by_what_is_known_of_them(server, operator, admin):
    bob = await server.login("bob@acme")
    await server.store.accounts.set_name(bob.account.company.id, bob.account.id, "Robert Stone")
    await server.person("dan@acme")
    await server.person("carol@globex")
    await run(admin, f"{A}disable-user", accountjids=["dan@acme.example"])
    for text in ("STONE", "bob@acme.example", "bob"):
        shown = await run(admin, "people", search=text)
        assert rows_of(shown) == [["Robert Stone", "bob@acme.example", bob.bare, "user", "online"]]
    assert [row[4] for row in rows_of(await run(admin, "people", search="dan"))] == ["disabled"]
    assert len(rows_of(await run(admin, "people", search=""))) == 3
    assert rows_of(await run(admin, "people", search="carol")) == []
    elsewhere = await run(operator, "people", search="", **{"x-company": "globex"})
    assert [row[1] for row in rows_of(elsewhere)] == ["carol@globex.example"]


async def test_of_too_many_people_some_are_shown(server, admin):
    await server.store.accounts.add_many(
        [NewAccount(company="acme", email=f"p{n}@acme.example") for n in range(MOST)]
    )
    shown = await run(admin, "people", search="")
    assert len(rows_of(shown)) == MOST
    assert shown.notes == [("warn", f"There are more than these {MOST}: say whom you look for")]


async def test_statistics_of_somebody_tell_no_network_address(server, admin):
    bob = await server.login("bob@acme", resource="phone")
    await server.subscribe(admin.bare, to=await server.person("bob@acme"))
    shown = await run(admin, f"{A}user-stats", accountjid=bob.bare)
    assert shown.fields == {
        "FORM_TYPE": ["http://jabber.org/protocol/admin"],
        "accountjid": [bob.bare],
        "email": ["bob@acme.example"],
        "rostersize": ["1"],
        "onlineresources": ["phone"],
        "lastlogin": ["2023-11-14T22:13:20Z"],
    }


async def test_the_last_login_is_kept(server, admin):
    bob = await server.login("bob@acme")
    await server.person("eve@acme")
    await bob.leave()
    await server.run_job(ServiceAdmin.write_logins)
    server.clock.advance(3600)
    shown = await run(admin, f"{A}get-user-lastlogin", accountjids=[bob.bare])
    assert shown.fields["lastlogin"] == ["2023-11-14T22:13:20Z"]
    await server.login("bob@acme")
    await server.run_job(ServiceAdmin.write_logins)
    shown = await run(admin, f"{A}get-user-lastlogin", accountjids=[bob.bare, "eve@acme.example"])
    assert rows_of(shown) == [[bob.bare, "2023-11-14T23:13:20Z"], [f"eve@{server.domain}"]]


async def test_the_last_login_is_not_kept_where_that_is_not_wanted():
    options = ServiceAdmin.Options(keep_last_login=False)
    async with TestServer({AdHoc: AdHoc.Options(), ServiceAdmin: options}) as server:
        admin = await server.login("ada@acme", role=Role.COMPANY_ADMIN)
        shown = await run(admin, f"{A}get-user-lastlogin", accountjids=[admin.bare])
        assert "lastlogin" not in shown.fields
