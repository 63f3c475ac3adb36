"""The manifests: valid by Kubernetes' own schemas, of one piece, and with settings that the gateway takes."""

import importlib
import json
import re
import shutil
import subprocess
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from gateway.api.views import PREFIX
from gateway.settings import SettingsError
from gateway.stores.keyfile import load as load_keys
from tests.deploy.files import DEPLOY, KUBERNETES, Document, command_of, load, load_all, settle
from tests.needs import need_module

VERSIONS = ("1.30", "1.34")
KUSTOMIZATION = load(KUBERNETES / "kustomization.yaml")
BASE: list[Document] = [one for name in KUSTOMIZATION["resources"] for one in load_all(KUBERNETES / name)]
EXAMPLES = load_all(KUBERNETES / "secret.example.yaml")
PODS: dict[str, Document] = {
    one["metadata"]["name"]: one["spec"]["template"]["spec"]
    for one in BASE
    if "template" in one.get("spec", {})
}
GATEWAY, CLASSIFY, MIGRATE = "undertone-gateway", "undertone-classify", "undertone-migrate"


def told(one: Document) -> str:
    """What it is called in a test."""
    return f"{one['kind']} {one['metadata']['name']}"


def of(kind: str) -> dict[str, Document]:
    """Those of a kind, by name."""
    return {one["metadata"]["name"]: one for one in BASE if one["kind"] == kind}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("one", [*BASE, *EXAMPLES], ids=told)
def test_the_schemas_find_nothing_wrong(one: Document, version: str) -> None:
    """Of the oldest and the newest Kubernetes that this is for; no field that they don't know."""
    need_module("kubernetes_validate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own, about how it looks for its files
        importlib.import_module("kubernetes_validate").validate(one, version, strict=True)


def test_every_file_is_part_of_the_base() -> None:
    """But for the examples of secrets, which must never replace what is in force."""
    names = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert names == {*KUSTOMIZATION["resources"], "kustomization.yaml", "secret.example.yaml"}


def test_kustomize_builds_it() -> None:
    """As `kubectl apply -k` does: all resources, in the namespace, with the image named once.

    A skip in CI, too, where kubectl is missing: no package has one that is new enough.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is missing")
    built = subprocess.run(
        [kubectl, "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    found = [one for one in yaml.safe_load_all(built.stdout) if one]
    assert sorted(map(told, found)) == sorted(map(told, BASE))
    assert {one["metadata"].get("namespace") for one in found if one["kind"] != "Namespace"} == {"undertone"}
    assert set(re.findall(r"image: (.+)", built.stdout)) == {"undertone:latest"}


@pytest.mark.parametrize("name", PODS)
def test_its_settings_are_settings(name: str, tmp_path: Path) -> None:
    """All of them together, with the files that the examples of secrets have."""
    moved = {}
    for secret in EXAMPLES:
        for file, text in secret["stringData"].items():
            (tmp_path / file).write_text(text)
    (container,) = PODS[name]["containers"]
    environment = dict(variables(container))
    for value in environment.values():
        if (tmp_path / Path(value).name).exists():
            assert mounted(PODS[name], value) == Path(value).name
            if value.endswith("undertone.toml"):
                moved[value] = tmp_path / "undertone.toml"
    found = settle(environment, moved)
    if name != CLASSIFY:
        assert (found.store[:10], found.database_url is None) == ("valkeys://", False)
    if name == GATEWAY:
        assert found.classifier_url == (f"http://{CLASSIFY}:8523",)


def test_certificates_are_checked_against_files_that_are_there() -> None:
    """Where none are named the driver looks in a home directory, which the pods don't have."""
    (store,) = (one for one in EXAMPLES if "undertone.toml" in one["stringData"])
    told = tomllib.loads(store["stringData"]["undertone.toml"])
    options = dict(parse_qsl(urlsplit(told["database_url"]).query))
    assert options == {"sslmode": "verify-full", "sslrootcert": "/etc/ssl/certs/ca-certificates.crt"}
    image = (DEPLOY / "container" / "Containerfile").read_text(encoding="utf-8").rpartition("FROM ")[2]
    assert re.search(r"apt-get install .* ca-certificates", image)


def variables(container: Document) -> Iterator[tuple[str, str]]:
    """What its environment will be, as far as it is known."""
    for source in container.get("envFrom", ()):
        yield from of("ConfigMap")[source["configMapRef"]["name"]]["data"].items()
    for one in container.get("env", ()):
        yield one["name"], one.get("value", "pod-1")


def mounted(pod: Document, path: str) -> str:
    """The key of the secret that is a file at `path` in the pod."""
    (container,) = pod["containers"]
    (mount,) = (one for one in container["volumeMounts"] if path.startswith(one["mountPath"] + "/"))
    (volume,) = (one for one in pod["volumes"] if one["name"] == mount["name"])
    (secret,) = (one for one in EXAMPLES if one["metadata"]["name"] == volume["secret"]["secretName"])
    key = path.removeprefix(mount["mountPath"] + "/")
    assert key in secret["stringData"]
    assert "subPath" not in mount  # it would never hear of a change
    return key


def test_the_example_of_keys_is_one(tmp_path: Path) -> None:
    """The gateway reads it, and lets nobody in."""
    (secret,) = (one for one in EXAMPLES if "namespaces.toml" in one["stringData"])
    (tmp_path / "namespaces.toml").write_text(secret["stringData"]["namespaces.toml"])
    assert not load_keys(tmp_path / "namespaces.toml").namespaces


def test_services_are_no_settings() -> None:
    """A pod is told of services by variables called after them, which the gateway takes for settings."""
    variable = GATEWAY.upper().replace("-", "_") + "_SERVICE_HOST"
    with pytest.raises(SettingsError):
        settle({variable: "10.0.0.1"}, {})
    assert all(pod["enableServiceLinks"] is False for pod in PODS.values())


@pytest.mark.parametrize("name", PODS)
def test_pods_are_restricted_and_bounded(name: str) -> None:
    """What the namespace enforces (the `restricted` standard), a root that can't be written, and bounds."""
    pod = PODS[name]
    (container,) = pod["containers"]
    assert command_of(container["args"]) == name.removeprefix("undertone-").replace("gateway", "serve")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]
    assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]


