"""Running ad-hoc commands (XEP-0050) as a client does, for the tests of plugins that offer some."""

from __future__ import annotations

from dataclasses import dataclass, field

from rainbow_xmpp.plugin import Role
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.xml import Element, escape, escape_attr, names, serialise

C = f"{{{names.COMMANDS}}}"
X = f"{{{names.DATA_FORM}}}"

Values = dict[str, str | list[str]]


@dataclass
class Shown:
    """What a command answers: an error, or the next form, or the result."""

    stanza: Element
    values: dict[str, list[str]] = field(default_factory=dict)

    @property
    def command(self) -> Element:
        assert self.stanza.get("type") == "result", serialise(self.stanza)
        return self.stanza[0]

    @property
    def status(self) -> str | None:
        return self.command.get("status")

    @property
    def session_id(self) -> str:
        return self.command.get("sessionid", "")

    @property
    def notes(self) -> list[tuple[str, str]]:
        return [(note.get("type", "info"), note.text or "") for note in self.command.iter(f"{C}note")]

    @property
    def actions(self) -> tuple[str | None, set[str]]:
        found = self.command.find(f"{C}actions")
        assert found is not None
        return found.get("execute"), {child.tag.removeprefix(C) for child in found}

    @property
    def fields(self) -> dict[str, list[str]]:
        """The values of the form's fields by their names."""
        return {
            var: [value.text or "" for value in each.iter(f"{X}value")]
            for each in self.command.iter(f"{X}field")
            if (var := each.get("var"))
        }

    @property
    def error(self) -> tuple[str, str, str]:
        """Condition, specific condition, text."""
        error = self.stanza.find(f"{{{names.CLIENT}}}error")
        assert error is not None, serialise(self.stanza)
        children = {child.tag: child.text or "" for child in error}
        text = children.pop(f"{{{names.STANZAS}}}text", "")
        condition, *specific = children
        return condition.rpartition("}")[2], "".join(specific).removeprefix(C), text


async def execute(
    client: Client, node: str, *, session_id: str = "", action: str = "", values: Values | None = None
) -> Shown:
    """One step of a command, with a form submitted when there are values."""
    domain = client.bare.partition("@")[2]
    attrs = "".join(
        f" {name}='{escape_attr(text)}'"
        for name, text in (("node", node), ("sessionid", session_id), ("action", action))
        if text
    )
    form = "" if values is None else _submitted(values)
    payload = f"<command xmlns='{names.COMMANDS}'{attrs}>{form}</command>"
    return Shown(await client.ask("set", payload, to=domain))


async def run(client: Client, node: str, **values: str | list[str]) -> Shown:
    """Begin a command, and submit its one form."""
    shown = await execute(client, node)
    return await execute(client, node, session_id=shown.session_id, action="complete", values=values)


async def listed(client: Client) -> list[tuple[str | None, str | None]]:
    """Node and title of every command the client is offered."""
    domain = client.bare.partition("@")[2]
    answer = await client.ask(
        "get", f"<query xmlns='{names.DISCO_ITEMS}' node='{names.COMMANDS}'/>", to=domain
    )
    return [(item.get("node"), item.get("name")) for item in answer[0]]


def _submitted(values: Values) -> str:
    fields = ""
    for var, value in values.items():
        texts = [value] if isinstance(value, str) else value
        inner = "".join(f"<value>{escape(text)}</value>" for text in texts)
        fields += f"<field var='{escape_attr(var)}'>{inner}</field>"
    return f"<x xmlns='{names.DATA_FORM}' type='submit'>{fields}</x>"


async def log_in_as(server: TestServer, name: str, role: Role) -> Client:
    """Somebody with this role, logged in."""
    person = await server.person(name)
    await server.store.accounts.set_role(person.account.company.id, person.account.id, role)
    await server.node.watch.poll()
    return await server.login(name)
