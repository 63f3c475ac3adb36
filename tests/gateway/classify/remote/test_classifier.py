"""The remote classifier against sidecars on real sockets: which contract, which replica, and how often."""

import asyncio
import base64
import json
import logging
import random
import tempfile
from typing import Any

import numpy as np
import pytest

from gateway.classify.breaker import State
from gateway.classify.port import ClassifierError, HealthStatus, Hints, ToneObservation, Window
from gateway.classify.remote.access import Access
from gateway.classify.remote.classifier import RemoteClassifier
from gateway.classify.remote.http import CallFailed, Kind
from gateway.classify.sidecar import batch
from gateway.classify.sidecar.pseudonym import pseudonym
from tests.gateway.classify.remote.kit import asking, failed, outcomes, run, until, windows
from tests.sidecars.hostile import (
    BATCH_PATH,
    TONE,
    Call,
    hangs_up,
    hostile,
    http,
    never,
    says,
    tells,
    well,
)

BUSY = says(http(b"", status="503 Busy"))


async def known(classifier: RemoteClassifier) -> None:
    """Wait until it has heard of every sidecar."""
    await until(lambda: all(one.told is not None or one.away for one in classifier.replicas))


async def earn(classifier: RemoteClassifier, retries: int = 1) -> None:
    """Make calls until so many may be made again."""
    for _ in range(10 * retries):
        await classifier.classify(windows(1))


def test_the_batch_contract_where_it_is_offered() -> None:
    """One call for all windows, to the path that /health names, from the very first windows on."""

    async def scenario() -> None:
        async with hostile(offers_batch=True) as sidecar, asking(sidecar.url) as (classifier, _):
            assert failed(await classifier.classify(windows(7))) == [False] * 7
            assert [(call.path, call.windows) for call in sidecar.calls] == [(BATCH_PATH, 7)]
            assert sidecar.calls[0].headers["content-type"] == batch.REQUEST_TYPE

    run(scenario)


def test_no_more_windows_in_a_call_than_it_takes() -> None:
    """Seven windows go to a sidecar that takes three in several calls; the answers keep their order."""

    async def numbered(call: Call) -> None:
        replies = [
            batch.Told([{**TONE, "label": one.session}], None) for one in batch.decode_request(call.body)
        ]
        call.writer.write(http(batch.encode_answer(replies), batch.ANSWER_TYPE))

    async def scenario() -> None:
        async with hostile(offers_batch=True, most=3) as sidecar, asking(sidecar.url) as (classifier, _):
            sidecar.behave = numbered
            found = await classifier.classify(windows(7))
            labels = [one.label for answer in found if isinstance(answer, list) for one in answer]  # type: ignore[union-attr]
            assert labels == [pseudonym(f"session-{number}") for number in range(7)]
            assert sorted(call.windows for call in sidecar.calls) == [1, 3, 3]

    run(scenario)


def test_the_single_contract_elsewhere() -> None:
    """A call for each window, with the keys of cf-voice, at most four at the same time."""
    open_now = most = 0

    async def slow(call: Call) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.01)
        open_now -= 1
        await well(call)

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url) as (classifier, _):
            sidecar.behave = slow
            samples = np.array([1, -2, 32_767, -32_768], np.int16)
            hints = Hints(elcor=True, language="en-GB", num_speakers=2)
            asked = [Window(samples, 4, 2.5, {}, f"s{number}", hints) for number in range(32)]
            assert failed(await classifier.classify(asked)) == [False] * 32
            assert len(sidecar.calls) == 32
            assert most == 4
            assert {call.path for call in sidecar.calls} == {"/classify"}
            body = json.loads(sidecar.calls[0].body)
            audio = base64.b64decode(body.pop("audio_chunk"), validate=True)
            assert audio == samples.astype("<i2").tobytes()
            session = body.pop("session_id")
            assert session in {pseudonym(f"s{number}") for number in range(32)}
            assert body == {"timestamp": 2.49975, "elcor": True, "language": "en-GB", "num_speakers": 2}

    run(scenario)


