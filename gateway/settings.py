"""Every setting of the gateway, declared once: type, default, range, unit and help.

Environment variables are named `UNDERTONE_` and the field's name in capitals; a TOML file uses the fields'
own names as top-level keys. The environment wins over the file, an empty variable counts as not set, and a
name nobody knows is a problem. `python -m gateway.settings` prints the reference page.
"""
# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `dataclasses.field` does

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from gateway.config.addresses import Network, host, is_loopback, network, origin, sidecar, websocket
from gateway.config.cores import usable_cores
from gateway.config.files import (
    any_file,
    data_file,
    secret_file,
    short_name,
    socket_path,
    toml_file,
)
from gateway.config.kinds import Auto, Choice, Flag, Many, Maybe, Number, Text
from gateway.config.options import CONFIG, Given, Rule, Schema, setting, variable
from gateway.config.problems import Problem, SettingsError, explain
from gateway.config.reference import page
from gateway.config.speech import WhisperComputeType, WhisperDevice, speech_model, speech_prompt
from gateway.config.stores import MEMORY, POSTGRES, database, schema, store

__all__ = ["Problem", "Settings", "SettingsError", "effective", "explain", "reference"]

DAY_S = 86_400
MAX_SIDECARS = 32
MAX_BATCH = 32
"""Windows in one batch."""


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    AUTO = "auto"
    """Text at a terminal, else JSON."""
    JSON = "json"
    TEXT = "text"


class ClassifierKind(StrEnum):
    AUTO = "auto"
    """A sidecar where one is named or allocated, else the embedded one."""
    ACOUSTIC = "acoustic"
    KSERVE = "kserve"
    """A model server that speaks the Open Inference Protocol."""
    ONNX = "onnx"
    """Tone from a local model, the rest as `acoustic`."""
    REMOTE = "remote"
    """Sidecars: processes elsewhere, asked over HTTP."""


class LocalClassifier(StrEnum):
    """What `undertone classify` can serve."""

    ACOUSTIC = "acoustic"
    ONNX = "onnx"
    """Tone from a local model, the rest as `acoustic`."""


class WorkerKind(StrEnum):
    """Where the embedded classifier works."""

    AUTO = "auto"
    """Processes, where there is more than one usable core."""
    PROCESS = "process"
    THREAD = "thread"


class TranscriberKind(StrEnum):
    AUTO = "auto"
    """The classifier's own words where it hears any, else PocketSphinx where it is installed, else none."""
    NONE = "none"
    POCKETSPHINX = "pocketsphinx"
    WHISPER = "whisper"


class OrchScope(StrEnum):
    NODE = "node"
    """One sidecar for all sessions of this process."""
    SESSION = "session"
    """One for each session."""


def _whole(low: int, high: int) -> Number:
    return Number(low, high, whole=True)


_HOST = Text(host, "IP address or host name")
_SECONDS = Number(0.1, 7 * DAY_S)
_HOURS = Number(0.01, 8_760)

