"""Stanzas that are just within every limit: what the server adds to them must not push them over it.

Otherwise whoever sends one could get past a plugin, end a contact's stream or block somebody's offline messages.
"""

import pytest

from rainbow_xmpp.config import Limits
from rainbow_xmpp.errors import Condition, PeerViolation
from rainbow_xmpp.plugins.forgery_guard import ForgeryGuard
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.store.values import RosterItem, Subscription
from rainbow_xmpp.testing import TestServer, condition_of
from rainbow_xmpp.xml import DEFAULT_LIMITS, scan

LIMITS = DEFAULT_LIMITS
SHAPES = ["attributes", "bytes", "depth", "elements", "declarations"]


def greatest(kind: str, shape: str, attributes: str, content: str = "") -> str:
    """A stanza with these attributes and this content that has as much of `shape` as is allowed."""
    start, end = f"<{kind}{attributes}", f"</{kind}>"
    match shape:
        case "attributes":
            free = LIMITS.attributes - attributes.count("=")
            stanza = start + "".join(f" a{n}='x'" for n in range(free)) + f">{content}{end}"
        case "bytes":
            most = LIMITS.max_bytes if kind == "message" else Limits().presence_bytes
            free = most - len(f"{start}>{content}<x></x>{end}".encode())
            stanza = f"{start}>{content}<x>{'x' * free}</x>{end}"
        case "depth":
            levels = LIMITS.depth - 1
            stanza = f"{start}>{content}{'<x>' * levels}{'</x>' * levels}{end}"
        case "elements":
            free = LIMITS.elements - 1 - content.count("<") + content.count("</")
            stanza = f"{start}>{content}{'<x/>' * free}{end}"
        case _:
            free = LIMITS.declarations - content.count("xmlns") - attributes.count("xmlns")
            per = LIMITS.attributes
            stanza = start + f">{content}"
            while free > 0:
                declared = "".join(f" xmlns:p{n}='u:{n}'" for n in range(min(per, free)))
                stanza += f"<x{declared}/>"
                free -= per
            stanza += end
    scan(stanza.encode(), "jabber:client")  # it is allowed
    return stanza


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shapes_are_the_greatest_there_are(shape: str) -> None:
    stanza = greatest("message", shape, " to='a@b'")
    more = {
        "attributes": stanza.replace("<message", "<message one='more'", 1),
        "bytes": stanza.replace("</message>", " </message>"),
        "depth": stanza.replace("<x></x>", "<x><x/></x>"),
        "elements": stanza.replace("</message>", "<x/></message>"),
        "declarations": stanza.replace("</message>", "<x xmlns:one='more:x'/></message>"),
    }[shape]
    with pytest.raises(PeerViolation):
        scan(more.encode(), "jabber:client")


FORGED = "<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='{bare}'/>"


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_is_forged_is_taken_out_of_the_greatest_stanza(shape: str) -> None:
    async with TestServer(plugins=[ForgeryGuard]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        forged = FORGED.format(bare=bob.bare)
        ann.send(greatest("message", shape, f" to='{bob.jid}' type='chat' id='m'", forged))
        (received,) = await bob.rest_bytes()
        assert b"id='m'" in received
        assert b"forged" not in received


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_greatest_message_can_wait_and_blocks_nothing(shape: str) -> None:
    async with TestServer(plugins=[ForgeryGuard, Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        ann.send(greatest("message", shape, f" to='{bob.bare}' type='chat' id='m1'", "<body>x</body>"))
        ann.send(f"<message to='{bob.bare}' type='chat' id='m2'><body>y</body></message>")
        assert await ann.rest() == []
        client = await server.login("bob@acme", available=False)
        client.send("<presence/>")
        received = [data for data in await client.rest_bytes() if data.startswith(b"<message")]
        assert [b"id='m1'" in data or b"id='m2'" in data for data in received] == [True, True]
        assert all(b"urn:xmpp:delay" in data for data in received)


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_greatest_presence_harms_nobody_who_sees_it(shape: str) -> None:
    async with TestServer(plugins=[ForgeryGuard]) as server:
        person = await server.person("ann@acme")
        await server.subscribe(f"bob@{server.domain}", to=person)
        bob = await server.person("bob@acme")
        sees_her = RosterItem(contact=person.bare, subscription=Subscription.TO)
        company = bob.account.company.id
        await server.store.rosters.apply(company, bob.account.id, person.bare, lambda _: sees_her)
        ann = await server.login("ann@acme", available=False)
        ann.send(greatest("presence", shape, " id='p'"))
        await ann.rest()
        client = await server.login("bob@acme", available=False)
        client.send("<presence/>")
        seen = [data for data in await client.rest_bytes() if b"id='p'" in data]
        assert len(seen) == 1
        assert client.wire.is_open
        cem = await server.login("cem@acme")
        cem.send(f"<presence type='subscribe' to='{ann.bare}'/>")
        await server.settle()
        ann.send(f"<presence type='subscribed' to='{cem.bare}'/>")
        assert any(b"id='p'" in data for data in await cem.rest_bytes())
        assert ann.wire.is_open


@pytest.mark.parametrize(
    "attributes", ["", " to='bob@rainbow.test'", " type='subscribe' to='bob@rainbow.test'"]
)
async def test_presence_that_is_larger_is_refused_and_nobody_is_troubled_with_it(attributes: str) -> None:
    """It is kept and sent to everybody who comes: enough of it could keep somebody from logging in."""
    async with TestServer() as server:
        bob, ann = await server.login("bob@acme"), await server.login("ann@acme", available=False)
        presence = greatest("presence", "bytes", attributes)
        ann.send(presence.replace("</presence>", " </presence>"))
        (refusal,) = await ann.rest()
        assert condition_of(refusal) is Condition.POLICY_VIOLATION
        assert await bob.rest() == []
        assert ann.session.presence is None


async def test_a_roster_has_no_more_text_than_can_be_sent_in_one_go() -> None:
    async with TestServer() as server:
        ann = await server.login("ann@acme")

        async def put(name: int, group: int) -> Condition | None:
            groups = f"<group>{'g' * group}</group><group>{'h' * group}</group>"
            item = f"<item jid='bob@acme.example' name='{'n' * name}'>{groups}</item>"
            return condition_of(await ann.ask("set", f"<query xmlns='jabber:iq:roster'>{item}</query>"))

        assert await put(48, 1000) is None
        assert await put(49, 1000) is Condition.NOT_ACCEPTABLE


async def test_a_server_that_allows_more_takes_more() -> None:
    limits = Limits(stanza_bytes=1_000_000, output_bytes=4_000_000)
    async with TestServer(plugins=[ForgeryGuard, Offline], limits=limits) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        body = "x" * 900_000
        ann.send(f"<message to='{bob.jid}'><body>{body}</body></message>")
        (message,) = await bob.rest()
        assert message.findtext("{jabber:client}body") == body
        await bob.leave()
        ann.send(f"<message to='{bob.bare}' type='chat'><body>{body}</body></message>")
        await server.settle()
        bob = await server.login("bob@acme", available=False)
        bob.send("<presence/>")
        assert body in [stanza.findtext("{jabber:client}body") for stanza in await bob.rest()]
