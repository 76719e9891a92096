"""Commands run by somebody who sends whatever they like: it is answered, never believed, and harms nobody."""

import random

import pytest

from rainbow_xmpp.plugin import Role
from rainbow_xmpp.plugin.discovery import find_plugins
from rainbow_xmpp.testing import Client, TestServer, condition_of
from rainbow_xmpp.testing.commands import execute
from rainbow_xmpp.xml import escape, escape_attr, names

A = "http://jabber.org/protocol/admin#"
NODES = [
    *(A + name for name in ("add-user", "delete-user", "disable-user", "end-user-session", "user-stats")),
    *(A + name for name in ("get-registered-users-list", "set-motd", "announce", "set-welcome")),
    names.COMMANDS,
    "nothing",
    "",
    "x" * 2000,
]
VARS = [
    "accountjids",
    "accountjid",
    "email",
    "password",
    "password-verify",
    "motd",
    "max_items",
    "",
    "FORM_TYPE",
]
TEXTS = [
    "",
    " ",
    "ada@rainbow.test",
    "carol@rainbow.test",
    "carol@rainbow.test/desk",
    "@",
    "a@b@c",
    "\ufffd",
    "9" * 400,
    "line\nline",
    "é" * 1100,
    "none",
    "-1",
    "http://jabber.org/protocol/other",
    "'; drop table users; --",
]


def a_form(rng: random.Random) -> str:
    kind = rng.choice(["submit", "cancel", "form", "result", "", "error"])
    fields = ""
    for _ in range(rng.randrange(5)):
        values = "".join(f"<value>{escape(rng.choice(TEXTS))}</value>" for _ in range(rng.randrange(4)))
        strange = rng.choice(["", "", "<field var='inner'/>", "<value><value/></value>", "<required/>"])
        fields += f"<field var='{escape_attr(rng.choice(VARS))}'>{values}{strange}</field>"
    return f"<x xmlns='{names.DATA_FORM}' type='{kind}'>{fields}</x>"


def a_command(rng: random.Random, talks: list[str]) -> str:
    talk = rng.choice([*talks[-3:], "", "", "guess"])
    action = rng.choice(["execute", "next", "prev", "complete", "cancel", "", "dance"])
    inner = "".join(
        rng.choice(
            [a_form(rng), "<note/>", "<actions execute='prev'><prev/></actions>", "<y xmlns='z'/>", ""]
        )
        for _ in range(rng.randrange(3))
    )
    node = f" node='{escape_attr(rng.choice(NODES))}'" if rng.random() < 0.95 else ""
    attrs = f"{node} sessionid='{talk}' action='{action}' status='{rng.choice(['', 'completed', 'x'])}'"
    return f"<command xmlns='{names.COMMANDS}'{attrs}>{inner}</command>"


async def answers(client: Client, rng: random.Random, steps: int) -> set[str]:
    """What becomes of so many commands."""
    seen: set[str] = set()
    talks: list[str] = []
    for _ in range(steps):
        domain = client.bare.partition("@")[2]
        answer = await client.ask("set", a_command(rng, talks), to=domain)
        condition = condition_of(answer)
        seen.add("result" if condition is None else str(condition))
        if condition is None and (talk := answer[0].get("sessionid")):
            talks.append(talk)
    return seen


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_an_administrator_of_another_company_sends_is_answered(seed: int) -> None:
    rng = random.Random(seed)
    async with TestServer(find_plugins().values()) as server:
        carol = await server.login("carol@globex", resource="desk")
        ada = await server.login("ada@acme", role=Role.COMPANY_ADMIN)
        seen = await answers(ada, rng, 300)
        assert "internal-server-error" not in seen
        assert {"result", "bad-request", "item-not-found"} <= seen
        assert carol.wire.is_open
        assert [stanza for stanza in await carol.rest() if stanza.tag.endswith("message")] == []
        account = await server.store.accounts.by_localpart("carol")
        assert account is not None and not account.disabled
        assert (await execute(ada, f"{A}get-online-users-num")).status == "completed"


@pytest.mark.parametrize("seed", range(2))
async def test_whoever_is_no_administrator_gets_nowhere(seed: int) -> None:
    rng = random.Random(seed)
    async with TestServer(find_plugins().values()) as server:
        ann = await server.login("ann@acme")
        # Without a node, or with one that is too long, it is no command at all.
        assert await answers(ann, rng, 200) == {"item-not-found", "bad-request"}
        assert await server.audit() == []
