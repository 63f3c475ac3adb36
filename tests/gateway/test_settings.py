"""Settings: read from the environment and TOML, checked all at once, documented where declared."""

import dataclasses
import subprocess
import sys
import tomllib
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.settings
from gateway.config.kinds import Number
from gateway.config.options import Given, Schema, option_of, setting, variable
from gateway.config.problems import HIDDEN
from gateway.config.reference import EXAMPLE
from gateway.settings import ClassifierKind, Problem, Settings, SettingsError, effective, explain, reference

ROOT = Path(__file__).parents[2]
NAMES = [one.name for one in dataclasses.fields(Settings)]


def problems_of(environ: dict[str, str], toml: Path | None = None) -> list[Problem]:
    with pytest.raises(SettingsError) as error:
        Settings.load(environ, toml)
    return error.value.problems


def one_problem(environ: dict[str, str], toml: Path | None = None) -> Problem:
    (problem,) = problems_of(environ, toml)
    return problem


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "undertone.toml"


def test_defaults_are_those_of_the_design() -> None:
    """With nothing set the gateway listens on loopback, with the timers of the design."""
    settings = Settings.load({})
    assert settings == Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8522)
    assert settings.connect_deadline_s == 30
    assert settings.session_detached_ttl_s == 90
    assert settings.session_idle_ttl_s == 300
    assert settings.session_ttl_s == 24 * 3_600
    assert settings.session_stale_s == 48 * 3_600
    assert settings.closed_retention_s == 900
    assert (settings.event_log_events, settings.event_log_bytes, settings.event_log_seconds) == (
        512,
        262_144,
        120,
    )
    assert settings.max_sessions_per_user is None
    assert (settings.classify_workers, settings.classify_batch) == (None, None)
    assert settings.side_by_side >= 1
    assert settings.most_in_a_batch == 32
    assert settings.transcribe_decoders >= 1


