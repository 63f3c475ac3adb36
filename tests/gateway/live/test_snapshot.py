"""Where a session stands, packed: it comes back as it was, or not at all."""

import contextlib
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadDocument
from gateway.live.snapshot import VERSION, Snapshot
from protocol.labels import GapReason

count = st.integers(0, 2**40)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), plain, max_size=4)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    gaps = draw(st.dictionaries(st.sampled_from(GapReason), count, max_size=3))
    classified = draw(count)
    sample = at = classified + sum(gaps.values())
    ahead = []
    for _ in range(draw(st.integers(0, 3))):
        start = at + draw(st.integers(0, 100))
        at = start + draw(st.integers(1, 100))
        ahead.append((start, at, draw(st.sampled_from(GapReason))))
    return Snapshot(
        sample=sample,
        wanted_from=draw(st.integers(0, sample)),
        classified_samples=classified,
        gaps=gaps,
        ahead=tuple(ahead),
        analysis=draw(objects),
        speakers=tuple(draw(st.lists(st.text(), max_size=3))),
        turns=tuple(draw(st.lists(st.tuples(count, st.text()), max_size=3))),
        line=draw(objects),
        counts=draw(st.dictionaries(st.text(), count, max_size=3)),
        traffic=draw(st.tuples(count, count, count)),
    )


@given(snapshots())
def test_it_comes_back_as_it_was(snapshot: Snapshot) -> None:
    """Every field."""
    assert Snapshot.unpack(snapshot.packed()) == snapshot


def said(**changes: Any) -> bytes:
    """A packed snapshot, with other fields than it should have."""
    whole = msgpack.unpackb(Snapshot(10, 10, 10).packed())
    packed: bytes = msgpack.packb({**whole, **changes})
    return packed


@given(snapshots(), st.data())
def test_damage_is_told_and_nothing_else_is(snapshot: Snapshot, data: st.DataObject) -> None:
    """Cut, bent or mixed up: it is refused as damaged, or it makes sense."""
    packed = bytearray(snapshot.packed())
    if data.draw(st.booleans()):
        del packed[data.draw(st.integers(0, len(packed) - 1)) :]
    for _ in range(data.draw(st.integers(1, 3))):
        if packed:
            packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadDocument):
        Snapshot.unpack(bytes(packed))


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc1",
        msgpack.packb(None),
        msgpack.packb([1]),
        msgpack.packb({}),
        said(v="1"),
        said(v=VERSION + 1),
        said(gaps=[1]),
        said(gaps={"no such reason": 1}),
        said(sample="10"),
        said(sample=11),
        said(wanted_from=11),
        said(wanted_from=-1),
        said(ahead=[(9, 12, "client")]),
        said(ahead=[(12, 12, "client")]),
        said(ahead=[(14, 15, "client"), (12, 13, "client")]),
        said(ahead=[("a", "b", "client")]),
        said(traffic=None),
        said() + b"\x00",
    ],
)
def test_what_cannot_be_is_refused(packed: bytes) -> None:
    """Also what a newer gateway wrote."""
    with pytest.raises(BadDocument):
        Snapshot.unpack(packed)