@pytest.mark.parametrize("name", [GATEWAY, CLASSIFY])
def test_a_drain_has_the_time_that_it_takes(name: str) -> None:
    """SIGKILL comes after the pause, the drain and some seconds."""
    (container,) = PODS[name]["containers"]
    pause = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    grace = float(dict(variables(container))["UNDERTONE_DRAIN_GRACE_S"])
    assert PODS[name]["terminationGracePeriodSeconds"] >= pause + grace + 5


@pytest.mark.parametrize("name", [GATEWAY, CLASSIFY])
def test_probes_ask_what_is_there(name: str) -> None:
    """Whether it lives and whether it is ready are two questions; the port is the one that it listens on."""
    (container,) = PODS[name]["containers"]
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: one["path"] for kind, one in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    (port,) = container["ports"]
    assert {one["port"] for one in asked.values()} == {port["name"]}
    found = settle(dict(variables(container)) | {"UNDERTONE_CONFIG": ""}, {})
    assert port["containerPort"] == (found.port if name == GATEWAY else found.sidecar_port)


def test_everything_that_is_named_is_there() -> None:
    """Services, autoscalers, budgets, spreads, policies and the ingress point at something."""
    labels = {name: {"app.kubernetes.io/name": name} for name in PODS}
    for one in BASE:
        if "template" in one.get("spec", {}):
            assert one["spec"]["template"]["metadata"]["labels"] == labels[one["metadata"]["name"]]
    for name, service in of("Service").items():
        assert service["spec"]["selector"] == labels[name]
        assert "sessionAffinity" not in service["spec"]
        assert service["spec"]["ports"][0]["targetPort"] == PODS[name]["containers"][0]["ports"][0]["name"]
    for selector in (*found(BASE, "matchLabels"), *found(BASE, "podSelector")):
        text = json.dumps(selector)
        for name in re.findall(r'"app.kubernetes.io/name": "([^"]+)"', text):
            assert name in PODS
    for one in of("HorizontalPodAutoscaler").values():
        target = one["spec"]["scaleTargetRef"]
        assert of(target["kind"])[target["name"]]["spec"].get("replicas") is None
        assert one["spec"]["minReplicas"] >= 2
    assert set(of("HorizontalPodAutoscaler")) == set(of("PodDisruptionBudget")) == {GATEWAY, CLASSIFY}
    (backend,) = found(list(of("Ingress").values()), "backend")
    assert backend["service"]["name"] in of("Service")
    assert backend["service"]["port"]["name"] == of("Service")[GATEWAY]["spec"]["ports"][0]["name"]
    assert set(of("NetworkPolicy")) >= set(PODS)


def found(where: Any, key: str) -> list[Any]:
    """Every value under that key, however deep."""
    if isinstance(where, list):
        return [value for one in where for value in found(one, key)]
    if isinstance(where, dict):
        here = [where[key]] if key in where else []
        return here + [value for one in where.values() for value in found(one, key)]
    return []


def test_who_may_reach_whom_has_the_ports_of_it() -> None:
    """Gateways are reached at their port, and reach classify nodes at theirs; nobody else gets anywhere."""
    policies = of("NetworkPolicy")
    assert policies["undertone-default"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = {
        name: pod["containers"][0].get("ports", [{}])[0].get("containerPort") for name, pod in PODS.items()
    }
    for name in (GATEWAY, CLASSIFY):
        (rule,) = policies[name]["spec"]["ingress"]
        assert [one["port"] for one in rule["ports"]] == [ports[name]]
    assert ports[CLASSIFY] in found(policies[GATEWAY]["spec"]["egress"], "port")
    assert "egress" not in policies[CLASSIFY]["spec"]
    assert "ingress" not in policies[MIGRATE]["spec"]


def test_the_ingress_lets_streams_live() -> None:
    """Its timeouts are longer than the heartbeats, and nothing is asked twice."""
    (ingress,) = of("Ingress").values()
    said = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    for timeout in ("proxy-read-timeout", "proxy-send-timeout"):
        assert float(said[timeout]) > 2 * settle({}, {}).heartbeat_s
    assert said["proxy-buffering"] == "off"
    assert "non_idempotent" not in said["proxy-next-upstream"]
    assert PREFIX.startswith(ingress["spec"]["rules"][0]["http"]["paths"][0]["path"])
    assert not [name for name in said if "affinity" in name]