def test_processes_share_the_cores() -> None:
    """Side by side they don't start workers for more cores than there are."""
    alone = Settings().cores
    several = Settings(processes=2, store="valkey://127.0.0.1")
    assert (several.cores, several.side_by_side) == (max(1, alone // 2), max(1, alone // 2))
    assert Settings(processes=256, store="valkey://127.0.0.1").cores == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_can_be_set_either_way(name: str, toml: Path) -> None:
    """Each default, written into the environment or into TOML, is read back as it was."""
    default = getattr(Settings(), name)
    option = option_of(next(one for one in dataclasses.fields(Settings) if one.name == name))
    text = option.kind.write(default)
    assert getattr(Settings.load({variable(name): text}), name) == default
    if default is not None:
        plain = isinstance(default, bool | int | float)
        toml.write_text(f"{name} = {text if plain else repr(text)}\n")
        assert getattr(Settings.load({}, toml), name) == default


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_refuses_nonsense(name: str) -> None:
    """No setting takes any text at all, and each says what it takes."""
    problem = one_problem({variable(name): "*/?!"})
    assert problem.name == variable(name)
    assert problem.message


@pytest.mark.parametrize(
    ("there", "file", "told"),
    [(True, "", "without UNDERTONE_ONNX_MODEL_FILE"), (False, "m.toml", "onnxruntime is not installed")],
)
def test_a_local_model_needs_its_file_and_its_library(
    monkeypatch: pytest.MonkeyPatch, there: bool, file: str, told: str
) -> None:
    """Both are known before anything opens, and what is missing is told with what to do."""
    monkeypatch.setattr(gateway.settings, "_installed", lambda _: there)
    problem = one_problem({"UNDERTONE_CLASSIFIER": "onnx", "UNDERTONE_ONNX_MODEL_FILE": file})
    assert told in problem.message
    assert problem.hint


@pytest.mark.parametrize("name", ["CLASSIFY_WORKERS", "CLASSIFY_BATCH"])
def test_workers_and_batches_are_left_to_the_measurement_or_numbers(name: str, toml: Path) -> None:
    """`auto` and a number are taken either way; anything else is told what there is."""
    field, variable = name.lower(), f"UNDERTONE_{name}"
    toml.write_text(f'{field} = "auto"\n')
    assert getattr(Settings.load({variable: "AUTO"}), field) is None
    assert getattr(Settings.load({}, toml), field) is None
    assert getattr(Settings.load({variable: "7"}, toml), field) == 7
    for wrong in ("0", "257", "some"):
        message = one_problem({variable: wrong}).message
        assert message.startswith("must be a whole number from 1")
        assert message.endswith(", or auto")


def test_a_short_queue_bounds_the_batches() -> None:
    """Where their size is left open."""
    assert Settings.load({"UNDERTONE_CLASSIFY_QUEUE": "8"}).most_in_a_batch == 8


def test_all_problems_are_told_at_once(toml: Path) -> None:
    """Names nobody knows, values out of range and rules broken come together, not one after the other."""
    toml.write_text("prot = 1\nport = 'eighty'\n")
    environ = {
        "UNDERTONE_CLASIFIER": "acoustic",
        "UNDERTONE_CLASSIFY_BATCH": "33",
        "UNDERTONE_HOST": "0.0.0.0",
        "UNDERTONE_PROCESSES": "2",
    }
    assert {problem.name for problem in problems_of(environ, toml)} == {
        f"prot in {toml}",
        f"port in {toml}",
        "UNDERTONE_CLASIFIER",
        "UNDERTONE_CLASSIFY_BATCH",
        "UNDERTONE_HOST",
        "UNDERTONE_PROCESSES",
    }


def test_the_environment_wins_over_the_file(toml: Path) -> None:
    """A variable overrides the same setting in TOML, even one that is wrong there."""
    toml.write_text("port = 1\nheartbeat_s = 'often'\n")
    settings = Settings.load({"UNDERTONE_PORT": "2", "UNDERTONE_HEARTBEAT_S": "30"}, toml)
    assert (settings.port, settings.heartbeat_s) == (2, 30)


def test_the_file_is_named_by_argument_or_by_variable(toml: Path, tmp_path: Path) -> None:
    """`UNDERTONE_CONFIG` names a file; a path given to `load` goes before it."""
    toml.write_text("port = 1\n")
    other = tmp_path / "other.toml"
    other.write_text("port = 2\n")
    assert Settings.load({"UNDERTONE_CONFIG": str(toml)}).port == 1
    assert Settings.load({"UNDERTONE_CONFIG": str(toml)}, other).port == 2


@pytest.mark.parametrize(
    ("content", "said"), [(None, "can't be read"), ("port = = 1", "not valid TOML"), (b"\xff", "not valid")]
)
def test_a_file_that_is_missing_or_broken_is_a_problem(
    toml: Path, content: str | bytes | None, said: str
) -> None:
    """The file itself is named, and what is wrong with it."""
    if content is not None:
        toml.write_bytes(content if isinstance(content, bytes) else content.encode())
    problem = one_problem({}, toml)
    assert problem.name == str(toml)
    assert said in problem.message


def test_an_empty_variable_counts_as_not_set() -> None:
    """Compose files pass empty variables for what is not set."""
    assert Settings.load({"UNDERTONE_PORT": "", "UNDERTONE_NO_SUCH_THING": " "}) == Settings()


def test_the_bare_alias_is_read_and_the_proper_name_wins() -> None:
    """`SESSION_IDLE_TTL_S` means what it did to older deployments; other bare names mean nothing."""
    older = Settings.load({"SESSION_IDLE_TTL_S": "60"})
    assert (older.session_detached_ttl_s, older.session_idle_ttl_s) == (60, 300)
    both = {"SESSION_IDLE_TTL_S": "60", "UNDERTONE_SESSION_DETACHED_TTL_S": "70"}
    assert Settings.load(both).session_detached_ttl_s == 70
    assert Settings.load({"PORT": "nonsense", "CLASSIFIER": "x"}) == Settings()
    assert one_problem({"SESSION_IDLE_TTL_S": "soon"}).name == "SESSION_IDLE_TTL_S"


def test_an_unknown_name_gets_a_hint_and_never_shows_its_value() -> None:
    """A misspelt name may be that of a secret."""
    problem = one_problem({"UNDERTONE_ALLOWED_ORIGIN": "canary-secret"})
    assert problem.hint == "did you mean UNDERTONE_ALLOWED_ORIGINS?"
    assert "canary" not in explain([problem])


def test_variables_that_kubernetes_adds_are_recognised() -> None:
    """A Kubernetes service called `undertone` puts its address into UNDERTONE_PORT, of all names."""
    environ = {
        "UNDERTONE_PORT": "tcp://10.0.0.1:8522",
        "UNDERTONE_SERVICE_HOST": "10.0.0.1",
        "UNDERTONE_PORT_8522_TCP_ADDR": "10.0.0.1",
    }
    assert ["enableServiceLinks" in problem.hint for problem in problems_of(environ)] == [True] * 3


_SEVERAL = {"PROCESSES": "4", "STORE": "valkey://127.0.0.1:6379"}


@pytest.mark.parametrize(
    ("environ", "blamed"),
    [
        ({"HOST": "0.0.0.0"}, "HOST"),
        ({"HOST": "::"}, "HOST"),
        ({"PROCESSES": "4"}, "PROCESSES"),
        ({"HANDOVER": "/run/h", **_SEVERAL}, "HANDOVER"),
        ({"METRICS_PORT": "9101"}, "METRICS_PORT"),
        ({"METRICS_PORT": "8520", **_SEVERAL}, "METRICS_PORT"),
        ({"METRICS_PORT": "65533", **_SEVERAL}, "METRICS_PORT"),
        ({"CLASSIFY_QUEUE": "8", "CLASSIFY_BATCH": "9"}, "CLASSIFY_QUEUE"),
        ({"HEARTBEAT_S": "300"}, "HEARTBEAT_S"),
        ({"SESSION_IDLE_TTL_S": "7200", "SESSION_TTL_HOURS": "1"}, "SESSION_IDLE_TTL_S"),
        ({"SESSION_STALE_HOURS": "23"}, "SESSION_STALE_HOURS"),
        ({"MAX_SESSIONS_PER_USER": "5001"}, "MAX_SESSIONS_PER_USER"),
        ({"CLASSIFIER": "remote"}, "CLASSIFIER"),
        ({"CLASSIFIER_URL": "http://a:1,http://a:1"}, "CLASSIFIER_URL"),
        (
            {"CLASSIFIER": "remote", "CLASSIFIER_URL": "http://a:1", "CLASSIFIER_DEADLINE_S": "10"},
            "CLASSIFIER_DEADLINE_S",
        ),
        ({"CLASSIFIER": "kserve", "CLASSIFIER_URL": "http://127.0.0.1:8000"}, "CLASSIFIER"),
        ({"CLASSIFIER": "kserve", "KSERVE_MODEL_FILE": "model.toml"}, "CLASSIFIER"),
        (
            {
                "CLASSIFIER": "kserve",
                "KSERVE_MODEL_FILE": "model.toml",
                "CLASSIFIER_URL": "http://127.0.0.1:8000,http://127.0.0.1:8001",
            },
            "CLASSIFIER",
        ),
    ],
)
def test_rules_between_settings(environ: dict[str, str], blamed: str) -> None:
    """Settings that contradict each other are refused, with the reason and what to do."""
    problem = one_problem({f"UNDERTONE_{name}": text for name, text in environ.items()})
    assert problem.name == f"UNDERTONE_{blamed}"
    assert problem.value == environ[blamed]
    assert problem.hint


def test_the_older_name_of_the_sidecars_address() -> None:
    """`CF_VOICE_URL` is read where the proper name is not set, and chooses as that does."""
    settings = Settings.load({"CF_VOICE_URL": "http://voice:8007/"})
    assert settings.classifier_url == ("http://voice:8007",)
    assert settings.resolved(settings.classifier) is ClassifierKind.REMOTE


def test_each_rule_has_its_way_out() -> None:
    """A public address may be allowed on purpose, and limits may meet exactly."""
    assert (
        Settings.load({"UNDERTONE_HOST": "0.0.0.0", "UNDERTONE_ALLOW_PUBLIC_BIND": "true"}).host == "0.0.0.0"
    )
    assert Settings.load({"UNDERTONE_MAX_SESSIONS_PER_USER": "5000"}).max_sessions_per_user == 5_000
    assert Settings.load({"UNDERTONE_CLASSIFY_QUEUE": "32"}).classify_queue == 32
    several = {f"UNDERTONE_{name}": text for name, text in _SEVERAL.items()}
    for first in (8_523, 8_518, 65_532):
        assert Settings.load({**several, "UNDERTONE_METRICS_PORT": f"{first}"}).metrics_port == first


def test_a_rule_waits_for_the_values_it_concerns() -> None:
    """A value that is wrong by itself isn't blamed a second time."""
    assert one_problem({"UNDERTONE_CLASSIFY_QUEUE": "none"}).message.startswith("must be a whole number")


def test_an_engine_that_is_not_installed_is_a_problem_only_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`auto` makes do without PocketSphinx; asking for it by name doesn't."""
    monkeypatch.setattr(gateway.settings, "_installed", lambda _: False)
    assert Settings.load({}).transcriber == "auto"
    problem = one_problem({"UNDERTONE_TRANSCRIBER": "pocketsphinx"})
    assert "not installed" in problem.message
    assert "pip install '.[embedded]'" in problem.hint


def test_settings_made_in_code_are_checked_too() -> None:
    """No invalid `Settings` object can exist, and values take their final types."""
    with pytest.raises(SettingsError):
        Settings(port=70_000)
    with pytest.raises(SettingsError):
        dataclasses.replace(Settings(), host="0.0.0.0")
    assert type(Settings(heartbeat_s=5).heartbeat_s) is float


def test_secrets_and_credentials_are_not_shown() -> None:
    """A secret setting's value is hidden in problems, and an address loses its user and password."""

    @dataclasses.dataclass
    class Vault:
        combination: int = setting(1, Number(0, 9, whole=True), "Vault", "Opens it.", secret=True)

    schema = Schema({one.name: one for one in dataclasses.fields(Vault)})
    _, (problem,) = schema.settle({"combination": Given("combination", "canary-secret", as_text=True)})
    assert problem.value == HIDDEN
    origin = one_problem({"UNDERTONE_ALLOWED_ORIGINS": "https://user:canary@example.org"})
    assert "canary" not in explain([origin])


@given(st.dictionaries(st.sampled_from([variable(name) for name in NAMES]), st.text(max_size=12), max_size=6))
def test_loading_raises_only_settings_errors(environ: dict[str, str]) -> None:
    """Whatever the environment holds, it's either settings or a list of problems of one line each."""
    try:
        Settings.load(environ)
    except SettingsError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all((problem.value or "").isprintable() for problem in problems)


def test_explanations_are_for_people() -> None:
    """Name and value, what is wrong, what to do."""
    text = explain(problems_of({"UNDERTONE_PORT": "70000", "UNDERTONE_HOSTS": "x"}))
    assert text == (
        "UNDERTONE_HOSTS\n"
        "    is not a setting\n"
        "    → did you mean UNDERTONE_HOST?\n"
        "UNDERTONE_PORT = 70000\n"
        "    must be a whole number from 0 to 65535"
    )


def test_the_effective_settings_can_be_loaded_again() -> None:
    """What `check-config` prints is an environment that gives the same settings."""
    settings = Settings(
        port=0,
        trusted_proxies=(ip_network("10.0.0.0/8"),),
        allowed_origins=("https://a.org", "https://b.org"),
    )
    lines = dict(line.split("=", 1) for line in effective(settings).splitlines())
    assert len(lines) == len(NAMES)
    assert Settings.load(lines) == settings


def test_the_reference_names_every_setting_and_its_example_works(toml: Path) -> None:
    """The page is complete, and the file it shows can be loaded."""
    page = reference()
    assert all(f"`{variable(name)}`" in page for name in NAMES)
    assert EXAMPLE in page
    assert tomllib.loads(EXAMPLE)
    toml.write_text(EXAMPLE)
    assert Settings.load({}, toml).port == 9_000


def test_the_page_can_be_printed() -> None:
    """`python -m gateway.settings` prints docs/settings.md."""
    command = [sys.executable, "-m", "gateway.settings"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == reference()


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, ClassifierKind.ACOUSTIC),
        ({"UNDERTONE_CLASSIFIER_URL": "http://127.0.0.1:9"}, ClassifierKind.REMOTE),
        ({"CF_VOICE_URL": "http://127.0.0.1:9"}, ClassifierKind.REMOTE),
        ({"CF_ORCH_URL": "http://127.0.0.1:9"}, ClassifierKind.REMOTE),
        ({"CF_ORCH_URL": "http://127.0.0.1:9", "UNDERTONE_CLASSIFIER": "acoustic"}, ClassifierKind.ACOUSTIC),
    ],
)
def test_a_sidecar_that_is_named_is_asked_unless_something_else_is(
    given: dict[str, str], kind: ClassifierKind
) -> None:
    """`auto` follows what there is."""
    settings = Settings.load(given)
    assert settings.resolved(settings.classifier) is kind


