"""Attacks on registration and forgotten passwords: guessing, flooding, replaying, finding out who has an account.

`make leaks` asks 500 times for each kind of address and compares the times; the tests ask fewer.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from dataclasses import replace

import pytest

from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.plugin import Asker, Purpose, WrongOrExpired
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.mfa_pin.common import Common
from rainbow_xmpp.plugins.mfa_pin.desk import Desk
from rainbow_xmpp.plugins.mfa_pin.pins import Pins
from rainbow_xmpp.plugins.mfa_pin.store import Row
from rainbow_xmpp.store.values import PasswordNeed
from rainbow_xmpp.testing import TestServer
from tests.plugins.rest import call, logged_in, with_password
from tests.plugins.test_mfa_pin import (
    NEW,
    PASSWORD,
    address_of,
    admin,
    asked,
    invited,
    login,
    path_of,
    pin_to,
    register,
    reset,
    server_with,
    until_carried,
    wrong,
)
from tests.security.timing import said

TRIES = int(os.environ.get("RAINBOW_TRIES", "15"))
FACTOR = 3.0
"""The same order of magnitude: a hash or a commit more or less is more than that."""
MOST_LETTERS, TRIES_OF_A_PIN = 5, 5


def quick(server: TestServer) -> Desk:
    """The desk, with hashes of the least cost, for tests that make many; equal work is no less equal for it."""
    desk = server.plugin(MfaPin).desk
    desk._common.pins = Pins(server.node.services().secret_for("mfa_pin"), 6, rounds=4)
    return desk


class Judged:
    """Counts guesses that are compared with a PIN which could be right."""

    def __init__(self, desk: Desk) -> None:
        self.count = 0
        self._spend = desk.requests.spend
        desk.requests.spend = self.spend  # type: ignore[method-assign]

    async def spend(self, request_id: str, purpose: str, now: int) -> Row | None:
        row = await self._spend(request_id, purpose, now)
        self.count += row is not None and row.life.is_real
        return row


async def test_whatever_a_guesser_asks_for_a_day_has_so_many_guesses_and_no_more() -> None:
    """New requests, further letters, guesses, by turns: five PINs of five tries each, and the owner hears of five."""
    async with await server_with(per_source_per_hour=100_000) as server:
        await with_password(server, "ann@acme")
        desk = quick(server)
        judged, asker = Judged(desk), Asker("192.0.2.1")
        desk._common.throttle.limit(per_account=0, per_source=0)
        requests: list[str] = []
        for turn in range(8):
            asked_now = await desk.ask(Purpose.RESET, "ann@acme.example", asker)
            requests.append(asked_now.request_id)
            server.clock.advance(61 if turn % 2 else 1000)
            for request_id in requests:
                for _ in range(TRIES_OF_A_PIN + 1):
                    with pytest.raises(WrongOrExpired):
                        await desk.reset(request_id, "not it", NEW, asker=asker)
                answer = await call(server, "POST", f"/pin-requests/{request_id}/resend")
                assert answer.status in (202, 429)
        assert 0 < judged.count <= MOST_LETTERS * TRIES_OF_A_PIN
        await until_carried(server)
        assert 0 < len(server.mailbox.letters) <= MOST_LETTERS
        assert await login(server, "ann@acme.example", "Correct-Horse-7") == 200


async def test_fifty_requests_at_once_send_no_more_letters_than_a_day_has() -> None:
    async with await server_with(per_source_per_hour=100_000) as server:
        quick(server)
        await asyncio.gather(*(asked(server, "reset", "zoe@new.example") for _ in range(50)))
        await until_carried(server)
        assert len(server.mailbox.letters) == MOST_LETTERS


async def test_of_fifty_wrong_pins_at_once_five_are_judged() -> None:
    async with await server_with() as server:
        desk = quick(server)
        request = await asked(server, "register", "zoe@new.example")
        pin = await pin_to(server, "zoe@new.example")
        desk._common.throttle.limit(per_account=0, per_source=0)
        judged = Judged(desk)
        answers = await asyncio.gather(
            *(register(server, request["request_id"], wrong(pin)) for _ in range(50))
        )
        assert {(answer.status, answer.json()["type"]) for answer in answers} == {
            (422, "urn:rainbow:problem:wrong-or-expired")
        }
        assert judged.count == TRIES_OF_A_PIN
        assert (await register(server, request["request_id"], pin)).status == 422


async def test_a_pin_that_was_used_is_not_replayed_after_a_restart() -> None:
    """Another desk on the same database, with the same key and nothing remembered."""
    async with await server_with() as server:
        ann = await logged_in(server, "ann@acme")
        address = await address_of(server, ann)
        request = await asked(server, "reset", address)
        pin = await pin_to(server, address)
        assert (await reset(server, request["request_id"], pin)).status == 204
        services = server.node.services()
        pins = Pins(services.secret_for("mfa_pin"), 6)
        again = Desk(Common(services, pins, services.hashing, lambda: server.plugin(MfaPin).options))
        with pytest.raises(WrongOrExpired):
            await again.reset(request["request_id"], pin, "Golden-Bridge-17", asker=Asker("192.0.2.1"))
        assert await login(server, address, NEW) == 200


async def test_an_older_pin_is_worth_nothing_once_another_request_was_sent() -> None:
    async with await server_with() as server:
        await with_password(server, "ann@acme")
        first = await asked(server, "reset", "ann@acme.example")
        old = await pin_to(server, "ann@acme.example")
        second = await asked(server, "reset", "ann@acme.example")
        new = await pin_to(server, "ann@acme.example")
        assert (await reset(server, first["request_id"], old)).status == 422
        assert (await reset(server, second["request_id"], new)).status == 204


async def test_a_stranger_who_asks_too_often_takes_no_pin_from_the_owner() -> None:
    """The fifth letter's PIN is good, however many more are asked for."""
    async with await server_with() as server:
        await with_password(server, "ann@acme")
        for _ in range(MOST_LETTERS):
            request = await asked(server, "reset", "ann@acme.example")
            pin = await pin_to(server, "ann@acme.example")
        for _ in range(3):
            await asked(server, "reset", "ann@acme.example")
        assert (await reset(server, request["request_id"], pin)).status == 204


