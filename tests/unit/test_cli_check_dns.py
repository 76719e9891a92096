"""`check dns`: what is published, what is missing, and the lines that are to be published."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from rainbow_xmpp.cli.check_dns import check_dns
from rainbow_xmpp.cli.checks import Mark
from rainbow_xmpp.cli.dns_lookup import Kind, NetworkLookup, NoAnswerer, NotFetched, Page
from rainbow_xmpp.config import Config, Listen
from tests.cli import CommandLine, bare

__all__ = ["bare"]

HOST_META = json.dumps(
    {
        "links": [
            {"rel": "urn:xmpp:alt-connections:websocket", "href": "wss://chat.company.com/xmpp-websocket"}
        ]
    }
)
GOOD_PAGE = Page(HOST_META, True)
URL = "https://company.com/.well-known/host-meta.json"
COMPLETE: Mapping[tuple[str, str], list[str]] = {
    ("chat.company.com", "A"): ["192.0.2.7"],
    ("chat.company.com", "AAAA"): ["2001:db8::7"],
    ("_xmpps-client._tcp.company.com", "SRV"): ["0 5 443 chat.company.com."],
    ("_xmpp-client._tcp.company.com", "SRV"): ["0 0 0 ."],
    ("company.com", "CAA"): ['0 iodef "mailto:a@company.com"', '0 issue "letsencrypt.org"'],
}
CONFIG = Config(domain="company.com", listen=Listen(port=8443, public_url="https://chat.company.com"))


class Published:
    """What a name server and a web server would say."""

    def __init__(self, records: Mapping[tuple[str, str], list[str]], page: Page | None = GOOD_PAGE) -> None:
        self._records = records
        self._page = page

    def records(self, name: str, kind: Kind) -> list[str]:
        return self._records.get((name, kind), [])

    def page(self, url: str) -> Page:
        if url != URL or self._page is None:
            raise NotFetched(f"{url} answers 404")
        return self._page


def findings(config: Config = CONFIG, lookup: Published | None = None) -> list[tuple[Mark, str]]:
    return [(found.mark, found.text) for found in check_dns(config, lookup or Published(COMPLETE))]


def without(*names: tuple[str, str]) -> dict[tuple[str, str], list[str]]:
    return {key: records for key, records in COMPLETE.items() if key not in names}


def test_a_domain_with_everything_is_good() -> None:
    assert findings() == [
        (Mark.GOOD, "chat.company.com is at 192.0.2.7, 2001:db8::7"),
        (Mark.GOOD, "_xmpps-client._tcp.company.com leads to chat.company.com:443"),
        (
            Mark.GOOD,
            "_xmpp-client._tcp.company.com says that there is no STARTTLS, which is so (starttls_port = 0)",
        ),
        (Mark.GOOD, f"{URL} names wss://chat.company.com/xmpp-websocket"),
        (Mark.GOOD, "company.com lets letsencrypt.org issue certificates (CAA)"),
    ]


def test_without_anything_every_line_to_publish_is_told() -> None:
    config = replace(CONFIG, listen=replace(CONFIG.listen, starttls_port=5222, address="9.9.9.9"))
    told = findings(config, Published({}, None))
    assert told == [
        (Mark.BAD, "chat.company.com has no address; publish: chat.company.com. 3600 IN A 9.9.9.9"),
        (
            Mark.BAD,
            "_xmpps-client._tcp.company.com is missing; publish: "
            "_xmpps-client._tcp.company.com. 3600 IN SRV 0 5 443 chat.company.com.",
        ),
        (
            Mark.BAD,
            "_xmpp-client._tcp.company.com is missing; publish: "
            "_xmpp-client._tcp.company.com. 3600 IN SRV 0 5 5222 chat.company.com.",
        ),
        (
            Mark.WARNING,
            f"{URL} answers 404; web clients find wss://chat.company.com/xmpp-websocket only when they are told",
        ),
        (
            Mark.WARNING,
            "every authority may issue certificates for chat.company.com; to let only yours, publish for "
            'example: company.com. 3600 IN CAA 0 issue "letsencrypt.org"',
        ),
    ]


def test_a_record_that_leads_elsewhere_is_told_with_what_is_there() -> None:
    records = {
        **COMPLETE,
        ("_xmpps-client._tcp.company.com", "SRV"): ["0 5 5223 old.company.com."],
        ("old.company.com", "CNAME"): ["older.company.com."],
        ("old.company.com", "A"): ["192.0.2.1"],
    }
    told = findings(lookup=Published(records))
    assert told[1:4] == [
        (
            Mark.BAD,
            "_xmpps-client._tcp.company.com leads to old.company.com:5223, not to chat.company.com:443; publish: "
            "_xmpps-client._tcp.company.com. 3600 IN SRV 0 5 443 chat.company.com.",
        ),
        (Mark.GOOD, "old.company.com is at 192.0.2.1"),
        (
            Mark.BAD,
            "_xmpps-client._tcp.company.com leads to old.company.com, an alias, which RFC 2782 forbids",
        ),
    ]


def test_starttls_is_not_promised_where_it_is_off() -> None:
    promised = {**COMPLETE, ("_xmpp-client._tcp.company.com", "SRV"): ["0 5 5222 chat.company.com."]}
    nowhere = "publish: _xmpp-client._tcp.company.com. 3600 IN SRV 0 0 0 ."
    assert findings(lookup=Published(promised))[2] == (
        Mark.BAD,
        f"_xmpp-client._tcp.company.com leads to a port that is not open (starttls_port = 0); {nowhere}",
    )
    mark, text = findings(lookup=Published(without(("_xmpp-client._tcp.company.com", "SRV"))))[2]
    assert (mark, text.endswith(nowhere)) == (Mark.WARNING, True)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (Page("<html>", True), "does not name the WebSocket"),
        (
            Page('{"links": [{"rel": "urn:xmpp:alt-connections:websocket", "href": "wss://x"}]}', True),
            "does not",
        ),
        (Page('{"links": 3}', True), "does not name the WebSocket"),
        (Page(HOST_META, False), "lacks the header Access-Control-Allow-Origin: *"),
    ],
)
def test_a_host_meta_that_web_clients_cannot_use_is_a_warning(page: Page, text: str) -> None:
    mark, told = findings(lookup=Published(COMPLETE, page))[3]
    assert (mark, text in told) == (Mark.WARNING, True)


@pytest.mark.parametrize("domain", ["localhost", "chat.example", "office.lan", "intranet"])
def test_of_names_that_are_not_public_nothing_is_asked(domain: str) -> None:
    class Nobody(Published):
        def records(self, name: str, kind: Kind) -> list[str]:
            raise AssertionError("asked")

    ((mark, text),) = findings(Config(domain=domain), Nobody({}))
    assert (mark, text) == (
        Mark.WARNING,
        f"{domain} is no public name: clients have to be told where the server is",
    )


def test_a_domain_of_other_letters_is_asked_for_as_the_name_system_has_it() -> None:
    told = findings(Config(domain="grün.com", listen=Listen(port=443)), Published({}, None))
    assert told[1][1].endswith(
        "publish: _xmpps-client._tcp.xn--grn-ioa.com. 3600 IN SRV 0 5 443 xn--grn-ioa.com."
    )


# With a name server that is one


@pytest.fixture
def name_server() -> Iterator[int]:
    """A name server on the loopback that knows COMPLETE, and gives up on names under `broken.com`; its port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            data, peer = sock.recvfrom(4096)
            if data == b"stop":
                return
            query = dns.message.from_wire(data)
            question = query.question[0]
            name, kind = question.name.to_text().rstrip(".").lower(), dns.rdatatype.to_text(question.rdtype)
            answer = dns.message.make_response(query)
            if name.endswith("broken.com"):
                answer.set_rcode(dns.rcode.SERVFAIL)
            elif found := {**COMPLETE, ("company.com", "A"): ["127.0.0.1"]}.get((name, kind)):
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
            elif name == "nowhere.com":
                answer.set_rcode(dns.rcode.NXDOMAIN)
            sock.sendto(answer.to_wire(), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    port = sock.getsockname()[1]
    yield port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
        ending.sendto(b"stop", ("127.0.0.1", port))
    thread.join(5)
    sock.close()


def test_records_come_from_the_name_server_that_was_named(name_server: int) -> None:
    lookup = NetworkLookup(f"127.0.0.1:{name_server}")
    assert lookup.records("chat.company.com", "A") == ["192.0.2.7"]
    assert lookup.records("_xmpps-client._tcp.company.com", "SRV") == ["0 5 443 chat.company.com."]
    assert lookup.records("company.com", "CAA") == COMPLETE["company.com", "CAA"]
    assert lookup.records("company.com", "AAAA") == []
    assert lookup.records("nowhere.com", "A") == []
    with pytest.raises(NoAnswerer, match=r"no answer about broken\.com from"):
        lookup.records("broken.com", "A")


def configured(bare: CommandLine, domain: str) -> None:
    (bare.folder / "dev").mkdir()
    (bare.folder / "dev" / "sealing.key").write_text("00" * 32)
    text = bare.config.read_text().replace("chat.example", domain)
    bare.config.write_text(f'{text}[listen]\npublic_url = "https://chat.company.com:9443"\n')


def test_the_command_says_what_is_wrong_and_what_to_publish(bare: CommandLine, name_server: int) -> None:
    configured(bare, "company.com")
    result = bare.run("check", "dns", "--resolver", f"127.0.0.1:{name_server}")
    assert result.exit_code == 1
    assert "✓ dns     chat.company.com is at 192.0.2.7, 2001:db8::7" in result.stdout
    assert (
        "✗ dns     _xmpps-client._tcp.company.com leads to chat.company.com:443, not to chat.company.com:9443; "
        "publish: _xmpps-client._tcp.company.com. 3600 IN SRV 0 5 9443 chat.company.com." in result.stdout
    )
    assert f"! dns     {URL} cannot be reached: " in result.stdout


@pytest.mark.parametrize(
    ("resolver", "text"),
    [
        ("127.0.0.1:1", "no answer about chat.company.com from "),
        ("9.9.9.9.9", '--resolver "9.9.9.9.9" is no IP address'),
        ("[::1]:x", '--resolver "[::1]:x" is no IP address'),
    ],
)
def test_without_a_name_server_that_answers_nothing_else_is_said(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, resolver: str, text: str
) -> None:
    monkeypatch.setattr("rainbow_xmpp.cli.dns_lookup.PATIENCE_S", 0.3)
    configured(bare, "company.com")
    result = bare.run("check", "dns", "--resolver", resolver)
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert result.stdout.startswith(f"✗ dns     {text}")


def test_the_network_is_asked_only_when_dns_is_named(bare: CommandLine) -> None:
    configured(bare, "company.com")
    assert " dns " not in bare.run("check").stdout
