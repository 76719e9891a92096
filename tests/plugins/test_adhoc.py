import asyncio

import pytest

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin import (
    CommandAnswer,
    Condition,
    Context,
    Dialog,
    Form,
    FormError,
    Note,
    Plugin,
    PluginOptions,
    Role,
    Severity,
    StanzaError,
    command,
    form_field,
)
from rainbow_xmpp.plugins.adhoc import AdHoc
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.testing import TestServer, condition_of
from rainbow_xmpp.testing.commands import execute, listed, run
from rainbow_xmpp.xml import names

ROOM, TIME, TABLE, STAFF, EVEN, BROKEN = "room", "time", "table", "staff", "even", "broken"


class Which(Form, title="A room"):
    name: str = form_field("Which room?")


class When(Form):
    hour: int = form_field("At what time?", ge=8, le=18)


class Rooms(Plugin, name="rooms"):
    """Offers a command of each kind."""

    booked: list[tuple[str, int]]

    async def start(self) -> None:
        self.booked = []

    @command(ROOM, "Book a room")
    async def book(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        which = await dialog.ask(Which, more=True)
        when = await dialog.ask(When, note=f"{which.name} is free from 8 to 18")
        self.booked.append((which.name, when.hour))
        return f"{which.name} is yours"

    @command(TIME, "The time")
    async def time(self, ctx: Context, dialog: Dialog) -> str:
        return "It is late"

    @command(TABLE, "All rooms")
    async def table(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        rows = [Which(name="kitchen"), Which(name="hall")]
        return Note("It is old", Severity.WARN), Which.table(rows)

    @command(STAFF, "For the staff", roles=(Role.OPERATOR, Role.COMPANY_ADMIN))
    async def staff(self, ctx: Context, dialog: Dialog) -> None:
        await dialog.ask(Which)
        raise StanzaError(Condition.CONFLICT, "taken")

    @command(EVEN, "An even hour")
    async def even(self, ctx: Context, dialog: Dialog) -> str:
        when = await dialog.ask(When)
        if when.hour % 2:
            raise FormError("the hour must be even", field="hour")
        return f"at {when.hour}"

    @command(BROKEN, "Broken")
    async def broken(self, ctx: Context, dialog: Dialog) -> None:
        raise RuntimeError("a bug")


def server(**options: int) -> TestServer:
    return TestServer(
        {AdHoc: AdHoc.Options(**options), Disco: PluginOptions(), Rooms: PluginOptions()}  # type: ignore[arg-type]
    )


async def test_a_command_that_asks_nothing_answers_at_once():
    async with server() as on:
        shown = await execute(await on.login("ann@acme"), TIME)
        assert (shown.status, shown.notes) == ("completed", [("info", "It is late")])
        assert shown.session_id


async def test_notes_and_tables_are_shown():
    async with server() as on:
        shown = await execute(await on.login("ann@acme"), TABLE)
        assert shown.notes == [("warn", "It is old")]
        assert [child.tag.rpartition("}")[2] for child in shown.command[-1]] == ["reported", "item", "item"]


async def test_a_command_of_two_stages_goes_on_and_back_and_is_completed():
    async with server() as on:
        ann = await on.login("ann@acme")
        first = await execute(ann, ROOM, action="execute")
        assert (first.status, first.actions) == ("executing", ("next", {"next"}))
        assert first.fields == {"name": []}
        talk = first.session_id
        second = await execute(ann, ROOM, session_id=talk, action="next", values={"name": "hall"})
        assert (second.session_id, second.actions) == (talk, ("complete", {"prev", "complete"}))
        assert second.notes == [("info", "hall is free from 8 to 18")]
        back = await execute(ann, ROOM, session_id=talk, action="prev")
        assert (back.fields, back.actions) == ({"name": ["hall"]}, ("next", {"next"}))
        again = await execute(ann, ROOM, session_id=talk, values={"name": "kitchen"})
        assert again.notes == [("info", "kitchen is free from 8 to 18")]
        done = await execute(ann, ROOM, session_id=talk, action="complete", values={"hour": "9"})
        assert (done.status, done.notes) == ("completed", [("info", "kitchen is yours")])
        assert on.plugin(Rooms).booked == [("kitchen", 9)]
        ended = await execute(ann, ROOM, session_id=talk, values={"hour": "9"})
        assert ended.error == ("not-allowed", "session-expired", "")


async def test_an_answer_that_does_not_fit_is_refused_by_name_and_may_be_given_again():
    async with server() as on:
        ann = await on.login("ann@acme")
        talk = (await execute(ann, ROOM)).session_id
        empty = await execute(ann, ROOM, session_id=talk)
        assert empty.error == ("bad-request", "bad-payload", "Which room (name) is required")
        assert empty.refused == talk
        assert (await execute(ann, ROOM, session_id=talk, values={"name": "hall"})).status == "executing"
        late = await execute(ann, ROOM, session_id=talk, values={"hour": "19"})
        assert late.error == ("bad-request", "bad-payload", "At what time (hour) must be at most 18")
        assert (await execute(ann, ROOM, session_id=talk, values={"hour": "18"})).status == "completed"


async def test_a_cancelled_command_does_nothing():
    async with server() as on:
        ann = await on.login("ann@acme")
        talk = (await execute(ann, ROOM)).session_id
        assert (await execute(ann, ROOM, session_id=talk, action="cancel")).status == "canceled"
        expired = await execute(ann, ROOM, session_id=talk, action="cancel")
        assert expired.error == ("not-allowed", "session-expired", "")
        assert on.plugin(Rooms).booked == []


@pytest.mark.parametrize(
    ("action", "refused"), [("prev", "bad-action"), ("complete", "bad-action"), ("dance", "malformed-action")]
)
async def test_an_action_that_is_not_offered_is_refused(action, refused):
    async with server() as on:
        ann = await on.login("ann@acme")
        talk = (await execute(ann, ROOM)).session_id
        step = await execute(ann, ROOM, session_id=talk, action=action, values={"name": "hall"})
        assert step.error == ("bad-request", refused, "")
        assert (await execute(ann, ROOM, action="prev")).error == ("bad-request", "bad-action", "")


async def test_a_running_command_belongs_to_one_session_and_one_command():
    async with server() as on:
        ann, other, bob = await on.login("ann@acme"), await on.login("ann@acme"), await on.login("bob@acme")
        talk = (await execute(ann, ROOM)).session_id
        for client, node in ((other, ROOM), (bob, ROOM), (ann, TIME)):
            step = await execute(client, node, session_id=talk, values={"name": "hall"})
            assert step.error == ("bad-request", "bad-sessionid", "")
        assert (await execute(ann, ROOM, session_id=talk, values={"name": "hall"})).status == "executing"


async def test_a_command_for_others_is_like_one_that_does_not_exist():
    async with server() as on:
        ann, eve = await on.login("ann@acme"), await on.login("eve@acme", role=Role.OPERATOR)
        assert (STAFF, "For the staff") in await listed(eve)
        assert STAFF not in dict(await listed(ann))
        info = f"<query xmlns='{names.DISCO_INFO}' node='%s'/>"
        for node in (STAFF, "nothing"):
            assert (await execute(ann, node)).error == ("item-not-found", "", "")
            described = await ann.ask("get", info % node, to=on.domain)
            assert condition_of(described) is Condition.ITEM_NOT_FOUND


async def test_who_loses_the_role_cannot_go_on():
    async with server() as on:
        eve = await on.login("eve@acme", role=Role.OPERATOR)
        talk = (await execute(eve, STAFF)).session_id
        await on.store.accounts.set_role(eve.account.company.id, eve.account.id, Role.USER)
        await on.node.watch.poll()
        step = await execute(eve, STAFF, session_id=talk, values={"name": "hall"})
        assert step.error == ("item-not-found", "", "")


async def test_a_refusal_of_the_command_is_its_end():
    async with server() as on:
        eve = await on.login("eve@acme", role=Role.OPERATOR)
        talk = (await execute(eve, STAFF)).session_id
        step = await execute(eve, STAFF, session_id=talk, values={"name": "hall"})
        assert step.error == ("conflict", "", "taken")
        step = await execute(eve, STAFF, session_id=talk, values={"name": "hall"})
        assert step.error == ("not-allowed", "session-expired", "")


async def test_a_bug_in_a_command_is_answered_and_its_plugin_goes_on(caplog):
    async with server() as on:
        ann = await on.login("ann@acme")
        assert (await execute(ann, BROKEN)).error[0] == "internal-server-error"
        assert (await execute(ann, TIME)).status == "completed"


async def test_commands_are_discovered():
    async with server() as on:
        ann = await on.login("ann@acme")
        assert await listed(ann) == [
            (TABLE, "All rooms"),
            (EVEN, "An even hour"),
            (ROOM, "Book a room"),
            (BROKEN, "Broken"),
            (TIME, "The time"),
        ]
        info = f"<query xmlns='{names.DISCO_INFO}' node='{ROOM}'/>"
        (described,) = await ann.ask("get", info, to=on.domain)
        assert {child.get("var") for child in described} >= {names.COMMANDS, names.DATA_FORM}
        assert (described[0].get("category"), described[0].get("type"), described[0].get("name")) == (
            "automation",
            "command-node",
            "Book a room",
        )
        (items,) = await ann.ask("get", f"<query xmlns='{names.DISCO_ITEMS}' node='{ROOM}'/>", to=on.domain)
        assert len(items) == 0
        assert names.COMMANDS in on.node.plugins.features()


async def test_silent_commands_end_after_a_while():
    async with server(idle_s=60) as on:
        ann = await on.login("ann@acme")
        talk = (await execute(ann, ROOM)).session_id
        on.clock.advance(61)
        step = await execute(ann, ROOM, session_id=talk, values={"name": "hall"})
        assert step.error == ("not-allowed", "session-expired", "")


async def test_of_too_many_commands_of_one_session_the_oldest_ends():
    async with server(open_per_session=2) as on:
        ann = await on.login("ann@acme")
        talks = [(await execute(ann, ROOM)).session_id for _ in range(3)]
        steps = [await execute(ann, ROOM, session_id=talk, values={"name": "hall"}) for talk in talks]
        assert [step.stanza.get("type") for step in steps] == ["error", "result", "result"]
        assert len(set(talks)) == 3


async def test_there_is_a_bound_for_all():
    async with server(open_in_all=1) as on:
        ann, bob = await on.login("ann@acme"), await on.login("bob@acme")
        assert (await execute(ann, ROOM)).status == "executing"
        assert (await execute(bob, ROOM)).error[0] == "resource-constraint"


async def test_a_session_takes_its_commands_along_and_no_task_is_left():
    async with server() as on:
        ann = await on.login("ann@acme")
        await execute(ann, ROOM)
        await ann.leave()
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "ad-hoc command"]


async def test_a_command_node_is_offered_once_and_has_the_right_shape():
    class Again(Plugin, name="again"):
        @command(TIME, "Another time")
        async def time(self, ctx: Context, dialog: Dialog) -> None: ...

    class Wrong(Plugin, name="wrong"):
        @command("wrong", "Wrong")
        async def wrong(self, ctx: Context) -> None: ...

    for plugin, told in ((Again, "time is offered by rooms already"), (Wrong, "handler(self, ctx, dialog)")):
        with pytest.raises(LocalMisuse) as wrong:
            async with TestServer([Rooms, plugin]):
                pass
        assert told in str(wrong.value)


async def test_one_form_is_all_that_most_commands_need():
    async with server() as on:
        eve = await on.login("eve@acme", role=Role.COMPANY_ADMIN)
        assert (await run(eve, STAFF, name="hall")).error == ("conflict", "", "taken")


async def test_what_a_command_itself_finds_wrong_with_an_answer_may_be_given_again():
    async with server() as on:
        ann = await on.login("ann@acme")
        talk = (await execute(ann, EVEN)).session_id
        for _ in range(2):
            odd = await execute(ann, EVEN, session_id=talk, values={"hour": "9"})
            assert odd.error == ("bad-request", "bad-payload", "the hour must be even")
        done = await execute(ann, EVEN, session_id=talk, values={"hour": "10"})
        assert done.notes == [("info", "at 10")]
