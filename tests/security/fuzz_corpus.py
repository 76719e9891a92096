"""Inputs for fuzzing the XML layer: a corpus, mutations of it, and sound elements made by chance."""

import random

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
        "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:x'><item id='a'>"
        "<x xmlns='urn:x'>y</x></item></publish><publish-options><x xmlns='jabber:x:data' type='submit'><field "
        "var='pubsub#access_model'><value>open</value></field></x></publish-options></pubsub></iq>",
        "<iq type='get' id='i' to='b'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:x'>"
        "<item id='current'/></items></pubsub></iq>",
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


ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7", "cp037", "utf-8-sig")


def transcoded(rng: random.Random, data: bytes) -> bytes:
    """The same text in another encoding, which must never be taken for UTF-8."""
    return data.decode(errors="ignore").encode(rng.choice(ENCODINGS), errors="ignore")


NAMES = ("a", "b", "body", "message", "x-1", "_", "naïve", "delay", "w")
NAMESPACES = ("urn:x", "urn:y", CLIENT, "http://example.com/ns#a", "a&amp;b", "relative/path")
TEXTS = (
    "", "", "x", " ", "\n", "&amp;", "&lt;a&gt;", "&#65;", "&#x1F600;", "é", "😀", "]]", "a > b", "'\"", "\t",
    "<![CDATA[<b>&x;]]>", "<![CDATA[]]>", "a\r\nb",
)  # fmt: skip
VALUES = ("", "1", "a b", "&lt;", "&#10;", "&quot;", ">", "é", "from='x'", "\t")


class Generator:
    """Makes elements that are namespace-well-formed: prefixes are used where they are in force only."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._room = rng.choice((1, 3, 10, 40))

    def element(self, prefixes: frozenset[str], levels: int = 6) -> bytes:
        """One element inside which these prefixes are declared."""
        rng = self._rng
        self._room -= 1
        declared = {p for p in ("p", "q", "x") if not rng.randrange(8)}
        known = sorted(prefixes | declared)
        name = self._name(known, 4)
        parts = [f"xmlns:{p}={self._quoted(rng.choice(NAMESPACES))}" for p in sorted(declared)]
        if not rng.randrange(4):
            parts.append(f"xmlns={self._quoted(rng.choice((*NAMESPACES, '')))}")
        # With one namespace for two prefixes an attribute could be there twice.
        wanted = {self._name(known[:1], 3) for _ in range(rng.choice((0, 0, 1, 2, 5)))}
        parts += [f"{attribute}={self._quoted(rng.choice(VALUES))}" for attribute in sorted(wanted)]
        rng.shuffle(parts)
        start = f"<{name}" + "".join(rng.choice((" ", "\n", "  ")) + part for part in parts)
        start += rng.choice(("", "", " "))
        if not rng.randrange(4):
            return f"{start}/>".encode()
        content = rng.choice(TEXTS).encode()
        while self._room > 0 and levels and rng.randrange(3):
            content += self.element(prefixes | declared, levels - 1) + rng.choice(TEXTS).encode()
        return f"{start}>".encode() + content + f"</{name}{rng.choice(('', ' '))}>".encode()

    def _name(self, prefixes: list[str], one_in: int) -> str:
        name = self._rng.choice(NAMES)
        return (
            f"{self._rng.choice(prefixes)}:{name}" if prefixes and not self._rng.randrange(one_in) else name
        )

    def _quoted(self, value: str) -> str:
        quote = self._rng.choice("'\"")
        return quote + value.replace(quote, "&apos;" if quote == "'" else "&quot;") + quote
