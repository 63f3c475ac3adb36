"""Prometheus' files: sound by its own tool, and about metrics that there are."""

import re
import subprocess
from pathlib import Path

import pytest

from gateway.stores.hybrid.trail import CAPACITY
from tests.deploy.files import COMPOSE, DEPLOY, KUBERNETES, Document, load, load_all
from tests.deploy.promql import problems
from tests.needs import need_command

FOLDER = DEPLOY / "prometheus"
RULES: list[Document] = [rule for group in load(FOLDER / "alerts.yaml")["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(
    ("what", "file"),
    [("config", "prometheus.yaml"), ("config", "kubernetes.yaml"), ("rules", "alerts.yaml")],
    ids=lambda one: str(one),
)
def test_promtool_finds_nothing_wrong(what: str, file: str, tmp_path: Path) -> None:
    """In the configurations and in the rules. Debian's promtool knows no discovery by Kubernetes."""
    for name in {file, "alerts.yaml"}:
        text = (FOLDER / name).read_text(encoding="utf-8")
        text = re.sub(r"kubernetes_sd_configs: .*", 'static_configs: [{targets: ["pod:1"]}]', text)
        (tmp_path / name).write_text(text)
    command = [need_command("promtool"), "check", what, "--lint-fatal", file]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
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


@pytest.mark.parametrize(
    "job", load(FOLDER / "kubernetes.yaml")["scrape_configs"], ids=lambda job: job["job_name"]
)
def test_every_pod_of_the_manifests_is_asked(job: Document) -> None:
    """Of each job its own and no other's, at the port and path of its annotations, under the usual names."""
    assert job["job_name"] in {one["job_name"] for one in load(FOLDER / "prometheus.yaml")["scrape_configs"]}
    (found,) = job["kubernetes_sd_configs"]
    assert found["namespaces"]["names"] == [load(KUBERNETES / "kustomization.yaml")["namespace"]]
    asked = {}
    for file in ("gateway.yaml", "classify.yaml", "migrate.yaml"):
        pod = load_all(KUBERNETES / file)[0]["spec"]["template"]
        target = relabelled(pod["metadata"], job["relabel_configs"])
        if target is not None:
            asked[file] = target
            (port,) = pod["spec"]["containers"][0]["ports"]
            assert target["__address__"] == f"10.0.0.1:{port['containerPort']}"
            assert (target["__metrics_path__"], target["instance"]) == ("/metrics", "pod-1")
    assert list(asked) == [{"undertone": "gateway.yaml"}.get(job["job_name"], "classify.yaml")]


def relabelled(metadata: Document, rules: list[Document]) -> dict[str, str] | None:
    """The labels that Prometheus gives to a pod, or None where it leaves it out."""
    pod = "__meta_kubernetes_pod_"
    labels = {f"{pod}ip": "10.0.0.1", f"{pod}name": "pod-1", f"{pod}phase": "Running"}
    for kind, key in (("label", "labels"), ("annotation", "annotations")):
        for name, value in metadata.get(key, {}).items():
            labels[f"{pod}{kind}_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}"] = value
    for rule in rules:
        value = rule.get("separator", ";").join(labels.get(one, "") for one in rule["source_labels"])
        matches = re.fullmatch(rule.get("regex", "(.*)"), value) is not None
        match rule.get("action", "replace"):
            case "replace":
                labels[rule["target_label"]] = value
            case "keep" | "drop" as action if matches != (action == "keep"):
                return None
    return labels


def test_wrong_names_are_noticed(tmp_path: Path) -> None:
    """The check itself: neither a metric nor a label may be made up."""
    assert problems('rate(undertone_frames{job="a"}[1m])') == ["there is no undertone_frames"]
    assert problems('undertone_sessions{status="live"}') == ["undertone_sessions has no label status"]
    assert problems('undertone_sessions{job="a", state=~"live|draining"}') == []