@pytest.mark.parametrize("offers_batch", [True, False])
def test_no_sidecar_is_told_a_session_s_id(offers_batch: bool) -> None:
    """It would let it attach; by both contracts a session has the same name every time, and another one."""
    ids = ["q2tVbZ0mRk6hY1sXo9nEaw", "8jX0aT1f3YkqPzvW5uRbNg"]
    samples = np.zeros(160, np.int16)

    async def scenario() -> None:
        async with hostile(offers_batch=offers_batch) as sidecar, asking(sidecar.url) as (classifier, _):
            for at in (1.0, 2.0):
                asked = [Window(samples, 160, at, {}, session) for session in ids]
                assert failed(await classifier.classify(asked)) == [False] * 2
            bodies = b"".join(call.body for call in sidecar.calls)
            for session in ids:
                assert session.encode() not in bodies
                assert bodies.count(pseudonym(session).encode()) == 2

    run(scenario)


def test_a_contract_that_is_offered_later_is_used_then() -> None:
    """Health is looked at again and again."""

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url) as (classifier, _):
            await classifier.classify(windows(1))
            sidecar.health = {"status": "ready", "batch": {"path": "/other", "max": 8}}
            await classifier.replicas[0].look()
            sidecar.behave = tells(batch.encode_answer([batch.Told([])] * 2))
            await classifier.classify(windows(2))
            assert [call.path for call in sidecar.calls] == ["/classify", "/other"]

    run(scenario)


def test_every_type_of_event_and_a_new_one() -> None:
    """All known types become observations, unknown keys stay, and a type that nobody knows is counted."""
    events: list[dict[str, Any]] = [
        {**TONE, "valence": 0.2, "arousal": 0.9, "dominance": 0.4, "mood": "new"},
        {"event_type": "speaker", "label": "human_single", "speaker_id": "Speaker B", "confidence": 0.4},
        {"event_type": "transcript", "label": "hello there", "timestamp": 1.0},
        {"event_type": "queue", "label": "ringback", "confidence": 0.9},
        {"event_type": "environ", "label": "street", "confidence": 0.7},
        {"event_type": "scene", "label": "indoor", "confidence": 0.7, "privacy_risk": "low"},
        {"event_type": "accent", "label": "Scottish", "confidence": 0.6, "region": "Fife"},
        {"event_type": "smell", "label": "burnt"},
    ]

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url) as (classifier, counts):
            sidecar.behave = tells(json.dumps({"events": events}).encode())
            [answer] = await classifier.classify(windows(1))
            assert isinstance(answer, list)
            assert len(answer) == 7
            tone = answer[0]
            assert isinstance(tone, ToneObservation)
            assert (tone.valence, tone.arousal, tone.dominance) == (0.2, 0.9, 0.4)
            assert tone.extra == {"mood": "new"}
            assert counts.passed_over == 1

    run(scenario)


def test_a_state_travels_with_its_session() -> None:
    """What was answered last is sent again, to whichever replica; it is kept as bytes that pack."""
    seen: list[bytes | None] = []

    async def counting(call: Call) -> None:
        [asked] = batch.decode_request(call.body)
        seen.append(asked.state)
        state = (asked.state or b"") + b"."
        call.writer.write(http(batch.encode_answer([batch.Told([], state)]), batch.ANSWER_TYPE))

    async def scenario() -> None:
        async with (
            hostile(offers_batch=True) as one,
            hostile(offers_batch=True) as other,
            asking(one.url, other.url) as (classifier, _),
        ):
            one.behave = other.behave = counting
            await known(classifier)
            [window] = windows(1)
            for _ in range(4):
                await classifier.classify([window])
            assert seen == [None, b".", b"..", b"..."]
            assert window.state == {"sidecar": b"...."}

    run(scenario)


