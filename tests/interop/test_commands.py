"""Administration from an XMPP client: slixmpp's own commands (XEP-0133), forms and all, against the server process."""

from pathlib import Path

import pytest

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import Role
from tests.interop.client import SLIXMPP, ClientFailed, running
from tests.process import ChatServer, Person, RainbowServer

PASSWORD = "Sunny&kazoo7"
ADMIN = "http://jabber.org/protocol/admin#"


@pytest.fixture(autouse=True)
def _needs_companies(server: ChatServer) -> None:
    if not isinstance(server, RainbowServer):
        pytest.skip("this server has no companies")


@pytest.fixture
async def admin(server: ChatServer, server_store: Store) -> Person:
    """Who administers a company."""
    person = server.new_person()
    account = await server_store.accounts.by_localpart(person.localpart)
    assert account is not None
    await server_store.accounts.set_role(account.company.id, account.id, Role.COMPANY_ADMIN)
    return person


async def test_an_administrator_runs_the_company_from_slixmpp(
    server: ChatServer, admin: Person, tmp_path: Path
) -> None:
    assert isinstance(server, RainbowServer)
    async with running(SLIXMPP, server.endpoint, tmp_path) as client:
        await client.login(admin, server.endpoint)
        await client.do("commands")
        nodes = (await client.wait("commands"))["nodes"]
        assert {ADMIN + name for name in ("add-user", "announce", "get-online-users-num")} <= set(nodes)

        with pytest.raises(ClientFailed) as refused:
            await client.do("administer", command="add-user", values={"email": "no address"})
        assert refused.value.reason == "bad-request"

        localpart = f"new-{admin.localpart}"
        new = {"accountjid": f"{localpart}@{admin.domain}", "email": f"{localpart}@x.example"}
        await client.do("administer", command="add-user", values=new)
        added = await client.wait("administered", command="add-user")
        assert "password" not in added["values"]
        server.cli("user", "passwd", new["email"], "--password-stdin", stdin=PASSWORD)
        person = Person(localpart, new["email"], admin.company, PASSWORD, admin.domain)

        async with running(SLIXMPP, server.endpoint, tmp_path) as other:
            await other.login(person, server.endpoint)
            await client.do("administer", command="get-online-users-list", values={})
            online = (await client.wait("administered", command="get-online-users-list"))["values"]
            assert person.jid in online["onlineuserjids"]
            await client.do("administer", command="announce", values={"announcement": "Cake at four"})
            heard = await other.wait("message", body="Cake at four")
            assert heard["from"] == admin.domain
            await client.do("administer", command="end-user-session", values={"accountjids": [person.jid]})
            await other.wait("offline")
            await other.wait_online()  # it may come back
            await client.do("administer", command="delete-user", values={"accountjids": [person.jid]})
            await other.wait("offline")
            with pytest.raises(ClientFailed):
                await other.login(person, server.endpoint)


async def test_who_is_no_administrator_finds_no_commands(server: ChatServer, tmp_path: Path) -> None:
    async with running(SLIXMPP, server.endpoint, tmp_path) as client:
        await client.login(server.new_person(), server.endpoint)
        await client.do("commands")
        assert (await client.wait("commands"))["nodes"] == []
        with pytest.raises(ClientFailed) as refused:
            await client.do("administer", command="get-online-users-num", values={})
        assert refused.value.reason == "item-not-found"
