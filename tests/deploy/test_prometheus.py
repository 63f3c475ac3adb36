"""Prometheus' files: sound by its own tool, and about metrics that there are."""

import re
import subprocess
from pathlib import Path

import pytest

from gateway.stores.hybrid.trail import CAPACITY
from tests.deploy.files import COMPOSE, DEPLOY, Document, load
from tests.deploy.promql import problems
from tests.needs import need_command

FOLDER = DEPLOY / "prometheus"
RULES: list[Document] = [rule for group in load(FOLDER / "alerts.yaml")["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(
    ("what", "file"), [("config", "prometheus.yaml"), ("rules", "alerts.yaml")], ids=lambda one: str(one)
)
def test_promtool_finds_nothing_wrong(what: str, file: str) -> None:
    """In the configuration and in the rules."""
    command = [need_command("promtool"), "check", what, "--lint-fatal", file]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_fire_when_they_should() -> None:
    """Their own tests, run by promtool."""
    command = [need_command("promtool"), "test", "rules", "alerts_test.yaml"]
    tested = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_is_about_what_there_is_and_says_what_to_do(rule: Document) -> None:
    """Its metrics and their labels exist; it says what it means and what to do, and has a test."""
    assert problems(rule["expr"]) == []
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert {"summary", "action"} == set(rule["annotations"])
    assert rule["alert"] in (FOLDER / "alerts_test.yaml").read_text(encoding="utf-8")


def test_the_bound_of_the_trail_is_the_one_that_is_told() -> None:
    """Alerts and dashboard speak of the rows that wait for the audit trail at most."""
    alerts = (FOLDER / "alerts.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\d\d,\d{3}", alerts)) == {f"{CAPACITY:,}"}
    assert f'"value": {CAPACITY}' in (DEPLOY / "grafana" / "undertone.json").read_text(encoding="utf-8")


def test_every_node_of_the_composition_is_asked() -> None:
    """By its own name, at its own port."""
    jobs = load(FOLDER / "prometheus.yaml")["scrape_configs"]
    asked = {one for job in jobs for group in job["static_configs"] for one in group["targets"]}
    services = load(COMPOSE)["services"]
    ports = {"gateway": 8522, "classify": 8523}
    assert asked == {f"{name}:{ports[name[:-2]]}" for name in services if name.rpartition("-")[0] in ports}


def test_wrong_names_are_noticed(tmp_path: Path) -> None:
    """The check itself: neither a metric nor a label may be made up."""
    assert problems('rate(undertone_frames{job="a"}[1m])') == ["there is no undertone_frames"]
    assert problems('undertone_sessions{status="live"}') == ["undertone_sessions has no label status"]
    assert problems('undertone_sessions{job="a", state=~"live|draining"}') == []
