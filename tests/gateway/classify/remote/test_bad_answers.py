"""Whatever a sidecar answers: a failure of a known kind, the windows' errors, and nothing made up of it."""

import asyncio
import datetime
import gzip
import json
import logging
import math
import ssl
import subprocess
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from gateway.classify.port import ToneObservation
from gateway.classify.remote.access import Access
from gateway.classify.remote.grumble import Grumbler
from gateway.classify.sidecar.batch import MAX_STATE_BYTES
from gateway.clock import SystemClock
from tests.gateway.classify.remote.kit import asking, failed, outcomes, run, windows
from tests.sidecars.hostile import TONE, Behave, Call, hangs_up, hostile, http, never, says, tells, well

MEGABYTES = b"x" * 10_000_000


def events(*told: Any) -> Behave:
    """An answer of the single-window contract."""
    return says(http(json.dumps({"events": list(told)}).encode()))


def answers(rows: Any, **more: Any) -> Behave:
    """An answer of the batch contract, of whatever shape."""
    return tells(msgpack.packb({"v": 1, "windows": rows, **more}))


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in TONE.items() if name != key}


async def drips(call: Call) -> None:
    """A byte now and then, each soon enough to look alive."""
    call.writer.write(http(b"", call.answer_type, length=100_000))
    while True:
        call.writer.write(b" ")
        await call.writer.drain()
        await asyncio.sleep(0.01)