def test_a_foreign_state_is_not_sent() -> None:
    """What is no bytes, or far too much, is nothing that a sidecar ever said."""

    async def scenario() -> None:
        async with hostile(offers_batch=True) as sidecar, asking(sidecar.url) as (classifier, _):
            for odd in ("text", bytes(1_000_000), 7):
                [window] = windows(1)
                window.state["sidecar"] = odd
                assert failed(await classifier.classify([window])) == [False]
                assert batch.decode_request(sidecar.calls[-1].body)[0].state is None

    run(scenario)


def test_a_replica_that_is_gone_loses_nothing() -> None:
    """Its windows are asked about once more, elsewhere."""

    async def scenario() -> None:
        async with hostile(offers_batch=True) as well_one:
            async with hostile(offers_batch=True) as gone:
                pass
            # The draw always takes the first of two that are equally free.
            async with asking(gone.url, well_one.url, draw=First()) as (classifier, counts):
                classifier.replicas[0].told = classifier.replicas[1].told
                for _ in range(10):
                    classifier._budget.earn()
                classifier.replicas[0].away = False
                assert failed(await classifier.classify(windows(4))) == [False] * 4
                assert counts.retries == outcomes(counts)["unreachable"] <= 1

    run(scenario)


class First(random.Random):
    """Draws the lowest."""

    def randrange(self, *given: Any) -> int:
        return 0


def test_busy_is_tried_once_more_elsewhere() -> None:
    """A 503 from one is an answer from the other, where there is budget, and never more than twice."""

    async def scenario() -> None:
        async with (
            hostile(offers_batch=True) as busy,
            hostile(offers_batch=True) as idle,
            asking(busy.url, idle.url, draw=First()) as (classifier, counts),
        ):
            await known(classifier)
            await earn(classifier)
            busy.behave = BUSY
            assert failed(await classifier.classify(windows(4))) == [False] * 4
            assert counts.retries == 1
            idle.behave = BUSY
            before = len(busy.calls) + len(idle.calls)
            assert failed(await classifier.classify(windows(4))) == [True] * 4
            assert len(busy.calls) + len(idle.calls) - before == 1, "the budget is spent"

    run(scenario)


def test_never_more_than_a_tenth_of_the_calls_is_made_again() -> None:
    """However long a sidecar is busy."""

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url, calls=16) as (classifier, counts):
            await known(classifier)
            sidecar.behave = BUSY
            for _ in range(6):
                await classifier.classify(windows(32))
            first = sum(counts.calls.values()) - counts.retries
            assert 10 * counts.retries <= first

    run(scenario)


@pytest.mark.parametrize("status", ["500 Oops", "429 Slow Down", "400 What"])
def test_what_may_have_been_done_is_not_asked_again(status: str) -> None:
    """Only a missing connection and a 503 are."""

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url) as (classifier, counts):
            await earn(classifier, 2)
            sidecar.behave = says(http(b"", status=status))
            before = len(sidecar.calls)
            assert failed(await classifier.classify(windows(1))) == [True]
            assert len(sidecar.calls) == before + 1
            assert counts.retries == 0

    run(scenario)


def test_a_pause_that_is_asked_for_is_no_longer_than_the_deadline() -> None:
    """Where there is nobody else and no time to wait, that is the answer."""

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url, deadline_s=1.0) as (classifier, counts):
            await earn(classifier, 2)
            sidecar.behave = says(http(b"", status="503 Busy", headers="retry-after: 30\r\n"))
            assert failed(await classifier.classify(windows(1))) == [True]
            assert counts.retries == 0

    run(scenario)


