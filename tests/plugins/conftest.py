"""What all tests of plugins share, and those that attack them."""

from collections.abc import Iterator

import pytest

from rainbow_xmpp.plugins.mfa_pin import pins


@pytest.fixture(autouse=True)
def quick_pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes of PINs at bcrypt's least cost: equal work is no less equal for it, and a test makes many."""
    monkeypatch.setattr(pins, "ROUNDS", 4)
    yield