def test_an_orchestrator_is_named_by_a_url_without_secrets_and_has_time_to_answer() -> None:
    """Before anything opens."""
    for wrong in (
        {"ORCH_URL": "http://user:secret@127.0.0.1:9"},
        {"ORCH_URL": "ftp://x"},
        {"ORCH_URL": "http://127.0.0.1:9", "ORCH_TTL_S": "10", "ORCH_TIMEOUT_S": "5"},
        {"CLASSIFIER": "remote"},
    ):
        with pytest.raises(SettingsError) as refused:
            Settings.load({f"UNDERTONE_{name}": value for name, value in wrong.items()})
        assert "secret" not in explain(refused.value.problems)


WHISPER = {"UNDERTONE_TRANSCRIBER": "whisper", "UNDERTONE_WHISPER_MODEL": "small.en"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"UNDERTONE_WHISPER_MODEL": ""}, "must not be whisper without UNDERTONE_WHISPER_MODEL"),
        ({"UNDERTONE_WHISPER_MODEL": "--download"}, "must be a directory"),
        ({"UNDERTONE_WHISPER_MODEL": "https://example.com/small"}, "must be a directory"),
        ({"UNDERTONE_WHISPER_PROMPT": "x" * 601}, "at most 600 characters"),
        ({"UNDERTONE_WHISPER_DEVICE": "tpu"}, "must be auto, cpu or cuda"),
        (
            {"UNDERTONE_WHISPER_DEVICE": "cpu", "UNDERTONE_WHISPER_COMPUTE_TYPE": "int8_float16"},
            "must not be of 16-bit floats",
        ),
        ({"UNDERTONE_WHISPER_THREADS": "0"}, "must be a whole number from 1 to 256"),
    ],
)
def test_what_whisper_cant_use_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str], message: str
) -> None:
    """Told before a model is looked for."""
    monkeypatch.setattr(gateway.settings, "_installed", lambda _: True)
    assert message in one_problem({**WHISPER, **change}).message


def test_whisper_without_its_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""
    monkeypatch.setattr(gateway.settings, "_installed", lambda name: name != "faster_whisper")
    assert "pip install '.[whisper]'" in one_problem(WHISPER).hint


@pytest.mark.parametrize("kind", ["auto", "default", "int8", "int8_float32", "int16", "float32"])
def test_a_processor_has_these_compute_types(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """All of them whole numbers or 32-bit floats."""
    monkeypatch.setattr(gateway.settings, "_installed", lambda _: True)
    given = {**WHISPER, "UNDERTONE_WHISPER_DEVICE": "cpu", "UNDERTONE_WHISPER_COMPUTE_TYPE": kind}
    assert Settings.load(given).whisper_compute_type == kind
