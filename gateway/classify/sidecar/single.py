"""The single-window contract: one window a call, as JSON, its samples in base64.

request   {"audio_chunk", "timestamp", "elcor", "session_id", "language", "num_speakers"}
answer    {"events": [{"event_type", "label", "timestamp", …}, …]}

`timestamp` is where the window starts, in seconds of the session; `session_id` is its pseudonym.
"""

from typing import Any, Final

import orjson
import pybase64

from gateway.classify.port import SAMPLE_RATE, Window
from gateway.classify.sidecar.batch import pcm_of
from gateway.classify.sidecar.events import MalformedEvent
from gateway.classify.sidecar.pseudonym import pseudonym

PATH: Final = "/classify"
CONTENT_TYPE: Final = "application/json"
MAX_ANSWER_BYTES: Final = 1_048_576
MAX_CONTAINERS: Final = 8_192
"""Maps and lists in an answer, eight commas for one: a megabyte of them would hold up the event loop."""


def encode_request(window: Window) -> bytes:
    """The body that asks about `window`.

    Base64 needs no escapes in JSON, so the samples are set in as they are: no serialiser reads them again.
    """
    hints = window.hints
    rest = orjson.dumps(
        {
            "timestamp": max(0.0, round(window.end_s - len(window.samples) / SAMPLE_RATE, 6)),
            "elcor": hints.elcor,
            "session_id": pseudonym(window.session),
            "language": hints.language,
            "num_speakers": hints.num_speakers,
        }
    )
    audio = pybase64.b64encode(pcm_of(window.samples))
    return b"".join((b'{"audio_chunk":"', audio, b'",', rest[1:]))


def decode_answer(body: bytes) -> list[Any]:
    """The events in `body`, which nobody has looked at yet.

    Raises:
        MalformedEvent: it is not JSON of the agreed shape.
    """
    if len(body) > MAX_CONTAINERS and weight(body) > MAX_CONTAINERS:
        raise MalformedEvent("too many lists and maps are told")
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedEvent("the answer is not JSON") from None
    events = answer.get("events") if isinstance(answer, dict) else None
    if not isinstance(events, list):
        raise MalformedEvent("`events` is missing or no list")
    return events


def weight(body: bytes) -> int:
    """Braces, brackets and commas, wherever they stand."""
    return body.count(b"{") + body.count(b"[") + body.count(b",") // 8
