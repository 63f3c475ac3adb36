"""The composition of containers: sound by Docker's own check, and with settings that the gateway takes."""

import asyncio
import os
import re
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings
from tests import postgres
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
    passwords = {name: (secrets / f"{name}_password").read_text() for name in ("postgres", "valkey")}
    made = (DEPLOY / "postgres" / "user.sh").read_text(encoding="utf-8")
    user, database = (
        re.findall(rf"^CREATE {one} (\w+)", made, re.MULTILINE)[0] for one in ("ROLE", "DATABASE")
    )
    assert told["store"] == f"valkey://:{passwords['valkey']}@valkey:6379/0"
    assert told["database_url"] == f"postgresql://{user}:{passwords['postgres']}@postgres:5432/{database}"
    assert f"requirepass {passwords['valkey']}\n" in (secrets / "valkey.conf").read_text()


def test_the_database_has_a_user_who_owns_no_more(secrets: Path, tmp_path: Path) -> None:
    """PostgreSQL runs the script that its image would; the user makes the tables, and is no superuser."""
    made = (DEPLOY / "postgres" / "user.sh").read_text(encoding="utf-8")
    script = tmp_path / "user.sh"
    script.write_text(made.replace("/run/secrets/", f"{secrets}/"))
    need_command("psql")
    server = postgres.Server()
    try:
        server.start()
        environment = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(server.port)}
        subprocess.run(["sh", str(script)], env=environment, check=True, capture_output=True)
        url = server.url("undertone", user="undertone")

        async def looked() -> list[Any]:
            async with postgres.database("undertone", url) as one:
                return [
                    await one.fetchval(f"SELECT {what} FROM pg_roles WHERE rolname = current_user")
                    for what in ("rolsuper", "rolcreatedb", "rolcreaterole", "rolpassword IS NOT NULL")
                ]

        assert asyncio.run(looked()) == [False, False, False, True]
    finally:
        server.close()


def test_valkey_has_room_to_rewrite_its_log(secrets: Path) -> None:
    """Its container may have all that it keeps twice."""
    (megabytes,) = re.findall(r"^maxmemory (\d+)mb$", (secrets / "valkey.conf").read_text(), re.MULTILINE)
    limit = SERVICES["valkey"]["deploy"]["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("G")) * 1024 >= 2 * int(megabytes) + 256


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
    """Limits for all, no rights, and for what we build or configure a root that can't be written.

    A gateway has no limit on CPU, which would make its event loop late.
    """
    service = SERVICES[name]
    bounded = {"memory"} if name.startswith("gateway") else {"cpus", "memory"}
    assert set(service["deploy"]["resources"]["limits"]) == bounded
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name not in ("valkey", "postgres"):
        assert service["read_only"] is True
    published = [str(one) for one in service.get("ports", ())]
    assert not published or name in ("proxy", "caddy")


@pytest.mark.parametrize("name", ["proxy", "caddy"])
def test_what_isnt_encrypted_stays_on_this_machine(name: str) -> None:
    """Unless somebody says otherwise; with TLS, too."""
    text = "${UNDERTONE_HTTP_ADDRESS:-127.0.0.1}:${UNDERTONE_HTTP_PORT:-8080}:8080"
    assert [one for one in SERVICES[name]["ports"] if "8080" in one] == [text]
    assert load(DEPLOY / "compose.tls.yaml")["services"]["proxy"]["ports"] == ["443:8443"]


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
