"""What somebody of the walk may try on somebody else: every kind of stanza, every request that anybody answers.

`{to}` is the bare JID, which is that of a person or of nobody; `{mark}` says in the content who wrote to whom.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rainbow_xmpp.company import Action
from rainbow_xmpp.router.iq import IqRegistry
from rainbow_xmpp.xml.names import PUBSUB
from tests.security.isolation_events import OPEN_NODE, PRESENCE_NODE

PHONE = "{to}/phone"
"""Where everybody is who is online."""


@dataclass(frozen=True)
class Probe:
    """One stanza. `arrives`: where it is allowed and somebody is there, they get it; `answers`: so does the sender."""

    name: str
    stanza: str
    action: Action
    arrives: bool = False
    answers: bool = False
    is_about_rosters: bool = False
    """What the sender hears depends on what their roster says of the address."""

    @property
    def is_presence(self) -> bool:
        return self.stanza.startswith("<presence")


def _message(name: str, to: str, type_: str, inside: str, action: Action = Action.MESSAGE) -> Probe:
    stanza = f"<message to='{to}' type='{type_}' id='{{id}}'>{inside}</message>"
    return Probe(name, stanza, action, arrives=type_ in ("chat", "normal", "headline") and "other" not in to)


def _messages() -> Iterator[Probe]:
    body = "<body>word-{mark}-x</body>"
    for type_ in ("chat", "normal", "headline", "groupchat", "error"):
        yield _message(f"{type_} to a bare JID", "{to}", type_, body)
        yield _message(f"{type_} to a full JID", PHONE, type_, body)
    yield _message("chat to an unknown resource", "{to}/other", "chat", body)
    yield _message("chat, in another spelling", "{TO}", "chat", body)
    state = "<active xmlns='http://jabber.org/protocol/chatstates'/><status>word-{mark}-x</status>"
    yield _message("a chat state", PHONE, "chat", state)
    call = "<propose xmlns='urn:xmpp:jingle-message:0' id='call-{mark}-x'/>"
    yield _message("a call", "{to}", "chat", call, Action.CALL)
    room = "<x xmlns='jabber:x:conference' jid='room-{mark}-x@rooms.example'/>"
    yield _message("an invitation into a room", "{to}", "normal", room, Action.ROOM)
    inside = "<invite to='a@b'><reason>room-{mark}-x</reason></invite>"
    room = f"<x xmlns='http://jabber.org/protocol/muc#user'>{inside}</x>"
    yield _message("a room's invitation", PHONE, "normal", room, Action.ROOM)


def _presences() -> Iterator[Probe]:
    status = "<status>mood-{actor}-x</status>"
    yield Probe(
        "directed presence", f"<presence to='{{to}}'>{status}</presence>", Action.PRESENCE, arrives=True
    )
    yield Probe(
        "presence to a full JID", f"<presence to='{PHONE}'>{status}</presence>", Action.PRESENCE, arrives=True
    )
    yield Probe("directed unavailable", "<presence to='{to}' type='unavailable'/>", Action.PRESENCE)
    yield Probe("a probe", "<presence to='{to}' type='probe' id='{id}'/>", Action.PRESENCE)
    yield Probe(
        "a probe of a full JID", f"<presence to='{PHONE}' type='probe' id='{{id}}'/>", Action.PRESENCE
    )
    yield Probe(
        "an error", "<presence to='{to}' type='error'><error type='cancel'/></presence>", Action.PRESENCE
    )
    note = "<status>invite-{mark}-x</status>"
    for type_ in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
        action = Action.INVITE if type_ == "subscribe" else Action.PRESENCE
        stanza = f"<presence to='{{to}}' type='{type_}'>{note}</presence>"
        yield Probe(type_, stanza, action, is_about_rosters=True)


def _rosters() -> Iterator[Probe]:
    for name, wish in (("added", "name='n'"), ("removed", "subscription='remove'")):
        item = f"<query xmlns='jabber:iq:roster'><item jid='{{to}}' {wish}/></query>"
        stanza = f"<iq type='set' id='{{id}}'>{item}</iq>"
        yield Probe(f"a contact {name}", stanza, Action.PRESENCE, is_about_rosters=True)


def _searches() -> Iterator[Probe]:
    """Of the server; the answer is judged by whom it names."""
    for field, text in (("nick", "name"), ("email", "{to}"), ("last", "name-{target}")):
        inside = f"<query xmlns='jabber:iq:search'><{field}>{text}</{field}></query>"
        yield Probe(
            f"a search by {field}", f"<iq type='set' to='{{domain}}' id='{{id}}'>{inside}</iq>", Action.SEARCH
        )


def _requests(registry: IqRegistry) -> Iterator[Probe]:
    """Everything that anybody on the server answers, asked of an account and of its client, and what nobody does."""
    known = {(type_, ns, name) for _, type_, ns, name in registry._handlers}
    known |= {("get", "urn:example:unknown", "what"), ("set", "urn:example:unknown", "what")}
    known |= {("set", "urn:xmpp:jingle:1", "jingle"), ("get", "urn:xmpp:mam:2", "query")}
    known |= {("get", "jabber:iq:version", "query")}
    for type_, ns, name in sorted(known):
        action = Action.CALL if ns.startswith("urn:xmpp:jingle") else Action.MESSAGE
        is_card = (type_, ns) == ("get", "vcard-temp")
        is_profile = is_card or (type_, ns) == ("get", PUBSUB)
        for place in ("{to}", PHONE, "{to}/other"):
            stanza = f"<iq type='{type_}' to='{place}' id='{{id}}'><{name} xmlns='{ns}'/></iq>"
            at_account = place == "{to}"
            wanted = Action.PROFILE if is_profile and at_account else action
            yield Probe(f"{type_} {ns} {name} of {place}", stanza, wanted, answers=is_card and at_account)
    yield Probe("a result", f"<iq type='result' to='{PHONE}' id='{{id}}'/>", Action.MESSAGE)


def _published() -> Iterator[Probe]:
    """What the account has published, and what can be learned of it."""
    for node in (OPEN_NODE, PRESENCE_NODE):
        inside = f"<pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub>"
        stanza = f"<iq type='get' to='{{to}}' id='{{id}}'>{inside}</iq>"
        yield Probe(f"items of {node}", stanza, Action.PROFILE, answers=node == OPEN_NODE)
        inside = (
            f"<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item><a xmlns='b'/></item></publish></pubsub>"
        )
        yield Probe(
            f"publishing to {node}", f"<iq type='set' to='{{to}}' id='{{id}}'>{inside}</iq>", Action.MESSAGE
        )
        inside = (
            f"<pubsub xmlns='{PUBSUB}'><subscribe node='{node}' jid='human{{actor}}x@{{domain}}'/></pubsub>"
        )
        yield Probe(
            f"subscribing to {node}", f"<iq type='set' to='{{to}}' id='{{id}}'>{inside}</iq>", Action.MESSAGE
        )
        for what in ("info", "items"):
            inside = f"<query xmlns='http://jabber.org/protocol/disco#{what}' node='{node}'/>"
            stanza = f"<iq type='get' to='{{to}}' id='{{id}}'>{inside}</iq>"
            yield Probe(f"disco {what} of {node}", stanza, Action.MESSAGE)


def all_probes(registry: IqRegistry) -> list[Probe]:
    """Each has a name of its own."""
    return [*_messages(), *_presences(), *_rosters(), *_searches(), *_requests(registry), *_published()]
