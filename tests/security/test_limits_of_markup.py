"""How much markup a client may send, as configured: before its login and after it, on both transports."""

from collections.abc import Callable

import pytest

from tests.conformance.wire import Over
from tests.doors import Door
from tests.strict_server import LIMITS, STRICT

pytestmark = STRICT

BEFORE, AFTER = LIMITS["xml_before_login"], LIMITS["xml"]
Shape = Callable[[int], str]
"""What stands inside one element, which counts as well, so that it holds so much."""

SHAPES: dict[str, Shape] = {
    "depth": lambda n: "<a>" * (n - 1) + "</a>" * (n - 1),
    "elements": lambda n: "<a/>" * (n - 1),
    "attributes": lambda n: "<a " + " ".join(f"b{i}=''" for i in range(n)) + "/>",
    "declarations": lambda n: "".join(f"<a xmlns='u:{i}'/>" for i in range(n - 1)),
    "name_length": lambda n: f"<{'a' * n}/><a {'b' * n}=''/>",
    "namespace_length": lambda n: f"<a xmlns='u:{'x' * (n - 2)}'/>",
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_before_the_login_there_is_little(strict_door: Door, shape: str) -> None:
    """What is within the limits is judged by what it is: nothing that belongs into a login."""
    for much, condition in (
        (BEFORE[shape], "unsupported-stanza-type"),
        (BEFORE[shape] + 1, "policy-violation"),
    ):
        wire = await strict_door.opened()
        await wire.send_bytes(f"<x xmlns='urn:x'>{SHAPES[shape](much)}</x>".encode())
        await wire.expect_stream_error(condition)


@pytest.mark.parametrize("shape", SHAPES)
async def test_after_the_login_there_is_more(strict_door: Door, shape: str) -> None:
    wire = await strict_door.log_in()
    start = "<message xmlns='jabber:client' to='nobody@localhost'>"
    await wire.send_bytes(f"{start}{SHAPES[shape](AFTER[shape])}</message>".encode())
    await wire.settle()
    await wire.send_bytes(f"{start}{SHAPES[shape](AFTER[shape] + 1)}</message>".encode())
    await wire.expect_stream_error("policy-violation")


async def test_a_stream_header_is_held_to_the_limits_too(strict_door: Door, over: Over) -> None:
    ours = {"wss": 3, "tls": 4}[over]  # to, version and the namespaces
    for more, is_too_much in ((BEFORE["attributes"] - ours, False), (BEFORE["attributes"] - ours + 1, True)):
        wire = await strict_door.connect()
        added = " ".join(f"b{i}=''" for i in range(more))
        await wire.send_header(f"to='localhost' version='1.0' {added}")
        if is_too_much:
            await wire.expect_stream_error("policy-violation")
        else:
            assert await wire.expect("stream:features") is not None
