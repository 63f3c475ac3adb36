"""A model server is asked: once for each length, in binary or JSON, and what fails stays where it belongs."""

import asyncio
import json
import logging
import ssl
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.classify.breaker import CALLS, PROBE_S
from gateway.classify.kserve.classifier import KServeClassifier
from gateway.classify.kserve.mapping import MAX_ANSWER_BYTES
from gateway.classify.kserve.model import GateKind, InputSpec, SampleType, Wire
from gateway.classify.kserve.server import CONNECTIONS
from gateway.classify.port import Answer, ClassifierError, HealthStatus, ToneObservation, Window
from gateway.classify.retry import SAVED
from gateway.clock import ManualClock
from tests.gateway.classify.kserve import peer as peers
from tests.gateway.classify.kserve.kit import asking, becomes, labels, run, spec, until, window
from tests.gateway.classify.kserve.peer import (
    Asked,
    Infer,
    Peer,
    Writer,
    http,
    saying,
    serving,
    tensors,
    well,
)
from tests.needs import need_command


def answers_of(infer: Infer, *levels: int, **model: Any) -> tuple[list[Answer], Peer]:
    """What comes of windows with these levels when the server answers so."""

    async def main() -> tuple[list[Answer], Peer]:
        async with serving(infer) as peer, asking(peer.url, spec(**model)) as classifier:
            return await classifier.classify([window(level) for level in levels]), peer

    return run(main())


@pytest.mark.parametrize("wire", list(Wire))
def test_a_batch_is_one_call_and_answers_keep_its_order(wire: Wire) -> None:
    """However tensors travel; samples arrive as they were."""
    answers, peer = answers_of(peers.well, 900, -900, 900, wire=wire)
    assert labels(answers) == ["Tense", "Calm", "Tense"]
    (asked,) = peer.asked
    assert asked.binary is (wire is not Wire.JSON)
    np.testing.assert_array_equal(asked.rows[:, 0], [900, -900, 900])
    (tone,) = answers[0]  # type: ignore[misc]
    assert isinstance(tone, ToneObservation)
    assert tone.confidence == pytest.approx(1 / (1 + np.exp(-2.0)), abs=1e-6)
    assert (tone.model, tone.arousal) == ("tone", None)


def test_a_batch_of_nothing_asks_nobody() -> None:
    """There are no windows, and there are no answers."""
    answers, peer = answers_of(peers.well)
    assert answers == []
    assert peer.asked == []


def test_windows_of_other_lengths_go_in_calls_of_their_own() -> None:
    """Each window's answer is still in its place, and one group's failure is not the other's."""

    async def infer(asked: Asked, writer: Writer) -> None:
        if asked.rows.shape[1] == 800:
            writer.write(http(500, b"{}"))
        else:
            await peers.well(asked, writer)

    async def main() -> None:
        async with serving(infer) as peer, asking(peer.url) as classifier:
            batch = [window(900), window(900, 800), window(-900), window(900, 800)]
            assert labels(await classifier.classify(batch)) == ["Tense", None, "Calm", None]
            assert sorted(asked.rows.shape for asked in peer.asked) == [(2, 800), (2, 1600)]

    run(main())


def test_a_model_that_takes_few_windows_gets_few() -> None:
    """The file's `batch` is a bound of each request."""
    answers, peer = answers_of(peers.well, 900, 900, -900, batch=2)
    assert labels(answers) == ["Tense", "Tense", "Calm"]
    assert sorted(len(asked.rows) for asked in peer.asked) == [1, 2]


def test_silence_is_not_sent() -> None:
    """It counts as classified, with nothing to tell; the others are asked for. An offset is no sound."""

    async def main() -> None:
        model = spec(input=InputSpec(gate=GateKind.ENERGY))
        async with serving() as peer, asking(peer.url, model) as classifier:
            batch = [window(0), speech(900), window(900)]
            assert labels(await classifier.classify(batch)) == ["-", "Tense", "-"]
            assert [len(asked.rows) for asked in peer.asked] == [1]

    run(main())


def speech(level: int) -> Window:
    """Samples with a level, above zero."""
    made = window(level)
    made.samples[::2] = level // 2
    return made


