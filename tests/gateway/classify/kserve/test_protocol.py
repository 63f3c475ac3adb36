"""Requests are what the protocol says, and answers are read as it says; also by a client not written here."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.classify.kserve.protocol import (
    HEAD_MARKS,
    HEADER_LENGTH,
    PART_SAMPLES,
    TEXT_MARKS,
    Named,
    Rows,
    binary_request,
    json_request,
    read_answer,
    read_error,
    read_extensions,
    read_metadata,
)
from gateway.classify.kserve.tensors import (
    BYTES,
    NUMBERS,
    NUMERIC,
    TEXTS,
    MalformedError,
    Tensor,
    Wanted,
    pack,
)
from tests.gateway.classify.kserve.test_tensors import tensors
from tests.peers import ask

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=5)
ROWS: "st.SearchStrategy[Any]" = hnp.arrays(np.int16, SHAPES) | hnp.arrays(
    np.float32, SHAPES, elements=st.floats(-1, 1, width=32)
)


ONE = {"x": Wanted(NUMBERS, ((1,),))}


def test_where_a_model_is() -> None:
    """Names are quoted: one with a slash doesn't lead elsewhere."""
    assert Named("tone").path == "/v2/models/tone"
    assert Named("a/b ü", "1?").path == "/v2/models/a%2Fb%20%C3%BC/versions/1%3F"


@given(ROWS)
def test_a_binary_request_holds_its_samples_as_they_are(rows: Rows) -> None:
    """The header says where they begin, the JSON how many there are and that answers are wanted alike."""
    parts, headers = binary_request("AUDIO", rows, ["logits"])
    body = b"".join(parts)
    length = int(headers[HEADER_LENGTH])
    head = orjson.loads(body[:length])
    assert body[length:] == rows.tobytes()
    datatype = "INT16" if rows.dtype == np.int16 else "FP32"
    assert head == {
        "inputs": [
            {
                "name": "AUDIO",
                "shape": list(rows.shape),
                "datatype": datatype,
                "parameters": {"binary_data_size": rows.nbytes},
            }
        ],
        "outputs": [{"name": "logits", "parameters": {"binary_data": True}}],
    }


@given(ROWS)
def test_a_json_request_says_the_same(rows: Rows) -> None:
    """Flat, in row-major order, and exact."""
    found = orjson.loads(b"".join(json_request("AUDIO", rows, ["logits", "EVENTS"])))
    (given,) = found["inputs"]
    assert given["shape"] == list(rows.shape)
    np.testing.assert_array_equal(np.array(given["data"], rows.dtype).reshape(rows.shape), rows)
    assert found["outputs"] == [{"name": "logits"}, {"name": "EVENTS"}]


def test_long_rows_are_written_in_parts() -> None:
    """And the numbers at the seams are whole."""
    rows = np.arange(3 * (PART_SAMPLES + 7), dtype=np.int32).astype(np.int16).reshape(3, -1)
    parts = list(json_request("AUDIO", rows, ["logits"]))
    assert len(parts) == 2 + 4
    (given,) = orjson.loads(b"".join(parts))["inputs"]
    assert given["data"] == rows.ravel().tolist()


def _answer(outputs: list[tuple[str, tuple[int, ...], Any]], binary: list[bool]) -> tuple[bytes, str]:
    """An answer as a server writes it, some tensors in binary."""
    listed, raw = [], b""
    for number, ((datatype, shape, values), bare) in enumerate(zip(outputs, binary, strict=True)):
        one: dict[str, Any] = {"name": f"o{number}", "datatype": datatype, "shape": list(shape)}
        if bare:
            one["parameters"] = {"binary_data_size": len(pack(values))}
            raw += pack(values)
        else:
            one["data"] = [v.decode() for v in values] if datatype == BYTES else values.ravel().tolist()
        listed.append(one)
    head = json.dumps({"model_name": "m", "outputs": listed}).encode()
    return head + raw, str(len(head))


def wanted(outputs: list[tuple[str, tuple[int, ...], Any]]) -> dict[str, Wanted]:
    """Just these."""
    return {
        f"o{number}": Wanted(frozenset({datatype}), (shape,))
        for number, (datatype, shape, _) in enumerate(outputs)
    }


