"""What a program finds that reads the API's description and tries what it allows, and what it does not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process import RainbowServer
from tests.security.api_fuzz import SETTINGS, Api


@pytest.mark.parametrize("anonymous", [False, True], ids=["as an operator", "without a login"])
def test_no_answer_is_a_fault_or_undocumented(
    start_server: Callable[..., RainbowServer], tmp_path: Path, anonymous: bool
) -> None:
    api = Api(start_server(SETTINGS))
    found = api.run(tmp_path, examples=2, seed=1, anonymous=anonymous, only_open=anonymous)
    assert not found, found
