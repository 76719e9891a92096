"""The list of attacks in `docs/security/attacks.md` names tests that there are."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security" / "attacks.md"
LINES = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "`tests/" in line]


@cache
def named_in(file: str) -> frozenset[str]:
    """The names of all test functions of a file."""
    nodes = ast.walk(ast.parse((ROOT / file).read_text()))
    return frozenset(
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("|")[1].strip()[:60])
def test_every_attack_is_shown_by_tests_that_exist(line: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line)
    assert len(named) == line.count("`tests/") > 0
    missing = [f"{file}::{name}" for file, name in named if name not in named_in(file)]
    assert not missing


def test_the_list_is_long() -> None:
    assert len(LINES) > 45
