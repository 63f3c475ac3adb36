"""The analysis state of a session as opaque bytes: what callers keep, or what is kept for them.

msgpack of `[classifier, state]`. Another classifier's state means nothing to this one, and what can't be read
any more is of no use to anybody: the session starts afresh then, which costs it a few seconds of baseline,
where an error would cost it every window from now on.
"""

from enum import StrEnum
from typing import Any

import msgpack  # type: ignore[import-untyped]

from gateway.classify.port import AnalysisState
from gateway.classify.sidecar.batch import MAX_STATE_BYTES

MAX_BYTES = MAX_STATE_BYTES
"""Of one session's state; that of the embedded classifier has one to two KiB. A local model that keeps its
context there adds 32 KB for each second of it."""
MAX_CONTAINERS, MAX_VALUES = 4_096, 65_536
"""Lists and maps in it, and what those hold: so many bytes of nothing else would take the event loop several
milliseconds."""


class Found(StrEnum):
    """What became of the state that a window came with."""

    NONE = "none"
    """There was none: a session begins."""
    RESTORED = "restored"
    FOREIGN = "foreign"
    """It is another classifier's; the session started afresh."""
    BROKEN = "broken"
    """It can't be read, or the classifier could make nothing of it; the session started afresh."""
    TOO_LARGE = "too_large"
    """It is over `MAX_BYTES`, coming or going; the session started afresh, or will."""


def pack(name: str, state: AnalysisState) -> bytes | None:
    """The state of the classifier `name` as bytes; None where it is too large, or not plain."""
    try:
        packed: bytes = msgpack.packb([name, state], use_bin_type=True)
    except (TypeError, ValueError, OverflowError):
        return None
    return packed if len(packed) <= MAX_BYTES else None


def unpack(name: str, packed: bytes | None) -> tuple[AnalysisState, Found]:
    """The state in `packed` if it is one of the classifier `name`, else an empty one, and why."""
    if packed is None:
        return {}, Found.NONE
    if len(packed) > MAX_BYTES:
        return {}, Found.TOO_LARGE
    try:
        found: Any = msgpack.unpackb(packed, raw=False, strict_map_key=True, max_ext_len=0, **_few())
    except Exception:  # msgpack has many ways to say that it can't
        return {}, Found.BROKEN
    if not (isinstance(found, list) and len(found) == 2 and isinstance(found[1], dict)):
        return {}, Found.BROKEN
    if found[0] != name:
        return {}, Found.FOREIGN
    return found[1], Found.RESTORED


def _few() -> dict[str, Any]:
    """What ends the unpacking where there are too many lists, maps and values."""
    left, values = MAX_CONTAINERS, MAX_VALUES

    def one(found: Any) -> Any:
        nonlocal left, values
        left -= 1
        values -= len(found)
        if left < 0 or values < 0:
            raise ValueError("too many lists, maps and values")
        return found

    return {"object_hook": one, "list_hook": one, "max_array_len": MAX_VALUES, "max_map_len": MAX_VALUES}
