"""What people type as their name, as keys of an account."""

import pytest

from rainbow_xmpp.sasl import login_names


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("Alice", ("alice",)),
        ("alice@chat.example", ("alice", "alice@chat.example")),
        ("Alice@Acme.Example", ("alice@acme.example",)),
        ("alice\\40acme.example", ("alice@acme.example",)),
        (" alice ", ("alice",)),
        ("Fu\u00dfball", ("fu\u00dfball",)),  # RFC 8265: lower case, not folded into another name
        ("", ("",)),
    ],
)
def test_a_name_is_a_localpart_or_an_address(typed: str, names: tuple[str, ...]) -> None:
    assert login_names(typed, "chat.example") == names
