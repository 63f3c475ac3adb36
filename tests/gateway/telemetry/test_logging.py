"""Logs are one line each, structured, and tell no secrets: tested with canaries."""

import io
import json
import logging
import logging.config
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.telemetry.logging import (
    REDACTED,
    JsonFormatter,
    Redact,
    clean,
    clean_field,
    configure,
    logging_config,
)

SESSION = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
CANARY = "canary-7f3a9c"

Emit = Callable[..., str]


@pytest.fixture
def emit(restored: None) -> Callable[..., Emit]:
    """Logs through the real configuration and returns what came out."""

    def with_format(format: str, level: str = "info", node: str | None = None) -> Emit:
        config = logging_config(level, format, node)
        stream = io.StringIO()
        config["handlers"]["stderr"]["stream"] = stream
        logging.config.dictConfig(config)

        def log(message: str, *args: object, name: str = "tests.canary", **more: Any) -> str:
            level_number = more.pop("at", logging.INFO)
            logging.getLogger(name).log(level_number, message, *args, **more)
            written = stream.getvalue()
            stream.seek(0)
            stream.truncate()
            return written

        return log

    return with_format


def test_a_json_line_has_the_fields_that_tools_expect(emit: Callable[[str], Emit]) -> None:
    """Time in UTC, level, logger, message, and every extra field under its own name."""
    (line,) = emit("json")("attached after %d ms", 12, extra={"session_id": SESSION, "tries": 2}).splitlines()
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {
        "level": "info",
        "logger": "tests.canary",
        "message": "attached after 12 ms",
        "session_id": "a1b2c3d4",
        "tries": 2,
    }


def test_each_line_names_the_node_that_has_a_name(emit: Callable[..., Emit]) -> None:
    """What nodes of one machine write to one place can be told apart; another's name is left alone."""
    line = emit("json", node="web-2")("attached", extra={"node": "another"})
    found = json.loads(line)
    assert (found["node_name"], found["node"]) == ("web-2", "another")
    assert "node_name" not in json.loads(emit("json")("attached"))


def test_the_text_format_is_one_line_for_people(emit: Callable[[str], Emit]) -> None:
    """Level, logger, message and fields."""
    line = emit("text")("attached", extra={"session_id": SESSION})
    assert re.fullmatch(r"\d\d:\d\d:\d\d info     tests\.canary: attached  session_id=a1b2c3d4\n", line)


@pytest.mark.parametrize("format", ["json", "text"])
@pytest.mark.parametrize(
    ("message", "args"),
    [
        ('%s - "WebSocket %s" [accepted]', ("10.1.2.3:5000", f"/ws/voice?ticket={CANARY}")),
        ('%s - "WebSocket %s" 403', ("[2001:db8::7]:5000", f'/ws/voice?a="&b={CANARY}')),
        ("bad target /ws/voice%%3Fticket%%3D" + CANARY, ()),
        ('%s - "%s %s HTTP/%s" %d', ("10.1.2.3:5000", "GET", f"/x?token={CANARY}&b=1", "1.1", 200)),
        ("offered undertone.v1.json, undertone.ticket.%s", (CANARY,)),
        ("header Authorization: Bearer %s", (CANARY,)),
        ("the key utabcde234.%s was given", (CANARY,)),
        ("headers [(b'authorization', b'Bearer %s')]", (CANARY,)),
        ('body {"key_hash": "%s", "namespace_id": "n"}', (CANARY,)),
        ("body {'resume_token': '%s'}", (CANARY,)),
        ("resume_token=%s", (CANARY,)),
        ("store at valkey://user:%s@db.internal:6379/0", (CANARY,)),
    ],
)
def test_no_credential_gets_through_a_message(
    emit: Callable[..., Emit], format: str, message: str, args: tuple[object, ...]
) -> None:
    """Wherever a message carries a credential, a query or a peer's address, the log doesn't."""
    written = emit(format, "debug")(message, *args, name="uvicorn.error")
    assert written
    assert CANARY not in written
    assert "10.1.2.3" not in written
    assert "2001:db8" not in written


@pytest.mark.parametrize(
    "key",
    ["ticket", "token", "resume_token", "Authorization", "key", "key_hash", "password", "text", "transcript"],
)
def test_no_secret_field_gets_through(emit: Callable[[str], Emit], key: str) -> None:
    """A field by the name of a secret, or of what somebody said, is never written, however deep it lies."""
    for extra in ({key: CANARY}, {"fields": {key: CANARY}}, {"list": [{key: [CANARY]}]}):
        written = emit("json")("something", extra=extra)
        assert CANARY not in written
        assert REDACTED in written


def test_ids_are_shortened_wherever_they_stand(emit: Callable[[str], Emit]) -> None:
    """In fields, in paths and in running text only the first eight characters remain."""
    log = emit("json")
    for written in (
        log("x", extra={"session_id": SESSION, "namespace_id": SESSION, "id": SESSION}),
        log("x", extra={"deep": {"session_id": SESSION}}),
        log('"GET /api/v1/sessions/%s/events HTTP/1.1" 200', SESSION),
        log('"GET /api/v1/sessions/Ab-_5678901234567890xy HTTP/1.1" 404'),
        log("session %s is over", SESSION),
        log("task 123e4567-e89b-12d3-a456-426614174000 failed"),
    ):
        assert SESSION not in written
        assert "Ab-_5678901234567890xy" not in written
        assert "426614174000" not in written


