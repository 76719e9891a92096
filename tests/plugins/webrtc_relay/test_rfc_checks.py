"""Every MUST of RFC 8489 and RFC 8656 that a server can be seen to keep, against the control plane."""

import re
from pathlib import Path

import pytest

from tests.plugins.webrtc_relay import checks_allocate, checks_peers, checks_stun
from tests.plugins.webrtc_relay.checks import CHECKS, Check
from tests.plugins.webrtc_relay.simulated import SimulatedWorld

assert checks_allocate and checks_peers and checks_stun


@pytest.mark.parametrize("check", CHECKS, ids=[check.run.__name__ for check in CHECKS])
def test_the_relay_keeps_the_rule(check: Check):
    check.run(SimulatedWorld())


def test_the_page_of_rules_names_checks_that_exist():
    page = (Path(__file__).parents[3] / "docs" / "relay-rfcs.md").read_text()
    named = {word for word in re.findall(r"`(\w+)`", page) if word.count("_") > 3}
    assert len(named) > 35
    assert not named - {check.run.__name__ for check in CHECKS}
