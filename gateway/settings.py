"""Every setting of the gateway, declared once: type, default, range, unit and help.

Environment variables are named `UNDERTONE_` and the field's name in capitals; a TOML file uses the fields'
own names as top-level keys. The environment wins over the file, an empty variable counts as not set, and a
name nobody knows is a problem. `python -m gateway.settings` prints the reference page.
"""

import importlib.util
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from gateway.addresses import Network, host, is_loopback, network, origin
from gateway.options import (
    Choice,
    Flag,
    Many,
    Maybe,
    Number,
    Option,
    Problem,
    Refused,
    SettingsError,
    Text,
    default_of,
    did_you_mean,
    option_of,
    setting,
    shown,
)

__all__ = ["Problem", "Settings", "SettingsError", "effective", "explain", "reference"]

PREFIX = "UNDERTONE_"
CONFIG = f"{PREFIX}CONFIG"
"""Names the TOML file; the only variable with the prefix that is not a setting."""

DAY_S = 86_400


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class ClassifierKind(StrEnum):
    ACOUSTIC = "acoustic"


class TranscriberKind(StrEnum):
    AUTO = "auto"
    """PocketSphinx where it is installed, else none."""
    NONE = "none"
    POCKETSPHINX = "pocketsphinx"


class StoreKind(StrEnum):
    MEMORY = "memory"


def usable_cores() -> int:
    """CPU cores this process may run on."""
    return max(1, len(os.sched_getaffinity(0)))


def _whole(low: int, high: int) -> Number:
    return Number(low, high, whole=True)


_SECONDS = Number(0.1, 7 * DAY_S)
_HOURS = Number(0.01, 8_760)

_LISTEN = "Listening"
_CLASSIFY = "Classifying"
_WORDS = "Transcribing"
_LIFE = "Sessions and their timers"
_LIMITS = "Limits"
_REPLAY = "Events held for replay and history"
_RUN = "Running"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, valid as a whole.

    Raises:
        SettingsError: with every problem there is.
    """

    host: str = setting("127.0.0.1", Text(host, "IP address or host name"), _LISTEN, "Address to listen on.")
    port: int = setting(8522, _whole(0, 65_535), _LISTEN, "TCP port to listen on; 0 takes a free one.")
    allow_public_bind: bool = setting(
        False,
        Flag(),
        _LISTEN,
        "Listen on an address that other machines can reach, although nobody needs a key.",
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

    classifier: ClassifierKind = setting(
        ClassifierKind.ACOUSTIC, Choice(ClassifierKind), _CLASSIFY, "What listens to the windows."
    )
    classify_workers: int = setting(
        usable_cores,
        _whole(1, 256),
        _CLASSIFY,
        "Worker threads of the embedded classifier, and so batches classified at the same time.",
        default_text="the usable CPU cores",
    )
    classify_batch: int = setting(32, _whole(1, 32), _CLASSIFY, "Most windows in one batch.", unit="windows")
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

    transcriber: TranscriberKind = setting(
        TranscriberKind.AUTO,
        Choice(TranscriberKind),
        _WORDS,
        "What turns speech into words; `auto` is PocketSphinx where it is installed, else none.",
    )
    transcribe_decoders: int = setting(
        lambda: max(1, usable_cores() - 1),
        _whole(1, 256),
        _WORDS,
        "Most decoder processes (about 91 MiB each).",
        default_text="the usable CPU cores less one, at least 1",
    )

    connect_deadline_s: float = setting(
        30.0, _SECONDS, _LIFE, "A created session that nobody attaches to expires.", unit="s"
    )
    session_detached_ttl_s: float = setting(
        90.0, _SECONDS, _LIFE, "A session that nobody is attached to any more expires.", unit="s"
    )
    session_idle_ttl_s: float = setting(
        300.0,
        _SECONDS,
        _LIFE,
        "A live session without audio, ping or control message is ended.",
        unit="s",
        alias="SESSION_IDLE_TTL_S",
    )
    session_ttl_hours: float = setting(24.0, _HOURS, _LIFE, "Any session is ended.", unit="h")
    session_stale_hours: float = setting(
        48.0, _HOURS, _LIFE, "A session without a sign of life from its node counts as failed.", unit="h"
    )
    closed_retention_s: float = setting(
        900.0, Number(0, 7 * DAY_S), _LIFE, "How long a session that is over can still be read.", unit="s"
    )
    heartbeat_s: float = setting(
        20.0, Number(1, 3_600), _LIFE, "How often peers make sure of each other.", unit="s"
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
        "Most sessions at once with the same `user_id`.",
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
        "Most bytes of a session's final events kept for history; what comes later is left out, and said to be.",
        unit="bytes",
    )

    store: StoreKind = setting(
        StoreKind.MEMORY, Choice(StoreKind), _RUN, "Where sessions and events are kept."
    )
    processes: int = setting(1, _whole(1, 256), _RUN, "Server processes.")
    drain_grace_s: float = setting(
        10.0, Number(0, 3_600), _RUN, "How long a session or a node that ends may finish its work.", unit="s"
    )
    log_level: LogLevel = setting(LogLevel.INFO, Choice(LogLevel), _RUN, "Least important messages to log.")
    log_format: LogFormat = setting(
        LogFormat.JSON,
        Choice(LogFormat),
        _RUN,
        "`json` is one object a line, `text` is for people at a terminal.",
    )

    def __post_init__(self) -> None:
        given = {one.name: _Given(variable(one.name), getattr(self, one.name)) for one in fields(self)}
        values, problems = _settle(given)
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
        from_file, problems = _from_toml(Path(path)) if path else ({}, [])
        from_environ, unknown = _from_environ(environ)
        values, wrong = _settle({**from_file, **from_environ})
        if problems := [*problems, *unknown, *wrong]:
            raise SettingsError(problems)
        return cls(**values)

    @property
    def session_ttl_s(self) -> float:
        """Seconds."""
        return self.session_ttl_hours * 3_600

    @property
    def session_stale_s(self) -> float:
        """Seconds."""
        return self.session_stale_hours * 3_600


def variable(name: str) -> str:
    """The environment variable of field `name`."""
    return PREFIX + name.upper()


def _options() -> dict[str, Option]:
    return {one.name: option_of(one) for one in fields(Settings)}


# Reading --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and what its owner calls it."""

    name: str
    value: object
    as_text: bool = False
    """It comes from the environment, where everything is text."""


