"""Colleagues in everybody's roster, and what changes there when the company does."""

from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element

import pytest

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.company_roster import CompanyRoster
from rainbow_xmpp.store.values import CompanySettings
from rainbow_xmpp.testing import Client, TestServer, condition_of

ROSTER = "{jabber:iq:roster}"
GET = "<query xmlns='jabber:iq:roster'/>"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([CompanyRoster, CompanyIsolation]) as server:
        yield server


def items(query: Element) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Name, subscription and groups by localpart."""
    return {
        item.get("jid", "").partition("@")[0]: (
            item.get("name", ""),
            item.get("subscription", ""),
            tuple(group.text or "" for group in item),
        )
        for item in query.iter(f"{ROSTER}item")
    }


async def roster(client: Client) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    return items((await client.ask("get", GET))[0])


async def pushes(client: Client) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """What was pushed, the last word about each."""
    found = {}
    for stanza in await client.rest():
        if stanza.tag == "{jabber:client}iq":
            found |= items(stanza)
    return found


async def refresh(server: TestServer) -> None:
    await server.node.watch.poll()
    await server.settle()


BOTH = ("both", ("acme",))


async def test_colleagues_are_there_by_themselves_and_others_are_not(server: TestServer) -> None:
    for name in ("bob@acme", "cleo@acme", "eve@globex"):
        await server.person(name)
    assert await roster(await server.login("ann@acme")) == {"bob": ("bob", *BOTH), "cleo": ("cleo", *BOTH)}
    assert await roster(await server.login("eve@globex")) == {}


async def test_presence_flows_between_colleagues_without_a_request(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    bob = await server.login("bob@acme")
    eve = await server.login("eve@globex")
    assert [(s.get("from"), s.get("type")) for s in await ann.rest()] == [(bob.jid, None)]
    assert [s.get("from") for s in await bob.rest()] == [ann.jid]
    bob.send("<presence><show>dnd</show></presence>")
    assert [s.findtext("{jabber:client}show") for s in await ann.rest()] == ["dnd"]
    await bob.leave()
    assert [(s.get("from"), s.get("type")) for s in await ann.rest()] == [(bob.jid, "unavailable")]
    assert await eve.rest() == []


async def test_a_colleague_answers_probes_online_or_not(server: TestServer) -> None:
    bob = await server.person("bob@acme")
    ann = await server.login("ann@acme")
    ann.send(f"<presence type='probe' to='{bob.bare}'/>")
    assert [s.get("type") for s in await ann.rest()] == ["unavailable"]


async def test_nobody_has_rows_of_colleagues(server: TestServer) -> None:
    ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
    for client in (ann, bob):
        await roster(client)
        await client.rest()
    async with server.store.read() as connection:
        rows = await connection.exec_driver_sql("SELECT count(*) FROM roster_items")
        assert rows.scalar() == 0
    assert ann.session.home.circle is bob.session.home.circle
    assert not ann.session.home.subscribers | ann.session.home.contacts


async def test_what_one_calls_a_colleague_is_kept_and_the_subscription_stays(server: TestServer) -> None:
    bob = await server.person("bob@acme")
    ann = await server.login("ann@acme")
    await roster(ann)
    wish = f"<item jid='{bob.bare}' name='Bobby'><group>Friends</group></item>"
    await ann.ask("set", f"<query xmlns='jabber:iq:roster'>{wish}</query>")
    named = ("Bobby", "both", ("Friends", "acme"))
    assert await pushes(ann) == {"bob": named}
    assert await roster(ann) == {"bob": named}
    removal = f"<query xmlns='jabber:iq:roster'><item jid='{bob.bare}' subscription='remove'/></query>"
    assert condition_of(await ann.ask("set", removal)) is None
    assert await pushes(ann) == {"bob": ("bob", *BOTH)}
    assert condition_of(await ann.ask("set", removal)) is Condition.NOT_ALLOWED


@pytest.mark.parametrize("kind", ["subscribe", "unsubscribe", "subscribed", "unsubscribed"])
async def test_subscriptions_between_colleagues_change_nothing(server: TestServer, kind: str) -> None:
    ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
    await roster(bob)
    await bob.rest()
    await ann.rest()
    ann.send(f"<presence to='{bob.bare}' type='{kind}'/>")
    told = [s.get("type") for s in await ann.rest()]
    assert told == (["subscribed"] if kind == "subscribe" else [])
    assert await bob.rest() == []
    assert await roster(bob) == {"ann": ("ann", *BOTH)}


async def test_a_known_version_saves_sending_it_again_until_the_company_changes(server: TestServer) -> None:
    await server.person("bob@acme")
    ann = await server.login("ann@acme")
    version = (await ann.ask("get", "<query xmlns='jabber:iq:roster' ver=''/>"))[0].get("ver")
    known = f"<query xmlns='jabber:iq:roster' ver='{version}'/>"
    assert len(await ann.ask("get", known)) == 0
    await server.person("cleo@acme")
    await refresh(server)
    await ann.rest()
    assert items((await ann.ask("get", known))[0]).keys() == {"bob", "cleo"}


# -- changes -----------------------------------------------------------------------------------------------


async def test_who_joins_leaves_or_is_renamed_is_pushed_to_everybody(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    await roster(ann)
    bob = (await server.person("bob@acme")).account
    await refresh(server)
    assert await pushes(ann) == {"bob": ("bob", *BOTH)}
    await server.store.accounts.set_name(bob.company.id, bob.id, "Bob Roberts")
    await refresh(server)
    assert await pushes(ann) == {"bob": ("Bob Roberts", *BOTH)}
    await server.store.accounts.remove(bob.company.id, bob.id)
    await refresh(server)
    assert await pushes(ann) == {"bob": ("", "remove", ())}


async def test_who_is_hidden_is_gone_for_everybody_and_comes_back(server: TestServer) -> None:
    ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
    await roster(ann)
    await ann.rest()
    account = bob.account
    await server.store.accounts.set_listed(account.company.id, account.id, False)
    await refresh(server)
    heard = await ann.rest()
    assert {(s.get("from"), s.get("type")) for s in heard if s.tag.endswith("presence")} == {
        (bob.jid, "unavailable")
    }
    assert await roster(ann) == {}
    bob.send("<presence/>")
    assert await ann.rest() == []
    await server.store.accounts.set_listed(account.company.id, account.id, True)
    await refresh(server)
    assert (bob.jid, None) in {(s.get("from"), s.get("type")) for s in await ann.rest()}
    assert await roster(ann) == {"bob": ("bob", *BOTH)}


async def test_a_company_may_have_none_or_be_too_large_for_one(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    await server.person("bob@acme")
    await refresh(server)
    await roster(ann)
    await ann.rest()
    company = ann.account.company
    for settings in (CompanySettings(roster=False), CompanySettings(roster_limit=1)):
        await server.store.companies.update(company.id, settings=settings)
        await refresh(server)
        assert await pushes(ann) == {"bob": ("", "remove", ())}
        assert await roster(ann) == {}
        await server.store.companies.update(company.id, settings=CompanySettings())
        await refresh(server)
        assert await pushes(ann) == {"bob": ("bob", *BOTH)}


async def test_a_company_with_another_name_is_another_group(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    await server.person("bob@acme")
    await refresh(server)
    await roster(ann)
    await ann.rest()
    await server.store.companies.update(ann.account.company.id, name="Acme Limited")
    await refresh(server)
    assert await pushes(ann) == {"bob": ("bob", "both", ("Acme Limited",))}


async def test_the_public_company_is_no_circle_of_colleagues(server: TestServer) -> None:
    await server.person("rob@Rainbow")
    assert await roster(await server.login("pia@Rainbow")) == {}
