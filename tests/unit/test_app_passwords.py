"""App passwords beside the account's own: sealed with it, proven by SCRAM, enough alone where the other is not."""

import asyncio
import dataclasses
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth import app_passwords
from rainbow_xmpp.auth.credentials import Verifier, derive, derive_app_keys, matching
from rainbow_xmpp.auth.readable import as_typed, is_readable_secret, new_readable_secret
from rainbow_xmpp.auth.seal import Sealer, SealError
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.ids import new_id
from rainbow_xmpp.sasl.scram import OtherKeys, ScramError, ScramServer
from rainbow_xmpp.session.login import Login
from rainbow_xmpp.store.values import Account, FactorRule
from rainbow_xmpp.stream import Open, WebSocketFraming
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.xml import names
from tests.conformance.sasl_client import Scram
from tests.unit.test_login_inline import BIND, SASL2, Link

OWN, APP, OTHER = "Correct-horse1", "k7f2-aaaa", "m3x9-bbbb"
ROUNDS = 4096


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    """Of an account with two app passwords."""
    own = derive(OWN, ROUNDS)
    apps = [derive_app_keys(own, id * 24, password) for id, password in (("a", APP), ("b", OTHER))]
    return dataclasses.replace(own, app_passwords=tuple(apps))


# -- keys and seals --------------------------------------------------------------------------------


def test_which_password_it_was_is_known(verifier: Verifier) -> None:
    assert matching(verifier, OWN) == ""
    assert matching(verifier, APP) == "a" * 24
    assert matching(verifier, OTHER) == "b" * 24
    assert matching(verifier, "Wrong-horse1") is None
    assert matching(verifier, "a\0b") is None


def test_app_passwords_are_sealed_with_the_own_one(verifier: Verifier) -> None:
    old, new = Sealer(b"1" * 32), Sealer(b"2" * 32, [b"1" * 32])
    key_id, blob = old.seal(verifier, "somebody")
    assert new.open(key_id, blob, "somebody") == verifier
    again = new.seal(new.open(key_id, blob, "somebody"), "somebody")
    assert Sealer(b"2" * 32).open(*again, "somebody") == verifier
    assert verifier.app_passwords[0].sha256[0] not in blob
    assert "sha1" not in repr(verifier.app_passwords)


def test_what_is_sealed_without_app_passwords_says_so(verifier: Verifier) -> None:
    sealer = Sealer(b"1" * 32)
    key_id, blob = sealer.seal(verifier, "somebody")
    for other in (b"\x01", b"\x03"):
        with pytest.raises(SealError):
            sealer.open(key_id, other + blob[1:], "somebody")
    assert sealer.seal(dataclasses.replace(verifier, app_passwords=()), "somebody")[1][:1] == b"\x01"


def test_secrets_that_people_copy_are_drawn_and_readable() -> None:
    made = {new_readable_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(secret) for secret in made} == {29}
    assert not set("".join(made)) & set("lo01")
    assert len({character for secret in made for character in secret} - {"-"}) == 32  # five bits each
    assert all(is_readable_secret(as_typed(f" {secret.upper()} ")) for secret in made)
    assert not is_readable_secret("123456")
    assert not is_readable_secret("l" * 24)


# -- SCRAM -----------------------------------------------------------------------------------------


def prove(verifier: Verifier, password: str, mechanism: str, refusal: str = "") -> str:
    """Which of the others it was; raises what is wrong with the proof, or with the server's."""
    hash_name = "sha256" if "256" in mechanism else "sha1"
    client = Scram(mechanism, "ann", password)
    server = ScramServer(hash_name, "n", offered="h", plus=False, plus_was_offered=False, bindings={})
    server.first(client.first())
    others = [OtherKeys(app.id, *app.keys(hash_name)) for app in verifier.app_passwords]
    challenge = server.challenge(verifier.keys(hash_name), others, refusal=refusal)
    client.verify(server.final(client.final(challenge)))
    return server.proven


MECHANISMS = pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])


@MECHANISMS
def test_each_of_them_is_proven_to_both_sides(verifier: Verifier, mechanism: str) -> None:
    assert prove(verifier, OWN, mechanism) == ""
    assert prove(verifier, APP, mechanism) == "a" * 24
    assert prove(verifier, OTHER, mechanism, "not enough") == "b" * 24


@MECHANISMS
def test_what_does_not_suffice_is_refused_as_a_wrong_one(verifier: Verifier, mechanism: str) -> None:
    with pytest.raises(ScramError, match="not enough") as right:
        prove(verifier, OWN, mechanism, "not enough")
    with pytest.raises(ScramError, match="wrong password") as wrong:
        prove(verifier, "Wrong-horse1", mechanism, "not enough")
    assert right.value.malformed is wrong.value.malformed is False


# -- kept ------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer() as server:
        yield server


@pytest.fixture
async def ann(server: TestServer) -> Account:
    account = (await server.person("ann@acme")).account
    await server.node.people.set_password(account, OWN, actor="test")
    return await current(server, account)


async def current(server: TestServer, account: Account) -> Account:
    found = await server.store.accounts.by_id(account.id)
    assert found is not None
    return found


async def nothing(_: AsyncConnection) -> None: ...


async def test_they_come_and_go_one_by_one(server: TestServer, ann: Account) -> None:
    kept = server.node.app_passwords
    first, second = new_id(), new_id()
    await asyncio.gather(kept.add(ann, first, APP, nothing), kept.add(ann, second, OTHER, nothing))
    assert set(await kept.ids(ann)) == {first, second}
    await kept.drop(ann, first, nothing)
    assert await kept.ids(ann) == (second,)
    assert (await current(server, ann)).epoch == ann.epoch  # nothing else ends


