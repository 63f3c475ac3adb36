"""Tensors survive the way out and back, and nothing that isn't one is taken for one."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.classify.kserve.tensors import (
    BYTES,
    NUMERIC,
    MalformedError,
    Values,
    count_of,
    from_json,
    pack,
    read_shape,
    unpack,
)

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, tuple[int, ...], Values]:
    """A datatype, a shape and values that fit."""
    datatype = draw(st.sampled_from([BYTES, *NUMERIC]))
    shape = draw(SHAPES)
    if datatype == BYTES:
        count = count_of(shape)
        return datatype, shape, tuple(draw(st.lists(st.binary(max_size=8), min_size=count, max_size=count)))
    return datatype, shape, draw(hnp.arrays(NUMERIC[datatype], shape))


def same(one: Values, other: Values) -> bool:
    if isinstance(one, tuple) or isinstance(other, tuple):
        return one == other
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


@given(tensors())
def test_raw_bytes_round_trip(tensor: tuple[str, tuple[int, ...], Values]) -> None:
    """Every datatype, every shape, NaN bits and all."""
    datatype, shape, values = tensor
    assert same(unpack(pack(values), datatype, shape), values)


@given(tensors(), st.integers(-9, 9).filter(bool))
def test_a_byte_more_or_less_is_refused(tensor: tuple[str, tuple[int, ...], Values], more: int) -> None:
    """Shapes are checked against the bytes there are."""
    datatype, shape, values = tensor
    raw = pack(values)
    changed = raw + b"\0" * more if more > 0 else raw[:more]
    if changed != raw:
        with pytest.raises(MalformedError):
            unpack(changed, datatype, shape)


@given(tensors(), st.booleans())
def test_json_round_trips(tensor: tuple[str, tuple[int, ...], Values], nested: bool) -> None:
    """Flat or nested as the shape is; what is no number is null."""
    datatype, shape, values = tensor
    if isinstance(values, tuple):
        data: Any = [base64.b64encode(one).decode() for one in values]
        assert from_json(data, datatype, shape, base64_texts=True) == values
        return
    if nested and not shape:
        return
    data = values.tolist() if nested else values.ravel().tolist()
    finite = json.loads(json.dumps(data).replace("NaN", "null"))
    back = from_json(finite, datatype, shape)
    assert isinstance(back, np.ndarray)
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)


@given(JSON, st.sampled_from([BYTES, "BF16", *NUMERIC]), SHAPES)
def test_any_json_is_values_of_the_shape_or_refused(data: Any, datatype: str, shape: tuple[int, ...]) -> None:
    """No other error, and never other values than the datatype has."""
    try:
        values = from_json(data, datatype, shape)
    except MalformedError:
        return
    assert len(values) == count_of(shape) if isinstance(values, tuple) else values.shape == shape


@given(st.binary(max_size=40), st.sampled_from([BYTES, "BF16", *NUMERIC]), SHAPES)
def test_any_bytes_are_values_of_the_shape_or_refused(
    raw: bytes, datatype: str, shape: tuple[int, ...]
) -> None:
    """And what is taken says the same bytes again."""
    try:
        values = unpack(raw, datatype, shape)
    except MalformedError:
        return
    assert pack(values) == raw


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("INT16", [1.0]),
        ("INT16", [True]),
        ("INT16", [32_768]),
        ("UINT8", [-1]),
        ("FP32", [True]),
        ("FP32", ["1"]),
        ("FP32", [[1]]),
        ("FP32", 1.0),
        ("FP32", [10**400]),
        ("BOOL", [1]),
        ("BYTES", [1]),
        ("BF16", [1]),
    ],
)
def test_a_number_of_another_kind_is_refused(datatype: str, data: Any) -> None:
    """JSON's types are told apart, and ranges are kept."""
    with pytest.raises(MalformedError):
        from_json(data, datatype, (1,))


@pytest.mark.parametrize("data", [[[1, 2], [3]], [[1, 2, 3, 4]], [1, 2, [3, 4]], [[[1], [2]], [[3], [4]]]])
def test_nesting_must_be_the_shapes(data: Any) -> None:
    """Ragged and deeper lists are refused."""
    with pytest.raises(MalformedError):
        from_json(data, "FP32", (2, 2))


def test_numbers_beyond_a_datatype_of_floats_become_infinite() -> None:
    """A window's own loss: what is mapped must be finite."""
    values = from_json([1e300, -1e300, None], "FP32", (3,))
    assert isinstance(values, np.ndarray)
    assert not np.isfinite(values).any()


@pytest.mark.parametrize("value", [None, "2", [1.0], [True], [-1], [2**13, 2**13], [1] * 17, {}])
def test_shapes_are_lists_of_small_whole_numbers(value: Any) -> None:
    """Nothing is allocated for an absurd one."""
    with pytest.raises(MalformedError):
        read_shape(value)


def test_a_bool_has_two_values() -> None:
    """A byte of another value isn't one."""
    with pytest.raises(MalformedError, match="neither"):
        unpack(b"\x02", "BOOL", (1,))