async def test_an_administrator_helps_somebody_whom_strangers_asked_for() -> None:
    async with await server_with() as server:
        ada, bob = await admin(server, "ada@acme"), await logged_in(server, "bob@acme")
        address = await address_of(server, bob)
        for _ in range(MOST_LETTERS + 2):
            await asked(server, "reset", address)
        await until_carried(server)
        server.mailbox.letters.clear()
        path = path_of(ada, f"/users/{bob.person.account.id}/password-reset")
        assert (await ada.call("POST", path, {})).status == 202
        letter = await server.mailbox.next_to(address)
        pin, request = re.search(r"^\d{6}$", letter, re.M), re.search(r"/reset/([0-9a-f]{32})", letter)
        assert pin is not None and request is not None
        assert (await reset(server, request[1], pin[0])).status == 204


async def test_links_in_letters_begin_with_the_configured_address_whatever_host_is_asked() -> None:
    async with await server_with() as server:
        ada = await admin(server, "ada@acme")
        body = {"address": "zoe@new.example"}
        hosts = {"Host": "evil.example", "X_Forwarded_Host": "evil.example"}
        answer = await ada.call("POST", path_of(ada, "/member-invitations"), body, **hosts)
        assert answer.status == 201
        await asked(server, "register", "zoe@new.example", **hosts)
        letters = [await server.mailbox.next_to("zoe@new.example") for _ in range(2)]
        assert "evil.example" not in "".join(letters)
        assert any(f"{server.node.config.public_url}/" in letter for letter in letters)


