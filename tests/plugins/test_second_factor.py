"""Second factors as plugins use them (`SecondFactor`), and as the task of a SASL2 login."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from rainbow_xmpp.auth import app_passwords
from rainbow_xmpp.auth.box import Box
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.plugin import (
    Account,
    Asker,
    FactorRule,
    IsRequired,
    NotBegun,
    NotOffered,
    NotOn,
    SecondFactor,
    TooMany,
    WrongCode,
)
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.plugins.second_factor import SecondFactorAtLogin
from rainbow_xmpp.plugins.second_factor.desk import FactorDesk
from rainbow_xmpp.testing import TestServer
from tests.plugins.rest import PASSWORD, with_password
from tests.unit.test_app_passwords import Client
from tests.unit.test_login_inline import SASL2, choosing

HERE = Asker("192.0.2.1")
CODE = "<totp xmlns='urn:xmpp:mfa:0'>{}</totp>"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([SecondFactorAtLogin, Offline]) as running:
        yield running


@pytest.fixture
def factor(server: TestServer) -> SecondFactor:
    return server.plugin(SecondFactorAtLogin)


@pytest.fixture
async def ann(server: TestServer) -> Account:
    return (await with_password(server, "ann@acme")).account


class App:
    """The authenticator app on somebody's telephone."""

    def __init__(self, server: TestServer, uri: str) -> None:
        self._clock = server.clock
        self.secret = parse_qs(urlsplit(uri).query)["secret"][0]

    def code(self, *, later_s: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(int(self._clock()) + later_s)

    def wrong(self) -> str:
        """No code of any time near."""
        near = {self.code(later_s=step * 30) for step in range(-3, 4)}
        return next(f"{n:06d}" for n in range(10) if f"{n:06d}" not in near)


async def fresh(server: TestServer, account: Account) -> Account:
    found = await server.store.accounts.by_id(account.id)
    assert found is not None
    return found


async def enrolled(
    server: TestServer, factor: SecondFactor, account: Account
) -> tuple[Account, App, tuple[str, ...]]:
    """Somebody with a factor that was turned on a minute ago; the app, and the recovery codes."""
    begun = await factor.begin(account, asker=HERE)
    app = App(server, begun.uri)
    recovery = await factor.confirm(account, app.code(), asker=HERE)
    server.clock.advance(60)
    return await fresh(server, account), app, recovery


async def rule(server: TestServer, account: Account, wanted: FactorRule) -> Account:
    settings = dataclasses.replace(account.company.settings, second_factor=wanted)
    await server.node.companies.change(account.company, CompanyChange(settings=settings), actor="test")
    return await fresh(server, account)


# -- making one ------------------------------------------------------------------------------------


async def test_a_factor_counts_once_a_code_of_it_is_confirmed(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    begun = await factor.begin(ann, asker=HERE)
    address = urlsplit(begun.uri)
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert parse_qs(address.query)["issuer"] == ["rainbow.test"]
    assert "ann%40rainbow.test" in address.path
    app = App(server, begun.uri)
    assert begun.secret.replace(" ", "") == app.secret
    assert len(app.secret) == 32  # 160 bits
    assert not (await factor.status(ann)).is_on
    assert not await factor.check(ann, app.code(), asker=HERE)

    with pytest.raises(WrongCode):
        await factor.confirm(ann, app.wrong(), asker=HERE)
    assert not (await fresh(server, ann)).second_factor
    recovery = await factor.confirm(ann, app.code(), asker=HERE)
    assert len(set(recovery)) == 10
    status = await factor.status(await fresh(server, ann))
    assert (status.is_on, status.recovery_codes_left, status.is_required) == (True, 10, False)
    assert status.on_since == int(server.clock())


async def test_what_was_logged_in_ends_when_it_is_turned_on(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    client = await server.login("ann@acme")
    await enrolled(server, factor, ann)
    assert client.wire.violation is not None


async def test_what_is_begun_is_over_some_time_later(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    with pytest.raises(NotBegun):
        await factor.confirm(ann, "123456", asker=HERE)
    app = App(server, (await factor.begin(ann, asker=HERE)).uri)
    again = App(server, (await factor.begin(ann, asker=HERE)).uri)
    with pytest.raises(WrongCode):
        await factor.confirm(ann, app.code(), asker=HERE)
    server.clock.advance(15 * 60)
    with pytest.raises(NotBegun):
        await factor.confirm(ann, again.code(), asker=HERE)


async def test_of_many_that_confirm_at_once_one_gets_recovery_codes(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    app = App(server, (await factor.begin(ann, asker=HERE)).uri)
    tries = [factor.confirm(ann, app.code(), asker=HERE) for _ in range(10)]
    done = [each for each in await asyncio.gather(*tries, return_exceptions=True) if isinstance(each, tuple)]
    assert len(done) == 1
    account = await fresh(server, ann)
    assert await factor.check(account, done[0][0], asker=HERE)


async def test_a_company_may_have_none(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    ann = await rule(server, ann, FactorRule.OFF)
    with pytest.raises(NotOffered):
        await factor.begin(ann, asker=HERE)
    assert not (await factor.status(ann)).is_offered


async def test_another_telephone_needs_a_code_of_the_first(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, old, recovery = await enrolled(server, factor, ann)
    for code in ("", old.wrong()):
        with pytest.raises(WrongCode):
            await factor.begin(ann, code, asker=HERE)
    new = App(server, (await factor.begin(ann, old.code(), asker=HERE)).uri)
    server.clock.advance(30)
    assert await factor.check(ann, old.code(), asker=HERE)  # counts until the new one is confirmed
    made = await factor.confirm(ann, new.code(), asker=HERE)
    server.clock.advance(60)
    ann = await fresh(server, ann)
    assert not await factor.check(ann, old.code(), asker=HERE)
    assert not await factor.check(ann, recovery[0], asker=HERE)
    assert await factor.check(ann, new.code(), asker=HERE)
    assert await factor.check(ann, made[0], asker=HERE)


# -- codes -----------------------------------------------------------------------------------------


async def test_every_code_counts_once(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    begun = await factor.begin(ann, asker=HERE)
    app = App(server, begun.uri)
    recovery = await factor.confirm(ann, app.code(), asker=HERE)
    ann = await fresh(server, ann)
    assert not await factor.check(ann, app.code(), asker=HERE)  # the one that confirmed it
    server.clock.advance(30)
    typed = f" {app.code()[:3]} {app.code()[3:]} "
    assert await factor.check(ann, typed, asker=HERE)
    assert not await factor.check(ann, typed, asker=HERE)
    assert await factor.check(ann, recovery[3].upper().replace("-", " "), asker=HERE)
    assert not await factor.check(ann, recovery[3], asker=HERE)
    assert (await factor.status(ann)).recovery_codes_left == 9


async def test_clocks_may_be_a_step_apart(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    ann, app, _ = await enrolled(server, factor, ann)
    assert not await factor.check(ann, app.code(later_s=60), asker=HERE)
    assert await factor.check(ann, app.code(later_s=-30), asker=HERE)
    assert await factor.check(ann, app.code(later_s=30), asker=HERE)
    assert not await factor.check(ann, app.code(), asker=HERE)  # a later one was used


async def test_a_clock_that_jumps_back_brings_no_code_back(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, app, recovery = await enrolled(server, factor, ann)
    code = app.code()
    assert await factor.check(ann, code, asker=HERE)
    server.clock.advance(-3600)
    assert not await factor.check(ann, app.code(), asker=HERE)
    assert await factor.check(ann, recovery[0], asker=HERE)
    server.clock.advance(3600)
    assert not await factor.check(ann, code, asker=HERE)
    server.clock.advance(30)
    assert await factor.check(ann, app.code(), asker=HERE)


async def test_a_code_that_was_used_is_not_replayed_after_a_restart(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, app, recovery = await enrolled(server, factor, ann)
    for code in (app.code(), recovery[0]):
        assert await factor.check(ann, code, asker=HERE)
        again = FactorDesk(server.node.services(), SecondFactorAtLogin.Options)
        assert not await again.check(ann, code, asker=HERE)


async def test_fifty_at_once_use_a_code_once(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    ann, app, recovery = await enrolled(server, factor, ann)
    server.plugin(SecondFactorAtLogin).options = SecondFactorAtLogin.Options(wrong_codes_per_hour=100)
    for code in (app.code(), recovery[0]):
        tries = [factor.check(ann, code, asker=Asker(f"192.0.2.{n}")) for n in range(50)]
        assert sum(await asyncio.gather(*tries)) == 1


async def test_fifty_wrong_codes_at_once_are_no_fifty_tries(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, app, _ = await enrolled(server, factor, ann)
    wrong = app.wrong()
    tries = [factor.check(ann, wrong, asker=Asker(f"192.0.2.{n}")) for n in range(50)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert found.count(False) == 20
    assert sum(isinstance(each, TooMany) for each in found) == 30
    with pytest.raises(TooMany) as held:
        await factor.check(ann, app.code(), asker=Asker("198.51.100.7"))
    assert 0 < held.value.retry_after_s <= 3600
    server.clock.advance(3600)
    assert await factor.check(ann, app.code(), asker=Asker("198.51.100.7"))
    counters = server.node.counters
    assert (counters.factors_wrong, counters.factors_right, counters.factors_held_back) == (20, 1, 31)


async def test_whoever_is_wrong_too_often_waits_and_others_do_not(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, app, _ = await enrolled(server, factor, ann)
    with pytest.raises(TooMany):
        for _ in range(10):
            await factor.check(ann, app.wrong(), asker=HERE)
    with pytest.raises(TooMany):
        await factor.check(ann, app.code(), asker=HERE)
    assert await factor.check(ann, app.code(), asker=Asker("198.51.100.7"))


async def test_right_codes_are_no_tries(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    ann, app, _ = await enrolled(server, factor, ann)
    for _ in range(30):
        server.clock.advance(30)
        assert await factor.check(ann, app.code(), asker=HERE)


@pytest.mark.parametrize(
    "nonsense", ["", " ", "12345", "1234567", "١٢٣٤٥٦", "a" * 10_000, "\0" * 24, "l" * 24]
)
async def test_nonsense_is_a_wrong_code(
    server: TestServer, factor: SecondFactor, ann: Account, nonsense: str
) -> None:
    ann, _, _ = await enrolled(server, factor, ann)
    assert not await factor.check(ann, nonsense, asker=HERE)


async def test_nobodys_code_counts_for_somebody_else(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, app, recovery = await enrolled(server, factor, ann)
    ben, _, _ = await enrolled(server, factor, (await with_password(server, "ben@acme")).account)
    for code in (app.code(), recovery[0]):
        assert not await factor.check(ben, code, asker=HERE)


async def test_recovery_codes_are_made_anew(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    with pytest.raises(NotOn):
        await factor.new_recovery_codes(ann, "123456", asker=HERE)
    ann, app, recovery = await enrolled(server, factor, ann)
    with pytest.raises(WrongCode):
        await factor.new_recovery_codes(ann, app.wrong(), asker=HERE)
    made = await factor.new_recovery_codes(ann, app.code(), asker=HERE)
    assert not set(made) & set(recovery)
    assert not await factor.check(ann, recovery[0], asker=HERE)
    assert await factor.check(ann, made[0], asker=HERE)


async def test_the_database_has_no_secret(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    ann, app, recovery = await enrolled(server, factor, ann)
    _, password = await factor.new_app_password(ann, "Gajim", asker=HERE)
    async with server.store.read() as connection:
        dump = ""
        for table in ("second_factors", "second_factor_codes", "second_factor_apps", "credentials"):
            dump += str((await connection.exec_driver_sql(f"SELECT * FROM {table}")).all())
    for secret in (app.secret, password, *recovery):
        assert secret not in dump
        assert secret.replace("-", "") not in dump
    assert "Gajim" in dump


async def test_the_log_has_no_secret_and_no_code(
    server: TestServer, factor: SecondFactor, ann: Account, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ann, app, recovery = await enrolled(server, factor, ann)
    id, password = await factor.new_app_password(ann, "Gajim-canary", asker=HERE)
    code, wrong = app.code(), app.wrong()
    for typed in (code, wrong, recovery[0]):
        await factor.check(ann, typed, asker=HERE)
    await Client(server).modern(password)
    await factor.drop_app_password(ann, id, asker=HERE)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("rainbow_xmpp")]
    assert f"a wrong code of the second factor of {ann.id}" in ours
    recorded = str([(record.entry.kind, record.entry.facts) for record in await server.audit()])
    for secret in (app.secret, code, wrong, recovery[0], password, "Gajim-canary", HERE.source, "ann@acme"):
        assert secret not in str(ours)
        assert secret not in recorded


# -- ending it -------------------------------------------------------------------------------------


async def test_a_factor_is_turned_off_by_a_code(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    with pytest.raises(NotOn):
        await factor.turn_off(ann, "123456", asker=HERE)
    ann, app, recovery = await enrolled(server, factor, ann)
    id, _ = await factor.new_app_password(ann, "Gajim", asker=HERE)
    with pytest.raises(WrongCode):
        await factor.turn_off(ann, app.wrong(), asker=HERE)
    await factor.turn_off(ann, recovery[0], asker=HERE)
    ann = await fresh(server, ann)
    assert not ann.second_factor
    assert await server.node.app_passwords.ids(ann) == ()
    assert (await factor.status(ann)).app_passwords == ()
    assert not await factor.check(ann, app.code(), asker=HERE)
    assert id


async def test_what_the_company_requires_is_not_turned_off(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, app, _ = await enrolled(server, factor, ann)
    ann = await rule(server, ann, FactorRule.REQUIRED)
    assert (await factor.status(ann)).is_required
    with pytest.raises(IsRequired):
        await factor.turn_off(ann, app.code(), asker=HERE)
    assert await factor.check(ann, app.code(), asker=HERE)  # nothing was used up


async def test_an_administrator_turns_it_off_and_it_is_recorded(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    assert not await factor.turn_off_for(ann, actor="admin")
    ann, app, _ = await enrolled(server, factor, ann)
    assert await factor.turn_off_for(ann, actor="admin", reason="lost telephone")
    assert not (await fresh(server, ann)).second_factor
    (record,) = await server.audit("second_factor.turned_off_by_administrator")
    assert (record.entry.actor, record.entry.target, record.entry.reason) == (
        "admin",
        ann.id,
        "lost telephone",
    )
    assert app.secret not in str(await server.audit())


async def test_a_new_password_leaves_the_factor_on(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, app, _ = await enrolled(server, factor, ann)
    await factor.new_app_password(ann, "Gajim", asker=HERE)
    await server.node.people.set_password(ann, "Silver-Anchor-41", actor="test")
    ann = await fresh(server, ann)
    status = await factor.status(ann)
    assert (status.is_on, status.app_passwords) == (True, [])
    assert await factor.check(ann, app.code(), asker=HERE)


async def test_the_owner_is_told(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    ann, app, recovery = await enrolled(server, factor, ann)
    assert "second step" in await server.mailbox.next_to("ann@acme.example")
    await factor.new_app_password(ann, "Gajim", asker=Asker("192.0.2.1", "fr"))
    letter = await server.mailbox.next_to("ann@acme.example")
    assert "mot de passe d’application" in letter
    client = await server.login("ann@acme")
    await factor.check(ann, recovery[0], asker=HERE)
    told = b"".join(await client.rest_bytes()).decode()
    assert "second step of your login was switched on" in told  # kept while nobody was there
    assert "recovery codes was used" in told
    assert app.secret not in told


# -- app passwords ---------------------------------------------------------------------------------


async def test_app_passwords_come_and_go(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    with pytest.raises(NotOn):
        await factor.new_app_password(ann, "Gajim", asker=HERE)
    ann, _, _ = await enrolled(server, factor, ann)
    id, password = await factor.new_app_password(ann, "  Gajim   at work ", asker=HERE)
    other, kept = await factor.new_app_password(ann, "Conversations", asker=HERE)
    (first, second) = (await factor.status(ann)).app_passwords
    assert (first.name, first.used_at, second.id) == ("Gajim at work", None, other)

    client, staying = Client(server), Client(server)
    assert (await client.modern(password))[0] == "success"
    assert (await staying.modern(kept))[0] == "success"
    server.node.session_started(client.session)  # type: ignore[arg-type]
    await server.settle()
    assert (await factor.status(ann)).app_passwords[0].used_at == int(server.clock())

    other_login = await server.store.refresh_tokens.begin(ann, 1000)
    await server.store.refresh_tokens.end_family(other_login.family)
    await server.node.watch.poll()
    assert client.violation is None  # a login of the API ended, and this is none
    assert await factor.drop_app_password(ann, id, asker=HERE)
    assert not await factor.drop_app_password(ann, id, asker=HERE)
    assert client.violation is not None
    assert staying.violation is None
    assert (await Client(server).modern(password))[0] == "not-authorized"
    assert [app.id for app in (await factor.status(ann)).app_passwords] == [other]


async def test_an_app_password_that_is_dropped_during_a_login_lets_nobody_in(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, _, _ = await enrolled(server, factor, ann)
    id, password = await factor.new_app_password(ann, "Gajim", asker=HERE)
    client = Client(server)
    assert (await client.modern(password))[0] == "success"
    session = client.session
    assert session is not None
    server.node.sessions.remove(session)  # as if it were not bound yet
    await factor.drop_app_password(ann, id, asker=HERE)
    assert client.violation is None
    server.node.session_started(session)
    await server.settle()
    assert client.violation is not None


@pytest.mark.parametrize("name", ["", "  ", "a" * 61, "a\0b"])
async def test_an_app_password_has_a_name(
    server: TestServer, factor: SecondFactor, ann: Account, name: str
) -> None:
    ann, _, _ = await enrolled(server, factor, ann)
    with pytest.raises(ValueError, match="name"):
        await factor.new_app_password(ann, name, asker=HERE)


async def test_there_are_so_many_app_passwords(
    server: TestServer, factor: SecondFactor, ann: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_passwords, "MOST", 1)
    ann, _, _ = await enrolled(server, factor, ann)
    await factor.new_app_password(ann, "Gajim", asker=HERE)
    with pytest.raises(NotAllowed):
        await factor.new_app_password(ann, "Dino", asker=HERE)
    assert len((await factor.status(ann)).app_passwords) == 1


# -- at login (XEP-0388 §2.6.3, XEP-0400) ------------------------------------------------------------


async def proven(server: TestServer) -> Client:
    """A client that was told to go on."""
    client = Client(server)
    assert await client.modern(PASSWORD) == (
        "continue",
        "Type the code of your authenticator app, or a recovery code.",
    )
    return client


async def test_a_code_lets_somebody_in(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    ann, app, recovery = await enrolled(server, factor, ann)
    client = await proven(server)
    client.say(choosing("TOTP"))
    assert (await client.reply())[0].tag == "{urn:xmpp:mfa:0}totp"
    assert client.session is None
    client.say(f"<task-data xmlns='{SASL2}'>{CODE.format(app.code())}</task-data>")
    assert (await client.reply()).tag == f"{{{SASL2}}}success"
    assert client.session is not None

    client = await proven(server)
    client.say(choosing("TOTP", CODE.format(recovery[0])))  # all in one go
    assert (await client.reply()).tag == f"{{{SASL2}}}success"


async def test_a_wrong_code_ends_the_login(server: TestServer, factor: SecondFactor, ann: Account) -> None:
    ann, app, _ = await enrolled(server, factor, ann)
    used = app.code()
    assert await factor.check(ann, used, asker=HERE)
    for code in (app.wrong(), used):
        client = await proven(server)
        client.say(choosing("TOTP", CODE.format(code)))
        failure = await client.reply()
        assert (failure.tag, len(failure)) == (f"{{{SASL2}}}failure", 1)
        assert failure[0].tag.endswith("}not-authorized")
        assert client.session is None
    assert server.node.counters.logins_failed == 2


async def test_codes_are_counted_over_connections(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, app, _ = await enrolled(server, factor, ann)
    conditions = []
    for _ in range(8):
        client = await proven(server)
        client.say(choosing("TOTP", CODE.format(app.wrong())))
        conditions.append((await client.reply())[0].tag.partition("}")[2])
    assert conditions[0] == "not-authorized"
    assert conditions[-1] == "temporary-auth-failure"
    client = await proven(server)
    client.say(choosing("TOTP", CODE.format(app.code())))
    assert (await client.reply())[0].tag.endswith("}temporary-auth-failure")


async def test_nothing_else_can_be_done_before_the_code(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    await enrolled(server, factor, ann)
    for said in (
        "<message xmlns='jabber:client' to='ben@rainbow.test'><body>hi</body></message>",
        "<iq xmlns='jabber:client' type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'/>",
        choosing("TOTP-INIT"),
    ):
        client = await proven(server)
        with pytest.raises(Exception, match=r"TASKS|turn|violation|authorized"):
            client.say(said)
        assert client.session is None


async def test_secrets_move_to_another_sealing_key(
    server: TestServer, factor: SecondFactor, ann: Account
) -> None:
    ann, app, recovery = await enrolled(server, factor, ann)
    desk = server.plugin(SecondFactorAtLogin).desk
    keys = server.node.sealer.secrets_for("second factors")
    desk._box = Box({**keys, "newer": b"n" * 32}, "newer")
    await desk.use_current_key()
    desk._box = Box({"newer": b"n" * 32}, "newer")
    assert await factor.check(ann, app.code(), asker=HERE)
    assert await factor.check(ann, recovery[0], asker=HERE)
