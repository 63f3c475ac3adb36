"""The generated parts of the protocol page; `python -m protocol.reference docs/protocol.md` makes them anew.

Tables are read from the code itself: types from annotations, meanings from the docstring under each field.
"""

import ast
import inspect
import json
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from protocol import audio, checks, codec, control, states, version
from protocol import events as e
from protocol.audio import AudioEncoding, AudioFormat
from protocol.close import CloseCode, Reconnect, reconnect
from protocol.errors import ErrorCode

_BASES = (e.DurableEvent, e.AudioEvent, e.SensedEvent, e.ClassifiedEvent)


def update(text: str, parts: Mapping[str, Callable[[], str]] | None = None) -> str:
    """`text` with everything between `<!-- generated: NAME -->` and `<!-- end -->` made anew.

    `parts` are those of the protocol page, unless others are given.

    Raises:
        KeyError: a marker names no part.
    """
    known = PARTS if parts is None else parts
    pattern = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}\n{known[found[2]]()}\n\n{found[3]}", text)


def field_docs(cls: type) -> dict[str, str]:
    """The docstring under each field of `cls` itself, on one line."""
    body = _class_bodies(cls.__module__)[cls.__name__]
    found = {}
    for field, after in pairwise(body):
        name = _field_name(field)
        if name and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[name] = " ".join(str(after.value.value).split())
    return found