async def test_what_a_company_wants_of_passwords_is_told_to_who_has_the_pin_and_costs_no_try() -> None:
    """To everybody else its people and nobody's are answered alike, or it would tell whose address it is."""
    async with await server_with() as server:
        await with_password(server, "ann@acme")
        acme = (await server.person("ann@acme")).account.company
        stricter = replace(acme.settings, password_min_length=20, password_needs=(PasswordNeed.SPECIAL,))
        await server.node.companies.change(acme, CompanyChange(settings=stricter), actor="test")
        known = await asked(server, "reset", "ann@acme.example")
        pin = await pin_to(server, "ann@acme.example")
        unknown = await asked(server, "reset", "nobody@new.example")
        guess = [await reset(server, each["request_id"], wrong(pin)) for each in (known, unknown)]
        assert guess[0].body == guess[1].body
        for _ in range(8):
            weak = await reset(server, known["request_id"], pin)
            assert weak.status == 422 and "at least 20 characters" in weak.json()["detail"]
        strong = "Quite-A-Long-Pass-Phrase-7"
        assert (await reset(server, known["request_id"], pin, strong)).status == 204
        assert await login(server, "ann@acme.example", strong) == 200


async def test_where_registration_is_closed_no_open_pin_or_invitation_makes_an_account() -> None:
    async with await server_with() as server:
        ada = await admin(server, "ada@acme")
        token = await invited(server, ada, "zoe@new.example")
        request = await asked(server, "register", "max@new.example")
        pin = await pin_to(server, "max@new.example")
        closed = replace(server.plugin(MfaPin).options, registration="closed")
        server.reconfigure({MfaPin: closed})
        joined = await call(server, "POST", f"/member-invitations/{token}", {"new_password": PASSWORD})
        assert (joined.status, (await register(server, request["request_id"], pin)).status) == (403, 403)
        for address in ("zoe@new.example", "max@new.example"):
            assert await server.store.accounts.for_login(address) is None


async def test_a_company_writes_to_so_many_strangers_in_an_hour() -> None:
    async with await server_with(per_company_per_hour=3) as server:
        ada = await admin(server, "ada@acme")
        path = path_of(ada, "/member-invitations")
        statuses = [(await ada.call("POST", path, {"address": f"p{n}@new.example"})).status for n in range(5)]
        assert statuses == [201, 201, 201, 429, 429]
        server.clock.advance(3601)
        ada = await logged_in(server, "ada@acme")
        assert (await ada.call("POST", path, {"address": "p9@new.example"})).status == 201


async def test_known_unknown_disabled_and_taken_addresses_take_the_same_time() -> None:
    """In an order that changes each time, since each leaves work behind; the medians of `TRIES` each."""
    async with await server_with(
        per_source_per_hour=10**5, per_account_per_day=50, per_company_per_hour=10**6, overall_per_hour=10**7
    ) as server:
        people = 1 + TRIES // 40
        for number in range(people):
            for kind in ("known", "disabled"):
                person = await server.person(f"{kind}{number}@acme")
                if kind == "disabled":
                    await server.node.people.disable(person.account, actor="test")
        kinds = {
            "known": ("reset", "known{}@acme.example"),
            "disabled": ("reset", "disabled{}@acme.example"),
            "unknown": ("reset", "nobody{}@acme.example"),
            "taken": ("register", "known{}@acme.example"),
            "free": ("register", "nobody{}@acme.example"),
        }
        desk, asker, chance = quick(server), Asker("192.0.2.1"), random.Random(1)
        taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(TRIES):
            for kind in chance.sample(list(kinds), len(kinds)):
                purpose, address = kinds[kind]
                begun = time.perf_counter()
                await desk.ask(Purpose(purpose), address.format(turn % people), asker)
                taken[kind].append(time.perf_counter() - begun)
        medians = {kind: sorted(times)[len(times) // 2] for kind, times in taken.items()}
        print(said(taken))
        assert max(medians.values()) / min(medians.values()) < FACTOR, medians
