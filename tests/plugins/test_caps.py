"""XEP-0115: the server's own hash, and whom a client's hash is believed."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from xml.etree.ElementTree import fromstring

import pytest

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin import (
    Context,
    DiscoInfo,
    Element,
    FeaturesLearned,
    Identity,
    Plugin,
    ServerInfo,
    disco_info,
    on,
)
from rainbow_xmpp.plugins.caps import Caps
from rainbow_xmpp.plugins.caps.verification import IllFormed, stands_for, ver_of
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.ping import Ping
from rainbow_xmpp.testing import Client, TestServer, condition_of
from rainbow_xmpp.xml import serialise

CAPS = "http://jabber.org/protocol/caps"
INFO = "http://jabber.org/protocol/disco#info"
NODE = "https://client.example"
IDENTITY = "<identity category='client' type='pc' name='Exodus 0.9.1'/>"


def described(content: str) -> DiscoInfo:
    return DiscoInfo.from_xml(fromstring(f"<query xmlns='{INFO}'>{content}</query>"))


def features(*names: str) -> str:
    return "".join(f"<feature var='{name}'/>" for name in names)


def form(form_type: str, *fields: str, kind: str = "hidden") -> str:
    first = f"<field var='FORM_TYPE' type='{kind}'><value>{form_type}</value></field>" if form_type else ""
    return f"<x xmlns='jabber:x:data' type='result'>{first}{''.join(fields)}</x>"


def field(var: str, *values: str) -> str:
    return f"<field var='{var}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


# -- the hash (§5) -----------------------------------------------------------------------------------------

EXODUS = IDENTITY + features(
    CAPS, INFO, "http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/muc"
)
PSI = (
    "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"
    "<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>"
    + features("http://jabber.org/protocol/muc", INFO, "http://jabber.org/protocol/disco#items", CAPS)
    + form(
        "urn:xmpp:dataforms:softwareinfo",
        field("software", "Psi"),
        field("ip_version", "ipv6", "ipv4"),
        field("os", "Mac"),
        field("os_version", "10.5.1"),
        field("software_version", "0.11"),
    )
)


@pytest.mark.parametrize(
    ("content", "ver"),
    [(EXODUS, "QgayPKawpkPSDYmwT/WM94uAlu0="), (PSI, "q07IKJEyjvHSyhy//CH0CxmKi8w=")],
    ids=["§5.2", "§5.3"],
)
def test_the_examples_of_the_specification_come_out(content: str, ver: str):
    assert ver_of(described(content)) == ver
    assert stands_for(ver, described(content), "sha-1")
    assert not stands_for(ver, described(content + features("urn:x")), "sha-1")


@pytest.mark.parametrize("name", ["sha-1", "sha-256", "sha-512"])
def test_parts_are_sorted_by_their_bytes_and_hashed_as_asked(name: str):
    info = described(
        "<identity category='client-x' type='a'/><identity category='client' type='z' xml:lang='de' name='é'/>"
        + features("b", "B", "é", "z", "")
        + form("urn:b", field("v", "2", "1", "10"), field("V"))
        + form("urn:B")
    )
    text = "client/z/de/é<client-x/a//<<B<b<z<é<urn:B<urn:b<V<v<1<10<2<"
    expected = b64encode(hashlib.new(name.replace("-", ""), text.encode()).digest()).decode()
    assert ver_of(info, name) == expected


@pytest.mark.parametrize(
    "content",
    [
        "",
        features("urn:x"),
        IDENTITY + IDENTITY,
        IDENTITY + features("urn:x", "urn:y", "urn:x"),
        IDENTITY + form("urn:f") + form("urn:g") + form("urn:f", field("v", "1")),
        IDENTITY + form("urn:f", "<field var='FORM_TYPE' type='hidden'><value>urn:g</value></field>"),
        IDENTITY + form("", "<field var='FORM_TYPE' type='hidden'><value>a</value><value>b</value></field>"),
    ],
)
def test_what_is_ill_formed_stands_for_nothing(content: str):
    with pytest.raises(IllFormed):
        ver_of(described(content))


@pytest.mark.parametrize(
    "passed_over",
    [
        form("urn:f", field("v", "1"), kind="text-single"),
        form("", field("v", "1")),
        form("", "<field var='FORM_TYPE' type='hidden'/>"),
        "<x xmlns='urn:other'/>",
    ],
)
def test_forms_that_do_not_say_what_they_are_about_do_not_count(passed_over: str):
    assert ver_of(described(EXODUS + passed_over)) == ver_of(described(EXODUS))


def test_one_form_type_said_twice_is_one():
    twice = "<field var='FORM_TYPE' type='hidden'><value>urn:f</value><value>urn:f</value></field>"
    assert ver_of(described(IDENTITY + form("", twice))) == ver_of(described(IDENTITY + form("urn:f")))


@pytest.mark.parametrize(
    "forged",
    [
        IDENTITY + features("urn:a&lt;urn:b"),
        "<identity category='client' type='pc' name='Exodus 0.9.1&lt;urn:a&lt;urn:b'/>",
        IDENTITY + form("urn:a&lt;urn:b"),
        IDENTITY + form("urn:a", field("urn:b&lt;x")),
        IDENTITY + form("urn:a", field("urn:b", "x&lt;")),
    ],
)
def test_what_can_be_read_in_two_ways_proves_nothing(forged: str):
    assert not stands_for(ver_of(described(forged)), described(forged), "sha-1")
    assert ver_of(described(IDENTITY + features("urn:a&lt;urn:b"))) == ver_of(
        described(IDENTITY + features("urn:a", "urn:b"))
    )


# -- the server's own --------------------------------------------------------------------------------------


async def announced(server: TestServer) -> Element | None:
    data = server.node.stream_settings().bound_features
    return fromstring(b"<features>" + data + b"</features>").find(f"{{{CAPS}}}c")


async def info_of_server(client: Client, node: str = "") -> Element:
    asked = f"<query xmlns='{INFO}' node='{node}'/>" if node else f"<query xmlns='{INFO}'/>"
    return await client.ask("get", asked, to=client.bare.partition("@")[2])


async def test_the_announced_hash_is_that_of_the_answer_with_and_without_node():
    async with TestServer([Caps, Disco, Ping]) as server:
        ann = await server.login("ann@acme")
        caps = await announced(server)
        assert (caps.get("hash"), caps.get("node")) == ("sha-1", f"https://{server.domain}")
        node = f"{caps.get('node')}#{caps.get('ver')}"
        for asked in ("", node):
            (query,) = await info_of_server(ann, asked)
            info = DiscoInfo.from_xml(query)
            assert (info.node, ver_of(info)) == (asked, caps.get("ver"))
            assert {CAPS, INFO, "urn:xmpp:ping"} <= info.names
        assert condition_of(await info_of_server(ann, node + "x")) == "item-not-found"


class Contact(Plugin, name="contact"):
    """Says whom to write to."""

    address = "mailto:first@example.com"

    def server_info(self) -> DiscoInfo:
        return DiscoInfo.of(forms=[fromstring(form("urn:contact", field("support", self.address)))])


async def test_what_plugins_add_for_everybody_is_in_the_hash_and_follows_a_reload(monkeypatch):
    async with TestServer([Caps, Contact, Disco]) as server:
        ann = await server.login("ann@acme")
        seen = set()
        for address in ("mailto:first@example.com", "mailto:second@example.com"):
            monkeypatch.setattr(Contact, "address", address)
            (query,) = await info_of_server(ann)
            assert address.encode() in serialise(query)
            assert (await announced(server)).get("ver") == ver_of(DiscoInfo.from_xml(query))
            seen.add((await announced(server)).get("ver"))
        assert len(seen) == 2


class Personal(Plugin, name="personal"):
    """Says something else to everybody."""

    @disco_info()
    def greet(self, ctx: Context, node: str) -> DiscoInfo:
        return DiscoInfo.of([Identity("automation", "greeter", ctx.sender.localpart)])


@pytest.mark.parametrize(
    "plugins",
    [
        {Caps: Caps.Options(), Disco: Disco.Options(), Ping: Ping.Options(companies=("acme",))},
        {Caps: Caps.Options(), Disco: Disco.Options(), Personal: Personal.Options()},
        {Caps: Caps.Options()},
    ],
    ids=["a plugin is limited", "an answer is personal", "nobody answers"],
)
async def test_nothing_is_announced_where_no_hash_is_right_for_everybody(plugins):
    async with TestServer(plugins) as server:
        assert await announced(server) is None


async def test_two_plugins_cannot_offer_the_same():
    class Rival(Plugin, ServerInfo, name="rival"):
        def info_for_all(self) -> None:
            return None

    with pytest.raises(LocalMisuse, match="rival offers ServerInfo as plugin disco does"):
        async with TestServer([Disco, Rival]):
            pass


# -- clients -----------------------------------------------------------------------------------------------


class Listener(Plugin, name="listener"):
    """Keeps what is told of features."""

    def __init__(self, services, options):
        super().__init__(services, options)
        self.heard: list[tuple[str, frozenset[str]]] = []

    @on(FeaturesLearned)
    def hear(self, event: FeaturesLearned) -> None:
        self.heard.append((event.session.full, event.features))


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Caps, Listener]) as server:
        yield server


def announce(client: Client, ver: str, hash_name: str = "sha-1", node: str = NODE) -> None:
    hashed = f" hash='{hash_name}'" if hash_name else ""
    client.send(f"<presence><c xmlns='{CAPS}'{hashed} node='{node}' ver='{ver}'/></presence>")


async def questions(client: Client) -> list[Element]:
    """What is still asked, once nothing else is to be done."""
    return [stanza for stanza in await client.rest() if stanza.tag == "{jabber:client}iq"]


async def answer(client: Client, content: str) -> str:
    """Describe the client when it is asked; the node that is asked for."""
    question = await client.answer(f"<query xmlns='{INFO}'>{content}</query>")
    return question[0].get("node", "")


def known(server: TestServer, client: Client) -> frozenset[str]:
    return server.plugin(Caps).features_of(client.session)


NAMES = frozenset((CAPS, INFO, "urn:x:mood+notify"))
GOOD = IDENTITY + features(*sorted(NAMES))
VER = ver_of(described(GOOD))


async def test_a_client_is_asked_and_what_it_can_do_is_known(server: TestServer):
    ann = await server.login("ann@acme")
    announce(ann, VER)
    assert await answer(ann, GOOD) == f"{NODE}#{VER}"
    await server.settle()
    assert known(server, ann) == NAMES
    assert server.plugin(Listener).heard == [(ann.jid, NAMES)]
    announce(ann, VER)
    assert await questions(ann) == []


async def test_of_many_with_the_same_client_one_is_asked(server: TestServer):
    clients = [await server.login(f"p{number}@acme") for number in range(5)]
    for client in clients:
        announce(client, VER)
    await answer(clients[0], GOOD)
    assert [await questions(client) for client in clients] == [[]] * 5
    assert {known(server, client) for client in clients} == {NAMES}
    late = await server.login("late@acme")
    announce(late, VER)
    assert await questions(late) == []
    assert known(server, late) == NAMES
    assert len(server.plugin(Listener).heard) == 6


@pytest.mark.parametrize(
    "lie",
    [
        IDENTITY + features("urn:x:poison"),
        GOOD + features("urn:x:poison"),
        GOOD + IDENTITY,
        GOOD + features(INFO),
        "",
    ],
)
async def test_a_lie_counts_for_nobody_else(server: TestServer, lie: str):
    eve, ann, bob = [await server.login(f"{name}@acme") for name in ("eve", "ann", "bob")]
    for client in (eve, ann, bob):
        announce(client, VER)
    await answer(eve, lie)
    await ann.asked()
    assert known(server, ann) == known(server, bob) == frozenset()
    assert known(server, eve) <= described(lie).names
    ann.wire.abort()
    await answer(bob, GOOD)
    await server.settle()
    assert known(server, bob) == NAMES


async def test_a_lie_is_not_remembered(server: TestServer):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    announce(eve, VER)
    await answer(eve, IDENTITY + features("urn:x:poison"))
    await server.settle()
    announce(ann, VER)
    await answer(ann, GOOD)
    await server.settle()
    assert (known(server, eve), known(server, ann)) == ({"urn:x:poison"}, NAMES)


async def test_what_one_company_verified_is_asked_again_in_another(server: TestServer):
    ann, spy = await server.login("ann@acme"), await server.login("spy@globex")
    for client in (ann, spy):
        announce(client, VER)
        await answer(client, GOOD)
        await server.settle()
        assert known(server, client) == NAMES


@pytest.mark.parametrize("hash_name", ["", "md5", "blake2", "sha-1 "])
async def test_what_cannot_be_verified_counts_for_the_one_who_says_it(server: TestServer, hash_name: str):
    ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
    for client in (ann, bob):
        announce(client, "0.9.1", hash_name)
    assert await answer(ann, GOOD) == f"{NODE}#0.9.1"
    await answer(bob, IDENTITY + features("urn:other"))
    await server.settle()
    assert (known(server, ann), known(server, bob)) == (NAMES, {"urn:other"})


async def test_who_refuses_or_goes_away_makes_the_next_one_be_asked(server: TestServer):
    ann, bob, carol = [await server.login(f"{name}@acme") for name in ("ann", "bob", "carol")]
    for client in (ann, bob, carol):
        announce(client, VER)
    await ann.refuse()
    await bob.asked()
    bob.wire.abort()
    await answer(carol, GOOD)
    await server.settle()
    assert known(server, ann) == known(server, carol) == NAMES
    assert known(server, bob) == frozenset()


async def test_a_client_that_changes_is_asked_again_and_old_answers_are_too_late(server: TestServer):
    ann = await server.login("ann@acme")
    announce(ann, VER)
    question = await ann.asked()
    other = IDENTITY + features("urn:x:new")
    announce(ann, ver_of(described(other)))
    ann.send(
        f"<iq type='result' id='{question.get('id')}' to='{question.get('from')}'>"
        f"<query xmlns='{INFO}'>{GOOD}</query></iq>"
    )
    await answer(ann, other)
    await server.settle()
    assert known(server, ann) == {"urn:x:new"}
    assert server.plugin(Listener).heard == [(ann.jid, {"urn:x:new"})]


@pytest.mark.parametrize(
    "presence",
    [
        f"<presence><c xmlns='{CAPS}'/></presence>",
        f"<presence><c xmlns='{CAPS}' hash='sha-1' node='{'n' * 501}' ver='v'/></presence>",
        f"<presence type='unavailable'><c xmlns='{CAPS}' hash='sha-1' node='n' ver='v'/></presence>",
        f"<presence to='bob@rainbow.test'><c xmlns='{CAPS}' hash='sha-1' node='n' ver='v'/></presence>",
        "<presence/>",
    ],
)
async def test_presence_that_claims_nothing_is_no_reason_to_ask(server: TestServer, presence: str):
    ann = await server.login("ann@acme")
    ann.send(presence)
    assert await questions(ann) == []


async def test_nothing_is_kept_of_a_session_that_ended(server: TestServer):
    ann = await server.login("ann@acme")
    announce(ann, VER)
    await ann.asked()
    await ann.leave()
    clients = server.plugin(Caps)._clients
    assert not clients._claims
    assert not clients._features
    assert not clients._waiting


async def test_memory_is_bounded_in_kinds_and_in_size():
    async with TestServer({Caps: Caps.Options(descriptions=10)}) as server:
        ann = await server.login("ann@acme")
        for number in range(15):
            content = IDENTITY + features(f"urn:{number}")
            announce(ann, ver_of(described(content)))
            await answer(ann, content)
            await server.settle()
        assert len(server.plugin(Caps)._clients._verified) == 10
        huge = IDENTITY + features(*(f"urn:{'x' * 300}:{number}" for number in range(150)))
        announce(ann, ver_of(described(huge)))
        await answer(ann, huge)
        await server.settle()
        assert known(server, ann) == frozenset()
