"""What passes between the gateway and its decoders."""

import asyncio
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transcribe import frames
from gateway.transcribe.frames import MAX_PAYLOAD, FrameError, Kind

FRAMES = st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=300)), max_size=6)


def read_all(data: bytes) -> list[tuple[Kind, bytes]]:
    """Every frame, the blocking way."""
    stream, found = io.BytesIO(data), []
    while (frame := frames.read(stream.read)) is not None:
        found.append(frame)
    return found


async def read_all_from(data: bytes) -> list[tuple[Kind, bytes]]:
    """Every frame, the event loop's way."""
    reader, found = asyncio.StreamReader(), []
    reader.feed_data(data)
    reader.feed_eof()
    while (frame := await frames.read_from(reader)) is not None:
        found.append(frame)
    return found


@given(sent=FRAMES)
@settings(max_examples=50, deadline=None)
def test_what_is_packed_is_read(sent: list[tuple[Kind, bytes]]) -> None:
    """Both readers give back exactly the frames that were packed."""
    data = b"".join(frames.pack(kind, payload) for kind, payload in sent)
    assert read_all(data) == sent
    assert asyncio.run(read_all_from(data)) == sent


@given(data=st.binary(max_size=64))
@settings(max_examples=100, deadline=None)
def test_garbage_raises_only_frame_errors(data: bytes) -> None:
    """Whatever a broken decoder says, both readers agree: frames, or a FrameError."""
    assert outcome(lambda: read_all(data)) == outcome(lambda: asyncio.run(read_all_from(data)))


def outcome(read: Any) -> Any:
    """The frames, or that there was an error."""
    try:
        return read()
    except FrameError:
        return FrameError


def test_an_endless_frame_is_refused() -> None:
    """A length past the limit is refused before anything of that size is read."""
    header = (MAX_PAYLOAD + 1).to_bytes(4, "little") + bytes([Kind.AUDIO])
    with pytest.raises(FrameError, match="too long"):
        read_all(header)


@pytest.mark.parametrize("payload", [b"", b"[1]", b"{", b"\xff", b"null"])
def test_fields_are_an_object(payload: bytes) -> None:
    """A payload that is no JSON object is a FrameError, not whatever the parser raises."""
    with pytest.raises(FrameError):
        frames.fields_of(payload)
