"""What service levels do: who may be put on which, and what they give."""

from dataclasses import replace

import pytest

from rainbow_xmpp.auth.people import AccountChange
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.company.levels import UnknownLevel
from rainbow_xmpp.config import ServiceLevel
from rainbow_xmpp.config.levels import SHIPPED_LEVELS
from rainbow_xmpp.store.values import NewAccount, Visibility
from rainbow_xmpp.testing import TestServer
from tests.plugins.test_company_isolation import CompanyIsolation

BY = {"actor": "system"}


def configure(server: TestServer, **levels: ServiceLevel) -> None:
    server.node.levels.configured = {**SHIPPED_LEVELS, **levels}


async def test_a_person_has_the_company_s_level_or_one_of_their_own() -> None:
    async with TestServer([]) as server:
        ann = (await server.person("ann@acme")).account
        people, desk, levels = server.node.people, server.node.companies, server.node.services()
        assert levels.level_of(ann) == SHIPPED_LEVELS["essential"]
        await desk.change(ann.company, CompanyChange(service_level="business"), **BY)
        ann = await people.change(ann, AccountChange(name="Ann"), **BY)
        assert levels.level_of(ann) == SHIPPED_LEVELS["business"]
        ann = await people.change(ann, AccountChange(service_level="enterprise"), **BY)
        assert levels.level_of(ann) == SHIPPED_LEVELS["enterprise"]
        ann = await people.change(ann, AccountChange(service_level=""), **BY)
        assert levels.level_of(ann) == SHIPPED_LEVELS["business"]


async def test_a_level_that_is_not_configured_is_refused_and_nothing_is_recorded() -> None:
    async with TestServer([]) as server:
        ann = (await server.person("ann@acme")).account
        written = server.node.audit.written
        with pytest.raises(UnknownLevel, match='"bussiness" is no service level; did you mean "business"'):
            await server.node.people.change(ann, AccountChange(service_level="bussiness"), **BY)
        with pytest.raises(UnknownLevel, match="there are essential, business, enterprise"):
            await server.node.companies.change(ann.company, CompanyChange(service_level="platinum"), **BY)
        with pytest.raises(UnknownLevel):
            await server.node.companies.add("New", service_level="platinum", **BY)
        assert server.node.audit.written == written


async def test_a_level_that_was_taken_out_of_the_configuration_gives_what_essential_gives() -> None:
    async with TestServer([]) as server:
        configure(server, gold=ServiceLevel(upload_mb=77))
        ann = (await server.person("ann@acme")).account
        ann = await server.node.people.change(ann, AccountChange(service_level="gold"), **BY)
        assert server.node.levels.of(ann).upload_mb == 77
        configure(server)
        assert server.node.levels.of(ann) == SHIPPED_LEVELS["essential"]


async def test_a_company_has_no_more_people_than_its_level_allows() -> None:
    async with TestServer([]) as server:
        configure(server, essential=ServiceLevel(max_members=2))
        await server.person("ann@acme")
        bob = NewAccount(company="acme", email="bob@acme.example", localpart="bob")
        await server.node.people.add(bob, **BY)
        with pytest.raises(NotAllowed, match="acme has 2 people; its service level, essential, allows 2"):
            await server.node.people.add(
                replace(bob, email="cy@acme.example", localpart="cy", id="c" * 24), **BY
            )


async def test_a_level_may_keep_people_from_searching_outside() -> None:
    from rainbow_xmpp.company import Action

    async with TestServer([CompanyIsolation]) as server:
        ann, bob = (await server.person("ann@acme")).account, (await server.person("bob@acme")).account
        pat = (await server.person("pat@globex")).account
        pat = await server.node.people.change(pat, AccountChange(name="Pat"), **BY)
        globex = await server.node.companies.change(
            pat.company, CompanyChange(visibility=Visibility.PUBLIC), **BY
        )
        pat = replace(pat, company=globex)
        may = server.node.services().may
        assert await may(Action.SEARCH, ann, pat)
        configure(server, essential=ServiceLevel(search_outside=False))
        assert not await may(Action.SEARCH, ann, pat)
        assert await may(Action.SEARCH, ann, bob)


async def test_agreements_and_changes_are_not_made_without_their_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with TestServer([]) as server:
        node = server.node
        ann, bob = (await server.person("ann@acme")).account, (await server.person("bob@globex")).account

        async def refuse(*_: object) -> bool:
            raise OSError("the disk is full")

        monkeypatch.setattr("rainbow_xmpp.observe.audit.append", refuse)
        for act in (
            node.agreements.invite(ann, bob, **BY),
            node.agreements.ask_link(ann.company, bob.company, **BY),
            node.companies.change(ann.company, CompanyChange(organisation="Group"), **BY),
            node.companies.add("New", **BY),
        ):
            with pytest.raises(OSError, match="disk is full"):
                await act
        assert await node.store.authorisations.of(ann.company.id, ann.id) == []
        assert await node.store.links.of_company(ann.company.id) == []
        company = await node.store.companies.by_id(ann.company.id)
        assert company is not None
        assert company.organisation == ""
        assert await node.store.companies.by_name("New") is None


async def test_each_company_s_log_has_what_both_agreed_on() -> None:
    async with TestServer([]) as server:
        ann, bob = (await server.person("ann@acme")).account, (await server.person("bob@globex")).account
        await server.node.agreements.invite(ann, bob, **BY)
        await server.node.agreements.invite(bob, ann, **BY)
        await server.node.agreements.invite(ann, bob, **BY)  # has been agreed: nothing to record
        kinds = [record.entry.kind for record in await server.audit("authorisation.")]
        assert kinds == ["authorisation.invited"] + ["authorisation.accepted"] * 2


@pytest.mark.parametrize("who", ["inviter", "invitee"])
async def test_the_end_of_an_open_invitation_is_in_the_log_of_the_invited_side_only(who: str) -> None:
    """Otherwise the inviter's administrator would learn from it whether there is such an address."""
    async with TestServer([]) as server:
        ann, bob = (await server.person("ann@acme")).account, (await server.person("bob@globex")).account
        await server.node.agreements.invite(ann, bob, **BY)
        await server.node.agreements.end(*((ann, bob) if who == "inviter" else (bob, ann)), **BY)
        companies = [record.entry.company_id for record in await server.audit("authorisation.")]
        assert companies == [bob.company.id] * 2
