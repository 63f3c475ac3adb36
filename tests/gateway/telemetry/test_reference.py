"""docs/metrics.md is generated from the declarations."""

import re
import subprocess
import sys
from pathlib import Path

from gateway.telemetry.metrics import FAMILIES
from gateway.telemetry.reference import reference

ROOT = Path(__file__).parents[3]


def test_every_metric_is_documented() -> None:
    """Each family has its row, under the name used in queries."""
    page = reference()
    assert all(f"| `{family.shown_name}` |" in page for family in FAMILIES)


def test_the_queries_shown_use_metrics_that_exist() -> None:
    """A query in the page names no metric and no label that isn't declared."""
    names = {family.shown_name for family in FAMILIES}
    queries = reference().split("## Worth watching")[1]
    used = set(re.findall(r"undertone_\w+", queries))
    assert used
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} <= names


def test_the_page_can_be_printed() -> None:
    """`python -m gateway.telemetry.reference` prints docs/metrics.md."""
    command = [sys.executable, "-m", "gateway.telemetry.reference"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == reference()