_LISTEN = "Listening"
_KEYS = "Keys"
_CLASSIFY = "Classifying"
_ONNX = "A local model (`onnx`)"
_REMOTE = "Classifying by sidecars"
_ORCH = "Sidecars from an orchestrator"
_KSERVE = "A model server (Open Inference Protocol)"
_WORDS = "Transcribing"
_WHISPER = "Transcribing with Whisper"
_LIFE = "Sessions and their timers"
_LIMITS = "Limits"
_REPLAY = "Events held for replay and history"
_TASKS = "Background tasks"
_SHARE = "State that nodes share"
_RUN = "Running"
_SIDECAR = "A sidecar of our own: `undertone classify`"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, valid as a whole.

    Raises:
        SettingsError: with every problem there is.
    """

    host: str = setting("127.0.0.1", _HOST, _LISTEN, "Address to listen on.")
    port: int = setting(8522, _whole(0, 65_535), _LISTEN, "TCP port to listen on; 0 takes a free one.")
    allow_public_bind: bool = setting(
        False,
        Flag(),
        _LISTEN,
        "Listen on an address that other machines can reach, although nobody needs a key there.",
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        Many(origin, "exact origins"),
        _LISTEN,
        "Pages of these origins may connect too. A page served by the gateway itself always may.",
        default_text="same origin only",
    )
    trusted_proxies: tuple[Network, ...] = setting(
        (),
        Many(network, "IP addresses or networks"),
        _LISTEN,
        "Proxies whose `Forwarded` and `X-Forwarded-*` headers are believed.",
        default_text="none",
    )

    namespaces_file: str | None = setting(
        None,
        Maybe(Text(data_file, "path of a `.toml` or `.json` file")),
        _KEYS,
        "The file of namespaces and keys that `undertone keys` writes; with it each request "
        "for a session needs a key or a ticket. Read again within a second of a change.",
    )
    legacy_namespace: str | None = setting(
        None,
        Maybe(Text(short_name, "name")),
        _KEYS,
        "The namespace that the older routes under `/session` serve, which know no keys; they are shut "
        "without it.",
    )

    classifier: ClassifierKind = setting(
        ClassifierKind.AUTO,
        Choice(ClassifierKind),
        _CLASSIFY,
        "What listens to the windows; `auto` is `remote` where a sidecar is named or an orchestrator "
        "allocates them, else `acoustic`. A namespace may choose another.",
    )
    classify_worker_kind: WorkerKind = setting(
        WorkerKind.AUTO,
        Choice(WorkerKind),
        _CLASSIFY,
        "Where the embedded classifier works: in processes of its own, or in threads of this one; `auto` is "
        "processes where this one has more than one usable CPU core (`UNDERTONE_PROCESSES` share them).",
    )
    classify_workers: int | None = setting(
        None,
        Auto(_whole(1, 256)),
        _CLASSIFY,
        "Workers of the embedded classifier, and so batches classified at the same time; `auto` is measured "
        "at the start. Of another local model, threads: one a usable CPU core.",
    )
    classify_batch: int | None = setting(
        None,
        Auto(_whole(1, MAX_BATCH)),
        _CLASSIFY,
        "Most windows in one batch; `auto` is measured at the start, and 32 where others classify.",
        unit="windows",
    )
    classify_linger_ms: float = setting(
        10.0, Number(0, 10), _CLASSIFY, "How long a batch waits for more windows.", unit="ms"
    )
    classify_queue: int = setting(
        4_096,
        _whole(1, 1_000_000),
        _CLASSIFY,
        "Most windows waiting, over all sessions; beyond it windows become gaps.",
        unit="windows",
    )
    dispatch_deadline_s: float = setting(
        2.0, Number(0.1, 60), _CLASSIFY, "A realtime window that waits longer becomes a gap.", unit="s"
    )

    admission_late_s: float = setting(
        5.0,
        Number(0.1, 3_600),
        _CLASSIFY,
        "New sessions are refused while realtime windows have waited too long for so long without a break.",
        unit="s",
    )
    classify_timeout_s: float = setting(
        10.0,
        Number(0.5, 300),
        _CLASSIFY,
        "A batch without an answer after this long becomes a gap, and the gateway is not ready.",
        unit="s",
    )

    onnx_model_file: str | None = setting(
        None,
        Maybe(Text(toml_file, "path of a `.toml` file")),
        _ONNX,
        "The file that describes the model; see [classifiers/onnx.md](classifiers/onnx.md).",
    )

    orch_url: str | None = setting(
        None,
        Maybe(Text(sidecar, "http://, https:// or unix:// URL")),
        _ORCH,
        "Who allocates sidecars; a URL of a sidecar of our own wins over it.",
        alias="CF_ORCH_URL",
    )
    orch_scope: OrchScope = setting(
        OrchScope.NODE,
        Choice(OrchScope),
        _ORCH,
        "Whether one sidecar is asked for and shared by all sessions, or one for each.",
    )
    orch_ttl_s: float = setting(
        300.0, Number(10, DAY_S), _ORCH, "For how long a sidecar is asked for at a time.", unit="s"
    )
    orch_timeout_s: float = setting(
        5.0, Number(0.5, 60), _ORCH, "How long the orchestrator may take to answer.", unit="s"
    )

    classifier_url: tuple[str, ...] = setting(
        (),
        Many(sidecar, "http://, https:// or unix:// URLs"),
        _REMOTE,
        "Where the sidecars are that UNDERTONE_CLASSIFIER=remote asks, several of which share the work; or "
        "the model server of `kserve`.",
        default_text="none",
        alias="CF_VOICE_URL",
    )
    classifier_deadline_s: float = setting(
        2.0,
        Number(0.1, 60),
        _REMOTE,
        "How long a batch may take at a sidecar, waiting and a second try included; then its windows become "
        "gaps.",
        unit="s",
    )
    classifier_calls: int = setting(
        4, _whole(1, 64), _REMOTE, "Most calls open to one sidecar at the same time.", unit="calls"
    )
    classifier_ca_file: str | None = setting(
        None,
        Maybe(Text(any_file, "path of a PEM file")),
        _REMOTE,
        "The authorities whose certificates are good for an https:// sidecar or orchestrator, instead of the "
        "system's; read at the start.",
    )
    classifier_token_file: str | None = setting(
        None,
        Maybe(Text(any_file, "path of a file")),
        _REMOTE,
        "A file with the token that sidecars want to see (`Authorization: Bearer`); read at the start.",
    )

    kserve_model_file: str | None = setting(
        None,
        Maybe(Text(toml_file, "path of a `.toml` file")),
        _KSERVE,
        "Which model to ask with `UNDERTONE_CLASSIFIER=kserve`, how to feed it and what its outputs mean.",
    )

    transcriber: TranscriberKind = setting(
        TranscriberKind.AUTO,
        Choice(TranscriberKind),
        _WORDS,
        "What turns speech into words; `auto` is the classifier where it hears them itself, else "
        "PocketSphinx where it is installed, else none. A namespace may choose another.",
    )
    transcribe_decoders: int = setting(
        lambda: max(2, usable_cores()),
        _whole(1, 256),
        _WORDS,
        "Most decoder processes: about 105 MiB each with PocketSphinx, a loaded model each with Whisper.",
        default_text="the usable CPU cores, at least 2",
    )

    whisper_model: str | None = setting(
        None,
        Maybe(Text(speech_model, "directory, or name of a model on the Hugging Face hub")),
        _WHISPER,
        "The model, in CTranslate2's format: the directory it stands in, or a name such as `small.en`.",
    )
    whisper_download: bool = setting(
        False,
        Flag(),
        _WHISPER,
        "Fetch a model of the hub where the local cache has none. Else the gateway never asks there.",
    )
    whisper_device: WhisperDevice = setting(
        WhisperDevice.AUTO, Choice(WhisperDevice), _WHISPER, "Where the model runs; `auto` is a GPU, if any."
    )
    whisper_compute_type: WhisperComputeType = setting(
        WhisperComputeType.AUTO,
        Choice(WhisperComputeType),
        _WHISPER,
        "How the model computes, in CTranslate2's words; `auto` is the fastest that the device knows.",
    )
    whisper_threads: int | None = setting(
        None,
        Maybe(_whole(1, 256)),
        _WHISPER,
        "Threads of each decoder process on a CPU.",
        default_text="the usable CPU cores by the decoders",
    )
    whisper_prompt: str | None = setting(
        None,
        Maybe(Text(speech_prompt, "one line of at most 600 characters")),
        _WHISPER,
        "Names and terms that may be spoken, written as a sentence that came before.",
    )

    connect_deadline_s: float = setting(
        30.0,
        _SECONDS,
        _LIFE,
        "How long a created session waits for somebody to attach before it expires.",
        unit="s",
    )
    session_detached_ttl_s: float = setting(
        90.0,
        _SECONDS,
        _LIFE,
        "How long a session that nobody is attached to any more waits before it expires.",
        unit="s",
        alias="SESSION_IDLE_TTL_S",
    )
    session_idle_ttl_s: float = setting(
        300.0,
        _SECONDS,
        _LIFE,
        "How long a live session may go without audio, ping or control message before it is ended.",
        unit="s",
    )
    session_ttl_hours: float = setting(24.0, _HOURS, _LIFE, "How long any session may last.", unit="h")
    session_stale_hours: float = setting(
        48.0,
        _HOURS,
        _LIFE,
        "How long a session may lack a sign of life from its node before it counts as failed.",
        unit="h",
    )
    closed_retention_s: float = setting(
        900.0, Number(0, 7 * DAY_S), _LIFE, "How long a session that is over can still be read.", unit="s"
    )
    heartbeat_s: float = setting(
        15.0,
        Number(1, 3_600),
        _LIFE,
        "How often the gateway pings its peers; one that does not answer within ten seconds is dropped.",
        unit="s",
    )

    max_sessions: int = setting(
        5_000,
        _whole(1, 1_000_000),
        _LIMITS,
        "Most live sessions; beyond it new ones are refused.",
        unit="sessions",
    )
    max_sessions_per_user: int | None = setting(
        None,
        Maybe(_whole(1, 1_000_000)),
        _LIMITS,
        "Most sessions at once with the same `user_id` in a namespace; those without one are one user's, "
        "where there is a namespace. A namespace may have a limit of its own.",
        unit="sessions",
    )
    max_message_bytes: int = setting(
        65_536, _whole(16_384, 65_536), _LIMITS, "Largest message a client may send.", unit="bytes"
    )

    event_log_events: int = setting(
        512, _whole(16, 65_536), _REPLAY, "Most events of a session held for replay.", unit="events"
    )
    event_log_bytes: int = setting(
        262_144,
        _whole(65_536, 2**26),
        _REPLAY,
        "Most bytes of a session's events held for replay.",
        unit="bytes",
    )
    event_log_seconds: float = setting(
        120.0, Number(1, 3_600), _REPLAY, "Longest time an event is held for replay.", unit="s"
    )
    record_bytes: int = setting(
        4_194_304,
        _whole(65_536, 2**28),
        _REPLAY,
        "Most bytes of a session's final events kept for history; later ones are left out, and said to be.",
        unit="bytes",
    )

    task_workers: int = setting(
        2, _whole(1, 64), _TASKS, "Exports, reports and summaries made at the same time."
    )
    task_queue: int = setting(
        64,
        _whole(1, 10_000),
        _TASKS,
        "Most tasks of one namespace waiting for a worker; beyond it new ones are refused.",
        unit="tasks",
    )
    tasks_per_session: int = setting(
        8,
        _whole(1, 1_000),
        _TASKS,
        "Most tasks of a session, those included whose result is kept; beyond it new ones are refused.",
        unit="tasks",
    )
    task_result_bytes: int = setting(
        8_388_608,
        _whole(65_536, 2**30),
        _TASKS,
        "Largest result; a task that would make a larger one fails.",
        unit="bytes",
    )
    task_results_bytes: int = setting(
        268_435_456,
        _whole(65_536, 2**40),
        _TASKS,
        "Most bytes of all results of one namespace held in memory; a task whose result has no room fails.",
        unit="bytes",
    )

    store: str = setting(
        MEMORY,
        Text(store, "`memory`, `postgres` or a `valkey://` URL"),
        _SHARE,
        "Where sessions, tickets and events are kept: in this process, in the database of "
        "`UNDERTONE_DATABASE_URL`, or in a Valkey or Redis server (`valkeys://` is TLS; `valkey+sentinel://` "
        "and `valkey+cluster://` name several). What other nodes are to find must not be in memory.",
    )
    database_url: str | None = setting(
        None,
        Maybe(Text(database, "`postgresql://` URL")),
        _SHARE,
        "A PostgreSQL database: beside Valkey for the audit trail, from which sessions are recovered; alone "
        "with `UNDERTONE_STORE=postgres`.",
    )
    database_schema: str = setting(
        "undertone", Text(schema, "name"), _SHARE, "The schema in that database, made where it is not there."
    )
    database_pooler: bool = setting(
        False, Flag(), _SHARE, "There is a pooler such as PgBouncer before it, which pools transactions."
    )
    store_required: bool = setting(
        True,
        Flag(),
        _SHARE,
        "Don't start where the store can't be reached. Otherwise the node starts, isn't ready, and waits.",
    )
    node_name: str | None = setting(
        None,
        Maybe(Text(short_name, "name")),
        _SHARE,
        "What this node is called in logs and metrics.",
        default_text="host name and process id",
    )
    node_lease_s: float = setting(
        10.0,
        Number(2, 300),
        _SHARE,
        "How long a node counts as there that was not heard of.",
        unit="s",
    )
    audit_retention_days: float = setting(
        30.0,
        Number(0, 36_500),
        _SHARE,
        "How long the audit trail keeps sessions that are over or deleted.",
        unit="days",
    )
    event_history: bool = setting(
        False,
        Flag(),
        _SHARE,
        "Keep what was said in sessions in the audit trail, too, for as long as the session is there.",
    )
    processes: int = setting(
        1,
        _whole(1, 256),
        _RUN,
        "How many processes `undertone serve` runs on the one port, each a node of its own.",
    )
    metrics_port: int | None = setting(
        None,
        Maybe(_whole(1, 65_535)),
        _RUN,
        "With several processes the port where the first is reached alone, for its `/metrics`; the others "
        "follow, one port each.",
    )
    drain_grace_s: float = setting(
        10.0, Number(0, 3_600), _RUN, "How long a session or a node that ends may finish its work.", unit="s"
    )
    reconnect_url: str | None = setting(
        None,
        Maybe(Text(websocket, "ws:// or wss:// URL")),
        _RUN,
        "Where clients of a node that goes away are asked to go on; none is the same address.",
    )
    handover: str | None = setting(
        None,
        Maybe(Text(socket_path, "absolute path")),
        _RUN,
        "A Unix socket by which the next process takes over the listening socket: a restart refuses nobody.",
    )
    log_level: LogLevel = setting(LogLevel.INFO, Choice(LogLevel), _RUN, "Least important messages to log.")
    log_format: LogFormat = setting(
        LogFormat.AUTO,
        Choice(LogFormat),
        _RUN,
        "`json` is one object a line, `text` is for people; `auto` is text at a terminal, else JSON.",
    )

    sidecar_host: str = setting("127.0.0.1", _HOST, _SIDECAR, "Address the sidecar listens on.")
    sidecar_port: int = setting(
        8523, _whole(0, 65_535), _SIDECAR, "TCP port the sidecar listens on; 0 takes a free one."
    )
    sidecar_uds: str | None = setting(
        None,
        Maybe(Text(socket_path, "absolute path")),
        _SIDECAR,
        "A Unix socket to listen on instead, which only the same user may open.",
    )
    sidecar_token_file: str | None = setting(
        None,
        Maybe(Text(secret_file, "absolute path of a file")),
        _SIDECAR,
        "A file whose one line callers of the sidecar have to send as `Authorization: Bearer`.",
    )
    sidecar_allow_public_bind: bool = setting(
        False,
        Flag(),
        _SIDECAR,
        "Let the sidecar listen on an address that other machines can reach, although it asks for no token.",
    )
    sidecar_classifier: LocalClassifier = setting(
        LocalClassifier.ACOUSTIC, Choice(LocalClassifier), _SIDECAR, "What the sidecar serves."
    )
    sidecar_queue: int = setting(
        512,
        _whole(32, 100_000),
        _SIDECAR,
        "Most windows in the sidecar, of all callers; beyond it calls are refused with 503.",
        unit="windows",
    )
    sidecar_body_bytes: int = setting(
        268_435_456,
        _whole(16_777_216, 2**40),
        _SIDECAR,
        "Most bytes of all calls under way in the sidecar; beyond it calls are refused with 503.",
        unit="bytes",
    )
    sidecar_sessions: int = setting(
        10_000,
        _whole(1, 10_000_000),
        _SIDECAR,
        "Most sessions whose state the sidecar keeps; the one heard longest ago goes first.",
        unit="sessions",
    )
    sidecar_session_bytes: int = setting(
        67_108_864,
        _whole(65_536, 2**40),
        _SIDECAR,
        "Most bytes of state that the sidecar keeps; the session heard longest ago goes first.",
        unit="bytes",
    )
    sidecar_session_ttl_s: float = setting(
        900.0, Number(1, 7 * DAY_S), _SIDECAR, "How long the sidecar keeps the state of a session.", unit="s"
    )

    def __post_init__(self) -> None:
        given = {name: Given(variable(name), getattr(self, name)) for name in _SCHEMA.fields}
        values, problems = _SCHEMA.settle(given)
        if problems:
            raise SettingsError(problems)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def load(cls, environ: Mapping[str, str], toml_path: str | Path | None = None) -> "Settings":
        """The settings out of the environment and a TOML file.

        Args:
            environ: usually `os.environ`.
            toml_path: the file; where None, `UNDERTONE_CONFIG` names one, or there is none.

        Raises:
            SettingsError: with every problem there is.
        """
        path = toml_path or environ.get(CONFIG)
        from_file, problems = _SCHEMA.from_toml(Path(path)) if path else ({}, [])
        from_environ, unknown = _SCHEMA.from_environ(environ)
        values, wrong = _SCHEMA.settle({**from_file, **from_environ})
        if problems := [*problems, *unknown, *wrong]:
            raise SettingsError(problems)
        return cls(**values)

    def resolved(self, classifier: str) -> ClassifierKind:
        """A kind of classifier, with `auto` resolved."""
        kind = ClassifierKind(classifier)
        if kind is not ClassifierKind.AUTO:
            return kind
        sidecars = _asks_sidecars(kind, self.classifier_url, self.orch_url)
        return ClassifierKind.REMOTE if sidecars else ClassifierKind.ACOUSTIC

    @property
    def cores(self) -> int:
        """CPU cores for this process, at least one: its share, where several serve side by side."""
        return max(1, usable_cores() // self.processes)

    @property
    def side_by_side(self) -> int:
        """Batches of a local classifier at the same time, where nothing was measured."""
        return self.classify_workers or self.cores

    @property
    def most_in_a_batch(self) -> int:
        """Windows in a batch, where the classifier doesn't say."""
        return self.classify_batch or min(MAX_BATCH, self.classify_queue)

    @property
    def session_ttl_s(self) -> float:
        """Seconds."""
        return self.session_ttl_hours * 3_600

    @property
    def session_stale_s(self) -> float:
        """Seconds."""
        return self.session_stale_hours * 3_600


