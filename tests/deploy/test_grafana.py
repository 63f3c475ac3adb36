"""The dashboard: Grafana finds its way about in it, and every question in it has an answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.telemetry.metrics import FAMILIES
from tests.deploy.files import DEPLOY
from tests.deploy.promql import check, problems

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "undertone.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def test_every_expression_is_promql(tmp_path: Path) -> None:
    """By promtool, with Grafana's own variables replaced."""
    assert check((target["expr"] for panel in PANELS for target in panel["targets"]), tmp_path) == ""


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    """Of the job and the nodes that are chosen, from the source that is chosen; and says what it means."""
    for target in panel["targets"]:
        assert problems(target["expr"]) == []
        chosen = '{job="$job", instance=~"$instance"'
        assert target["expr"].count("{") == target["expr"].count(chosen) > 0
        assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)
    assert panel["description"]


def test_panels_have_numbers_and_places_of_their_own() -> None:
    """No two have the same id or title, none lies upon another, and all are within the 24 columns."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_its_variables_are_declared() -> None:
    """Everything with a dollar sign is one of them, or Grafana's own."""
    declared = {one["name"] for one in DASHBOARD["templating"]["list"]}
    assert declared == {"datasource", "job", "instance"}
    text = json.dumps(DASHBOARD)
    for name in ("$datasource", "${datasource}", "$job", "$instance", "$__rate_interval"):
        text = text.replace(name, "")
    assert "$" not in text


def test_what_nodes_share_is_all_there() -> None:
    """Every metric of the shared state is on it: who is on call has no other place to look."""
    asked = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    shared = ("undertone_nodes", "undertone_store", "undertone_sessions", "undertone_audit_rows")
    for family in FAMILIES:
        assert family.shown_name in asked or not family.shown_name.startswith(shared)