def _from_environ(environ: Mapping[str, str]) -> tuple[dict[str, _Given], list[Problem]]:
    names = {variable(name): name for name in _options()}
    given: dict[str, _Given] = {}
    problems: list[Problem] = []
    for name, option in _options().items():
        if option.alias and environ.get(option.alias, "").strip():
            given[name] = _Given(option.alias, environ[option.alias].strip(), as_text=True)
    for key in sorted(environ):
        text = environ[key].strip()
        if not key.startswith(PREFIX) or key == CONFIG or not text:
            continue
        if key in names:
            given[names[key]] = _Given(key, text, as_text=True)
        else:
            # The value stays unseen: a misspelt name may well be that of a secret.
            problems.append(Problem(key, None, "is not a setting", _hint_for_unknown(key, names)))
    return given, problems


def _from_toml(path: Path) -> tuple[dict[str, _Given], list[Problem]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return {}, [
            Problem(str(path), None, f"can't be read: {reason}", "check --config and UNDERTONE_CONFIG")
        ]
    except ValueError as error:
        return {}, [Problem(str(path), None, f"is not valid TOML: {shown(error)}")]
    options = _options()
    given: dict[str, _Given] = {}
    problems: list[Problem] = []
    for key, value in content.items():
        told = f"{shown(key)} in {path}"
        if key in options:
            given[key] = _Given(told, value)
        else:
            problems.append(Problem(told, None, "is not a setting", did_you_mean(key, options)))
    return given, problems


_KUBERNETES = re.compile(PREFIX + r"(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP))")


def _hint_for_unknown(key: str, names: Mapping[str, str]) -> str:
    if _KUBERNETES.match(key):
        return "Kubernetes adds it for a service of that name: set enableServiceLinks: false"
    return did_you_mean(key, names)


def _settle(given: Mapping[str, _Given]) -> tuple[dict[str, Any], list[Problem]]:
    """The values in their final types, defaults included, and all that is wrong with them."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for one in fields(Settings):
        option, found = option_of(one), given.get(one.name)
        if found is None:
            values[one.name] = default_of(one)
            continue
        try:
            values[one.name] = _read(option, found)
        except Refused as refused:
            value = option.show(found.value)
            problems.append(Problem(found.name, value, refused.message, refused.hint))
    for rule in _RULES:
        if all(name in values for name in rule.names):
            told = given[rule.names[0]].name if rule.names[0] in given else variable(rule.names[0])
            problems.extend(rule.problems(told, values))
    return values, problems


def _read(option: Option, found: _Given) -> Any:
    if not found.as_text:
        return option.kind.check(found.value)
    text = str(found.value)
    if text.startswith("tcp://"):
        raise Refused(
            "is an address that Kubernetes adds for a service of that name", "set enableServiceLinks: false"
        )
    return option.kind.read(text)


# Rules between settings -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    """What must hold between settings that are each in range."""

    names: tuple[str, ...]
    """The settings concerned; the first is the one to blame."""
    holds: Callable[..., bool]
    """Takes their values in that order."""
    message: str
    hint: str

    def problems(self, told: str, values: Mapping[str, Any]) -> list[Problem]:
        if self.holds(*(values[name] for name in self.names)):
            return []
        value = _options()[self.names[0]].show(values[self.names[0]])
        return [Problem(told, value, self.message, self.hint)]


_RULES = (
    _Rule(
        ("host", "allow_public_bind"),
        lambda host, allowed: allowed or is_loopback(host),
        "can be reached from other machines, and nobody needs a key here",
        "listen on 127.0.0.1, or set UNDERTONE_ALLOW_PUBLIC_BIND=true if something in front keeps strangers out",
    ),
    _Rule(
        ("processes", "store"),
        lambda processes, store: processes == 1 or store is not StoreKind.MEMORY,
        "must be 1 with UNDERTONE_STORE=memory: a session in one process's memory is unknown to the others",
        "run one process",
    ),
    _Rule(
        ("transcriber",),
        lambda chosen: chosen is not TranscriberKind.POCKETSPHINX or _installed("pocketsphinx"),
        "needs the Python package pocketsphinx, which is not installed",
        "install undertone[embedded], or set it to auto",
    ),
    _Rule(
        ("classify_queue", "classify_batch"),
        lambda queue, batch: queue >= batch,
        "must not be less than UNDERTONE_CLASSIFY_BATCH, or no batch is ever full",
        "raise it",
    ),
    _Rule(
        ("heartbeat_s", "session_idle_ttl_s"),
        lambda heartbeat, idle: heartbeat < idle,
        "must be less than UNDERTONE_SESSION_IDLE_TTL_S, or a quiet client is ended between two pings",
        "lower it, or raise the other",
    ),
    _Rule(
        ("session_idle_ttl_s", "session_ttl_hours"),
        lambda idle, total: idle <= total * 3_600,
        "must not be more than UNDERTONE_SESSION_TTL_HOURS, which ends the session before",
        "lower it, or raise the other",
    ),
    _Rule(
        ("session_stale_hours", "session_ttl_hours"),
        lambda stale, total: stale >= total,
        "must not be less than UNDERTONE_SESSION_TTL_HOURS, or sessions fail that are well",
        "raise it, or lower the other",
    ),
    _Rule(
        ("max_sessions_per_user", "max_sessions"),
        lambda per_user, total: per_user is None or per_user <= total,
        "must not be more than UNDERTONE_MAX_SESSIONS",
        "lower it, or raise the other",
    ),
)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


# For people -----------------------------------------------------------------------------------------------


def explain(problems: list[Problem]) -> str:
    """The problems as text for a terminal, two or three lines each."""
    lines: list[str] = []
    for one in problems:
        value = "" if one.value is None else f" = {one.value}"
        lines.append(f"{one.name}{value}")
        lines.append(f"    {one.message}")
        if one.hint:
            lines.append(f"    → {one.hint}")
    return "\n".join(lines)


def effective(settings: Settings) -> list[tuple[str, str]]:
    """Each environment variable and the value in force, secrets hidden."""
    return [
        (variable(name), option.show(option.kind.write(getattr(settings, name))))
        for name, option in _options().items()
    ]


EXAMPLE = """\
# undertone.toml
port = 9000
log_format = "text"
allowed_origins = ["https://app.example.org"]
"""

_HEAD = f"""\
# Settings

Each setting is an environment variable. A TOML file may hold them too, under the same names in small letters and
without the prefix; `undertone serve --config undertone.toml` or `UNDERTONE_CONFIG=undertone.toml` reads it:

```toml
{EXAMPLE}```

The environment wins over the file. An empty variable counts as not set. Lists are comma-separated in the
environment and arrays in TOML. A name that begins with `UNDERTONE_` and is not listed here is refused.
`undertone check-config` says what is wrong, all at once, and what to do about it.
"""


def reference() -> str:
    """The page `docs/settings.md`."""
    page = [_HEAD]
    group = ""
    for one in fields(Settings):
        option = option_of(one)
        if option.group != group:
            group = option.group
            page.append(f"\n## {group}\n\n| variable | takes | default | meaning |\n|---|---|---|---|\n")
        default = option.default_text or f"`{option.kind.write(default_of(one))}`"
        unit = f" ({option.unit})" if option.unit else ""
        alias = f" Also read from `{option.alias}`." if option.alias else ""
        page.append(
            f"| `{variable(one.name)}` | {option.kind.describe()}{unit} | {default} | {option.help}{alias} |\n"
        )
    page.append("\n## Rules between settings\n\n")
    page.extend(f"- `{variable(rule.names[0])}` {rule.message}.\n" for rule in _RULES if len(rule.names) > 1)
    return "".join(page)


if __name__ == "__main__":
    sys.stdout.write(reference())