async def floods(call: Call) -> None:
    """A body without end that does not say how long it is."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {call.answer_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    call.writer.write(head.encode())
    while True:
        call.writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await call.writer.drain()


async def breaks_off(call: Call) -> None:
    """Half a body, and the connection is gone."""
    call.writer.write(http(b"{", call.answer_type, length=100))
    call.writer.close()


EITHER: dict[str, tuple[Behave, str]] = {
    "status 500": (says(http(b"oops", status="500 Oops")), "failed"),
    "status 404": (says(http(b"", status="404 Not Found")), "refused"),
    "status 204": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), "refused"),
    "status 429": (says(http(b"", status="429 Slow Down", headers="retry-after: 1\r\n")), "busy"),
    "redirect": (says(http(b"", status="307 There", headers="location: /elsewhere\r\n")), "redirect"),
    "10 MB that it announces": (tells(MEGABYTES), "too_large"),
    "a body without end": (floods, "too_large"),
    "no answer at all": (hangs_up(), "disconnected"),
    "half a head": (hangs_up(b"HTTP/1.1 200 OK\r\ncontent-"), "disconnected"),
    "half a body": (breaks_off, "disconnected"),
    "no HTTP": (hangs_up(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), "malformed"),
    "a length that is none": (
        hangs_up(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"),
        "malformed",
    ),
    "a line of header without end": (
        hangs_up(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"),
        "malformed",
    ),
    "no body": (tells(b""), "malformed"),
    "a page": (says(http(b"<html>", "text/html")), "malformed"),
    "compressed": (tells(gzip.compress(b'{"events":[]}'), "content-encoding: gzip\r\n"), "malformed"),
}

SINGLE: dict[str, tuple[Behave, str]] = {
    **EITHER,
    "not JSON": (says(http(b'{"events": [')), "malformed"),
    "not UTF-8": (says(http(b'{"events": ["\xff"]}')), "malformed"),
    "a list": (says(http(b"[]")), "malformed"),
    "no events": (says(http(b"{}")), "malformed"),
    "events by name": (says(http(b'{"events": {}}')), "malformed"),
    "NaN confidence": (
        says(http(json.dumps({"events": [{**TONE, "confidence": math.nan}]}).encode())),
        "malformed",
    ),
    "infinite confidence": (
        says(http(b'{"events":[{"event_type":"tone","label":"x","confidence":1e999}]}')),
        "malformed",
    ),
    "no label": (events(without("label")), "malformed"),
    "no confidence": (events(without("confidence")), "malformed"),
    "confidence as text": (events({**TONE, "confidence": "0.5"}), "malformed"),
    "confidence beyond 1": (events({**TONE, "confidence": 1.5}), "malformed"),
    "label of a number": (events({**TONE, "label": 7}), "malformed"),
    "nested without end": (says(http(b'{"events":' + b"[" * 100_000 + b"]" * 100_000 + b"}")), "malformed"),
    "too many events": (events(*[TONE] * 65), "malformed"),
    "empty maps without end": (events({**TONE, "note": [{}] * 100_000}), "malformed"),
    "numbers without end": (events({**TONE, "note": [0] * 100_000}), "malformed"),
}

FOUR = msgpack.packb({"v": 1, "windows": [{"events": []}] * 4})

BATCH: dict[str, tuple[Behave, str]] = {
    **EITHER,
    "JSON": (says(http(b'{"v":1,"windows":[]}')), "malformed"),
    "JSON under the right name": (tells(b'{"v":1,"windows":[]}'), "malformed"),
    "a window too few": (answers([{"events": []}] * 3), "malformed"),
    "a window too many": (answers([{"events": []}] * 5), "malformed"),
    "another version": (answers([{"events": []}] * 4, v=2), "malformed"),
    "no windows": (tells(msgpack.packb({"v": 1})), "malformed"),
    "something behind": (tells(FOUR + b"\0"), "malformed"),
    "cut off": (tells(FOUR[:-1]), "malformed"),
    "every window malformed": (answers([{"events": [without("label")]}] * 4), "malformed"),
    "an array that claims more than there is": (
        tells(b"\x82\xa1v\1\xa7windows\xdd" + 4 * b"\xff"),
        "malformed",
    ),
}


def case(offers_batch: bool, behave: Behave, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with hostile(offers_batch=offers_batch) as sidecar, asking(sidecar.url) as (classifier, counts):
            sidecar.behave = behave
            for _ in range(3):
                found = await classifier.classify(windows(4))
                assert failed(found) == [True] * 4
            told = outcomes(counts)
            assert set(told) == {kind}
            calls, failures = classifier.replicas[0].breaker.counted(asyncio.get_running_loop().time())
            assert calls == failures == told[kind] == len(sidecar.calls)
            assert all(call.path != "/elsewhere" for call in sidecar.calls)
            assert counts.in_flight == 0
            sidecar.behave = well
            found = await classifier.classify(windows(4))
            assert failed(found) == [False] * 4

    with caplog.at_level(logging.WARNING, "gateway"):
        run(scenario)
    assert len(caplog.records) == 1, "logged once, however often it happens"


def test_classifiers_that_come_and_go_share_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A sidecar that is allocated anew is no news in the log."""

    async def scenario() -> None:
        grumbler = Grumbler(SystemClock())
        async with hostile(offers_batch=True) as sidecar:
            sidecar.behave = breaks_off
            for _ in range(3):
                async with asking(sidecar.url, grumbler=grumbler) as (classifier, _):
                    assert failed(await classifier.classify(windows(1))) == [True]

    with caplog.at_level(logging.WARNING, "gateway"):
        run(scenario)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("name", SINGLE)
