"""A few lives of one account's devices; `make faults` tries thousands."""

import pytest

from rainbow_xmpp.plugins.carbons import Carbons
from rainbow_xmpp.stream_management.handing_back import HandingBack
from rainbow_xmpp.testing import TestServer
from tests.faults import devices


def test_each_device_gets_what_it_is_due_in_the_order_of_the_log() -> None:
    devices.run(15, 40, is_derandomized=True)


async def life(server: TestServer) -> None:
    """Two devices: one is gone for good before it has acknowledged what came, the other one comes later."""
    world = devices.World(server)
    await world.begin()
    first, second, silent = world.devices
    await world.connect(silent, is_managed=False, wants_copies=True, priority=-1)
    await world.connect(first, is_managed=True, wants_copies=False, priority=0)
    await world.said_to_all()
    await world.read(silent, acknowledges=False)
    await world.leave(first, is_lost=True)
    await world.give_up(first)
    await world.connect(second, is_managed=False, wants_copies=False, priority=0)
    await world.read(second, acknowledges=False)


@pytest.mark.parametrize(
    ("owner", "name", "who"),
    [(None, "", ""), (HandingBack, "_hand_back", "device1"), (Carbons, "copy", "device2")],
    ids=["nothing", "handing back", "copies"],
)
async def test_the_model_misses_what_is_taken_out(
    owner: type | None, name: str, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that finds nothing must not be one that looks at nothing."""

    async def nothing(*_: object) -> None: ...

    if owner is not None:
        monkeypatch.setattr(owner, name, nothing if owner is HandingBack else lambda *_: None)
    async with TestServer(devices.PLUGINS) as server:
        if owner is None:
            await life(server)
            return
        with pytest.raises(AssertionError, match=f"{who} got .* and is due .'m0'."):
            await life(server)
