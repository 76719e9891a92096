"""Whatever is registered anywhere and concerns another account is behind the gate; there is no other way to one."""

import dataclasses
import inspect
from collections.abc import Iterator

import pytest

from rainbow_xmpp.plugin import Access, EndpointMark, Plugin, Services
from rainbow_xmpp.plugin.discovery import find_plugins
from rainbow_xmpp.plugin.marks import AccessMark, CommandMark, DiscoMark, HookMark, IqMark, MessageMark
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.router.iq import Target
from rainbow_xmpp.router.stages import Stage
from rainbow_xmpp.store.values import Role
from tests.security.isolation_walk import new_server

SHIPPED = find_plugins()

GATED = {
    "route": "every stage of the pipeline, the gate first",
    "may_pass": "the gate itself",
    "spread": "asks `admit` and the gate about each receiver",
    "may": "the question that all other paths ask",
    "send_message": "goes through `route`",
    "presence": "goes through `route`, but for `part`, which only takes away",
    "agreements": "asks the rule before anything is agreed on",
    "invite": "asks `may` before anybody is invited",
}
"""What a plugin is given that reaches another account, and why that is none without the gate."""
OF_ONESELF = {
    "companies",
    "has_regions",
    "level_of",
    "levels",
    "domain",
    "node",
    "tell_nodes",
    "public_url",
    "relays_of",
    "leaving",  # makes a row of the sender's own outbox; what is in there has passed the gate
    "secret_for",
    "box_for",
    "app_passwords",
    "counters",
    "now",
    "spawn",
    "tell",
    "plugins",
    "questions",
    "apply_changes",
    "token_logins",
    "people",
    "audit",
    "bare_jid",
    "account_of",
    "find_account",
    "sessions_of",
    "sees_presence",
    "ask",
    "notify",
    "mail",  # letters of the server itself, to a mailbox's owner: no template has words of another person
    "confirm_password",
    "hashing",
    "tls_files",
    "features",
    "account_features",
    "declared",
    "server_info",
    "offered",
    "store",
    "sessions",
    "rosters",
}
"""What looks things up, or speaks as the server; nobody is reached by it in somebody else's name."""


def test_what_plugins_are_given_is_looked_through() -> None:
    """Whoever adds to `Services` says here how it stays behind the gate."""
    fields = {field.name for field in dataclasses.fields(Services)}
    methods = {name for name, _ in inspect.getmembers(Services, inspect.isfunction) if name[0] != "_"}
    assert fields | methods == GATED.keys() | OF_ONESELF


def marked(kind: type) -> Iterator[tuple[type[Plugin], object]]:
    for plugin in SHIPPED.values():
        for name in dir(plugin):
            for mark in getattr(inspect.getattr_static(plugin, name), "_rainbow_marks", ()):
                if isinstance(mark, kind):
                    yield plugin, mark


async def test_requests_to_contacts_are_answered_only_behind_the_gate() -> None:
    """For each handler: asked about a stranger, it is not even called; asked about a colleague, it is."""
    async with new_server() as server:
        ann, carol = await server.login("ann@acme"), await server.login("carol@globex", resource="phone")
        bob = await server.login("bob@acme")
        handlers = {
            key: entry for key, entry in server.node.iqs._handlers.items() if key[0] is Target.CONTACT
        }
        assert len(handlers) > 5
        called: list[str] = []

        def watched(request):
            called.append(request.owner.localpart)

        for _, type_, ns, name in handlers:
            key = (Target.CONTACT, type_, ns, name)
            server.node.iqs._handlers[key] = ("watched", watched)
            for whom in (carol, bob):
                called.clear()
                ann.send(f"<iq type='{type_}' to='{whom.bare}' id='x'><{name} xmlns='{ns}'/></iq>")
                await ann.rest()
                assert called == ([] if whom is carol else ["bob"]), key
        assert await carol.rest() == []


@pytest.mark.parametrize("stage", [Stage.REWRITE, Stage.RECORD, Stage.PLACE])
async def test_stages_behind_the_gate_never_see_what_it_refused(stage: Stage) -> None:
    """So do `@on_message` handlers, which stand in `record`."""
    owners = {plugin.name for plugin, mark in marked(HookMark) if mark.stage is stage}
    if stage is Stage.RECORD:
        owners |= {plugin.name for plugin, mark in marked(MessageMark) if not mark.to_server}
    async with new_server() as server:
        ann, _ = await server.login("ann@acme"), await server.person("carol@globex")
        seen: list[str] = []
        pipeline = server.node.pipeline
        hooks = [hook for hook in pipeline._hooks if hook.stage is stage]
        assert {hook.owner for hook in hooks} >= owners

        def watch(p):
            seen.append(p.to)
            return p if stage is Stage.REWRITE else (False if stage is Stage.PLACE else None)

        watched = [dataclasses.replace(h, handler=watch) if h in hooks else h for h in pipeline._hooks]
        pipeline._set_hooks(watched)
        for stanza in (
            "<message to='{}' type='chat'><body>x</body></message>",
            "<presence to='{}'/>",
            "<iq type='get' to='{}' id='x'><ping xmlns='urn:xmpp:ping'/></iq>",
        ):
            ann.send(stanza.format(f"carol@{server.domain}"))
        await ann.rest()
        assert seen == []


async def test_the_gate_stands_in_every_way_of_the_pipeline_and_is_asked_first() -> None:
    async with new_server() as server:
        gates = server.node.pipeline.stages()[Stage.GATE]
        assert gates[0] == CompanyIsolation.name
        late = {mark.is_late for mark, _ in server.node.services().declared(AccessMark)}
        assert late == {False, True}  # blocking is asked after it, and about nobody whom it hides


def test_service_discovery_of_accounts_comes_through_requests_to_contacts() -> None:
    """Parts of disco are asked by `plugins/disco`, whose handlers are requests like all others."""
    owners = {plugin.name for plugin, mark in marked(IqMark) if Target.CONTACT in mark.targets}
    assert "disco" in owners
    assert all(mark.what in ("info", "items") for _, mark in marked(DiscoMark))


ABOUT_ONESELF = {"urn:rainbow:regions#consent", "urn:rainbow:regions#withdraw"}
"""Commands by which everybody decides for themselves."""


def test_commands_that_concern_others_are_for_administrators() -> None:
    for plugin, mark in marked(CommandMark):
        if mark.node in ABOUT_ONESELF:
            continue
        assert Role.USER not in mark.roles, (plugin.name, mark.node)
        assert mark.roles, (plugin.name, mark.node)


async def test_endpoints_name_people_only_behind_their_company() -> None:
    """What is behind {company_id} is handed out by the doorkeeper, or not at all."""
    async with new_server() as server:
        marks = [mark for mark, _ in server.node.services().declared(EndpointMark)]
        assert len(marks) > 15
        for mark in marks:
            if "{user_id}" in mark.path:
                assert "{company_id}" in mark.path, mark.path
            if "{company_id}" in mark.path:
                assert mark.access in (Access.MEMBER, Access.COMPANY_ADMIN, Access.OPERATOR), mark.path
