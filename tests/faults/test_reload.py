"""The configuration is read again while the server runs: everything that is written, or nothing of it."""

import asyncio
import json
import signal
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from rainbow_xmpp.observe.control import ask
from tests.certificates import make_certificates
from tests.conformance.rosters import set_item
from tests.conformance.websocket_frames import UpgradeRefused
from tests.conformance.wire import Over, SaslFailure, Wire
from tests.doors import Door
from tests.process import RainbowServer, ServerFault

REFUSED = "the configuration was not taken, everything stays as it was: "


def write(server: RainbowServer, text: str) -> None:
    """What the administrator changes: a file in conf.d beside the main one."""
    folder = server.config_file.parent / "conf.d"
    folder.mkdir(exist_ok=True)
    (folder / "50-changes.toml").write_text(text)


async def reload(server: RainbowServer) -> object:
    """Ask the server as the command does; what is in effect, what needs a restart, and what is wrong."""
    return await asyncio.to_thread(ask, server.run_folder, "reload", timeout_s=60)


async def reload_by_command(server: RainbowServer) -> object:
    """Call the command and return what it says. Raises ServerFault when it fails."""
    return json.loads(await asyncio.to_thread(server.cli, "reload", "--json"))


async def applied(server: RainbowServer) -> list[str]:
    told = await reload(server)
    assert isinstance(told, dict)
    return list(told["applied"])


async def hang_up(server: RainbowServer, expected: str) -> None:
    """SIGHUP, as a service manager sends it, until the log says so."""
    since = server.log_file.stat().st_size
    server.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(30):
        while expected not in server.log_text(since):
            await asyncio.sleep(0.02)


async def shown(server: RainbowServer) -> str:
    """The certificate that a new connection gets, as PEM."""
    address = (server.endpoint.host, server.endpoint.port)
    return (await asyncio.to_thread(ssl.get_server_certificate, address, timeout=30)).strip()


def note_of(size: int) -> str:
    return f"<message to='nobody@localhost' id='big'><body>{'x' * size}</body></message>"


def deep(depth: int) -> str:
    inner = "<a>" * depth + "</a>" * depth
    return f"<message to='nobody@localhost'><a xmlns='urn:example:x'>{inner}</a></message>"


async def is_taken(wire: Wire, stanza: str) -> None:
    await wire.send(stanza)
    await wire.settle()
    wire.inbox.clear()


async def is_refused(wire: Wire, stanza: str) -> None:
    await wire.send(stanza)
    await wire.expect_stream_error("policy-violation")


async def condition(wire: Wire, payload: str) -> str:
    """How a request is refused; empty when it is not."""
    answer = await wire.iq("set", payload)
    errors = answer.findall("{*}error/*")
    return errors[0].tag.partition("}")[2] if errors else ""


async def test_changed_limits_hold_for_sessions_that_are_there_and_for_new_ones(
    start_server: Callable[..., RainbowServer], over: Over
) -> None:
    server = start_server()
    async with AsyncExitStack() as stack:
        door = Door(server, over, stack)
        long, nested = await door.log_in(), await door.log_in()
        for wire in (long, nested):
            await is_taken(wire, note_of(30_000))
            await is_taken(wire, deep(20))
        write(server, "[limits]\nstanza_bytes = 20000\noutput_bytes = 70000\n[limits.xml]\ndepth = 12\n")
        assert await reload(server) == {
            "applied": ["limits.stanza_bytes", "limits.output_bytes", "limits.xml.depth"],
            "restart": [],
            "problems": [],
        }
        await is_refused(long, note_of(30_000))
        await is_refused(nested, deep(20))
        late = await door.log_in()
        await is_taken(late, note_of(15_000))
        await is_refused(late, note_of(30_000))


async def test_limits_that_are_raised_hold_too(
    start_server: Callable[..., RainbowServer], over: Over
) -> None:
    server = start_server(settings={"limits": {"stanza_bytes": 20_000}})
    async with AsyncExitStack() as stack:
        door = Door(server, over, stack)
        ann = await door.log_in()
        write(server, "[limits]\nstanza_bytes = 100000\n")
        assert await applied(server) == ["limits.stanza_bytes"]
        await is_taken(await door.log_in(), note_of(50_000))
        if over == "tls":
            await is_taken(ann, note_of(50_000))


