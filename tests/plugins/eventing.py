"""What the tests of personal eventing, and of plugins upon it, have in common."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

from rainbow_xmpp.plugin import DiscoInfo, Element
from rainbow_xmpp.plugins.caps.verification import ver_of
from rainbow_xmpp.store.values import RosterItem, Subscription
from rainbow_xmpp.testing import Client, TestServer

PUBSUB = "http://jabber.org/protocol/pubsub"
OWNER = "http://jabber.org/protocol/pubsub#owner"
EVENT = "http://jabber.org/protocol/pubsub#event"
ERRORS = "http://jabber.org/protocol/pubsub#errors"
INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
CAPS = "http://jabber.org/protocol/caps"
DELAY = "{urn:xmpp:delay}delay"

TUNE = "http://jabber.org/protocol/tune"
MOOD = "http://jabber.org/protocol/mood"


async def come(server: TestServer, name: str, *nodes: str, resource: str = "", priority: int = 0) -> Client:
    """Somebody comes online with a client that wants notifications of these nodes; what came with it is to be read."""
    client = await server.login(name, resource=resource, available=False)
    await show(client, *nodes, priority=priority)
    return client


async def show(client: Client, *nodes: str, priority: int = 0) -> None:
    """A client says by its presence what it wants, and describes itself when it is asked."""
    wants = "".join(f"<feature var='{node}+notify'/>" for node in sorted(nodes))
    inside = f"<identity category='client' type='pc'/><feature var='{CAPS}'/>{wants}"
    described = f"<query xmlns='{INFO}'>{inside}</query>"
    ver = ver_of(DiscoInfo.from_xml(fromstring(described)))
    caps = f"<c xmlns='{CAPS}' hash='sha-1' node='urn:client' ver='{ver}'/>"
    client.send(f"<presence><priority>{priority}</priority>{caps}</presence>")
    unread = await client.rest_bytes()
    client.wire.unread = [data for data in unread if INFO.encode() not in data] + client.wire.unread
    for data in unread:
        if INFO.encode() in data:
            client.send(
                f"<iq type='result' id='{fromstring(data).get('id')}' to='{server_of(client)}'>{described}</iq>"
            )
    await client._settle()


def server_of(client: Client) -> str:
    return client.bare.partition("@")[2]


def form(kind: str, **fields: str | list[str]) -> str:
    """A submitted form; `access_model="open"` is the field `pubsub#access_model`."""
    inside = f"<field var='FORM_TYPE' type='hidden'><value>{PUBSUB}#{kind}</value></field>"
    for var, values in fields.items():
        listed = [values] if isinstance(values, str) else values
        written = "".join(f"<value>{value}</value>" for value in listed)
        inside += f"<field var='pubsub#{var}'>{written}</field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{inside}</x>"


def publication(node: str, payload: str, item: str | None = None, **options: str | list[str]) -> str:
    """A request to publish; `options` are publish-options."""
    named = "" if item is None else f" id='{item}'"
    wanted = f"<publish-options>{form('publish-options', **options)}</publish-options>" if options else ""
    return f"<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item{named}>{payload}</item></publish>{wanted}</pubsub>"


async def publish(
    client: Client, node: str, payload: str, item: str | None = None, **options: str | list[str]
) -> Element:
    return await client.ask("set", publication(node, payload, item, **options))


async def published(
    client: Client, node: str, payload: str, item: str | None = None, **options: str | list[str]
) -> str:
    """Publish, which succeeds; the item's id."""
    answer = await publish(client, node, payload, item, **options)
    assert answer.get("type") == "result", answer
    return answer.find(f".//{{{PUBSUB}}}item").get("id")


def tune(title: str) -> str:
    return f"<tune xmlns='{TUNE}'><title>{title}</title></tune>"


async def items(client: Client, node: str, *ids: str, to: str = "", most: int = 0) -> Element:
    """Ask for items."""
    named = "".join(f"<item id='{each}'/>" for each in ids)
    limit = f" max_items='{most}'" if most else ""
    return await client.ask(
        "get", f"<pubsub xmlns='{PUBSUB}'><items node='{node}'{limit}>{named}</items></pubsub>", to=to
    )


def ids_in(answer: Element) -> list[str]:
    return [item.get("id", "") for item in answer.iter(f"{{{PUBSUB}}}item")]


def owner_request(action: str, node: str, inside: str = "") -> str:
    return f"<pubsub xmlns='{OWNER}'><{action} node='{node}'>{inside}</{action}></pubsub>"


async def events(client: Client) -> list[Element]:
    """The notifications among what came; everything else is passed over."""
    return [stanza for stanza in await client.rest() if stanza.find(f"{{{EVENT}}}event") is not None]


async def heard(client: Client) -> list[tuple[str, str, str]]:
    """Who has published what: the sender, the node, and all text of the items."""
    return [
        (stanza.get("from", "").partition("@")[0], each.get("node", ""), "".join(each.itertext()))
        for stanza in await events(client)
        for each in stanza.iter(f"{{{EVENT}}}items")
    ]


async def befriend(server: TestServer, *names: str, groups: tuple[str, ...] = ()) -> None:
    """Everybody sees everybody's presence, and has the others in these roster groups."""
    people = [await server.person(name) for name in names]
    for owner in people:
        for contact in people:
            if contact is not owner:
                item = RosterItem(contact=contact.bare, subscription=Subscription.BOTH, groups=groups)
                account = owner.account
                await server.store.rosters.apply(
                    account.company.id, account.id, contact.bare, lambda _, item=item: item
                )


def specific(stanza: Element) -> str:
    """The condition of `pubsub#errors` in an error."""
    found = [el.tag for el in stanza.iter() if el.tag.startswith(f"{{{ERRORS}}}")]
    return found[0].rpartition("}")[2] if found else ""
