"""Differential fuzzing of the XML layer: both engines and the judge against each other and against lxml.

`python -m tests.security.fuzz_xml --seconds 600` runs on until a fault is found or the time is over; the test
beside this runs a short, seeded piece of it.
"""

import argparse
import enum
import random
import sys
import time
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from lxml import etree

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.xml import pure
from rainbow_xmpp.xml.model import DEFAULT_LIMITS, Token, TokenKind
from rainbow_xmpp.xml.view import judge

try:
    from rainbow_xmpp.xml import compiled

    ENGINES: Sequence[ModuleType] = (pure, compiled)
except ImportError:
    ENGINES = (pure,)

CLIENT = "jabber:client"
STREAMS = "http://etherx.jabber.org/streams"
PREFIXES = {"stream": STREAMS, "x": "urn:example:x"}
OPEN = (
    f"<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' xmlns:x='urn:example:x' to='acme.example'>"
).encode()

CORPUS = [
    text.encode()
    for text in (
        "<message xmlns='jabber:client' to='bob@acme.example' type='chat' id='m1'><body>Hello &amp; you</body>"
        "<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>"
        "<origin-id xmlns='urn:xmpp:sid:0' id='de305d54-75b4-431b-adb2-eb6b9e546013'/></message>",
        '<message from="alice@acme.example/x" to="bob@acme.example" type="chat"><body>a &lt; b</body></message>',
        "<message to='bob@acme.example' from='a'  type='groupchat'\n xml:lang='de'><body xml:lang='en'>Grüße 😀"
        "</body><thread parent='1'>2</thread></message >",
        "<message to='b' type='chat'><body>x > y ]] z</body><html xmlns='http://jabber.org/protocol/xhtml-im'>"
        "<body xmlns='http://www.w3.org/1999/xhtml'><p style='font-weight:bold'>hi!<br/></p></body></html>"
        "</message>",
        "<presence/>",
        "<presence xmlns='jabber:client' type='unavailable'/>",
        "<presence from = 'x' ><show>away</show><status>&#x1F354; &#38; x</status><priority>5</priority>"
        "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://example.com' ver='QgayPKawp='/>"
        "</presence>",
        "<iq type='get' id='1' to='acme.example'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq xmlns='jabber:client' type='set' id='bind_1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
        "<resource>balcony</resource></bind></iq>",
        "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='a@b' name='A &quot;B&quot;'>"
        "<group>Friends</group><group>Work</group></item></query></iq>",
        "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>A</FN><N><FAMILY>B</FAMILY><GIVEN/></N><PHOTO>"
        "<TYPE>image/png</TYPE><BINVAL>iVBORw0KGgo=</BINVAL></PHOTO></vCard></iq>",
        "<iq type='result' id='d'><query xmlns='http://jabber.org/protocol/disco#info'><identity type='pc' "
        "category='client'/><feature var='urn:xmpp:ping'/><x xmlns='jabber:x:data' type='result'><field "
        "var='FORM_TYPE' type='hidden'><value>urn:x</value></field></x></query></iq>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1hLHI9Yg==</auth>",
        "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='acme.example' version='1.0'/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<a xmlns='urn:xmpp:sm:3' h='12'/>",
        "<c:message xmlns:c='jabber:client' to='b' c:z='1' c:y='2'><c:body>hi</c:body><d/></c:message>",
        "<message to='b'><x:foo xmlns:x='urn:x' x:a='1' a='1'><x:bar/><y xmlns=''/></x:foo></message>",
        "<message xmlns='jabber:client' xmlns:q='urn:q' to='b'><q:foo/><body/></message>",
        "<message to='b'><body><![CDATA[<b>&amp;</b>]]></body></message>",
        "<message to='b'><x:thing/><stream:error/></message>",
        "<message to=' from=&apos;' type=\" from='x'\" data-from='q' _to='z'><body>from='a' to='b'</body>"
        "</message>",
        '<message xmlns="jabber:client"\tto="b"\r\nfrom="c"><body>a\r\nb\rc</body></message>',
        "<message to='b'><b a='\t1&#10;2'>\u00a0\u0085\ufffd\U0010ffff</b></message>",
        "<message to='b' from='x' ><body>from='a' to='b' xmlns='c'</body></message>",
        "<message\nid='1'\n><![CDATA[ from='a' to='b']]> from='c' to='d' </message>",
        "<message><naïve ünder='ö'/></message>",
    )
]