async def test_who_may_send_how_fast_changes_for_everybody(
    start_server: Callable[..., RainbowServer], over: Over
) -> None:
    server = start_server()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        ann = await Door(server, over, stack).log_in()
        write(server, "[limits]\nbytes_per_second = 20000\nbyte_burst = 10000\n")
        await reload(server)
        began = loop.time()
        for _ in range(4):
            await ann.send(note_of(10_000))
        await ann.settle(30)
        assert loop.time() - began > 0.9  # a burst of 10,000, perhaps twice, and the rest at 20,000 a second
        write(server, "[limits]\nbytes_per_second = 0\n")
        await reload(server)
        began = loop.time()
        for _ in range(80):
            await ann.send(note_of(10_000))
        await ann.settle(60)
        assert loop.time() - began < 25  # it would be 40


async def opened_soon(door: Door) -> Wire:
    """A new stream, as soon as the server has seen that others are gone."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await door.opened()
            except (OSError, asyncio.IncompleteReadError, UpgradeRefused):
                await asyncio.sleep(0.05)


async def test_what_newcomers_may_do_changes_and_nobody_who_has_logged_in_is_put_out(
    start_server: Callable[..., RainbowServer], over: Over
) -> None:
    server = start_server()
    person = server.new_person()
    async with AsyncExitStack() as stack:
        door = Door(server, over, stack)
        devices = [await door.log_in(person) for _ in range(3)]
        waiting = await door.opened()
        write(
            server,
            "[limits]\nresources_per_account = 2\nconnections_per_address = 5\nhalf_open_per_address = 4\n"
            "login_timeout_s = 2\nroster_items = 1\nlogin_failures_per_account_per_minute = 1\n"
            '[auth]\nmechanisms = ["SCRAM-SHA-1"]\n',
        )
        assert len(await applied(server)) == 7
        fourth = await door.opened()
        await fourth.authenticate(person.localpart, person.password, "SCRAM-SHA-1")
        await fourth.open()
        answer = await fourth.iq("set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")
        assert answer.find("{*}error/{*}resource-constraint") is not None
        with pytest.raises((OSError, asyncio.IncompleteReadError, UpgradeRefused)):
            await door.opened()
        for wire in (waiting, fourth):
            await wire.expect_stream_error("connection-timeout", 10)
        late = await opened_soon(door)
        assert late.mechanisms() == ["SCRAM-SHA-1"]
        for answer_to_wrong in ("not-authorized", "temporary-auth-failure"):
            with pytest.raises(SaslFailure, match=answer_to_wrong):
                await late.authenticate(person.localpart, "wrong", "SCRAM-SHA-1")
        assert not any(wire.ended for wire in devices)
        answers = [await set_item(devices[0], f"<item jid='p{n}@localhost'/>") for n in range(2)]
        assert [answer.find("{*}error/{*}resource-constraint") is not None for answer in answers] == [
            False,
            True,
        ]


async def test_a_broken_file_changes_nothing_at_all(
    start_server: Callable[..., RainbowServer], tmp_path: Path
) -> None:
    server = start_server()
    files, before = server.endpoint.ca_file.parent, await shown(server)
    async with AsyncExitStack() as stack:
        ann = await Door(server, "tls", stack).log_in()
        new = make_certificates(tmp_path)
        (files / "cert.pem").write_bytes(new.certificate.read_bytes())
        (files / "key.pem").write_bytes(new.key.read_bytes())
        write(server, "[limits]\nstanza_bytes = 20000\nstanza_bites = 1\n[plugins.ofline]\n")
        with pytest.raises(ServerFault) as caught:
            await reload_by_command(server)
        assert '50-changes.toml:3: limits.stanza_bites is not a known key; did you mean "stanza_bytes"?' in (
            str(caught.value)
        )
        assert "the server goes on as before" in str(caught.value)
        await hang_up(
            server, f"{REFUSED}{server.config_file.parent}/conf.d/50-changes.toml:3: limits.stanza_bites"
        )
        await is_taken(ann, note_of(30_000))
        assert await shown(server) == before


async def test_what_only_the_server_can_see_refuses_everything_as_well(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    before = await shown(server)
    (server.endpoint.ca_file.parent / "cert.pem").write_text("not a certificate")
    write(server, "[limits]\nstanza_bytes = 20000\n")
    with pytest.raises(ServerFault) as caught:
        await reload_by_command(server)
    problems = json.loads(str(caught.value).partition(":\n")[2])["problems"]
    assert [problem.rpartition("/")[2] for problem in problems] == [
        "cert.pem: holds no certificate in PEM form, or a broken one",
    ]
    async with AsyncExitStack() as stack:
        await is_taken(await Door(server, "wss", stack).log_in(), note_of(30_000))
    assert await shown(server) == before
    assert server.log_text().count(REFUSED) == 1


async def test_certificate_limits_log_and_plugins_options_change_in_one_go(
    start_server: Callable[..., RainbowServer], tmp_path: Path
) -> None:
    server = start_server()
    async with AsyncExitStack() as stack:
        ann = await Door(server, "tls", stack).log_in()
        card = f"<vCard xmlns='vcard-temp'><DESC>{'x' * 2000}</DESC></vCard>"
        assert await condition(ann, card) == ""
        new = make_certificates(tmp_path)
        write(
            server,
            f'[tls]\ncertificate = "{new.certificate}"\nkey = "{new.key}"\n[limits]\nstanza_bytes = 20000\n'
            '[log]\nformat = "json"\n[auth]\nmechanisms = ["PLAIN"]\n[websocket]\norigins = ["https://a.example"]\n'
            "[plugins.vcard_temp]\nmax_bytes = 1024\n",
        )
        assert await applied(server) == [
            "tls.certificate",
            "tls.key",
            "websocket.origins",
            "auth.mechanisms",
            "limits.stanza_bytes",
            "log.format",
            "plugins.vcard_temp.max_bytes",
        ]
        assert await condition(ann, card) == "policy-violation"
        assert await shown(server) == new.certificate.read_text().strip()
        assert json.loads(server.log_text().splitlines()[-1])["level"] == "info"
        await is_refused(ann, note_of(30_000))


async def test_what_needs_a_restart_is_told_each_time_and_its_value_never(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    write(
        server,
        '[listen]\nport = 1\n[auth]\nold_sealing_keys = ["ab"]\n[limits]\nidle_ping_s = 100\n'
        "[plugins.ping]\nenabled = false\n",
    )
    with pytest.raises(ServerFault, match="a sealing key is 32 random bytes"):
        await reload_by_command(server)
    secret = "0123456789abcdef" * 4
    file = server.config_file.parent / "conf.d" / "50-changes.toml"
    file.write_text(file.read_text().replace('"ab"', f'"{secret}"'))
    waiting = ["listen.port", "auth.old_sealing_keys", "plugins.ping.enabled"]
    assert await reload(server) == {"applied": ["limits.idle_ping_s"], "restart": waiting, "problems": []}
    assert await reload(server) == {"applied": [], "restart": waiting, "problems": []}
    recorded = json.loads(server.cli("audit", "show", "--json"))
    assert [record["kind"] for record in recorded if record["kind"].startswith("config.")] in (
        ["config.refused", "config.reloaded", "config.reloaded"],
        ["config.reloaded", "config.reloaded", "config.refused"],
    )
    log = server.log_text()
    assert "a restart is needed for: listen.port, auth.old_sealing_keys, plugins.ping.enabled" in log
    assert secret not in log


async def test_hangups_while_a_reload_goes_on_are_not_lost(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    for seconds in range(100, 110):
        write(server, f"[limits]\nidle_ping_s = {seconds}\n")
        server.process.send_signal(signal.SIGHUP)
    write(server, '[log]\nformat = "json"\n')
    await hang_up(server, '"message": "the configuration was read again; in effect now: ')


async def test_the_command_tells_when_no_server_runs(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    assert await reload_by_command(server) == {"applied": [], "restart": [], "problems": []}
    server.stop()
    with pytest.raises(ServerFault, match="no server is running here"):
        await reload_by_command(server)