def test_a_bad_answer_to_one_window(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is that window's error, counted, logged once, known to the breaker; the next call is answered."""
    case(False, *SINGLE[name], caplog)


@pytest.mark.parametrize("name", BATCH)
def test_a_bad_answer_to_a_batch(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The same over the batch contract."""
    case(True, *BATCH[name], caplog)


@pytest.mark.parametrize("behave", [drips, never], ids=["a slow drip", "silence"])
@pytest.mark.parametrize("offers_batch", [False, True], ids=["single", "batch"])
def test_the_deadline_is_for_the_whole_answer(behave: Behave, offers_batch: bool) -> None:
    """However alive a sidecar looks, its windows have an error then, and its breaker knows."""

    async def scenario() -> None:
        async with (
            hostile(offers_batch=offers_batch) as sidecar,
            asking(sidecar.url, deadline_s=0.3) as (classifier, counts),
        ):
            sidecar.behave = behave
            assert failed(await classifier.classify(windows(2))) == [True, True]
            assert set(outcomes(counts)) == {"timeout"}
            assert counts.in_flight == 0
            sidecar.behave = well
            assert failed(await classifier.classify(windows(2))) == [False, False]

    run(scenario)


ODD_WINDOWS: dict[str, Any] = {
    "an error": {"error": "the model fell over"},
    "no label": {"events": [without("label")]},
    "NaN confidence": {"events": [{**TONE, "confidence": math.nan}]},
    "text for a number": {"events": [{**TONE, "arousal": "high"}]},
    "no list": {"events": {"0": TONE}},
    "nothing": {},
    "nil": None,
    "both": {"events": [], "error": "?"},
    "an error that is no sentence": {"error": 7},
    "a state that is text": {"events": [], "state": "text"},
    "a state that is too large": {"events": [], "state": bytes(MAX_STATE_BYTES + 1)},
    "keys that are bytes": {b"events": []},
    "keys of an event that are numbers": {"events": [{**TONE, 7: 7}]},
    "an extension type": {"events": [{**TONE, "when": msgpack.ExtType(5, b"x")}]},
    "a date": {"events": [{**TONE, "when": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)}]},
    "too much": {"events": [{**TONE, "note": "x" * 300_000}]},
    "empty maps without end": {"events": [{**TONE, "note": [{}] * 100_000}]},
    "small maps without end": {"events": [{**TONE, "note": [{"a": 0}] * 20_000}]},
    "numbers without end": {"events": [{**TONE, "note": [0] * 100_000}]},
    "lists of numbers without end": {"events": [{**TONE, "note": [[0] * 9_000] * 20}]},
    "numbers that clients would never be sent": {"events": [{**TONE, "note": [0] * 5_000}]},
    "the same by little lists": {"events": [{**TONE, "note": [[0] * 9] * 500}] * 2},
    "too many events": {"events": [TONE] * 65},
}


@pytest.mark.parametrize("name", ODD_WINDOWS)
def test_one_bad_window_never_fails_its_neighbours(name: str) -> None:
    """They have their answers, and the breaker holds nothing against a sidecar for one window in four."""
    rows = (
        [{"events": [TONE], "state": b"new"}] * 2
        + [ODD_WINDOWS[name]]
        + [{"events": [TONE], "state": b"new"}]
    )

    async def scenario() -> None:
        async with hostile(offers_batch=True) as sidecar, asking(sidecar.url) as (classifier, counts):
            body = msgpack.packb({"v": 1, "windows": rows}, datetime=True)
            sidecar.behave = tells(body)
            asked = windows(4)
            for window in asked:
                window.state["sidecar"] = b"old"
            found = await classifier.classify(asked)
            assert failed(found) == [False, False, True, False]
            assert outcomes(counts) == {"ok": 1}
            assert sum(counts.windows.values()) == 1
            assert [window.state["sidecar"] for window in asked] == [b"new", b"new", b"old", b"new"]
            assert isinstance(found[0], list)
            assert isinstance(found[0][0], ToneObservation)

    run(scenario)


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is a failure of TLS; with its authority in the settings the same sidecar is good."""
    server, ca = certificate(tmp_path)

    async def scenario() -> None:
        async with hostile(tls=server) as sidecar:
            async with asking(sidecar.url) as (classifier, counts):
                assert failed(await classifier.classify(windows(2))) == [True, True]
                assert set(outcomes(counts)) == {"tls"}
            access = Access.load(tls=True, ca_file=str(ca))
            async with asking(sidecar.url, access=access) as (classifier, counts):
                assert failed(await classifier.classify(windows(2))) == [False, False]

    run(scenario)


def test_plain_words_where_tls_was_expected() -> None:
    """Are a failure to connect."""

    async def scenario() -> None:
        async with hostile() as sidecar:
            url = sidecar.url.replace("http:", "https:")
            async with asking(url) as (classifier, counts):
                assert failed(await classifier.classify(windows(2))) == [True, True]
                assert set(outcomes(counts)) <= {"tls", "unreachable", "disconnected"}

    run(scenario)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS, and the file of who vouches for it: itself, for 127.0.0.1."""
    key, pem = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sidecar",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(pem)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, pem
