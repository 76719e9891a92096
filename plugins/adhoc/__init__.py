"""Ad-hoc commands (XEP-0050): what other plugins declare with `@command`, for whoever may use it."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from rainbow_xmpp.plugin import (
    JID,
    Account,
    CommandMark,
    Condition,
    Context,
    DiscoInfo,
    DiscoItem,
    Element,
    Form,
    FormError,
    Identity,
    Plugin,
    PluginOptions,
    Services,
    SessionEnded,
    StanzaError,
    disco_info,
    disco_items,
    every,
    on,
    on_iq,
    option,
)
from rainbow_xmpp.plugins.adhoc.answers import asking, completed
from rainbow_xmpp.plugins.adhoc.conversation import Conversation, Finished, Method, Step
from rainbow_xmpp.plugins.adhoc.payloads import Action, Command, Status, action_of, refusal
from rainbow_xmpp.plugins.adhoc.talks import Talk, Talks, new_talk_id
from rainbow_xmpp.stanza.form_fields import FORM
from rainbow_xmpp.xml import names, serialise

DEADLINE_S = 60.0
"""How long a command may work on one answer."""


class AdHoc(
    Plugin,
    name="adhoc",
    implements={
        "XEP-0004": "2.13.2",
        "XEP-0050": "1.3.0, commands of the server, in English",
        "XEP-0068": "1.3.0",
        "XEP-0122": "1.0.2, all but numbers of selected options",
    },
    features=(names.COMMANDS,),
):
    """Offers to everybody the commands they may use. A command that is not for them does not exist for them."""

    class Options(PluginOptions):
        idle_s: int = option(
            900, "Seconds after which a command that nobody answers ends.", ge=10, le=86_400, reload="live"
        )
        open_per_session: int = option(
            5,
            "So many commands of one session may wait for an answer; the oldest ends when there is one more.",
            ge=1,
            le=100,
            reload="live",
        )
        open_in_all: int = option(1000, "So many commands may wait for an answer.", ge=1, le=1_000_000)

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._talks = Talks(most=options.open_in_all)

    async def stop(self) -> None:
        self._talks.end_all()

    # -- what there is (§2.2) --------------------------------------------------------------------------

    @disco_items(node=names.COMMANDS)
    def list_commands(self, ctx: Context, node: str) -> list[DiscoItem]:
        """Those that the asker may use, by their titles."""
        server = JID("", self.services.domain)
        found = sorted(self._commands(ctx.sender), key=lambda command: (command[0].title, command[0].node))
        return [DiscoItem(server, mark.node, mark.title) for mark, _ in found]

    @disco_info(node=names.COMMANDS)
    def describe_list(self, ctx: Context, node: str) -> DiscoInfo:
        return DiscoInfo.of([Identity("automation", "command-list")], node=node)

    @disco_info(node=None)
    def describe(self, ctx: Context, node: str) -> DiscoInfo | None:
        """One command; of others than the asker's nothing is known (§2.2 would say "forbidden")."""
        for mark, _ in self._commands(ctx.sender):
            if mark.node == node:
                identity = Identity("automation", "command-node", mark.title)
                return DiscoInfo.of([identity], [names.COMMANDS, names.DATA_FORM], node=node)
        return None

    @disco_items(node=None)
    def items_of_command(self, ctx: Context, node: str) -> list[DiscoItem] | None:
        """A command has no items of its own."""
        return [] if any(mark.node == node for mark, _ in self._commands(ctx.sender)) else None

    def _commands(self, account: Account) -> Iterator[tuple[CommandMark, Method]]:
        for mark, method in self.services.declared(CommandMark, account):
            if not mark.roles or account.role in mark.roles:
                yield mark, method

    # -- running them (§2.4) ---------------------------------------------------------------------------

    @on_iq("set", Command, to="server", deadline_s=DEADLINE_S)
    async def run(self, ctx: Context, asked: Command) -> Command:
        """Begin a command, or go on with one. Who may use it is asked each time."""
        method = next((m for mark, m in self._commands(ctx.sender) if mark.node == asked.node), None)
        if method is None:
            raise StanzaError(Condition.ITEM_NOT_FOUND)
        action = action_of(asked)
        if asked.sessionid:
            try:
                return await self._go_on(ctx, asked, action)
            except StanzaError as error:
                # Some clients know a running command by this alone, and would wait for ever (slixmpp).
                error.about = serialise(Command(asked.node, asked.sessionid).to_xml())
                raise
        if action is not Action.EXECUTE:
            raise refusal("bad-action")
        conversation = Conversation(method, ctx)
        return self._begun(ctx, asked, conversation, await conversation.begin())

    def _begun(self, ctx: Context, asked: Command, conversation: Conversation, step: Step) -> Command:
        if isinstance(step, Finished):
            return completed(asked.node, new_talk_id(), step.answer)
        assert ctx.session is not None, "requests come from sessions"
        talk = self._talks.add(
            ctx.session,
            asked.node,
            (conversation, step),
            self.services.now(),
            most_each=self.options.open_per_session,
        )
        return asking(asked.node, talk.id, step)

    async def _go_on(self, ctx: Context, asked: Command, action: Action) -> Command:
        assert ctx.session is not None, "requests come from sessions"
        self._end_silent()
        talk = self._talks.find(asked.sessionid, ctx.session, asked.node)
        if action is Action.CANCEL:
            self._talks.end(talk)
            return Command(asked.node, talk.id, status=Status.CANCELED)
        _refuse_unoffered(talk, action)
        if action is Action.PREV:
            return await self._advance(talk, talk.conversation.go_back())
        return await self._advance(talk, talk.conversation.hear(_answer(talk, asked)))

    async def _advance(self, talk: Talk, stepping: Awaitable[Step]) -> Command:
        try:
            step = await stepping
        except FormError as wrong:
            await self._ask_again(talk)
            raise refusal("bad-payload", wrong.text) from None
        except BaseException:
            self._talks.end(talk)
            raise
        if isinstance(step, Finished):
            self._talks.end(talk)
            return completed(talk.node, talk.id, step.answer)
        self._talks.asked(talk, step, self.services.now())
        return asking(talk.node, talk.id, step)

    async def _ask_again(self, talk: Talk) -> None:
        """The command finds that the last answers do not fit: they can be given anew."""
        step = await talk.conversation.go_back()
        if isinstance(step, Finished):
            self._talks.end(talk)
        else:
            self._talks.asked(talk, step, self.services.now())

    # -- the end of commands ---------------------------------------------------------------------------

    @every(minutes=1)
    async def expire(self) -> None:
        """End what nobody answers."""
        self._end_silent()

    def _end_silent(self) -> None:
        self._talks.end_silent(self.services.now() - self.options.idle_s)

    @on(SessionEnded)
    def forget(self, event: SessionEnded) -> None:
        self._talks.end_of(event.session)


def _refuse_unoffered(talk: Talk, action: Action) -> None:
    """What was not among the actions of this stage is refused (§4.4)."""
    unoffered = {Action.COMPLETE if talk.question.has_more else Action.NEXT}
    if talk.question.is_first:
        unoffered.add(Action.PREV)
    if action in unoffered:
        raise refusal("bad-action")


def _answer(talk: Talk, asked: Command) -> Form:
    """What was submitted. Raises StanzaError, after which it can be submitted again (§4.4)."""
    form = next((el for el in asked.extra if el.tag == FORM), None)
    if form is None:  # nothing of it was changed
        form = Element(FORM, {"type": "submit"})
    try:
        answer: Form = talk.question.blank.read(form)
    except FormError as wrong:
        raise refusal("bad-payload", wrong.text) from None
    return answer