@cache
def _class_bodies(module: str) -> dict[str, list[ast.stmt]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {one.name: one.body for one in tree.body if isinstance(one, ast.ClassDef)}


def _field_name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def wire_type(hint: Any) -> str:
    """What a field's type is called on the wire."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        one_of = [wire_type(one) for one in get_args(hint) if not (one is int and float in get_args(hint))]
        return " or ".join(one_of)
    if origin in (tuple, frozenset):
        return f"list of {wire_type(get_args(hint)[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"map of {wire_type(get_args(hint)[1])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " ".join(f"`{one.value}`" for one in hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return f"map ({', '.join(f'`{one.name}`' for one in fields(hint))})"
    return _SIMPLE[hint]


_SIMPLE: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    types.NoneType: "null",
}


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _fields_table(cls: Any, *, without: Iterable[str] = ()) -> str:
    hints = get_type_hints(cls)
    docs = field_docs(cls)
    names = [one.name for one in fields(cls) if one.name in docs and one.name not in without]
    return table(
        ("field", "type", "meaning"), [(f"`{one}`", wire_type(hints[one]), docs[one]) for one in names]
    )


def _summary(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split())


def _common() -> str:
    rows = []
    who = {
        e.DurableEvent: "durable events",
        e.AudioEvent: "events about audio",
        e.ClassifiedEvent: "`tone` `speaker` `transcript` `queue`",
    }
    for cls, carriers in who.items():
        hints, docs = get_type_hints(cls), field_docs(cls)
        rows += [(f"`{name}`", wire_type(hints[name]), doc, carriers) for name, doc in docs.items()]
    return table(("field", "type", "meaning", "carried by"), rows)


def _kinds(cls: type[e.Event]) -> str:
    kinds = ["durable" if cls.durable else "not durable"]
    kinds += [
        word
        for base, word in (
            (e.AudioEvent, "about audio"),
            (e.ClassifiedEvent, "latency receipt"),
            (e.SensedEvent, "unknown keys pass through"),
        )
        if issubclass(cls, base)
    ]
    return ", ".join(kinds)


def _events() -> str:
    parts = [
        f"### `{kind}`\n\n{_summary(cls)} *({_kinds(cls)})*\n\n{_fields_table(cls)}"
        for kind, cls in e.EVENTS.items()
    ]
    parts.append(f"### A word of `transcript.words`\n\n{_fields_table(e.Word)}")
    return "\n\n".join(parts)


def _controls() -> str:
    return "\n\n".join(
        f"### `{kind}`\n\n{_summary(cls)}" + (f"\n\n{_fields_table(cls)}" if field_docs(cls) else "")
        for kind, cls in control.CONTROLS.items()
    )


def _subprotocols() -> str:
    how = {
        version.Encoding.MSGPACK: "msgpack map, binary message",
        version.Encoding.JSON: "JSON object, text message",
    }
    return table(
        ("subprotocol", "events are"), [(f"`{name}`", how[one]) for name, one in version.SUBPROTOCOLS.items()]
    )


def _audio() -> str:
    docs = field_docs(AudioEncoding)
    rows = [(f"`{one.value}`", docs[one.name], AudioFormat(one).bytes_per_sample) for one in AudioEncoding]
    encodings = table(("encoding", "one sample of one channel", "bytes"), rows)
    return f"{_fields_table(AudioFormat)}\n\n{encodings}"


def _settings() -> str:
    defaults = control.SessionConfig().to_dict()
    docs = field_docs(control.Configure)
    rows = [(f"`{name}`", f"`{_json(value)}`", docs[name]) for name, value in defaults.items()]
    return table(("setting", "default", "meaning"), rows)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


_ADVICE = {
    Reconnect.NEVER: "don't come back unchanged",
    Reconnect.RESUME: "come back with resume, after a pause",
    Reconnect.AFTER_DRAIN: "come back with resume, after `drain.retry_after_ms`",
}


def _close_codes() -> str:
    rows = [(f"{code.value}", code.meaning, _ADVICE[reconnect(code)]) for code in CloseCode]
    return table(("code", "meaning", "reconnect"), rows)


def _error_codes() -> str:
    rows = [(f"`{one}`", one.fault.value, one.advice, one.close_code.value) for one in ErrorCode]
    return table(("code", "whose fault", "what to do", "close code where fatal"), rows)


def _limits() -> str:
    return table(
        ("limit", "value"),
        [
            (
                "any message",
                f"{codec.MAX_MESSAGE_BYTES} bytes; larger: close {CloseCode.MESSAGE_TOO_BIG.value}",
            ),
            (
                "control message",
                f"{codec.MAX_CONTROL_BYTES} bytes, {codec.MAX_CONTROL_DEPTH} levels of nesting",
            ),
            ("event", f"{codec.MAX_MESSAGE_BYTES} bytes, {codec.MAX_EVENT_DEPTH} levels of nesting"),
            ("sample index, seq", f"0 to {checks.MAX_SAMPLE} (2^53 − 1)"),
            ("sample rate", f"{audio.MIN_SAMPLE_RATE} to {audio.MAX_SAMPLE_RATE} Hz"),
            ("window", f"{control.MIN_WINDOW_MS} to {control.MAX_WINDOW_MS} ms"),
            ("hop", f"{control.MIN_HOP_MS} ms to the window"),
            ("ticket", f"{version.MAX_TICKET_CHARS} characters"),
        ],
    )


def _gap_reasons() -> str:
    docs = field_docs(e.GapReason)
    return table(("reason", "meaning"), [(f"`{one.value}`", docs[one.name]) for one in e.GapReason])


def _states() -> str:
    docs = field_docs(states.ConnectionState)
    rows = [(f"`{one.value}`", docs[one.name]) for one in states.ConnectionState]
    return f"```mermaid\n{states.diagram()}\n```\n\n{table(('state', 'meaning'), rows)}"


def _examples() -> str:
    tone = e.Tone(
        seq=12,
        session_id="q2tVbZ0mRk6hY1sXo9nEaw",
        timestamp=3.0,
        start_sample=32_000,
        end_sample=48_000,
        label="Animated",
        confidence=0.5,
        speaker_id="Speaker A",
        queued_ms=3.5,
        classify_ms=1.25,
    )
    gap = e.Gap(
        seq=13,
        session_id="q2tVbZ0mRk6hY1sXo9nEaw",
        timestamp=4.0,
        start_sample=48_000,
        end_sample=64_000,
        reason=e.GapReason.OVERLOAD,
    )
    return "\n\n".join(_example(one) for one in (tone, gap, e.Pong(t=7)))


def _example(event: e.Event) -> str:
    text = codec.encode_event(event, version.Encoding.JSON).decode()
    packed = codec.encode_event(event, version.Encoding.MSGPACK).hex()
    lines = "\n".join(packed[at : at + 96] for at in range(0, len(packed), 96))
    return f"`{event.type}` as JSON, then as msgpack in hex:\n\n```json\n{text}\n```\n\n```hex\n{lines}\n```"


PARTS: dict[str, Callable[[], str]] = {
    "subprotocols": _subprotocols,
    "audio": _audio,
    "settings": _settings,
    "common-fields": _common,
    "events": _events,
    "controls": _controls,
    "close-codes": _close_codes,
    "error-codes": _error_codes,
    "gap-reasons": _gap_reasons,
    "limits": _limits,
    "states": _states,
    "examples": _examples,
}
"""Every generated part by the name in its marker."""


def main(paths: Sequence[str]) -> None:
    """Bring the generated parts of each file up to date."""
    for path in map(Path, paths):
        path.write_text(update(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
