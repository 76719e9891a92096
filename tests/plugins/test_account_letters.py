"""Letters that an operator has the running server write, through the control socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rainbow_xmpp.observe.accounts import AccountLetters
from rainbow_xmpp.observe.control import ControlSocket, NotDone, ask
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.plugins.second_factor import SecondFactorAtLogin
from rainbow_xmpp.testing import TestServer
from tests.plugins.rest import call, with_password

ACTOR = "cli:root"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TestServer]:
    async with TestServer([RestApi, MfaPin, SecondFactorAtLogin]) as running:
        yield running


@pytest.fixture
async def folder(server: TestServer, tmp_path: Path) -> AsyncIterator[Path]:
    """Where the server of this test answers."""
    control, letters = ControlSocket(tmp_path / "run"), AccountLetters(server.node.services)
    control.on("invite", letters.invite)
    control.on("reset-password", letters.reset)
    control.on("second-factor-off", letters.factor_off)
    await control.open()
    yield tmp_path / "run"
    await control.close()


async def asked(folder: Path, do: str, **details: object) -> object:
    return await asyncio.to_thread(ask, folder, do, actor=ACTOR, **details)


async def test_an_operator_invites_somebody_into_a_company(server: TestServer, folder: Path) -> None:
    acme = await server.company("acme")
    answer = await asked(
        folder, "invite", address="zoe@new.example", company=acme.id, language="fr", reason="new"
    )
    found = re.search(r"/join/(\S+)", await server.mailbox.next_to("zoe@new.example"))
    assert found is not None and found[1] not in str(answer)
    body = {"new_password": "Purple-Kettle-93"}
    joined = await call(server, "POST", f"/member-invitations/{found[1]}", body)
    account = await server.store.accounts.by_id(joined.json()["user_id"])
    assert account is not None and account.company.id == acme.id
    (record,) = await server.audit("mfa_pin.invited")
    assert (record.entry.actor, record.entry.reason) == (ACTOR, "new")


async def test_an_operator_lets_somebody_set_a_new_password_and_sees_no_pin(
    server: TestServer, folder: Path
) -> None:
    ann = await with_password(server, "ann@acme")
    answer = await asked(folder, "reset-password", account=ann.account.id, reason="lost")
    letter = await server.mailbox.next_to("ann@acme.example")
    pin, request = re.search(r"^\d{6}$", letter, re.M), re.search(r"/reset/([0-9a-f]{32})", letter)
    assert pin is not None and request is not None
    assert answer == {"id": ann.account.id}
    body = {"request_id": request[1], "pin": pin[0], "new_password": "Silver-Anchor-41"}
    assert (await call(server, "POST", "/password-resets", body)).status == 204


@pytest.mark.parametrize(
    ("do", "details", "says"),
    [
        ("invite", {"address": "zoe@new.example", "company": "f" * 24}, "no such company"),
        ("reset-password", {"account": "f" * 24}, "no such account"),
    ],
)
async def test_what_cannot_be_written_says_why(
    server: TestServer, folder: Path, do: str, details: dict[str, object], says: str
) -> None:
    with pytest.raises(NotDone, match=says):
        await asked(folder, do, **details)
    assert server.mailbox.letters == []


async def test_an_operator_turns_somebodys_second_factor_off(server: TestServer, folder: Path) -> None:
    ann = (await with_password(server, "ann@acme")).account
    await server.store.accounts.set_second_factor(ann.company.id, ann.id, True)
    for was_on in (True, False):
        answer = await asked(folder, "second-factor-off", account=ann.id, reason="lost")
        assert answer == {"id": ann.id, "was_on": was_on}
    found = await server.store.accounts.by_id(ann.id)
    assert found is not None and not found.second_factor
    (record,) = await server.audit("second_factor.turned_off_by_administrator")
    assert (record.entry.actor, record.entry.reason) == (ACTOR, "lost")
    with pytest.raises(NotDone, match="no such account"):
        await asked(folder, "second-factor-off", account="f" * 24)


async def test_what_is_no_address_is_not_invited(server: TestServer, folder: Path) -> None:
    acme = await server.company("acme")
    with pytest.raises(NotDone, match="no e-mail address"):
        await asked(folder, "invite", address="zoe@new.example\nBcc: x@y.example", company=acme.id)
    assert server.mailbox.letters == []


async def test_without_the_plugin_nobody_writes(tmp_path: Path) -> None:
    async with TestServer([RestApi]) as server:
        acme = await server.company("acme")
        letters = AccountLetters(server.node.services)
        with pytest.raises(Exception, match="mfa_pin does not run"):
            await letters.invite({"company": acme.id, "address": "zoe@new.example", "actor": ACTOR})
        ann = await server.person("ann@acme")
        with pytest.raises(Exception, match="second_factor does not run"):
            await letters.factor_off({"account": ann.account.id, "actor": ACTOR})
