"""The batch contract: windows of many sessions in one call, raw PCM behind a small msgpack header.

    request   4 bytes little-endian: length of the header
              header, msgpack: {"v": 1, "windows": [{"session", "samples", "owned", "end_s", "elcor",
                                "language", "num_speakers", "state"}, …]}
              the windows' samples one after the other, s16le, 16 kHz mono, nothing between or behind
    answer    msgpack: {"v": 1, "windows": [{"events": […], "state"} | {"error": sentence}, …]},
              as many and in the same order

`state` is opaque bytes, or nil: what was answered for the session's last window. Keys that this version does
not know are passed over; everything that it knows is checked, and what is wrong raises `MalformedBatch`.
"""

import math
import struct
import sys
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final, TypeAlias

import msgpack  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from gateway.classify.port import Hints
from gateway.classify.sidecar.events import MAX_EVENTS

VERSION: Final = 1
REQUEST_TYPE: Final = "application/vnd.undertone.batch"
ANSWER_TYPE: Final = "application/vnd.undertone.answers"

MAX_WINDOWS: Final = 1_024
"""Windows in one call that any sidecar may offer to take."""
MAX_STATE_BYTES: Final = 10 * 32_000 + 16_384
"""Bytes of one session's state: ten seconds of samples, the longest context that any model here hears, and
what else there is to remember."""
MAX_TOLD_BYTES: Final = 262_144
"""Bytes of one window's answer beside its state."""
MAX_ANSWER_BYTES: Final = MAX_TOLD_BYTES + MAX_STATE_BYTES
"""Bytes of one window's answer, its state included."""
MAX_SENTENCE: Final = 300
"""Characters of the sentence that tells why a window failed; a longer one is cut."""

_LENGTH: Final = struct.Struct("<I")
_HEADER_BYTES: Final = 4_096 + MAX_STATE_BYTES
"""Bytes of header that one window may take."""
_MAX_NAME: Final = 256
"""Characters of a session's key and of a language tag."""
_SWAP: Final = sys.byteorder != "little"
_MAX_CONTAINERS: Final = 8_192
"""Maps and lists in what is told of one window, and in a request's header: a megabyte of empty ones would
take 67 MiB, and hold up the event loop for 50 ms."""
_VALUES: Final = 8
"""Values that weigh as much as one of those."""

_MAX_KEYS: Final = 16
"""Of an answer as a whole; the contract has two, and who adds to it needs few more."""
STEP_BYTES: Final = 131_072
"""Of an answer that are gone through at once: a millisecond of the worst there can be."""

_pack = msgpack.Packer(autoreset=True).pack


class MalformedBatch(ValueError):
    """Bytes that are not what the contract says."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One window of a request."""

    session: str
    """Opaque key, for models that keep context by name."""
    samples: npt.NDArray[np.int16]
    """Shape (n,), 16 kHz mono."""
    owned: int
    """How many of them, at the end, no earlier window has covered."""
    end_s: float
    """Seconds of session audio at the window's end."""
    hints: Hints = field(default_factory=Hints)
    state: bytes | None = None
    """What was answered for the session's last window."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was heard in one window."""

    events: list[dict[str, Any]]
    """As of the single-window contract."""
    state: bytes | None = None
    """To be sent back with the session's next window."""


@dataclass(frozen=True, slots=True)
class Failed:
    """One window could not be classified."""

    sentence: str


Reply: TypeAlias = Told | Failed


# Requests --------------------------------------------------------------------------------------------------


def encode_request(windows: Sequence[Asked]) -> list[bytes | memoryview]:
    """The body in parts, in order; the samples are not copied."""
    rows: list[dict[str, Any]] = []
    parts: list[bytes | memoryview] = [b""]
    for window in windows:
        hints = window.hints
        rows.append(
            {
                "session": window.session,
                "samples": len(window.samples),
                "owned": window.owned,
                "end_s": window.end_s,
                "elcor": hints.elcor,
                "language": hints.language,
                "num_speakers": hints.num_speakers,
                "state": window.state,
            }
        )
        parts.append(pcm_of(window.samples))
    header: bytes = _pack({"v": VERSION, "windows": rows})
    parts[0] = _LENGTH.pack(len(header)) + header
    return parts


def pcm_of(samples: npt.NDArray[np.int16]) -> memoryview:
    """The samples as s16le; a view of them where they lie that way."""
    if _SWAP:
        samples = samples.byteswap()
    return np.ascontiguousarray(samples).data.cast("B")


