import pytest

from rainbow_xmpp.plugins.contact_addresses import ContactAddresses
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.xml import names

Options = ContactAddresses.Options
PATH = "/.well-known/security.txt"
X = f"{{{names.DATA_FORM}}}"


def server(options: Options) -> TestServer:
    return TestServer({Disco: Disco.Options(), ContactAddresses: options})


async def announced(client: Client, domain: str) -> dict[str | None, list[str | None]]:
    answer = await client.ask("get", f"<query xmlns='{names.DISCO_INFO}'/>", to=domain)
    return {
        each.get("var"): [value.text for value in each.iter(f"{X}value")]
        for form in answer.iter(f"{X}x")
        for each in form.iter(f"{X}field")
    }


async def test_addresses_stand_in_service_discovery():
    options = Options(
        abuse=("mailto:abuse@x.example",), support=("xmpp:help@x.example", "https://x.example/h")
    )
    async with server(options) as on:
        assert await announced(await on.login("ann@acme"), on.domain) == {
            "FORM_TYPE": ["http://jabber.org/network/serverinfo"],
            "abuse-addresses": ["mailto:abuse@x.example"],
            "support-addresses": ["xmpp:help@x.example", "https://x.example/h"],
        }


async def test_nothing_is_said_while_nothing_is_configured():
    async with server(Options()) as on:
        assert await announced(await on.login("ann@acme"), on.domain) == {}
        assert (await on.http("GET", PATH)).status == 404


async def test_security_txt_names_the_preferred_contact_first_and_expires():
    options = Options(
        security=("mailto:sec@x.example", "https://x.example/sec"),
        security_policy="https://x.example/policy",
        security_languages=("en", "de"),
    )
    async with server(options) as on:
        answer = await on.http("GET", PATH)
        assert answer.status == 200
        assert answer.body.decode() == (
            "Contact: mailto:sec@x.example\r\n"
            "Contact: https://x.example/sec\r\n"
            "Expires: 2023-12-14T00:00:00Z\r\n"
            "Preferred-Languages: en, de\r\n"
            "Policy: https://x.example/policy\r\n"
        )


async def test_a_reload_changes_what_is_said():
    async with server(Options()) as on:
        assert on.reconfigure({ContactAddresses: Options(admin=("xmpp:ops@x.example",))}) == []
        found = await announced(await on.login("ann@acme"), on.domain)
        assert found["admin-addresses"] == ["xmpp:ops@x.example"]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (Options(abuse=("abuse@x.example",)), "abuse"),
        (Options(status=("https://x.example/a b",)), "status"),
        (Options(security=("http://x.example",)), "security"),
        (Options(security_policy="x.example"), "security_policy"),
    ],
)
def test_what_is_no_address_is_told(options, key):
    assert [wrong for wrong, _ in options.problems()] == [key]