@pytest.mark.parametrize("gate", list(GateKind))
def test_a_model_of_tones_hears_only_who_speaks(gate: GateKind) -> None:
    """Where the file wants that; who speaks is asked of sound alone, and not on the event loop."""
    heard: list[int] = []

    def talking(windows: Sequence[Window]) -> list[bool]:
        assert threading.current_thread() is not threading.main_thread()
        heard.extend(int(one.samples[1]) for one in windows)
        return [one.samples[1] == 900 for one in windows]

    async def main() -> list[str | None]:
        async with serving() as peer:
            model = spec(input=InputSpec(gate=gate))
            classifier = KServeClassifier(model, peer.url, ManualClock(), talking=talking)
            await classifier.start()
            try:
                return labels(await classifier.classify([window(0), speech(900), speech(800), speech(900)]))
            finally:
                await classifier.aclose()

    told = run(main())
    assert told[1:] == ["Tense", "-" if gate is GateKind.SPEECH else "Tense", "Tense"]
    assert told[0] == ("Calm" if gate is GateKind.NONE else "-")
    assert heard == ([900, 800, 900] if gate is GateKind.SPEECH else [])


def test_speech_that_cannot_be_heard_fails_the_batch() -> None:
    """It is no silence."""

    def talking(windows: Sequence[Window]) -> list[bool]:
        raise ValueError("no")

    async def main() -> None:
        model = spec(input=InputSpec(gate=GateKind.SPEECH))
        classifier = KServeClassifier(model, "http://127.0.0.1:9", ManualClock(), talking=talking)
        with pytest.raises(ClassifierError, match="ValueError"):
            await classifier.classify([speech(900)])
        await classifier.aclose()

    run(main())


@pytest.mark.parametrize("wire", list(Wire))
def test_a_window_that_is_no_number_fails_alone(wire: Wire) -> None:
    """Its batch-mates have their answers, in binary and in JSON, where it is null."""
    answers, _ = answers_of(peers.well, 900, -1, -900, wire=wire)
    assert labels(answers) == ["Tense", None, "Calm"]


def test_json_is_tried_where_binary_is_not_understood_and_remembered() -> None:
    """The very first batch loses nothing, and later ones are asked for once."""

    async def main() -> None:
        async with serving(peers.plain) as peer:
            peer.gets["/v2"] = (200, {"name": "peer", "extensions": []})
            async with asking(peer.url) as classifier:
                for _ in range(3):
                    assert labels(await classifier.classify([window()])) == ["Tense"]
            assert [asked.binary for asked in peer.asked] == [True, False, False, False]

    run(main())


def test_what_one_call_learns_is_nothing_that_others_stumble_over() -> None:
    """A binary request is refused after another call has found out that JSON it must be."""

    async def main() -> None:
        async def infer(asked: Asked, writer: Writer) -> None:
            if asked.binary and asked.rows.shape[1] == 160:
                await until(lambda: classifier._wire is Wire.JSON)
            await peers.plain(asked, writer)

        async with serving(infer) as peer:
            peer.gets["/v2"] = (200, {"name": "peer", "extensions": []})
            async with asking(peer.url) as classifier:
                batch = [window(900, 160), window(900, 320)]
                assert labels(await classifier.classify(batch)) == ["Tense"] * 2

    run(main())


def test_binary_is_remembered_where_the_server_says_nothing_of_it() -> None:
    """Some servers can do more than they say."""

    async def main() -> None:
        async with serving() as peer:
            peer.gets["/v2"] = (404, {})
            async with asking(peer.url) as classifier:
                assert labels(await classifier.classify([window()])) == ["Tense"]
                peer.infer = saying(http(400, b'{"error": "no"}'))
                assert labels(await classifier.classify([window()])) == [None]
            assert [asked.binary for asked in peer.asked] == [True, True]

    run(main())


