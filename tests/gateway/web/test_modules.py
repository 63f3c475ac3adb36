"""The tests of the page's modules and of the JavaScript client, which are in JavaScript themselves."""

import subprocess
from pathlib import Path

import pytest

from scripts import web
from tests.needs import need_node

HERE = Path(__file__).parent


@pytest.mark.parametrize("suite", sorted(path.name for path in HERE.glob("*.test.js")))
def test_a_suite(suite: str) -> None:
    """Node's own test runner finds nothing wrong."""
    node = need_node("fast-check")
    ran = subprocess.run(
        [node, "--test", "--test-reporter=spec", suite],
        cwd=HERE,
        env=web.environment(node),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