def decode_request(body: bytes, *, max_windows: int = 32, max_samples: int = 160_000) -> list[Asked]:
    """The windows in `body`, 1 to `max_windows` of them; their samples are views of it.

    Raises:
        MalformedBatch: it is not a request, or a window has more than `max_samples`.
    """
    if len(body) < _LENGTH.size:
        raise MalformedBatch("the length of the header is missing")
    (size,) = _LENGTH.unpack_from(body)
    at = _LENGTH.size + size
    if at > len(body) or size > _HEADER_BYTES * max_windows:
        raise MalformedBatch("the header is longer than it may be")
    header = _map(_unpack(memoryview(body)[_LENGTH.size : at], **_counted("the header")), "the header")
    rows = _windows(header)
    if not 1 <= len(rows) <= max_windows:
        raise MalformedBatch(f"{len(rows)} windows, where 1 to {max_windows} are taken")
    asked = []
    for row in rows:
        count = _count(row, "samples", 1, max_samples)
        if at + 2 * count > len(body):
            raise MalformedBatch("samples are missing")
        samples = np.frombuffer(body, dtype="<i2", count=count, offset=at)
        asked.append(_asked(row, samples.astype(np.int16, copy=False)))
        at += 2 * count
    if at != len(body):
        raise MalformedBatch(f"{len(body) - at} bytes behind the last sample")
    return asked


def _asked(row: dict[str, Any], samples: npt.NDArray[np.int16]) -> Asked:
    elcor = row.get("elcor", False)
    if type(elcor) is not bool:
        raise MalformedBatch("`elcor` is neither true nor false")
    speakers = None
    if row.get("num_speakers") is not None:
        speakers = _count(row, "num_speakers", 1, 1_000)
    session = _text(row, "session")
    if session is None:
        raise MalformedBatch("`session` is missing")
    return Asked(
        session=session,
        samples=samples,
        owned=_count(row, "owned", 1, len(samples)),
        end_s=_seconds(row),
        hints=Hints(elcor=elcor, language=_text(row, "language"), num_speakers=speakers),
        state=_state(row),
    )


# Answers ---------------------------------------------------------------------------------------------------


def encode_answer(replies: Iterable[Reply]) -> bytes:
    """The body that tells `replies`.

    Raises:
        MalformedBatch: a state, or all that is told of one window, is larger than may be.
    """
    rows = [_reply_row(reply) for reply in replies]
    for row in rows:
        state = len(row.get("state") or b"")
        if state > MAX_STATE_BYTES or len(_pack(row)) - state > MAX_TOLD_BYTES:
            raise MalformedBatch("too much is told of one window")
    body: bytes = _pack({"v": VERSION, "windows": rows})
    return body


def _reply_row(reply: Reply) -> dict[str, Any]:
    if isinstance(reply, Failed):
        return {"error": reply.sentence[:MAX_SENTENCE]}
    return {"events": reply.events, "state": reply.state}


def split_answer(body: bytes, count: int) -> list[memoryview]:
    """The answers to `count` windows, each still packed; so that no answer, however odd, spoils another.

    Raises:
        MalformedBatch: it is not an answer, or one to another number of windows.
    """
    steps = splitting([body], count)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            rows: list[memoryview] = done.value
            return rows


def splitting(
    pieces: Sequence[bytes], count: int, *, step: int = STEP_BYTES
) -> Generator[None, None, list[memoryview]]:
    """The same of a body in pieces, in steps of so many bytes, for an event loop that has other things to do
    in between."""
    starts = [0, *accumulate(map(len, pieces))]
    size = starts.pop()
    unpacker = msgpack.Unpacker(
        max_buffer_size=max(1, size),
        object_hook=_no_container,
        list_hook=_no_container,
        **_strict(size),
    )
    slices = (memoryview(piece)[at : at + step] for piece in pieces for at in range(0, len(piece), step))
    begun = False

    def come(read: Callable[[], Any]) -> Generator[None, None, Any]:
        """What `read` reads, once enough is there."""
        nonlocal begun
        while True:
            try:
                return read()
            except msgpack.OutOfData:
                more = next(slices, None)
                if more is None:
                    raise
            if begun:
                yield
            begun = True
            unpacker.feed(more)

    rows: list[memoryview] | None = None
    version: object = None
    try:
        keys = yield from come(unpacker.read_map_header)
        if keys > _MAX_KEYS:
            raise MalformedBatch(f"over {_MAX_KEYS} keys")
        for _ in range(keys):
            key = yield from come(unpacker.unpack)
            if key == "v":
                version = yield from come(unpacker.unpack)
            elif key == "windows":
                told = yield from come(unpacker.read_array_header)
                if told != count:
                    raise MalformedBatch(f"{told} answers to {count} windows")
                rows = []
                for _ in range(count):
                    start = unpacker.tell()
                    yield from come(unpacker.skip)
                    rows.append(_between(pieces, starts, start, unpacker.tell()))
            else:
                yield from come(unpacker.skip)
        end = unpacker.tell()
    except MalformedBatch:
        raise
    except Exception as error:  # msgpack's own errors have no base of their own
        raise MalformedBatch(f"not msgpack of the agreed shape ({type(error).__name__})") from None
    _check_version(version)
    if rows is None:
        raise MalformedBatch("`windows` is missing")
    if end != size:
        raise MalformedBatch("something follows the answer")
    return rows