@given(st.lists(st.tuples(tensors(), st.booleans()), max_size=4))
def test_answers_round_trip_tensor_by_tensor(parts: list[tuple[Any, bool]]) -> None:
    """In binary and JSON, mixed."""
    outputs = [tensor for tensor, _ in parts]
    binary = [
        bare or (datatype == BYTES and not all(one.isascii() for one in values))
        for (datatype, _, values), bare in parts
    ]
    body, length = _answer(outputs, binary)
    found = read_answer(body, length, wanted(outputs))
    assert list(found) == [f"o{number}" for number in range(len(outputs))]
    for (datatype, shape, values), tensor in zip(outputs, found.values(), strict=True):
        assert (tensor.datatype, tensor.shape) == (datatype, shape)
        if datatype == BYTES:
            assert tensor.values == values
        else:
            np.testing.assert_array_equal(tensor.values, values)


@given(st.binary(max_size=60), st.none() | st.integers(-2, 80).map(str) | st.text(max_size=3))
def test_any_bytes_are_an_answer_or_refused(body: bytes, length: str | None) -> None:
    """And so as a description of a model, of a server and of an error."""
    with suppress(MalformedError):
        read_answer(body, length, ONE)
    for read in (read_metadata, read_extensions):
        with suppress(MalformedError):
            read(body)
    assert isinstance(read_error(body), str)


@given(st.data())
def test_a_changed_answer_is_read_or_refused(data: st.DataObject) -> None:
    """One byte of a good answer is another: never another error."""
    outputs: list[tuple[str, tuple[int, ...], Any]] = [
        ("FP32", (2,), np.array([1, 2], "<f4")),
        (BYTES, (1,), (b"[]",)),
    ]
    body, length = _answer(outputs, [True, True])
    at = data.draw(st.integers(0, len(body) - 1))
    changed = body[:at] + bytes([data.draw(st.integers(0, 255))]) + body[at + 1 :]
    try:
        found = read_answer(changed, length, wanted(outputs))
    except MalformedError:
        return
    assert all(isinstance(tensor, Tensor) for tensor in found.values())


def test_a_number_that_json_cannot_say() -> None:
    """Some servers write it all the same; the batch is not lost for it."""
    body = b'{"outputs": [{"name": "x", "datatype": "FP32", "shape": [3], "data": [NaN, -Infinity, 1]}]}'
    values = read_answer(body, None, {"x": Wanted(NUMBERS, ((3,),))})["x"].values
    np.testing.assert_array_equal(values, np.array([np.nan, -np.inf, 1], np.float32))


@pytest.mark.parametrize(
    "output",
    [
        {"data": [1]},
        {"name": 1, "datatype": "FP32", "shape": [1], "data": [1]},
        {"name": "x", "datatype": "FP99", "shape": [1], "data": [1]},
        {"name": "x", "datatype": "FP32", "shape": [1], "data": [1], "parameters": [1]},
        {"name": "x", "datatype": "FP32", "shape": [1], "data": [1], "parameters": {"binary_data_size": 4}},
        {"name": "x", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 8}},
        {"name": "x", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": -4}},
        {"name": "x", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": True}},
        {"name": "x", "datatype": "FP32", "shape": [1]},
    ],
)
def test_a_tensor_that_is_none_is_refused(output: dict[str, Any]) -> None:
    """Whatever is missing, of another type, or there twice."""
    head = json.dumps({"outputs": [output]}).encode()
    with pytest.raises(MalformedError):
        read_answer(head + b"\0" * 4, str(len(head)), ONE)


def test_an_output_comes_once() -> None:
    """Which of two would be right?"""
    one = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}
    with pytest.raises(MalformedError, match="twice"):
        read_answer(json.dumps({"outputs": [one, one]}).encode(), None, ONE)