async def test_a_new_password_ends_them(server: TestServer, ann: Account) -> None:
    await server.node.app_passwords.add(ann, new_id(), APP, nothing)
    await server.node.people.set_password(ann, "Correct-horse2", actor="test")
    assert await server.node.app_passwords.ids(ann) == ()


async def test_there_are_only_so_many(
    server: TestServer, ann: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_passwords, "MOST", 1)
    await server.node.app_passwords.add(ann, new_id(), APP, nothing)
    with pytest.raises(NotAllowed):
        await server.node.app_passwords.add(ann, new_id(), OTHER, nothing)


async def test_whoever_has_no_password_has_none_of_them(server: TestServer) -> None:
    bob = (await server.person("bob@acme")).account
    with pytest.raises(NotAllowed):
        await server.node.app_passwords.add(bob, new_id(), APP, nothing)
    assert await server.node.app_passwords.ids(bob) == ()


async def test_what_joins_fails_with_it(server: TestServer, ann: Account) -> None:
    async def fail(_: AsyncConnection) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await server.node.app_passwords.add(ann, new_id(), APP, fail)
    assert await server.node.app_passwords.ids(ann) == ()


# -- at login --------------------------------------------------------------------------------------


class Client(Link):
    """One attempt to log in, in either profile."""

    def __init__(self, server: TestServer) -> None:
        super().__init__(lambda: None)
        self.login = Login(server.node.entrance(), self, WebSocketFraming(), "192.0.2.1", {})
        self.login.opened(Open("open", names.FRAMING, {"to": server.domain, "version": "1.0"}))

    async def classic(self, mechanism: str, password: str) -> str:
        """What becomes of it."""
        await self.reply(), await self.reply()
        scram = Scram(mechanism, "ann", password)
        first = scram.first() if "SCRAM" in mechanism else f"\0ann\0{password}".encode()
        self.say(f"<auth xmlns='{names.SASL}' mechanism='{mechanism}'>{b64encode(first).decode()}</auth>")
        answer = await self.reply()
        if answer.tag.endswith("challenge"):
            final = b64encode(scram.final(b64decode(answer.text or ""))).decode()
            self.say(f"<response xmlns='{names.SASL}'>{final}</response>")
            answer = await self.reply()
        return answer[0].tag.partition("}")[2] if answer.tag.endswith("failure") else "success"

    async def modern(self, password: str) -> tuple[str, str]:
        """What becomes of PLAIN in the new profile, and the text of it."""
        await self.reply(), await self.reply()
        data = b64encode(f"\0ann\0{password}".encode()).decode()
        self.say(
            f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'>"
            f"<initial-response>{data}</initial-response>{BIND}</authenticate>"
        )
        answer = await self.reply()
        name = answer.tag.partition("}")[2]
        text = answer.findtext(f"{{{SASL2}}}text", "")
        return (answer[0].tag.partition("}")[2] if name == "failure" else name), text


WAYS = pytest.mark.parametrize("way", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-1"])


@pytest.fixture
async def careful(server: TestServer, ann: Account) -> str:
    """Ann has a second factor, and an app password; its id."""
    id = new_id()
    await server.node.app_passwords.add(ann, id, APP, nothing)
    await server.store.accounts.set_second_factor(ann.company.id, ann.id, True)
    await server.node.watch.poll()
    return id


@WAYS
async def test_the_own_password_alone_is_refused_as_a_wrong_one_is(
    server: TestServer, careful: str, way: str
) -> None:
    assert await Client(server).classic(way, OWN) == "not-authorized"
    assert await Client(server).classic(way, "Wrong-horse1") == "not-authorized"
    assert server.node.counters.logins_failed == 2


@WAYS
async def test_an_app_password_suffices(server: TestServer, careful: str, way: str) -> None:
    assert await Client(server).classic(way, APP) == "success"
    assert await Client(server).classic(way, OTHER) == "not-authorized"


async def test_the_session_is_of_its_app_password(server: TestServer, careful: str) -> None:
    client = Client(server)
    assert (await client.modern(APP))[0] == "success"
    assert client.session is not None
    assert (client.session.app_password, client.session.family) == (careful, "")


async def test_nobody_is_let_in_where_nobody_asks_for_the_factor(server: TestServer, careful: str) -> None:
    assert (await Client(server).modern(OWN))[0] == "temporary-auth-failure"


async def test_whoever_must_enrol_is_told_so_once_the_password_was_right(
    server: TestServer, ann: Account
) -> None:
    settings = dataclasses.replace(ann.company.settings, second_factor=FactorRule.REQUIRED)
    await server.node.companies.change(ann.company, CompanyChange(settings=settings), actor="test")
    condition, text = await Client(server).modern(OWN)
    assert (condition, "second factor" in text) == ("mechanism-too-weak", True)
    assert (await Client(server).modern("Wrong-horse1")) == ("not-authorized", "")
    assert await Client(server).classic("SCRAM-SHA-256", OWN) == "not-authorized"


async def test_the_factor_ends_what_was_logged_in(server: TestServer, ann: Account) -> None:
    client = Client(server)
    assert (await client.modern(OWN))[0] == "success"
    await server.store.accounts.set_second_factor(ann.company.id, ann.id, True)
    await server.node.watch.poll()
    assert client.violation is not None