def test_a_traceback_is_cleaned_and_stays_with_its_line(emit: Callable[[str], Emit]) -> None:
    """An exception's text obeys the same rules, is one JSON field, and can't pose as a log line in text."""

    def failing() -> None:
        raise ValueError(f"GET /x?ticket={CANARY}\n12:00:00 error    gateway: forged")

    for format in ("json", "text"):
        try:
            failing()
        except ValueError:
            written = emit(format)("failed", exc_info=True, at=logging.ERROR)
        assert CANARY not in written
        assert "ValueError" in written
        if format == "json":
            assert json.loads(written)["exception"].count("\n") > 2
        else:
            first, *rest = written.splitlines()
            assert first.endswith("failed")
            assert all(line.startswith("    ") for line in rest)


@pytest.mark.parametrize("format", ["json", "text"])
@example(text="\ud800 \x1b[2J \u2028 \u202e", key="detail")
@given(text=st.text(max_size=60), key=st.sampled_from(["detail", "time", "level", "where"]))
def test_any_text_stays_on_one_line(format: str, text: str, key: str) -> None:
    """Line feeds, escape sequences, bidirectional marks and lone surrogates can't break or forge a line."""
    record = logging.LogRecord("n", logging.INFO, "", 0, "said %s", (text,), None)
    setattr(record, key, text)
    assert Redact().filter(record)
    line = (
        logging.config.dictConfigClass(logging_config("info", format))
        .configure_formatter(logging_config("info", format)["formatters"]["line"])
        .format(record)
    )
    assert len(line.encode().decode().splitlines()) == 1
    assert "\x1b" not in line
    if format == "json":
        assert json.loads(line)["logger"] == "n"
        assert json.loads(line)["level"] == "info"


def test_a_broken_format_string_loses_no_line_and_no_secret(emit: Callable[[str], Emit]) -> None:
    """Wrong arguments are a defect of ours; the line still comes out, its arguments don't."""
    written = emit("json")("only %d", CANARY)
    assert json.loads(written)["message"] == "only %d"
    assert CANARY not in written


@pytest.mark.parametrize("name", ["uvicorn.error", "websockets.server", "httpcore.http11"])
def test_libraries_never_write_frames_and_headers(emit: Callable[..., Emit], name: str) -> None:
    """At debug level they would log what people say and the credentials they send."""
    log = emit("json", "debug")
    assert log("< TEXT %s", CANARY, name=name, at=logging.DEBUG) == ""
    assert log("mine", at=logging.DEBUG) != ""
    assert log("theirs", name=name) != ""


def test_no_address_that_is_asked_for_is_written(emit: Callable[..., Emit]) -> None:
    """They hold ids in full: whoever reads the logs could give an allocation back."""
    for level in ("debug", "info"):
        log = emit("json", level)
        assert log("HTTP Request: DELETE http://x/allocations/%s", CANARY, name="httpx") == ""
        assert log("theirs", name="httpx", at=logging.WARNING) != ""


def test_configure_sets_the_process_up(restored: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines go to standard error, redacted, with the stack where one was asked for."""
    configure("info", "text")
    logging.getLogger("tests.canary").info("ticket=%s", CANARY, stack_info=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert f"ticket={REDACTED}" in err
    assert "test_configure_sets_the_process_up" in err
    assert CANARY not in err


def test_the_level_holds_for_everybody(emit: Callable[..., Emit]) -> None:
    """At `warning` neither we nor the libraries write information."""
    log = emit("json", "warning")
    assert log("mine") == ""
    assert log("theirs", name="uvicorn.error") == ""


def test_what_does_not_fit_is_cut_and_said_to_be() -> None:
    """A message of a megabyte is not worth a megabyte of log."""
    long = clean("a" * 1_000_000)
    assert len(long) < 10_000
    assert long.endswith("(cut)")


def test_a_long_traceback_keeps_its_end_and_no_secret() -> None:
    """The exception stands last, and the cut can't part a credential from its name."""
    end = "\nValueError: at last"
    for gap in range(8_150, 8_200):
        kept = clean("a" * 10_000 + f"\nticket={CANARY}\n" + "b" * (gap - len(end)) + end, lines=True)
        assert kept.endswith(end)
        assert len(kept) < 10_000
        assert CANARY not in kept
        assert CANARY[-4:] not in kept


def test_values_of_any_kind_become_plain_data() -> None:
    """Bytes tell only their number, containers are bounded, anything else is its text."""
    assert clean_field("data", b"secret audio") == "12 bytes"
    assert clean_field("samples", list(range(1_000))) == list(range(32))
    nested: list[Any] = []
    nested.append(nested)
    assert clean_field("loop", nested) == [[[["…"]]]]
    assert clean_field("who", ValueError(f"token={CANARY}")) == f"token={REDACTED}"


def test_an_integer_too_large_for_the_encoder_is_still_written() -> None:
    """orjson stops at 64 bits."""
    record = logging.makeLogRecord({"msg": "x", "big": 2**70})
    assert json.loads(JsonFormatter().format(record))["big"] == 2**70


@pytest.mark.parametrize(
    "text",
    ["What is that?", "ticket used twice", "token bucket empty", "basic configuration", "at 12:30:59 sharp"],
)
def test_ordinary_words_are_left_alone(text: str) -> None:
    """Redaction doesn't eat what is no secret."""
    assert clean(text) == text


def test_an_origin_without_a_query_survives() -> None:
    """The URL printed at the start is there to be read."""
    assert (
        clean("Uvicorn running on http://127.0.0.1:8522 (Press CTRL+C to quit)").count("127.0.0.1:8522") == 1
    )
