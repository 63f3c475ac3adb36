"""States as opaque bytes: there and back, and whatever else comes is told from them."""

import msgpack  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from gateway.sidecar.states import MAX_BYTES, MAX_CONTAINERS, MAX_VALUES, Found, pack, unpack

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), plain, max_size=5))
def test_there_and_back(state: dict[str, object]) -> None:
    """A state is the same after the journey."""
    packed = pack("acoustic", state)
    assert packed is not None
    assert unpack("acoustic", packed) == (state, Found.RESTORED)
    assert unpack("onnx", packed) == ({}, Found.FOREIGN)


@given(st.binary(max_size=200))
def test_garbage_is_no_state(garbage: bytes) -> None:
    """It raises nothing, and what it is is told."""
    state, found = unpack("acoustic", garbage)
    assert found in (Found.BROKEN, Found.FOREIGN) or msgpack.unpackb(garbage)[1] == state


def test_bounds() -> None:
    """What is too large goes neither in nor out, and what is not plain doesn't go out."""
    assert unpack("acoustic", None) == ({}, Found.NONE)
    assert unpack("acoustic", bytes(MAX_BYTES + 1)) == ({}, Found.TOO_LARGE)
    assert pack("acoustic", {"x": bytes(MAX_BYTES)}) is None
    few: list[list[int]] = [[]] * (MAX_CONTAINERS - 3)
    many: list[list[int]] = [[]] * MAX_CONTAINERS
    assert unpack("acoustic", pack("acoustic", {"x": few})) == ({"x": few}, Found.RESTORED)
    assert unpack("acoustic", pack("acoustic", {"x": many})) == ({}, Found.BROKEN)
    for numbers in ([0] * (MAX_VALUES + 1), [[0] * (MAX_VALUES // 2)] * 3):
        assert unpack("acoustic", pack("acoustic", {"x": numbers})) == ({}, Found.BROKEN)
    assert pack("acoustic", {"x": object()}) is None
    assert pack("acoustic", {"x": 2**70}) is None