def test_texts_as_base64() -> None:
    """How some servers say bytes in JSON."""
    one = {"name": "x", "datatype": "BYTES", "shape": [1], "data": ["W10="]}
    body = json.dumps({"outputs": [{**one, "parameters": {"content_type": "base64"}}]}).encode()
    asked = {"x": Wanted(TEXTS, ((1,),))}
    assert read_answer(body, None, asked)["x"].values == (b"[]",)
    with pytest.raises(MalformedError):
        read_answer(body.replace(b"W10=", b"!!!!"), None, asked)


class Untouched(list[Any]):
    """Data that nobody may look at."""

    def __iter__(self) -> Any:
        raise AssertionError("the data was looked at")

    __len__ = __iter__


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"shape": [40_000]}, r"shape \[40000\] and not \[1, 2\]"),
        ({"shape": [2, 1]}, r"shape \[2, 1\]"),
        ({"datatype": "BYTES"}, "should be numbers is BYTES"),
        ({"datatype": "BOOL"}, "should be numbers is BOOL"),
        ({"datatype": "a\nb"}, "is of a datatype not supported"),
    ],
)
def test_what_is_not_wanted_is_refused_by_what_it_says(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], told: str
) -> None:
    """However much data there is: none of it is looked at."""
    one = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": Untouched(), **said}
    monkeypatch.setattr("gateway.classify.kserve.protocol._document", lambda *_, **__: {"outputs": [one]})
    with pytest.raises(MalformedError, match=told):
        read_answer(b"", None, {"x": Wanted(NUMBERS, ((1, 2),))})