def test_a_model_of_floats_hears_from_minus_one_to_one() -> None:
    """What the server says it takes is what it gets."""

    async def main() -> None:
        async with serving() as peer:
            described = {**peers.TONE, "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2000]}]}
            peer.gets["/v2/models/tone"] = (200, described)
            async with asking(peer.url) as classifier:
                assert labels(await classifier.classify([window(-32768), window(16384)])) == ["Calm", "Tense"]
            (asked,) = peer.asked
            assert asked.rows.shape == (2, 2000)
            assert asked.rows[:, 0].tolist() == [-1.0, 0.5]
            assert not asked.rows[:, 1600:].any()

    run(main())


FINE = {"name": "logits", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
BAD_ANSWERS: dict[str, Infer] = {
    "no JSON": saying(http(200, b"<html>")),
    "no object": saying(http(200, b"[]")),
    "deep JSON": saying(http(200, b"[" * 100_000 + b"NaN")),
    "no outputs": saying(http(200, b"{}")),
    "nothing but lists": saying(
        http(200, b'{"outputs":[' + b"[]," * 20_000 + json.dumps(FINE).encode() + b"]}")
    ),
    "another output": saying(http(200, tensors({**FINE, "name": "other"}))),
    "wrong count": saying(http(200, tensors({**FINE, "shape": [1, 2], "data": [1, 2]}))),
    "too few labels": saying(http(200, tensors({**FINE, "shape": [2, 1], "data": [1, 2]}))),
    "data that is no number": saying(http(200, tensors({**FINE, "data": ["a", "b", "c", "d"]}))),
    "numbers as text": saying(http(200, tensors({**FINE, "datatype": "BYTES", "data": list("abcd")}))),
    "less data than said": saying(http(200, tensors({**FINE, "data": [1, 2, 3]}))),
    "an absurd shape": saying(http(200, tensors({**FINE, "shape": [10**12, 10**12]}))),
    "a header that is no number": saying(http(200, tensors(FINE), Inference_Header_Content_Length="x")),
    "a header beyond the end": saying(http(200, tensors(FINE), Inference_Header_Content_Length="99999")),
    "bytes left over": saying(
        http(200, tensors(FINE) + b"!!", Inference_Header_Content_Length=str(len(tensors(FINE))))
    ),
    "500": saying(http(500, b'{"error": "boom"}')),
    "400 with rubbish": saying(http(400, b"\xff\x00")),
    "503": saying(http(503)),
    "redirect": saying(http(302, location="http://127.0.0.1:9/")),
    "compressed": saying(http(200, tensors(FINE), Content_Encoding="gzip")),
    "10 MB": saying(http(200, tensors(FINE) + b" " * (10 * MAX_ANSWER_BYTES))),
    "more than was asked for": saying(http(200, tensors(FINE) + b" " * 70_000)),
    "400 at length": saying(http(400, b'{"detail": "' + b"x" * 2_000_000 + b'"}')),
    "disconnect": saying(b"", close=True),
    "disconnect in the headers": saying(b"HTTP/1.1 200 OK\r\ncontent-le", close=True),
    "disconnect mid-body": saying(http(200, tensors(FINE))[:-5], close=True),
    "no HTTP": saying(b"220 smtp.example.org\r\n\r\n", close=True),
}


@pytest.mark.parametrize("wrong", BAD_ANSWERS)
def test_a_malformed_answer_is_a_failure_and_never_a_label(wrong: str) -> None:
    """Every window of the call has failed; the classifier goes on, and the next call is answered."""

    async def main() -> None:
        async with serving(BAD_ANSWERS[wrong]) as peer, asking(peer.url) as classifier:
            batch = [window(900), window(-900)]
            assert labels(await classifier.classify(batch)) == [None, None]
            assert [one.state for one in batch] == [{"kept": 900}, {"kept": -900}]
            peer.infer = peers.well
            assert labels(await classifier.classify(batch)) == ["Tense", "Calm"]

    run(main())


def test_a_slow_drip_ends_at_the_deadline() -> None:
    """The deadline is for the whole call, not for each byte of it."""

    async def infer(asked: Asked, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    answers, _ = answers_of(infer, 900, deadline_s=0.2)
    (error,) = answers
    assert isinstance(error, ClassifierError)
    assert "within 0.2 s" in str(error)


def test_a_connection_the_server_has_closed_is_not_noticed() -> None:
    """Servers close idle connections; the call is made again on a fresh one."""

    async def main() -> None:
        async with serving() as peer, asking(peer.url, look_every_s=60) as classifier:
            assert labels(await classifier.classify([window()])) == ["Tense"]
            for writer in tuple(peer.open):
                writer.transport.abort()
            assert labels(await classifier.classify([window()])) == ["Tense"]

    run(main())


@pytest.mark.parametrize("busy", [1, 2])
def test_a_server_without_room_is_asked_once_more(busy: int) -> None:
    """503: nothing was done with the windows. A second one is its answer."""
    calls = 0

    async def infer(asked: Asked, writer: Writer) -> None:
        nonlocal calls
        calls += 1
        await (saying(http(503, b'{"error": "no room"}')) if calls <= busy else well)(asked, writer)

    answers, _ = answers_of(infer, 900)
    assert labels(answers) == (["Tense"] if busy == 1 else [None])
    assert calls == 2


def test_a_server_that_drops_every_call_is_not_asked_twice_as_often() -> None:
    """Retries have a budget: what was saved up, and a tenth of the calls."""

    async def main() -> None:
        clock = ManualClock()
        async with serving(BAD_ANSWERS["disconnect"]) as peer:
            async with asking(peer.url, clock=clock, look_every_s=60) as classifier:
                for _ in range(100):
                    assert labels(await classifier.classify([window()])) == [None]
                    clock.advance(60)
            assert 100 + SAVED <= len(peer.asked) <= 100 + SAVED + 10

    run(main())


def test_long_answers_are_read_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """And short ones where they are."""
    where: list[bool] = []
    read = KServeClassifier._read

    def noted(self: KServeClassifier, *given: Any) -> list[Answer]:
        where.append(threading.current_thread() is threading.main_thread())
        return read(self, *given)

    monkeypatch.setattr(KServeClassifier, "_read", noted)
    one = {**FINE, "shape": [1, 2], "data": [1, 2]}
    for spaces in (0, 40_000):
        answers, _ = answers_of(saying(http(200, tensors(one) + b" " * spaces)), 900)
        assert labels(answers) == ["Tense"]
    assert where == [True, False]


def test_connections_are_kept() -> None:
    """Fifty calls after the looks, one connection."""

    async def main() -> None:
        async with serving() as peer, asking(peer.url, look_every_s=60) as classifier:
            for _ in range(50):
                await classifier.classify([window()])
            assert len(peer.asked) == 50
            assert peer.connections == 1

    run(main())


def test_a_look_never_waits_for_calls() -> None:
    """As many calls as there are connections for are open, and how the model is, is known all the same."""

    async def never(asked: Asked, writer: Writer) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with serving(never) as peer, asking(peer.url, spec(batch=1)) as classifier:
            batch = [window()] * (CONNECTIONS + 1)
            call = asyncio.create_task(classifier.classify(batch))
            await until(lambda: len(peer.asked) == CONNECTIONS)
            peer.gets["/v2/models/tone/ready"] = (503, {})
            await becomes(classifier, HealthStatus.LOADING)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    run(main(), seconds=4)  # a look that waits for calls takes longer than this before it is given up


def test_cancelling_a_call_leaves_the_classifier_well() -> None:
    """The caller gives up; nothing is left behind, and the next call is answered."""

    async def never(asked: Asked, writer: Writer) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with serving(never) as peer, asking(peer.url) as classifier:
            call = asyncio.create_task(classifier.classify([window()]))
            await until(lambda: bool(peer.asked))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            peer.infer = peers.well
            assert labels(await classifier.classify([window()])) == ["Tense"]

    run(main())


def test_a_server_that_only_says_it_is_ready_is_left_alone_for_a_while() -> None:
    """After half of twenty calls nobody waits for it, people are told, and one call tries it again."""

    async def main() -> None:
        clock = ManualClock()
        async with (
            serving(BAD_ANSWERS["500"]) as peer,
            asking(peer.url, clock=clock) as classifier,
        ):
            told = await statuses(classifier)
            for _ in range(CALLS + 3):
                assert labels(await classifier.classify([window()])) == [None]
            assert len(peer.asked) == CALLS
            assert classifier.notices.current == {"tone": classifier.health()}
            assert classifier.health().status == "warning"
            peer.infer = peers.well
            clock.advance(PROBE_S)
            looks = peer.looks
            await until(lambda: peer.looks > looks + 2)
            assert labels(await classifier.classify([window()])) == ["Tense"]
            assert classifier.notices.current["tone"].status == "ready"
            assert told == ["warning", "ready"], "a look that it answers is no news"

    run(main())


async def statuses(classifier: KServeClassifier) -> list[str]:
    """What is told from now on; it is ready now."""
    await becomes(classifier, HealthStatus.READY)
    told: list[str] = []
    classifier.notices.listen(lambda _, health: told.append(health.status.value))
    return told


def test_a_probe_risks_one_window_and_there_is_one_a_second() -> None:
    """The others of its batch fail at once, whatever comes of it; so do those of another length."""

    async def main() -> None:
        clock = ManualClock()
        async with (
            serving(BAD_ANSWERS["500"]) as peer,
            asking(peer.url, clock=clock, look_every_s=60) as classifier,
        ):
            for _ in range(CALLS):
                await classifier.classify([window()])
            peer.asked.clear()
            batch = [window(), window(-900), window(900, 800)]
            for _ in range(3):
                clock.advance(PROBE_S)
                for _ in range(3):
                    assert labels(await classifier.classify(batch)) == [None] * 3
            assert [len(asked.rows) for asked in peer.asked] == [1] * 3
            peer.infer = peers.well
            clock.advance(PROBE_S)
            assert labels(await classifier.classify(batch)) == ["Tense", None, None]
            assert labels(await classifier.classify(batch)) == ["Tense", "Calm", "Tense"]

    run(main())


def test_half_of_the_calls_that_fail_are_enough() -> None:
    """They needn't be in a row."""

    async def main() -> None:
        async with serving() as peer, asking(peer.url, look_every_s=60) as classifier:
            for number in range(CALLS):
                peer.infer = BAD_ANSWERS["500"] if number % 2 else peers.well
                await classifier.classify([window()])
            assert len(peer.asked) == CALLS
            assert labels(await classifier.classify([window()])) == [None]
            assert len(peer.asked) == CALLS

    run(main())


def test_answers_that_nobody_can_read_are_failures() -> None:
    """A model that says nothing but NaN is no better than none; one window's is that window's affair."""

    async def main() -> None:
        async with serving() as peer, asking(peer.url, look_every_s=60) as classifier:
            for _ in range(8):
                assert labels(await classifier.classify([window(-1), window(900)])) == [None, "Tense"]
            assert classifier.health().status == "ready"
            for _ in range(CALLS):
                assert labels(await classifier.classify([window(-1), window(-1)])) == [None, None]
            assert len(peer.asked) == CALLS, "from half of them on"
            assert classifier.health().status == "warning"

    run(main())


def test_failures_are_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """A server that is away for an hour doesn't fill a disk, and the number of failures is told."""

    async def main() -> None:
        clock = ManualClock()
        async with serving(BAD_ANSWERS["no JSON"]) as peer, asking(peer.url, clock=clock) as classifier:
            for _ in range(4):
                await classifier.classify([window()])
            clock.advance(61)
            await classifier.classify([window()])

    with caplog.at_level(logging.WARNING):
        run(main())
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[1].endswith("(failures since the last word: 4)")


class TestLooking:
    """How the server is, is looked at in the background and told by the model's name."""

    @pytest.mark.parametrize(
        ("gets", "status", "detail"),
        [
            ({"/v2/models/tone/ready": (503, {})}, HealthStatus.LOADING, "not ready"),
            (
                {"/v2/models/tone/ready": (400, {}), "/v2/health/ready": (400, {})},
                HealthStatus.LOADING,
                "starting",
            ),
            (
                {"/v2/models/tone/ready": (404, {}), "/v2/models/tone": (404, {})},
                HealthStatus.ERROR,
                "no such model",
            ),
            ({"/v2/models/tone": (500, {})}, HealthStatus.ERROR, "doesn't describe"),
            ({"/v2/models/tone": (200, b"<html>")}, HealthStatus.ERROR, "no JSON"),
            (
                {"/v2/models/tone": (200, {**peers.TONE, "outputs": [FINE | {"name": "other"}]})},
                HealthStatus.ERROR,
                "no output logits, but other",
            ),
        ],
        ids=["model not ready", "starting", "no such model", "no metadata", "rubbish", "another model"],
    )
    def test_what_is_wrong_is_told_and_windows_fail_at_once(
        self, gets: dict[str, tuple[int, Any]], status: HealthStatus, detail: str
    ) -> None:
        """And when it is put right, it goes on by itself."""

        async def main() -> None:
            async with serving() as peer:
                right = dict(peer.gets)
                peer.gets |= gets
                async with asking(peer.url) as classifier:
                    await becomes(classifier, status, detail)
                    assert classifier.notices.current == {"tone": classifier.health()}
                    (answer,) = await classifier.classify([window()])
                    assert isinstance(answer, ClassifierError)
                    assert detail in str(answer)
                    assert not peer.asked
                    peer.gets = right
                    await becomes(classifier, HealthStatus.READY)
                    assert labels(await classifier.classify([window()])) == ["Tense"]

        run(main())

    def test_a_server_that_goes_and_comes_back(self) -> None:
        """Listeners hear of both; the model is read anew, as it may be another."""

        async def main() -> None:
            heard: list[tuple[str, HealthStatus]] = []
            async with serving() as peer, asking(peer.url) as classifier:
                classifier.notices.listen(lambda part, health: heard.append((part, health.status)))
                await becomes(classifier, HealthStatus.READY)
                peer.gets["/v2/models/tone/ready"] = (503, {})
                await becomes(classifier, HealthStatus.LOADING)
                described = {**peers.TONE, "inputs": [{"name": "B", "datatype": "FP32", "shape": [-1, -1]}]}
                peer.gets |= {"/v2/models/tone/ready": (200, {}), "/v2/models/tone": (200, described)}
                await becomes(classifier, HealthStatus.READY)
                await classifier.classify([window()])
                assert peer.asked[-1].head["inputs"][0]["name"] == "B"
                assert [status for _, status in heard] == ["ready", "loading", "ready"]

        run(main())

    def test_a_model_that_was_replaced_is_read_anew(self) -> None:
        """A request that the server no longer takes is the sign of it."""

        async def main() -> None:
            async with serving() as peer, asking(peer.url) as classifier:
                await becomes(classifier, HealthStatus.READY)
                described = {**peers.TONE, "inputs": [{"name": "B", "datatype": "FP32", "shape": [-1, -1]}]}
                peer.gets["/v2/models/tone"] = (200, described)

                async def infer(asked: Asked, writer: Writer) -> None:
                    if asked.head["inputs"][0]["name"] == "B":
                        await peers.well(asked, writer)
                    else:
                        writer.write(http(400, b'{"error": "unexpected input"}'))

                peer.infer = infer
                for _ in range(200):
                    if labels(await classifier.classify([window()])) == ["Tense"]:
                        return
                    await asyncio.sleep(0.01)
                raise AssertionError("the model was never read anew")

        run(main())

    def test_one_look_without_an_answer_is_chance_and_two_are_not(self) -> None:
        """Then nobody is asked; who is there again is tried with one window first."""

        async def main() -> None:
            async with serving() as peer, asking(peer.url, spec(deadline_s=0.2)) as classifier:
                told = await statuses(classifier)
                looks, peer.deaf = peer.looks, 1
                await until(lambda: not peer.deaf and peer.looks > looks + 2)
                assert not told
                peer.deaf = 2
                await becomes(classifier, HealthStatus.ERROR, "no word within 0.2 s")
                assert labels(await classifier.classify([window()])) == [None]
                await becomes(classifier, HealthStatus.READY)
                assert told == ["error", "ready"]
                assert labels(await classifier.classify([window()] * 3)) == ["Tense", None, None]
                assert labels(await classifier.classify([window()] * 3)) == ["Tense"] * 3
                assert [len(asked.rows) for asked in peer.asked] == [1, 3]

        run(main())

    def test_a_call_that_was_answered_shows_that_somebody_is_there(self) -> None:
        """Whatever the looks before it."""

        async def main() -> None:
            async with serving() as peer, asking(peer.url, spec(deadline_s=0.5)) as classifier:
                told = await statuses(classifier)
                looks, peer.deaf = peer.looks, 2
                await until(lambda: not peer.deaf)
                assert labels(await classifier.classify([window()])) == ["Tense"]
                await until(lambda: peer.looks > looks + 2)
                assert not told

        run(main())

    def test_nobody_there(self) -> None:
        """Nothing listens at the address: an error that says so, and no wait."""

        async def main() -> None:
            async with asking("http://127.0.0.1:9") as classifier:
                assert "gave no answer" in await becomes(classifier, HealthStatus.ERROR)
                assert labels(await classifier.classify([window()])) == [None]

        run(main())

    def test_a_server_that_says_nothing_at_all(self) -> None:
        """The first windows wait no longer than the deadline."""

        async def main() -> None:
            async with serving() as peer:
                peer.mute = True
                async with asking(peer.url, spec(deadline_s=0.2)) as classifier:
                    assert labels(await classifier.classify([window()])) == [None]
                    await becomes(classifier, HealthStatus.ERROR, "within 0.2 s")

        run(main())

    def test_the_file_and_the_server_disagree(self) -> None:
        """The file says int16 and the model takes FP32: told before the first window."""

        async def main() -> None:
            async with serving() as peer:
                described = {**peers.TONE, "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, -1]}]}
                peer.gets["/v2/models/tone"] = (200, described)
                async with asking(peer.url, spec(input=InputSpec(type=SampleType.INT16))) as classifier:
                    assert "takes FP32" in await becomes(classifier, HealthStatus.ERROR)

        run(main())


def test_closed_twice_and_asked_afterwards() -> None:
    """A closed classifier says so."""

    async def main() -> None:
        async with serving() as peer, asking(peer.url) as classifier:
            await classifier.aclose()
            await classifier.aclose()
            assert classifier.health().status is HealthStatus.ERROR
            with pytest.raises(ClassifierError, match="closed"):
                await classifier.classify([window()])

    run(main())


def test_events_come_as_a_sidecar_says_them() -> None:
    """An `EVENTS` tensor of JSON; a list that can't be read is that window's failure."""
    from gateway.classify.kserve.model import EventsSpec

    listed = [{"event_type": "tone", "label": "Warm", "confidence": 0.5}]
    told = [json.dumps(listed), "[{", "[]", json.dumps([{"event_type": "tone", "label": "Warm"}])]
    answer = tensors({"name": "EVENTS", "datatype": "BYTES", "shape": [4, 1], "data": told})

    async def main() -> None:
        async with serving(saying(http(200, answer))) as peer:
            outputs = [{"name": "EVENTS", "datatype": "BYTES", "shape": [-1, 1]}]
            peer.gets["/v2/models/tone"] = (200, {**peers.TONE, "outputs": outputs})
            async with asking(peer.url, spec(classes=None, events=EventsSpec("EVENTS"))) as classifier:
                answers = await classifier.classify([window(0)] * 4)
                assert labels(answers) == ["Warm", None, "-", None]

    run(main())


def test_a_server_that_wants_a_token_gets_it() -> None:
    """With every call; it is in no message and no log."""

    async def main() -> None:
        async with serving() as peer:
            classifier = KServeClassifier(spec(), peer.url, ManualClock(), token="canary-token")
            await classifier.start()
            try:
                assert labels(await classifier.classify([window()])) == ["Tense"]
            finally:
                await classifier.aclose()
            assert peer.asked[0].headers["authorization"] == "Bearer canary-token"

    run(main())


def test_a_socket_instead_of_a_port(tmp_path: Path) -> None:
    """`unix:///path`, with its own name as the host."""

    async def main() -> None:
        peer = Peer()
        path = tmp_path / "model.sock"
        server = await asyncio.start_unix_server(peer.serve, str(path))
        async with server, asking(f"unix://{path}") as classifier:
            assert labels(await classifier.classify([window()])) == ["Tense"]
            assert peer.asked[0].headers["host"] == "localhost"

    run(main())


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    """A failure that is told, and no window goes there."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = "req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([need_command("openssl"), *made.split(), *files], check=True, capture_output=True)

    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        peer = Peer()
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=context)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            async with asking(url) as classifier:
                await becomes(classifier, HealthStatus.ERROR, "certificate")
                assert labels(await classifier.classify([window()])) == [None]
                assert not peer.asked
            trust = ssl.create_default_context(cafile=str(certificate))
            trusting = KServeClassifier(spec(), url, ManualClock(), trust=trust)
            await trusting.start()
            try:
                assert labels(await trusting.classify([window()])) == ["Tense"]
            finally:
                await trusting.aclose()

    run(main())
