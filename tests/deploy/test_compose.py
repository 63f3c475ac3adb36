"""The composition of containers: sound by Docker's own check, and with settings that the gateway takes."""

import re
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings
from tests.deploy.files import COMPOSE, DEPLOY, Document, command_of, load, seconds, settle
from tests.needs import need_command

SERVICES: dict[str, Document] = load(COMPOSE)["services"]
OURS = [name for name, one in SERVICES.items() if "undertone" in one["image"]]
OTHERS = [name for name in SERVICES if name not in OURS]
SERVERS = ["gateway-1", "gateway-2", "classify-1", "classify-2"]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `deploy/secrets.sh` makes."""
    made = tmp_path_factory.mktemp("deploy") / "secrets"
    subprocess.run([str(DEPLOY / "secrets.sh"), str(made)], check=True, capture_output=True)
    return made


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.tls.yaml"]])
def test_compose_finds_nothing_wrong(files: list[str], tmp_path: Path) -> None:
    """`docker-compose config`, with every profile. Its first generation knows no `name`, and has the rest."""
    compose = need_command("docker-compose")
    for name in files:
        text = (DEPLOY / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(re.sub(r"^name: .*$", "", text, flags=re.MULTILINE))
    options = [word for name in files for word in ("--file", str(tmp_path / name))]
    command = [compose, *options, "--profile", "caddy", "--profile", "tools", "config", "--quiet"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "warning" not in checked.stderr.lower()


@pytest.mark.parametrize("name", OURS)
def test_its_commands_are_commands(name: str) -> None:
    """As `undertone` understands them."""
    service = SERVICES[name]
    said = [*service.get("entrypoint", ["undertone"]), *service["command"]]
    assert said[0] == "undertone"
    assert command_of(said[1:]) == said[1]


@pytest.mark.parametrize("name", OURS)
def test_its_settings_are_settings(name: str, secrets: Path) -> None:
    """All of them together, with the files that are mounted; gateways share a store."""
    found = settle(SERVICES[name]["environment"], {"/run/secrets/undertone.toml": secrets / "undertone.toml"})
    if name.startswith("gateway"):
        assert found.store.startswith("valkey://")
        assert found.database_url is not None
        hosts = [url.split("/")[2] for url in found.classifier_url]
        assert hosts == ["classify-1:8523", "classify-2:8523"]
        (subnet,) = (one["subnet"] for one in load(COMPOSE)["networks"]["edge"]["ipam"]["config"])
        assert [str(one) for one in found.trusted_proxies] == [subnet]


def test_the_stores_are_where_the_gateways_look(secrets: Path) -> None:
    """Names, ports, users and passwords of both sides are the same."""
    told = tomllib.loads((secrets / "undertone.toml").read_text(encoding="utf-8"))
    postgres, valkey = ((secrets / f"{name}_password").read_text() for name in ("postgres", "valkey"))
    user, database = (SERVICES["postgres"]["environment"][f"POSTGRES_{one}"] for one in ("USER", "DB"))
    assert told["store"] == f"valkey://:{valkey}@valkey:6379/0"
    assert told["database_url"] == f"postgresql://{user}:{postgres}@postgres:5432/{database}"
    assert f"requirepass {valkey}\n" in (secrets / "valkey.conf").read_text()


def test_valkeys_settings_are_valid(secrets: Path, tmp_path: Path) -> None:
    """Redis, of the same family, starts with them and asks for the password."""
    socket, config = tmp_path / "s", tmp_path / "valkey.conf"
    config.write_text((secrets / "valkey.conf").read_text().replace("dir /data", f"dir {tmp_path}"))
    server = [need_command("redis-server"), str(config), "--port", "0", "--unixsocket", str(socket)]
    ask = [need_command("redis-cli"), "-s", str(socket), "--no-auth-warning"]
    password = (secrets / "valkey_password").read_text()

    def said(*more: str) -> str:
        return subprocess.run(
            [*ask, *more, "ping"], capture_output=True, text=True, check=False
        ).stdout.strip()

    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert any("eady to accept" in line for line in running.stdout)
            assert said().startswith("NOAUTH")
            assert said("-a", password) == "PONG"
        finally:
            running.terminate()
            running.communicate(timeout=20)


def test_secrets_are_made_once_and_for_their_owner(secrets: Path) -> None:
    """A second run changes nothing; the folder is shut, and git doesn't know it."""
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    subprocess.run([str(DEPLOY / "secrets.sh"), str(secrets)], check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    mounted = {str(one["file"]) for one in load(COMPOSE)["secrets"].values()}
    assert {f"./secrets/{name}" for name in before} == mounted
    assert len({*before.values()}) == len(before)
    assert "deploy/secrets/" in (DEPLOY.parent / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", SERVERS)
def test_a_drain_has_the_time_that_it_takes(name: str) -> None:
    """Docker waits for longer than the gateway does."""
    service = SERVICES[name]
    grace = float(service["environment"]["UNDERTONE_DRAIN_GRACE_S"])
    assert seconds(service["stop_grace_period"]) >= grace + 5


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_has_more_than_it_needs(name: str) -> None:
    """Limits for all; for what we build or configure no rights and a root that can't be written."""
    service = SERVICES[name]
    assert {"cpus", "memory"} == set(service["deploy"]["resources"]["limits"])
    if name not in ("valkey", "postgres"):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    published = [str(one) for one in service.get("ports", ())]
    assert not published or name in ("proxy", "caddy")


@pytest.mark.parametrize("name", OTHERS)
def test_images_are_pinned(name: str) -> None:
    """By major and minor version where the image has both, and never `latest`."""
    assert re.fullmatch(r"[a-z/]+:\d+(\.\d+)?-alpine", SERVICES[name]["image"])


def test_what_is_waited_for_can_be_told() -> None:
    """Who waits for somebody to be well waits for one with a healthcheck (the image has a gateway's)."""
    for service in SERVICES.values():
        for name, on in service.get("depends_on", {}).items():
            other: dict[str, Any] = SERVICES[name]
            if on["condition"] == "service_healthy":
                assert name.startswith("gateway") or "test" in other["healthcheck"]
            else:
                assert other["restart"] == "no"
    assert {"migrate", "valkey", "postgres"} <= set(SERVICES["gateway-1"]["depends_on"])


def test_the_passwords_are_no_settings_of_the_environment() -> None:
    """Whoever may inspect a container sees its environment; stores and tokens come as files."""
    secret = {"UNDERTONE_STORE", "UNDERTONE_DATABASE_URL"}
    for service in SERVICES.values():
        assert not secret & set(service.get("environment", {}))
    assert Settings().store == "memory"