PIECES = [
    piece if isinstance(piece, bytes) else piece.encode()
    for piece in (
        *(
            "<",
            ">",
            "/>",
            "'",
            '"',
            "&",
            ";",
            "=",
            " ",
            "\n",
            "\r\n",
            "\t",
            "/",
            "}",
            "{",
            ":",
            "]]>",
            "]",
            "-",
            ".",
        ),
        *(
            "&amp;",
            "&lt;",
            "&apos;",
            "&x;",
            "&#0;",
            "&#9;",
            "&#x10FFFF;",
            "&#x110000;",
            "&#xD800;",
            "&#xFFFE;",
        ),
        *("&#65;", "&#x;", "&#;", "&#0000000065;", "&#X41;", "&#99999999999999999999;", "&#x00000041;"),
        *("<![CDATA[", "<![CDATA[x]]>", "<!--", "<!-- x -->", "-->", "<?x y?>", "<?xml version='1.0'?>"),
        *("<!DOCTYPE a>", "<!DOCTYPE a [<!ENTITY b 'c'>]>", "<!ENTITY x 'y'>"),
        *(
            " xmlns=''",
            " xmlns='x'",
            " xmlns:a='b'",
            " xmlns:a=''",
            "xmlns:xml='y'",
            " xmlns:xmlns='y'",
            "a:",
            "xml:",
        ),
        *(
            " xmlns='http://www.w3.org/XML/1998/namespace'",
            " xmlns='http://www.w3.org/2000/xmlns/'",
            "stream:",
            "x:",
        ),
        *(" xmlns='a}b'", " xmlns='a&#125;b'", " xmlns='a&amp;b'", " xmlns='ü'", " xmlns='a\nb'"),
        *(
            " from='x'",
            ' to="y"',
            " from=",
            " xml:lang='x'",
            " xml:space='preserve'",
            " id='1'",
            " x='>'",
            ' y="\'"',
        ),
        *(
            "<b>",
            "</b>",
            "<b/>",
            "</message>",
            "<message>",
            "<message/>",
            "</w>",
            "<w>",
            "<xmlns/>",
            "<xml:a/>",
        ),
        *(
            "\x00",
            "\x01",
            "\x0b",
            "\x0c",
            "\x7f",
            "\u0085",
            "é",
            "😀",
            "\ufeff",
            "\ufffd",
            "\ufffe",
            "\uffff",
            "·",
        ),
        *(
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\x80",
            b"\xe2\x82",
            b"\xff",
        ),
        *(
            "<a>" * 20,
            "</a>" * 20,
            "<a/>" * 40,
            " a1='' a2='' a3='' a4='' a5='' a6='' a7='' a8='' a9='' aa=''",
        ),
    )
]


