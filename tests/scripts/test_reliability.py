"""The page on reliability names only tests and scenarios that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
SCENARIOS = sorted(set(re.findall(r"`benchmarks\.(\w+)`", PAGE)))


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_each_test_is_there(path: str, name: str) -> None:
    """By file and function."""
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_is_there(name: str) -> None:
    """As a module that gives rows."""
    tree = ast.parse((ROOT / "benchmarks" / f"{name}.py").read_text())
    assert "rows" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_page_has_a_line_for_each_kind_of_fault() -> None:
    """A page that lost its tables would pass the tests above."""
    assert len(TESTS) >= 40
    assert len(SCENARIOS) >= 3