def test_an_open_breaker_answers_at_once() -> None:
    """Nothing is asked and nothing queues; a probe of one window closes it again."""

    async def scenario() -> None:
        async with hostile(offers_batch=True) as sidecar, asking(sidecar.url) as (classifier, counts):
            sidecar.behave = says(http(b"", status="500 Oops"))
            await known(classifier)
            for _ in range(20):
                await classifier.classify(windows(8))
            assert counts.breakers == {"closed": 0, "open": 1, "half_open": 0}
            assert classifier.health().status is HealthStatus.ERROR
            before = len(sidecar.calls)
            found = await classifier.classify(windows(8))
            assert all(isinstance(answer, ClassifierError) for answer in found)
            assert {str(answer) for answer in found} == {"no sidecar can be asked now"}
            assert len(sidecar.calls) == before
            sidecar.behave = well
            breaker = classifier.replicas[0].breaker
            await until(lambda: breaker.probes(asyncio.get_running_loop().time()))
            assert failed(await classifier.classify(windows(8))) == [False] * 8
            assert [call.windows for call in sidecar.calls[before:]] == [1, 7]
            assert counts.breakers == {"closed": 1, "open": 0, "half_open": 0}
            assert classifier.health().status is HealthStatus.READY

    run(scenario)


def test_a_probe_that_fails_costs_one_window() -> None:
    """The others fail at once, as before."""

    async def scenario() -> None:
        async with hostile(offers_batch=True) as sidecar, asking(sidecar.url) as (classifier, _):
            await known(classifier)
            sidecar.behave = says(http(b"", status="500 Oops"))
            breaker = classifier.replicas[0].breaker
            breaker.trip(0.0)
            assert failed(await classifier.classify(windows(8))) == [True] * 8
            assert [call.windows for call in sidecar.calls] == [1]
            assert breaker.state is State.OPEN

    run(scenario)


def test_health_is_told_once_to_everybody() -> None:
    """Loading for each model, then ready, warnings, an error when it is gone; one look for all sessions."""
    told: list[tuple[str, HealthStatus]] = []

    async def scenario() -> None:
        async with hostile() as sidecar:
            sidecar.health = {"status": "loading", "models": {"stt": "loading", "diarizer": "ready"}}
            async with asking(sidecar.url) as (classifier, _):
                classifier.notices.listen(lambda part, health: told.append((part, health.status)))
                await known(classifier)
                await classifier.classify(windows(32))
                await classifier.classify(windows(32))
                assert sidecar.looks == 1
                assert classifier.health().status is HealthStatus.LOADING
                assert told == [
                    ("sidecar", HealthStatus.LOADING),
                    ("model stt", HealthStatus.LOADING),
                    ("model diarizer", HealthStatus.READY),
                ]
                told.clear()
                replica = classifier.replicas[0]
                sidecar.health = {
                    "status": "ready",
                    "models": {"stt": "ready"},
                    "warnings": ["no\x1b[2J GPU"],
                }
                await replica.look()
                await replica.look()
                assert told == [
                    ("sidecar", HealthStatus.READY),
                    ("model stt", HealthStatus.READY),
                    ("warning 1", HealthStatus.WARNING),
                ]
                assert set(classifier.notices.current) == {"sidecar", "model stt", "warning 1"}
                assert classifier.notices.current["warning 1"].detail == "no [2J GPU"
                told.clear()
                sidecar.health = hangs_up()
                await replica.look()
                await replica.look()
                assert told == [("sidecar", HealthStatus.ERROR)]
                assert replica.breaker.state is not State.CLOSED
                sidecar.health = {}
                told.clear()
                await replica.look()
                assert ("warning 1", HealthStatus.READY) in told
                assert replica.usable(asyncio.get_running_loop().time()), "the next window is a probe"

    run(scenario)


def test_a_sidecar_that_answers_windows_is_there() -> None:
    """However long its health takes: windows that are answered are sign enough."""

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url) as (classifier, _):
            await known(classifier)
            sidecar.health = hangs_up()
            for _ in range(4):
                await classifier.replicas[0].look()
                assert failed(await classifier.classify(windows(1))) == [False]
            assert classifier.replicas[0].breaker.state is State.CLOSED

    run(scenario)


def test_a_replica_that_is_not_ready_is_asked_last() -> None:
    """One that is draining gets nothing while another is well."""

    async def scenario() -> None:
        async with hostile() as draining, hostile() as good:
            draining.health = {"status": "draining"}
            async with asking(draining.url, good.url) as (classifier, _):
                await known(classifier)
                await classifier.classify(windows(3))
                assert len(draining.calls) == 0
                good.health = {"status": "draining"}
                await classifier.replicas[1].look()
                assert failed(await classifier.classify(windows(3))) == [False] * 3

    run(scenario)


