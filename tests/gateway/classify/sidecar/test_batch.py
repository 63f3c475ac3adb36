"""The batch codec: what is valid comes back as it was, anything else is `MalformedBatch`."""

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.port import Hints
from gateway.classify.sidecar.batch import (
    MAX_STATE_BYTES,
    Asked,
    Failed,
    MalformedBatch,
    Reply,
    Told,
    decode_answer,
    decode_reply,
    decode_request,
    encode_answer,
    encode_request,
    split_answer,
    splitting,
)

short = st.text(max_size=20)


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    samples = draw(st.lists(st.integers(-32_768, 32_767), min_size=1, max_size=40))
    return Asked(
        session=draw(short),
        samples=np.array(samples, np.int16),
        owned=draw(st.integers(1, len(samples))),
        end_s=draw(st.floats(0, 1e6)),
        hints=Hints(draw(st.booleans()), draw(st.none() | short), draw(st.none() | st.integers(1, 9))),
        state=draw(st.none() | st.binary(max_size=50)),
    )


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | short,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(short, inner, max_size=3),
    max_leaves=8,
)
told = st.builds(
    Told, st.lists(st.dictionaries(short, plain, max_size=4), max_size=3), st.none() | st.binary(max_size=50)
)
replies = st.lists(told | st.builds(Failed, short), max_size=6)


@given(st.lists(asked(), min_size=1, max_size=6))
def test_a_request_comes_back_as_it_was(windows: list[Asked]) -> None:
    body = b"".join(encode_request(windows))
    found = decode_request(body)
    assert len(found) == len(windows)
    for one, other in zip(found, windows, strict=True):
        assert np.array_equal(one.samples, other.samples)
        assert one.samples.dtype == np.int16
        for name in ("session", "owned", "end_s", "hints", "state"):
            assert getattr(one, name) == getattr(other, name)


@given(replies)
def test_an_answer_comes_back_as_it_was(said: list[Reply]) -> None:
    assert decode_answer(encode_answer(said), len(said)) == said


READERS: list[Callable[[bytes], object]] = [
    decode_request,
    lambda body: decode_answer(body, 1),
    lambda body: decode_reply(memoryview(body)),
]


@given(st.binary(max_size=300))
def test_garbage_is_malformed(data: bytes) -> None:
    """Whatever it is taken for."""
    for read in READERS:
        with contextlib.suppress(MalformedBatch):
            read(data)


def test_a_header_full_of_nothing_is_malformed() -> None:
    """Two megabytes of empty maps would take the event loop a third of a second."""
    row = {"session": "s", "samples": 1, "owned": 1, "end_s": 1.0, "more": [{}] * 60_000}
    header = msgpack.packb({"v": 1, "windows": [row] * 32})
    with pytest.raises(MalformedBatch, match="too many"):
        decode_request(struct.pack("<I", len(header)) + header + bytes(64))


@settings(max_examples=300)
@given(st.lists(asked(), min_size=1, max_size=3), st.data())
def test_a_request_with_a_byte_wrong(windows: list[Asked], data: st.DataObject) -> None:
    """Is malformed, or says something else of the same shape."""
    body = bytearray(b"".join(encode_request(windows)))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    try:
        found = decode_request(bytes(body))
    except MalformedBatch:
        return
    assert 1 <= len(found) <= 32
    assert all(1 <= one.owned <= len(one.samples) for one in found)


@given(st.lists(asked(), min_size=1, max_size=3), st.integers(1, 400))
def test_a_request_cut_short_or_too_long(windows: list[Asked], by: int) -> None:
    """Is malformed, wherever it ends."""
    body = b"".join(encode_request(windows))
    with pytest.raises(MalformedBatch):
        decode_request(body[: max(0, len(body) - by)])
    with pytest.raises(MalformedBatch):
        decode_request(body + bytes(by))


WINDOW: dict[str, Any] = {
    "session": "s",
    "samples": 2,
    "owned": 2,
    "end_s": 1.0,
    "elcor": False,
    "language": None,
    "num_speakers": None,
    "state": None,
}


def request(row: Any = WINDOW, **header: Any) -> bytes:
    packed: bytes = msgpack.packb({"v": 1, "windows": [row], **header})
    return struct.pack("<I", len(packed)) + packed + bytes(4)


def test_keys_that_nobody_knows_are_passed_over() -> None:
    """So that later versions can say more."""
    [window] = decode_request(request({**WINDOW, "new": [1]}, also=2))
    assert window.session == "s"
    body = msgpack.packb({"v": 1, "also": {}, "windows": [{"events": [], "new": 1}]})
    assert decode_answer(body, 1) == [Told([])]


