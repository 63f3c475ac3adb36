"""Logs that tell nobody's business: structured, one line each, ids shortened, credentials taken out.

Everything passes the `Redact` filter on the handler, so it holds for libraries too. It is a second fence:
the first is not to log such things at all.
"""

import json
import logging
import logging.config
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

SHORT_ID_CHARS = 8
"""Enough of an id to follow a session through the logs, too little to enter it."""

REDACTED = "[redacted]"

_MAX_TEXT = 8_192
"""Characters of one message or value; beyond it is cut, and said to be."""
_MAX_ITEMS = 32
_MAX_DEPTH = 4

_SECRET_KEYS = frozenset(
    {
        "api_key",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "headers",
        "key",
        "key_hash",
        "password",
        "query_string",
        "resume_token",
        "secret",
        "text",
        "ticket",
        "token",
        "transcript",
        "words",
    }
)
"""Extra fields whose values never leave, whatever they hold."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_RESERVED = frozenset({"time", "level", "logger", "message", "exception"})

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""What could break a line, move a terminal's cursor or turn text around."""
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # A query up to the next blank: a request target can't hold one (RFC 9112 section 3.2), but quotes it can.
    (re.compile(r"(?:\?|%3[Ff])[^\s?]\S*?(?=[\"']?(?:\s|$))"), f"?{REDACTED}"),
    (re.compile(r"(undertone\.ticket\.)[\w-]+"), rf"\1{REDACTED}"),
    (re.compile(r"\b(ut[a-z2-7]{8}\.)[\w-]{8,}"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]{8,}"), f"Bearer {REDACTED}"),
    (re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?)[^\"']+"), rf"\1{REDACTED}"),
    (
        re.compile(
            r"(?i)\b((?:resume_)?token|ticket|key_hash|api_key|secret|password)"
            r"(=[\"']?|[\"']\s*:\s*[\"']?)[^\s\"',;&)}\]]+"
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"(://)[^/\s@]+@"), r"\1"),
    (re.compile(r"(/sessions/[\w-]{8})[\w-]+"), r"\1…"),
    (re.compile(r"\b([0-9a-fA-F]{8})(?:[0-9a-fA-F]{24,}|(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\b"), r"\1…"),
    # uvicorn begins its lines about a request with the peer's address and port.
    (re.compile(r"^(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-fA-F:]*:[0-9a-fA-F:.]*\]?):\d+ - "), "peer - "),
)


def clean(text: str, *, lines: bool = False) -> str:
    """`text` without credentials, full ids, peers' addresses and control characters.

    Args:
        lines: line feeds may stay, as in a traceback. What is too long loses its beginning, not its end.
    """
    if len(text) > _MAX_TEXT and not lines:
        text = f"{text[:_MAX_TEXT]}… (cut)"
    text = text.encode("utf-8", "backslashreplace").decode()
    text = (_CONTROL_BUT_LINES if lines else _CONTROL).sub(" ", text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    # Only now: cut before, a credential could lose the name it is known by.
    return f"(cut) …{text[-_MAX_TEXT:]}" if len(text) > _MAX_TEXT and lines else text


def clean_field(key: str, value: object, depth: int = 0) -> Any:
    """The value of an extra field as plain, safe data."""
    name = key.lower()
    if name in _SECRET_KEYS:
        return REDACTED
    if isinstance(value, str) and (name == "id" or name.endswith("_id")):
        return clean(value)[:SHORT_ID_CHARS]
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:_MAX_ITEMS]
        return {clean(str(inner)): clean_field(str(inner), one, depth + 1) for inner, one in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean_field(key, one, depth + 1) for one in list(value)[:_MAX_ITEMS]]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    return clean(str(value))


class Redact(logging.Filter):
    """Cleans a record for good: its message, its extra fields, its traceback. Lets every record through."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:
            # A wrong format string must not take the line away, and its arguments may be anything.
            message = str(record.msg)
        record.msg, record.args = clean(message).rstrip(), None
        for key, value in extras(record).items():
            setattr(record, key, clean_field(key, value))
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = clean(record.exc_text, lines=True)
        if record.stack_info:
            record.stack_info = clean(record.stack_info, lines=True)
        record.exc_info = None
        return True


class Named(logging.Filter):
    """Says which node a record is of, where that has a name. Lets every record through."""

    def __init__(self, node: str | None = None) -> None:
        super().__init__()
        self._node = node

    def filter(self, record: logging.LogRecord) -> bool:
        if self._node is not None:
            record.node_name = self._node
        return True


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for key, value in extras(record).items():
            line[f"{key}_" if key in _RESERVED else key] = value
        trace = _trace(self, record)
        if trace:
            line["exception"] = trace
        return _dump(line)


class TextFormatter(logging.Formatter):
    """For people at a terminal: local time, level, logger, message, fields; tracebacks indented."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created).astimezone()
        fields = "".join(f"  {key}={value}" for key, value in extras(record).items())
        head = f"{when:%H:%M:%S} {record.levelname.lower():<8} {record.name}: {record.getMessage()}{fields}"
        trace = _trace(self, record)
        return "\n    ".join((head, *trace.splitlines())) if trace else head


_FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {"json": JsonFormatter, "text": TextFormatter}

_NEVER_BELOW_INFO = ("websockets", "httpcore", "asyncio")
"""At debug level these write out frames and headers: transcripts and credentials."""

_NEVER_BELOW_WARNING = ("httpx",)
"""At info level it writes out every address, with the ids in it."""


def logging_config(level: str, format: str, node: str | None = None) -> dict[str, Any]:
    """A `logging.config.dictConfig` for the whole process, which uvicorn takes as `log_config` too.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        format: `json`, `text`, or `auto` for text at a terminal and JSON elsewhere. All go to standard error.
        node: what this node is called, for each line (`node_name`).
    """
    if format == "auto":
        format = "text" if sys.stderr.isatty() else "json"
    number = logging.getLevelNamesMapping()[level.upper()]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redact": {"()": Redact}, "named": {"()": Named, "node": node}},
        "formatters": {"line": {"()": _FORMATTERS[format]}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "line",
                "filters": ["named", "redact"],
            }
        },
        "root": {"level": number, "handlers": ["stderr"]},
        "loggers": {
            name: {"level": level, "handlers": [], "propagate": True}
            for name, level in _library_levels(number).items()
        },
    }


def _library_levels(number: int) -> dict[str, int]:
    # What uvicorn says of each connection the gateway says itself, so that is for debugging only.
    own = logging.INFO if number <= logging.DEBUG else logging.WARNING
    return (
        {"uvicorn": max(number, own)}
        | dict.fromkeys(_NEVER_BELOW_INFO, max(number, logging.INFO))
        | dict.fromkeys(_NEVER_BELOW_WARNING, max(number, logging.WARNING))
    )


def configure(level: str, format: str, node: str | None = None) -> None:
    """Set up logging for this process; see `logging_config`."""
    logging.config.dictConfig(logging_config(level, format, node))
    logging.captureWarnings(True)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = record.exc_text or (formatter.formatException(record.exc_info) if record.exc_info else "")
    return "\n".join(part for part in (text, record.stack_info or "") if part)


def _dump(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=str).decode()
    except TypeError:
        # An integer beyond 64 bits; rare enough to take the slow way.
        return json.dumps(line, default=str, ensure_ascii=False)