@pytest.mark.parametrize("piece", [b"[],", b"{},", b"1,", b'"",', b'"a":0,', b"[", b"NaN,"])
def test_more_than_any_answer_has_is_not_even_read(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    """To make values of it would stop everything else for as long."""
    read: Any = lambda *_, **__: pytest.fail("it was read")  # noqa: E731
    monkeypatch.setattr("gateway.classify.kserve.protocol._document", read)
    for asked in (ONE, {"x": Wanted(NUMBERS, ((32, 1_000),))}, {"x": Wanted(TEXTS, ((32,), (32, 1)))}):
        most = HEAD_MARKS + (TEXT_MARKS * 32 if asked["x"].datatypes == TEXTS else 32_000)
        with pytest.raises(MalformedError, match="more than was asked for"):
            read_answer(b'{"x":[' + piece * (most + 1), None, asked)


@pytest.mark.parametrize(
    ("datatype", "shape", "one"),
    [("FP32", [32, 1_000], -0.12345678), ("BYTES", [32, 1], json.dumps([{"a": 1, "b": [2, 3]}] * 100))],
)
def test_the_most_that_may_be_asked_for_is_read(datatype: str, shape: list[int], one: Any) -> None:
    """With an output that nobody asked for beside it."""
    data = [[one] * shape[1]] * shape[0]
    other = {"name": "y", "datatype": "FP32", "shape": [8_000], "data": [0] * 8_000}
    told = {"name": "x", "datatype": datatype, "shape": shape, "data": data}
    asked = {"x": Wanted(frozenset({datatype}), (tuple(shape),))}
    assert list(read_answer(json.dumps({"outputs": [told, other]}).encode(), None, asked)) == ["x"]


def test_a_long_answer_that_json_has_no_words_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads `NaN` is slow, and is for what is short; null instead of it may stand in any length."""
    monkeypatch.setattr("gateway.classify.kserve.protocol.json.loads", lambda _: pytest.fail("it was read"))
    asked = {"x": Wanted(NUMBERS, ((32, 1_000),))}
    body = (
        b'{"outputs":[{"name":"x","datatype":"FP32","shape":[32,1000],"data":[' + b"1.5," * 31_999 + b"%s]}]}"
    )
    with pytest.raises(MalformedError, match="no JSON"):
        read_answer(body % b"NaN", None, asked)
    assert read_answer(body % b"null", None, asked)


@pytest.mark.parametrize("read", [read_metadata, read_extensions])
def test_what_a_server_says_of_itself_is_json(read: Any) -> None:
    """There are no numbers in it that could be none."""
    with pytest.raises(MalformedError, match="no JSON"):
        read(b'{"inputs": [], "extensions": [], "x": NaN}')
    assert read_error(b'{"error": "no", "x": NaN}') == ""


def test_a_shape_has_few_dimensions() -> None:
    """People are told of it where it isn't what the file says."""
    one = {"name": "x", "datatype": "FP32", "shape": [1] * 17}
    with pytest.raises(MalformedError, match="proper shape"):
        read_metadata(json.dumps({"inputs": [one]}).encode())


def test_outputs_that_nobody_asked_for_are_passed_over() -> None:
    """Some servers answer with all that a model gives; their bytes are still their own."""
    outputs: list[tuple[str, tuple[int, ...], Any]] = [
        ("FP32", (3,), np.ones(3, "<f4")),
        ("FP32", (2,), np.array([1, 2], "<f4")),
    ]
    body, length = _answer(outputs, [True, True])
    found = read_answer(body, length, {"o1": wanted(outputs)["o1"]})
    assert list(found) == ["o1"]
    np.testing.assert_array_equal(found["o1"].values, [1, 2])


def test_errors_are_told_short_and_on_one_line() -> None:
    """What a server says goes to the log."""
    assert read_error(b'{"error": "no such\\nmodel"}') == "no suchmodel"
    assert len(read_error(json.dumps({"error": "x" * 10_000}).encode())) == 200
    assert read_error(b'{"detail": {"input": "audio"}}') == ""


_THEIR_ANSWER = """
import json, sys
import numpy as np
from tritonclient.http import InferenceServerClient
body = sys.stdin.buffer.read()
length = int(sys.argv[1]) or None
result = InferenceServerClient.parse_response_body(body, header_length=length)
found = {}
for output in result.get_response()["outputs"]:
    values = result.as_numpy(output["name"])
    plain = [one.decode() if isinstance(one, bytes) else one for one in values.ravel().tolist()]
    found[output["name"]] = [plain, list(values.shape), str(values.dtype)]
print(json.dumps(found))
"""


def test_another_client_reads_the_same_in_our_answers() -> None:
    """The tests' own idea of an answer is that of Triton's client, for every datatype."""
    outputs: list[tuple[str, tuple[int, ...], Any]] = [
        (name, (2, 2), np.array([[0, 1], [1, 0]], dtype)) for name, dtype in NUMERIC.items()
    ]
    outputs.append((BYTES, (2, 1), (b"[]", b'{"a": "b"}')))
    body, length = _answer(outputs, [True] * len(outputs))
    theirs = json.loads(ask(_THEIR_ANSWER, length, data=body))
    ours = read_answer(body, length, wanted(outputs))
    assert list(theirs) == list(ours)
    for name, (values, shape, dtype) in theirs.items():
        mine = ours[name].values
        assert tuple(shape) == ours[name].shape
        if isinstance(mine, tuple):
            assert tuple(one.encode() for one in values) == mine
        else:
            assert (values, dtype) == (mine.ravel().tolist(), str(mine.dtype))


_THEIR_REQUEST = """
import sys
import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
dtype = {"INT16": np.int16, "FP32": np.float32}[sys.argv[1]]
rows = np.frombuffer(sys.stdin.buffer.read(), dtype).reshape(2, 3)
given = InferInput("AUDIO", [2, 3], sys.argv[1])
given.set_data_from_numpy(rows, binary_data=True)
body, length = InferenceServerClient.generate_request_body(
    [given], outputs=[InferRequestedOutput("logits", binary_data=True)])
sys.stdout.buffer.write(str(length).encode() + b"\\n" + body)
"""


@pytest.mark.parametrize("datatype", ["INT16", "FP32"])
def test_another_client_asks_the_same(datatype: str) -> None:
    """Triton's client makes the same request of the same samples, but for the order of the keys."""
    rows: Any = np.array([[1, -2, 3], [4, 5, -6]], NUMERIC[datatype])
    length, _, theirs = ask(_THEIR_REQUEST, datatype, data=rows.tobytes()).partition(b"\n")
    parts, headers = binary_request("AUDIO", rows, ["logits"])
    body = b"".join(parts)
    at, mine = int(length), int(headers[HEADER_LENGTH])
    assert theirs[at:] == body[mine:]
    assert json.loads(theirs[:at]) == json.loads(body[:mine])