_RULES = (
    Rule(
        ("host", "allow_public_bind", "namespaces_file"),
        lambda host, allowed, keys: allowed or keys is not None or is_loopback(host),
        "must be an address only this machine can reach, unless UNDERTONE_NAMESPACES_FILE says who has a key",
        "listen on 127.0.0.1, make keys, or set UNDERTONE_ALLOW_PUBLIC_BIND=true where something keeps "
        "strangers out",
    ),
    Rule(
        ("sidecar_host", "sidecar_uds", "sidecar_allow_public_bind", "sidecar_token_file"),
        lambda host, uds, allowed, token: (
            allowed or token is not None or uds is not None or is_loopback(host)
        ),
        "must be an address only this machine can reach, unless UNDERTONE_SIDECAR_TOKEN_FILE says who may "
        "come in",
        "listen on 127.0.0.1, make a token, or set UNDERTONE_SIDECAR_ALLOW_PUBLIC_BIND=true where something "
        "keeps strangers out",
    ),
    Rule(
        ("legacy_namespace", "namespaces_file"),
        lambda legacy, keys: legacy is None or keys is not None,
        "must not be set without UNDERTONE_NAMESPACES_FILE: without keys the older routes are open",
        "set that, or leave this out",
    ),
    Rule(
        ("classifier", "classifier_url", "orch_url"),
        lambda kind, urls, orch: kind is not ClassifierKind.REMOTE or bool(urls) or orch is not None,
        "must not be remote without UNDERTONE_CLASSIFIER_URL or UNDERTONE_ORCH_URL: there is nobody to ask",
        "say where the sidecar is, such as http://127.0.0.1:8523, or who allocates one",
    ),
    Rule(
        ("classifier_url",),
        lambda urls: len(urls) <= MAX_SIDECARS and len(set(urls)) == len(urls),
        f"must be at most {MAX_SIDECARS} different addresses",
        "for more, put a load balancer in front of them",
    ),
    Rule(
        ("classifier_deadline_s", "classify_timeout_s", "classifier", "classifier_url", "orch_url"),
        lambda deadline, timeout, *which: deadline < timeout or not _asks_sidecars(*which),
        "must be less than UNDERTONE_CLASSIFY_TIMEOUT_S, or what was answered in time is thrown away with "
        "what was not",
        "lower it, or raise the other",
    ),
    Rule(
        ("processes", "store"),
        lambda processes, store: processes == 1 or store != MEMORY,
        "must be 1 with UNDERTONE_STORE=memory: a session in one process's memory is unknown to the others",
        "run one process, or name a store: UNDERTONE_STORE=valkey://127.0.0.1:6379",
    ),
    Rule(
        ("handover", "processes"),
        lambda handover, processes: handover is None or processes == 1,
        "must not be set with several UNDERTONE_PROCESSES: one process hands over, not a group of them",
        "leave it out: a process that is told to end (SIGTERM) is replaced, and sessions go on in the others",
    ),
    Rule(
        ("metrics_port", "processes"),
        lambda port, processes: port is None or processes > 1,
        "has no effect with UNDERTONE_PROCESSES=1, whose metrics are on UNDERTONE_PORT",
        "leave it out",
    ),
    Rule(
        ("metrics_port", "processes", "port"),
        lambda first, processes, port: (
            first is None or (first + processes <= 65_536 and port not in range(first, first + processes))
        ),
        "must leave room for a port for each of UNDERTONE_PROCESSES, none of which is UNDERTONE_PORT",
        "such as 9101",
    ),
    Rule(
        ("store", "database_url"),
        lambda store, database: store != POSTGRES or database is not None,
        "must not be postgres without UNDERTONE_DATABASE_URL, which says where that is",
        "such as postgresql://undertone@127.0.0.1/undertone",
    ),
    Rule(
        ("database_url", "store"),
        lambda database, store: database is None or store != MEMORY,
        "has no effect with UNDERTONE_STORE=memory",
        "UNDERTONE_STORE=postgres keeps everything there",
    ),
    Rule(
        ("event_history", "database_url"),
        lambda history, database: not history or database is not None,
        "needs a database to keep it in: UNDERTONE_DATABASE_URL",
        "leave it off",
    ),
    Rule(
        ("orch_timeout_s", "orch_ttl_s"),
        lambda timeout, ttl: timeout * 4 <= ttl,
        "must not be more than a quarter of UNDERTONE_ORCH_TTL_S, or nothing can be renewed in time",
        "lower it, or raise the other",
    ),
    Rule(
        ("classifier", "kserve_model_file"),
        lambda kind, file: kind is not ClassifierKind.KSERVE or file is not None,
        "must not be kserve without UNDERTONE_KSERVE_MODEL_FILE, which says what answers mean",
        "write one as docs/classifiers/kserve.md shows",
    ),
    Rule(
        ("classifier", "classifier_url"),
        lambda kind, urls: kind is not ClassifierKind.KSERVE or len(urls) == 1,
        "must not be kserve unless UNDERTONE_CLASSIFIER_URL names one model server",
        "such as http://127.0.0.1:8000; several go behind a load balancer",
    ),
    Rule(
        ("transcriber",),
        lambda chosen: chosen is not TranscriberKind.POCKETSPHINX or _installed("pocketsphinx"),
        "must not be pocketsphinx where the Python package of that name is not installed",
        "in a clone of Undertone, `pip install '.[embedded]'`; or set it to auto",
    ),
    Rule(
        ("classifier", "onnx_model_file"),
        lambda chosen, file: chosen is not ClassifierKind.ONNX or file is not None,
        "must not be onnx without UNDERTONE_ONNX_MODEL_FILE",
        "name the TOML file that describes the model",
    ),
    Rule(
        ("classifier",),
        lambda chosen: chosen is not ClassifierKind.ONNX or _installed("onnxruntime"),
        "must not be onnx where the Python package onnxruntime is not installed",
        "in a clone of Undertone, `pip install '.[onnx]'`",
    ),
    Rule(
        ("sidecar_classifier", "onnx_model_file"),
        lambda chosen, file: chosen is not LocalClassifier.ONNX or file is not None,
        "must not be onnx without UNDERTONE_ONNX_MODEL_FILE",
        "name the TOML file that describes the model",
    ),
    Rule(
        ("sidecar_classifier",),
        lambda chosen: chosen is not LocalClassifier.ONNX or _installed("onnxruntime"),
        "must not be onnx where the Python package onnxruntime is not installed",
        "in a clone of Undertone, `pip install '.[onnx]'`",
    ),
    Rule(
        ("transcriber",),
        lambda chosen: chosen is not TranscriberKind.WHISPER or _installed("faster_whisper"),
        "must not be whisper where the Python package faster-whisper is not installed",
        "in a clone of Undertone, `pip install '.[whisper]'`",
    ),
    Rule(
        ("transcriber", "whisper_model"),
        lambda chosen, model: chosen is not TranscriberKind.WHISPER or model is not None,
        "must not be whisper without UNDERTONE_WHISPER_MODEL",
        "name a directory with a model in CTranslate2's format, or one of the hub, such as small.en",
    ),
    Rule(
        ("whisper_compute_type", "whisper_device"),
        lambda kind, device: device is not WhisperDevice.CPU or kind.on_cpu,
        "must not be of 16-bit floats with UNDERTONE_WHISPER_DEVICE=cpu, which has none",
        "take int8, or leave it at auto",
    ),
    Rule(
        ("classify_queue", "classify_batch"),
        lambda queue, batch: queue >= (batch or 1),
        "must not be less than UNDERTONE_CLASSIFY_BATCH, or no batch is ever full",
        "raise it",
    ),
    Rule(
        ("heartbeat_s", "session_idle_ttl_s"),
        lambda heartbeat, idle: heartbeat < idle,
        "must be less than UNDERTONE_SESSION_IDLE_TTL_S, or a quiet client is ended between two pings",
        "lower it, or raise the other",
    ),
    Rule(
        ("session_idle_ttl_s", "session_ttl_hours"),
        lambda idle, total: idle <= total * 3_600,
        "must not be more than UNDERTONE_SESSION_TTL_HOURS, which ends the session before",
        "lower it, or raise the other",
    ),
    Rule(
        ("session_stale_hours", "session_ttl_hours"),
        lambda stale, total: stale >= total,
        "must not be less than UNDERTONE_SESSION_TTL_HOURS, or sessions fail that are well",
        "raise it, or lower the other",
    ),
    Rule(
        ("task_result_bytes", "task_results_bytes"),
        lambda one, all_of_them: one <= all_of_them,
        "must not be more than UNDERTONE_TASK_RESULTS_BYTES",
        "lower it, or raise the other",
    ),
    Rule(
        ("max_sessions_per_user", "max_sessions"),
        lambda per_user, total: per_user is None or per_user <= total,
        "must not be more than UNDERTONE_MAX_SESSIONS",
        "lower it, or raise the other",
    ),
)


def _asks_sidecars(kind: ClassifierKind, urls: tuple[str, ...], orch: str | None) -> bool:
    named = bool(urls) or orch is not None
    return kind is ClassifierKind.REMOTE or (kind is ClassifierKind.AUTO and named)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


_SCHEMA = Schema({one.name: one for one in fields(Settings)}, _RULES)


def effective(settings: Settings) -> str:
    """The settings in force as lines of an environment file, secrets hidden."""
    return "".join(
        f"{variable(name)}={option.show(option.kind.write(getattr(settings, name)))}\n"
        for name, option in _SCHEMA.options.items()
    )


def reference() -> str:
    """The page `docs/settings.md`."""
    return page(_SCHEMA)


if __name__ == "__main__":
    sys.stdout.write(reference())
