"""Running ad-hoc commands (XEP-0050) as a client does, for the tests of plugins that offer some.

shown = await run(ann, "urn:example:report", subject="Printer")
assert shown.notes == [("info", "Thank you.")]
"""

from __future__ import annotations

from dataclasses import dataclass

from rainbow_xmpp.testing.client import Client
from rainbow_xmpp.xml import Element, escape, escape_attr, names, serialise

C = f"{{{names.COMMANDS}}}"
X = f"{{{names.DATA_FORM}}}"

Values = dict[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command answers: an error, or the next form, or the result."""

    stanza: Element

    @property
    def command(self) -> Element:
        """The answer, which is no error."""
        assert self.stanza.get("type") == "result", serialise(self.stanza)
        return self.stanza[0]

    @property
    def status(self) -> str | None:
        """ "executing", "completed" or "canceled"."""
        return self.command.get("status")

    @property
    def session_id(self) -> str:
        """To be given back with the next step."""
        return self.command.get("sessionid", "")

    @property
    def notes(self) -> list[tuple[str, str]]:
        """Severity and text of each."""
        return [(note.get("type", "info"), note.text or "") for note in self.command.iter(f"{C}note")]

    @property
    def actions(self) -> tuple[str | None, set[str]]:
        """What "execute" means now, and all that may be done."""
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
    def refused(self) -> str:
        """The id of the running command that an error is about."""
        return next((each.get("sessionid", "") for each in self.stanza.iter(f"{C}command")), "")

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