def _between(pieces: Sequence[bytes], starts: Sequence[int], start: int, end: int) -> memoryview:
    """Those bytes of all the pieces; a copy only where they lie in several."""
    at = bisect_right(starts, start) - 1
    first = memoryview(pieces[at])[start - starts[at] : end - starts[at]]
    if len(first) == end - start:
        return first
    parts = [first]
    while (have := sum(map(len, parts))) < end - start:
        at += 1
        parts.append(memoryview(pieces[at])[: end - start - have])
    return memoryview(b"".join(parts))


def decode_reply(packed: memoryview) -> Reply:
    """What one window's part of an answer says; its events are maps that nobody has looked at yet.

    Raises:
        MalformedBatch: it says nothing that was agreed.
    """
    if len(packed) > MAX_ANSWER_BYTES:
        raise MalformedBatch(f"over {MAX_ANSWER_BYTES} bytes are told of one window")
    hooks = _counted("what is told of one window") if len(packed) > _MAX_CONTAINERS else {}
    row = _map(_unpack(packed, **hooks), "an answer")
    if "error" in row:
        sentence = row["error"]
        if not isinstance(sentence, str) or "events" in row:
            raise MalformedBatch("`error` is no sentence that stands alone")
        return Failed(sentence[:MAX_SENTENCE])
    events = row.get("events")
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise MalformedBatch("`events` is no list of maps")
    if len(events) > MAX_EVENTS:
        raise MalformedBatch(f"over {MAX_EVENTS} events of one window")
    state = _state(row)
    if len(packed) - len(state or b"") > MAX_TOLD_BYTES:
        raise MalformedBatch(f"over {MAX_TOLD_BYTES} bytes are told of one window")
    return Told(events, state)


def decode_answer(body: bytes, count: int) -> list[Reply]:
    """All of an answer at once.

    Raises:
        MalformedBatch: any of it is not what was agreed.
    """
    return [decode_reply(packed) for packed in split_answer(body, count)]


def _counted(where: str) -> dict[str, Any]:
    """Hooks that end the unpacking where too many maps, lists and values come."""
    left = _MAX_CONTAINERS

    def one(found: Any) -> Any:
        nonlocal left
        left -= 1 + len(found) // _VALUES
        if left < 0:
            raise MalformedBatch(f"too many lists and maps in {where}")
        return found

    return {"object_hook": one, "list_hook": one}


# Both ------------------------------------------------------------------------------------------------------


def _strict(size: int) -> dict[str, Any]:
    return {
        "raw": False,
        "strict_map_key": True,
        "ext_hook": _no_extension,
        "max_str_len": size,
        "max_bin_len": size,
        "max_array_len": min(size, _VALUES * _MAX_CONTAINERS),
        "max_map_len": min(size, _VALUES * _MAX_CONTAINERS),
        "max_ext_len": 0,
    }


def _no_container(found: Any) -> Any:
    raise MalformedBatch("a list or map stands where none is agreed on")


def _no_extension(code: int, data: bytes) -> Any:
    raise MalformedBatch("msgpack extension types are not agreed on")


def _unpack(data: memoryview, **hooks: Any) -> Any:
    try:
        return msgpack.unpackb(data, **_strict(len(data)), **hooks)
    except MalformedBatch:
        raise
    except Exception as error:
        raise MalformedBatch(f"not msgpack of plain values ({type(error).__name__})") from None


def _windows(header: dict[str, Any]) -> list[dict[str, Any]]:
    _check_version(header.get("v"))
    rows = header.get("windows")
    if not isinstance(rows, list):
        raise MalformedBatch("`windows` is no list")
    return [_map(row, "a window") for row in rows]


def _check_version(version: object) -> None:
    if type(version) is not int or version != VERSION:
        raise MalformedBatch(f"`v` is not {VERSION}")


def _map(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(type(key) is str for key in value):
        raise MalformedBatch(f"{what} is no map by name")
    return value


def _count(row: dict[str, Any], key: str, low: int, high: int) -> int:
    value = row.get(key)
    if type(value) is not int or not low <= value <= high:
        raise MalformedBatch(f"`{key}` is no whole number from {low} to {high}")
    return value


def _seconds(row: dict[str, Any]) -> float:
    value = row.get("end_s")
    if type(value) is not float and type(value) is not int:
        raise MalformedBatch("`end_s` is no number")
    if not 0 <= value < math.inf:
        raise MalformedBatch("`end_s` is no time")
    return float(value)


def _text(row: dict[str, Any], key: str) -> str | None:
    value = row.get(key)
    if value is not None and (not isinstance(value, str) or len(value) > _MAX_NAME):
        raise MalformedBatch(f"`{key}` is no text of up to {_MAX_NAME} characters")
    return value


def _state(row: dict[str, Any]) -> bytes | None:
    value = row.get("state")
    if value is not None and (not isinstance(value, bytes) or len(value) > MAX_STATE_BYTES):
        raise MalformedBatch(f"`state` is not up to {MAX_STATE_BYTES} bytes")
    return value