@pytest.mark.parametrize(
    "change",
    [
        {"session": None},
        {"session": 7},
        {"session": "x" * 300},
        {"samples": 0},
        {"samples": 3},
        {"samples": True},
        {"samples": 2.0},
        {"samples": 10**12},
        {"owned": 0},
        {"owned": 3},
        {"end_s": -1},
        {"end_s": float("nan")},
        {"end_s": float("inf")},
        {"end_s": "1"},
        {"end_s": True},
        {"elcor": 1},
        {"language": 7},
        {"num_speakers": 0},
        {"num_speakers": 1.5},
        {"state": "text"},
        {"state": bytes(MAX_STATE_BYTES + 1)},
    ],
)
def test_a_window_with_something_wrong(change: dict[str, Any]) -> None:
    """Is malformed, with the key's name in the sentence."""
    decode_request(request())
    with pytest.raises(MalformedBatch, match=next(iter(change)) if change != {"samples": 3} else "samples"):
        decode_request(request({**WINDOW, **change}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0",
        struct.pack("<I", 2**31) + b"x",
        request(v=2),
        request(v=True),
        request(windows=[]),
        request(windows={}),
        request(row=[]),
        request(row={7: 7}),
        struct.pack("<I", 1) + b"\xc1",
        struct.pack("<I", 1) + b"\xc0",
    ],
)
def test_a_request_of_another_shape(body: bytes) -> None:
    with pytest.raises(MalformedBatch):
        decode_request(body)


def test_a_header_of_nothing_but_lists() -> None:
    """It is not taken apart: that would take much more memory than it has bytes."""
    with pytest.raises(MalformedBatch, match="too many lists"):
        decode_request(request({**WINDOW, "more": [[]] * 20_000}))


def test_the_largest_state_goes_there_and_back() -> None:
    """With as much told beside it as ever."""
    state = bytes(MAX_STATE_BYTES)
    (asked,) = decode_request(request({**WINDOW, "state": state}))
    assert asked.state == state
    told = Told([{"note": "x" * 200_000}], state)
    assert decode_answer(encode_answer([told]), 1) == [told]


def test_more_windows_or_samples_than_are_taken() -> None:
    """Are refused, before anything is done with them."""
    window = Asked("s", np.zeros(100, np.int16), 100, 1.0)
    body = b"".join(encode_request([window] * 3))
    assert len(decode_request(body, max_windows=3, max_samples=100)) == 3
    with pytest.raises(MalformedBatch, match="windows"):
        decode_request(body, max_windows=2)
    with pytest.raises(MalformedBatch, match="samples"):
        decode_request(body, max_samples=99)


def test_a_list_that_is_cut_and_one_that_is_strided() -> None:
    """Samples that don't lie in a row are sent as if they did."""
    samples = np.arange(20, dtype=np.int16)[::2]
    body = b"".join(encode_request([Asked("s", samples, 10, 1.0)]))
    assert list(decode_request(body)[0].samples) == list(range(0, 20, 2))


def test_one_odd_answer_leaves_the_others_readable() -> None:
    """Each is taken apart by itself."""
    body = msgpack.packb({"v": 1, "windows": [{"events": []}, 7, {"events": [{}]}]})
    one, odd, other = split_answer(body, 3)
    assert decode_reply(one) == Told([])
    assert decode_reply(other) == Told([{}])
    with pytest.raises(MalformedBatch):
        decode_reply(odd)


VALUES = st.one_of(st.none(), st.binary(max_size=40), st.lists(st.integers(0, 2**40), max_size=4))
OTHER_KEYS = st.text(max_size=3).filter(lambda key: key not in ("v", "windows"))


@given(
    rows=st.lists(VALUES, max_size=6),
    more=st.dictionaries(OTHER_KEYS, st.lists(st.text(max_size=9), max_size=4), max_size=12),
    step=st.integers(1, 40),
    piece=st.integers(1, 60),
    cut=st.integers(0, 3),
)
def test_an_answer_in_steps_is_the_answer(
    rows: list[Any], more: dict[str, Any], step: int, piece: int, cut: int
) -> None:
    """Each window's bytes are the same, and what is cut off is refused, however small the steps."""
    body = msgpack.packb({**more, "windows": rows, "v": 1})
    body = body[: len(body) - cut]

    pieces = [body[at : at + piece] for at in range(0, len(body), piece)]

    def split() -> tuple[list[bytes], int]:
        steps, taken = splitting(pieces, len(rows), step=step), 0
        while True:
            try:
                next(steps)
                taken += 1
            except StopIteration as done:
                return [bytes(row) for row in done.value], taken

    if cut:
        with pytest.raises(MalformedBatch):
            split()
        return
    found, steps = split()
    assert found == [msgpack.packb(row) for row in rows]
    assert steps == sum(-(-len(one) // step) for one in pieces) - 1


@pytest.mark.parametrize(
    "answer",
    [
        {"v": [], "windows": []},
        {"v": {"v": [1]}, "windows": []},
        {"windows": [], "v": True},
        {**{str(number): None for number in range(15)}, "v": 1, "windows": []},
    ],
    ids=["a list as version", "a map as version", "a truth as version", "too many keys"],
)
def test_an_answer_of_an_odd_shape(answer: dict[str, Any]) -> None:
    """Is refused before much is made of it."""
    with pytest.raises(MalformedBatch):
        split_answer(msgpack.packb(answer), 0)


def test_too_much_of_one_window_is_not_told() -> None:
    """A sidecar finds out before it sends it."""
    with pytest.raises(MalformedBatch):
        encode_answer([Told([], bytes(MAX_STATE_BYTES + 1))])
    with pytest.raises(MalformedBatch):
        encode_answer([Told([{"note": "x" * 300_000}])])


def test_a_long_sentence_is_cut() -> None:
    [failed] = decode_answer(encode_answer([Failed("x" * 10_000)]), 1)
    assert isinstance(failed, Failed)
    assert len(failed.sentence) == 300