def test_a_call_that_is_given_up_leaves_nothing() -> None:
    """Cancelled, it neither counts as failed nor holds its place."""

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url, calls=2) as (classifier, counts):
            await known(classifier)
            sidecar.behave = never
            for _ in range(5):
                call = asyncio.ensure_future(classifier.classify(windows(6)))
                await until(lambda: counts.in_flight == 2)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
                assert counts.in_flight == 0
                assert classifier.replicas[0].in_flight == 0
            assert sum(counts.calls.values()) == 0
            sidecar.behave = well
            assert failed(await classifier.classify(windows(6))) == [False] * 6

    run(scenario)


def test_what_ends_while_it_is_closed_is_counted_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its breakers are taken out of the gauge once, and stay out, though a call fails after that."""

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url, sidecar.url) as (classifier, counts):
            one, other = classifier.replicas
            assert counts.breakers == {"closed": 2, "open": 0, "half_open": 0}
            permit, close = one.begin(0.0), other.endpoint.aclose

            async def a_call_fails_meanwhile() -> None:
                one.breaker.trip(0.0)
                one.failed(permit, CallFailed(Kind.DISCONNECTED, "the connection was lost"))
                await close()

            monkeypatch.setattr(other.endpoint, "aclose", a_call_fails_meanwhile)
            await classifier.aclose()
            assert counts.breakers == {"closed": 0, "open": 0, "half_open": 0}

    run(scenario)


def test_a_token_is_sent_and_never_told(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a log at the lowest level, not in the access's own words."""
    file = tmp_path / "token"
    file.write_text("s3cr3t-token\n")
    access = Access.load(token_file=str(file))

    async def scenario() -> None:
        async with hostile() as sidecar, asking(sidecar.url, access=access) as (classifier, _):
            await classifier.classify(windows(1))
            sidecar.behave = says(http(b"", status="401 Who"))
            await classifier.classify(windows(1))
            assert sidecar.calls[0].headers["authorization"] == "Bearer s3cr3t-token"

    with caplog.at_level(logging.DEBUG):
        run(scenario)
    assert "s3cr3t" not in caplog.text
    assert "s3cr3t" not in repr(access)


def test_no_cookie_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a proxy of the environment asked."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def scenario() -> None:
        async with (
            hostile() as sidecar,
            asking(sidecar.url.replace("127.0.0.1", "localhost")) as (classifier, _),
        ):
            sidecar.behave = says(http(b'{"events":[]}', headers="set-cookie: a=b; path=/\r\n"))
            for _ in range(2):
                assert failed(await classifier.classify(windows(1))) == [False]
            assert "cookie" not in sidecar.calls[1].headers

    run(scenario)


def test_a_unix_socket() -> None:
    """Both contracts go over one."""

    async def scenario() -> None:
        with tempfile.TemporaryDirectory(prefix="ut-") as folder:
            for offers_batch in (False, True):
                path = f"{folder}/{offers_batch}.sock"
                async with (
                    hostile(offers_batch=offers_batch, unix=path) as sidecar,
                    asking(sidecar.url) as (classifier, _),
                ):
                    assert failed(await classifier.classify(windows(3))) == [False] * 3
                    assert len(sidecar.calls) == (1 if offers_batch else 3)

    run(scenario)


def test_work_is_shared() -> None:
    """Of two replicas neither gets everything, and the one that is slow gets less."""

    async def slow(call: Call) -> None:
        await asyncio.sleep(0.02)
        await well(call)

    async def scenario() -> None:
        async with hostile() as one, hostile() as other, asking(one.url, other.url) as (classifier, _):
            await known(classifier)
            one.behave = slow
            for _ in range(4):
                await classifier.classify(windows(32))
            assert 0 < len(one.calls) < len(other.calls)

    run(scenario)