def mutate(rng: random.Random, data: bytes) -> bytes:
    """One to four random edits, kept small so that many results are still XML."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 2, 5, 20)))
        kind = rng.randrange(8)
        if kind <= 2:
            data = data[:at] + rng.choice(PIECES) + data[at:]
        elif kind == 3:
            data = data[:at] + rng.choice(PIECES) + data[to:]
        elif kind == 4:
            data = data[:at] + data[to:]
        elif kind == 5:
            data = data[:to] + data[at:]
        elif kind == 6:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        else:
            other = rng.choice(CORPUS)
            start = rng.randrange(len(other))
            data = data[:at] + other[start : start + rng.choice((5, 20, 80))] + data[at:]
    return data


class Fault(AssertionError):
    """The engines, the judge and lxml do not agree; the message holds the input."""


class Outcome(NamedTuple):
    """What one engine made of an input."""

    condition: StreamCondition | None
    fields: tuple[object, ...] = ()
    stamped: tuple[bytes, ...] = ()


STAMPS = (("a&b@c/'d\"", None), ("alice@acme.example/ü", "bob@acme.example"), ("x", "<\ud800\x07>"))


def outcome(engine: ModuleType, data: bytes, ns: str, prefixes: dict[str, str]) -> Outcome:
    """What `engine` makes of `data`."""
    try:
        view = engine.scan(data, ns, prefixes)
    except PeerViolation as violation:
        return Outcome(violation.condition)
    fields = (view.data, view.name, view.ns, view.attrs, view.children)
    return Outcome(None, fields, tuple(engine.stamp(view, from_=f, to=t) for f, t in STAMPS))


def canonical(el: etree._Element) -> tuple[object, ...]:
    """A tree as a value; a comment or processing instruction is a fault."""
    if not isinstance(el.tag, str):
        raise Fault(f"{el.tag} was let through")
    children = tuple((canonical(child), child.tail or "") for child in el)
    return el.tag, tuple(sorted(el.attrib.items())), el.text or "", children


def oracle(data: bytes, ns: str = "", prefixes: dict[str, str] | None = None) -> etree._Element:
    """The tree by lxml, an independent parser, which must find exactly one element."""
    declared = (f" xmlns={quoteattr(ns)}" if ns else "") + "".join(
        f" xmlns:{p}='{u}'" for p, u in (prefixes or {}).items()
    )
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    wrapped = etree.fromstring(f"<w{declared}>".encode() + data + b"</w>", parser)
    if len(wrapped) != 1 or wrapped.text or wrapped[0].tail:
        raise Fault("more than one element was let through")
    return wrapped[0]


def check(data: bytes, ns: str, prefixes: dict[str, str]) -> bool:
    """Whether `data` is accepted; raises Fault when those who must agree do not."""
    outcomes = [outcome(engine, data, ns, prefixes) for engine in ENGINES]
    if all(found.condition for found in outcomes):
        # Both have asked the judge; they must have understood the same.
        if len({found.condition for found in outcomes}) > 1:
            raise Fault(f"{data!r} in {ns!r}: refused as {outcomes}")
        return False
    try:
        judged = Outcome(None, tuple(judge(data, ns, prefixes, DEFAULT_LIMITS)))
    except PeerViolation as violation:
        judged = Outcome(violation.condition)
    for found in outcomes:
        if found.condition != judged.condition or found.fields != judged.fields:
            raise Fault(f"{data!r} in {ns!r}: {found} but the judge: {judged}")
        if found.stamped != outcomes[0].stamped:
            raise Fault(f"{data!r} in {ns!r}: stamped {found.stamped} or {outcomes[0].stamped}")
    try:
        _check_accepted(data, ns, prefixes, outcomes[0])
    except (Fault, etree.XMLSyntaxError) as error:
        raise Fault(f"{data!r} in {ns!r}: {error}") from error
    return True


def _check_accepted(data: bytes, ns: str, prefixes: dict[str, str], found: Outcome) -> None:
    kept, name, view_ns, attrs, children = found.fields
    tree = oracle(data, ns, prefixes)
    expected = canonical(tree)
    if canonical(oracle(kept, view_ns)) != expected:
        raise Fault(f"the view's data are another element: {kept!r}")
    plain = {key: value for key, value in tree.attrib.items() if not key.startswith("{")}
    if lang := tree.get("{http://www.w3.org/XML/1998/namespace}lang"):
        plain["xml:lang"] = lang
    tag = f"{{{view_ns}}}{name}" if view_ns else name
    if tree.tag != tag or plain != {key: value for key, value in attrs.items() if key != "xml:lang" or value}:
        raise Fault(f"name or attributes: {tag} {attrs}")
    if [canonical(oracle(kept[c.start : c.end], view_ns)) for c in children] != [canonical(c) for c in tree]:
        raise Fault(f"children: {children}")
    if [f"{{{c.ns}}}{c.name}" if c.ns else c.name for c in children] != [c.tag for c in tree]:
        raise Fault(f"names of children: {children}")
    for (from_, to), stamped in zip(STAMPS, found.stamped, strict=True):
        result = oracle(stamped)
        if result.get("from") != from_ or (to and "\ud800" not in to and result.get("to") != to):
            raise Fault(f"not stamped: {stamped!r}")
        for changed in ("from", "to") if to else ("from",):
            for el in (result, tree):
                el.attrib.pop(changed, None)
        if canonical(result) != canonical(tree):
            raise Fault(f"stamping changed more than it should: {stamped!r}")
        tree = oracle(data, ns, prefixes)


class Ending(enum.Enum):
    """How a stream stands when all of it has arrived."""

    ALL_TAKEN = 1
    WAITING = 2
    REFUSED = 3


def tokens_of(engine: ModuleType, chunks: Sequence[bytes]) -> tuple[list[Token], list[object], Ending]:
    """The tokens of a stream in these chunks, what their scans say, and how the stream stands then."""
    framer = engine.Framer(1_000_000)
    tokens: list[Token] = []
    views: list[object] = []
    try:
        for chunk in chunks:
            framer.push(chunk)
            while token := framer.pull():
                tokens.append(token)
                if token.kind is TokenKind.ELEMENT:
                    view = engine.scan(token.data, CLIENT, PREFIXES)
                    views.append((view.data, view.name, view.attrs))
    except PeerViolation:
        return tokens, views, Ending.REFUSED
    return tokens, views, Ending.WAITING if framer.pending else Ending.ALL_TAKEN


def cut(rng: random.Random, data: bytes) -> Iterator[bytes]:
    """`data` in random chunks, many of them tiny."""
    longest = rng.choice((1, 3, 20, 200, 2000))
    while data:
        size = rng.randint(1, longest)
        yield data[:size]
        data = data[size:]


def check_stream(rng: random.Random) -> None:
    """A sound stream gives its tokens however it is cut."""
    elements = [rng.choice(CORPUS) for _ in range(rng.randrange(6))]
    stream = rng.choice((b"", b"<?xml version='1.0' encoding=\"UTF-8\" ?>\n", b" \n")) + OPEN
    for element in elements:
        stream += rng.choice((b"", b" ", b"\r\n\t")) + element
    stream += b" </stream:stream > "
    expected = [OPEN, *elements, b"</stream:stream >"]
    for engine in ENGINES:
        chunks = list(cut(rng, stream))
        tokens, _, ending = tokens_of(engine, chunks)
        if ending is not Ending.ALL_TAKEN or [token.data for token in tokens] != expected:
            raise Fault(f"{engine.__name__}: {chunks!r}: {tokens}")


def check_broken_stream(rng: random.Random) -> None:
    """However a broken stream is cut, the same is accepted, but for what is refused sooner.

    What cannot become XML any more may be refused by one and awaited by the other.
    """
    stream = OPEN + mutate(rng, b"".join(rng.choice(CORPUS) for _ in range(rng.randint(1, 3))))
    results = [tokens_of(engine, cuts) for engine in ENGINES for cuts in ([stream], list(cut(rng, stream)))]
    longest = max((views for _, views, _ in results), key=len)
    sound = {ending is Ending.ALL_TAKEN for _, _, ending in results}
    for _, views, ending in results:
        if len(sound) > 1 or views != longest[: len(views)]:
            raise Fault(f"{stream!r}: {results}")
        if ending is not Ending.REFUSED and views != longest:
            raise Fault(f"{stream!r}: {results}")


def run(seed: int, *, rounds: int | None = None, seconds: float | None = None) -> tuple[int, int]:
    """Fuzz for so many rounds or seconds; returns how many inputs were tried and how many accepted."""
    rng = random.Random(seed)
    until = time.monotonic() + seconds if seconds is not None else float("inf")
    tried = accepted = 0
    while (rounds is None or tried < rounds) and (tried % 256 or time.monotonic() < until):
        data = mutate(rng, rng.choice(CORPUS))
        ns, prefixes = (CLIENT, PREFIXES) if rng.randrange(2) else ("", {})
        accepted += check(data, ns, prefixes)
        tried += 1
        if tried % 20 == 0:
            check_stream(rng)
            check_broken_stream(rng)
    return tried, accepted


def main() -> int:
    """Fuzz for the time given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    print(f"seed {options.seed}, engines {[engine.SCANNER for engine in ENGINES]}")
    try:
        tried, accepted = run(options.seed, seconds=options.seconds)
    except Fault as fault:
        print(f"FAULT: {fault}")
        return 1
    print(f"{tried} inputs, {accepted} accepted, no fault")
    return 0


if __name__ == "__main__":
    sys.exit(main())
