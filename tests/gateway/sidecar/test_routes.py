"""The sidecar over ASGI: both contracts, and their bounds."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from gateway.classify.port import (
    ClassifierError,
    SurroundingsKind,
    SurroundingsObservation,
    ToneObservation,
)
from gateway.classify.sidecar.batch import Failed, Told, encode_request
from gateway.sidecar.routes import MAX_BATCH_BYTES, MOST_WINDOWS
from gateway.sidecar.single import MAX_BODY_BYTES
from tests.gateway.sidecar.kit import Here, Leaver, asked, body, sidecar, turns

Steps = Callable[[Here], Coroutine[Any, Any, None]]


def run(steps: Steps, **settings: Any) -> None:
    """Run `steps` with a sidecar of these settings."""

    async def main() -> None:
        async with sidecar(**settings) as here:
            await steps(here)

    asyncio.run(main())


def labels(reply: object) -> list[str]:
    assert isinstance(reply, Told), reply
    return [event["label"] for event in reply.events]


# The single contract -------------------------------------------------------------------------------------


def test_a_session_is_remembered_by_its_name() -> None:
    """And no other one's state is mixed in; without a name nothing is remembered."""

    async def steps(here: Here) -> None:
        told = []
        for first, session in ((1, "a"), (2, "b"), (3, "a"), (4, ""), (5, ""), (6, "a")):
            answer = await here.single(first=first, session_id=session, timestamp=1.0 * first)
            assert answer.status_code == 200
            (event,) = answer.json()["events"]
            assert (event["session_id"], event["timestamp"]) == (session, float(first))
            assert (event["event_type"], event["confidence"]) == ("tone", 0.5)
            assert event["subtext"]
            told.append(event["label"])
        assert told == ["1/1", "2/1", "3/2", "4/1", "5/1", "6/3"]
        names = [window.session for batch in here.classifier.batches for window in batch]
        assert names[0] == names[2] == names[5]
        assert len(set(names)) == 4, "windows of no session have names of their own"
        assert here.classifier.forgotten == [names[3], names[4]]
        assert await here.metric("undertone_sidecar_sessions") == 2
        assert await here.metric('undertone_sidecar_states_total{found="restored"}') == 2

    run(steps)


def test_hints_and_place_reach_the_classifier() -> None:
    """`timestamp` is where the window starts; what the one before has covered is not its own."""

    async def steps(here: Here) -> None:
        await here.single(timestamp=4.0, elcor=True, language="de", num_speakers=2)
        await here.single(timestamp=4.25)
        first, second = (batch[0] for batch in here.classifier.batches)
        assert (first.end_s, first.owned, second.end_s, second.owned) == (5.0, 16_000, 5.25, 4_000)
        assert (first.hints.elcor, first.hints.language, first.hints.num_speakers) == (True, "de", 2)

    run(steps)


def test_calls_of_a_session_follow_one_another() -> None:
    """However many come at once, none is heard beside another or without what it left."""

    async def steps(here: Here) -> None:
        answers = await asyncio.gather(*(here.single(first=n, timestamp=float(n)) for n in range(20, 40)))
        counts = [answer.json()["events"][0]["label"] for answer in answers]
        assert counts == [f"{20 + n}/{n + 1}" for n in range(20)]
        assert all(len(batch) == 1 for batch in here.classifier.batches)

    run(steps)


def test_calls_of_many_sessions_share_batches() -> None:
    """64 callers at once: the classifier is called a few times, and each gets its own answer."""

    async def steps(here: Here) -> None:
        here.classifier.may.clear()
        calls = [asyncio.create_task(here.single(first=100 + n, session_id=f"s{n}")) for n in range(64)]
        await turns(400)
        here.classifier.may.set()
        answers = await asyncio.gather(*calls)
        assert [answer.json()["events"][0]["label"] for answer in answers] == [
            f"{100 + n}/1" for n in range(64)
        ]
        assert len(here.classifier.batches) <= 4

    run(steps)


def test_sessions_are_forgotten_in_time() -> None:
    """After the time set, or when there are too many; the classifier hears of it."""

    async def steps(here: Here) -> None:
        await here.single(session_id="a")
        here.clock.advance(31)
        await here.single(session_id="b")
        await here.single(session_id="c")
        await here.single(session_id="d")
        assert [name.partition(":")[2] for name in here.classifier.forgotten] == ["a", "b"]
        assert await here.metric('undertone_sidecar_sessions_dropped_total{reason="ttl"}') == 1
        assert await here.metric('undertone_sidecar_sessions_dropped_total{reason="count"}') == 1
        answer = await here.single(first=7, session_id="b")
        assert answer.json()["events"][0]["label"] == "7/1"

    run(steps, sidecar_session_ttl_s=30.0, sidecar_sessions=2)


@pytest.mark.parametrize("failure", [ClassifierError("out of luck"), RuntimeError("a defect")])
def test_a_window_without_an_answer_is_no_silence(failure: Exception) -> None:
    """500 with a code; the state is as it was, and the next window goes on."""

    async def steps(here: Here) -> None:
        await here.single(first=1)
        here.classifier.broken = failure
        answer = await here.single(first=2)
        assert (answer.status_code, answer.json()["code"]) == (500, "classifier_failed")
        assert answer.headers["content-type"] == "application/problem+json"
        here.classifier.broken = None
        assert (await here.single(first=3)).json()["events"][0]["label"] == "3/2"
        assert await here.metric('undertone_sidecar_windows_total{outcome="failed"}') == 1

    run(steps)


# The batch contract --------------------------------------------------------------------------------------


def test_state_travels() -> None:
    """What was answered for a session's last window is all that is needed to go on, here or elsewhere."""

    async def steps(here: Here) -> None:
        first = await here.batch(asked("a", 1), asked("b", 2))
        assert [labels(reply) for reply in first] == [["1/1"], ["2/1"]]
        states = [reply.state for reply in first if isinstance(reply, Told)]
        async with sidecar() as elsewhere:
            second = await elsewhere.batch(asked("a", 3, states[0]), asked("b", 4, states[1]))
        assert [labels(reply) for reply in second] == [["3/2"], ["4/2"]]
        assert labels((await here.batch(asked("a", 5)))[0]) == ["5/1"], "nothing is kept by name"

    run(steps)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (b"", "broken"),
        (b"\xc1", "broken"),
        (b"\x00" * 9, "broken"),
        (b"\x91" * 60_000, "broken"),
        (msgpack.packb(["held", []]), "broken"),
        (msgpack.packb(["held", {"count": "x"}]), "broken"),
        (msgpack.packb(["other", {"count": 3}]), "foreign"),
    ],
)
def test_a_state_of_no_use_starts_afresh(state: bytes, found: str) -> None:
    """It is classified, counted, and its mates don't notice."""

    async def steps(here: Here) -> None:
        good = msgpack.packb(["held", {"count": 4}])
        replies = await here.batch(asked("a", 1, good), asked("b", 2, state), asked("c", 3, good))
        assert [labels(reply) for reply in replies] == [["1/5"], ["2/1"], ["3/5"]]
        assert await here.metric(f'undertone_sidecar_states_total{{found="{found}"}}') == 1

    run(steps)


def test_a_bad_window_fails_alone() -> None:
    """The others are answered; it keeps no state, so that its caller keeps the one it has."""

    async def steps(here: Here) -> None:
        good, bad, last = await here.batch(asked("a", 1), asked("b", 13), asked("c", 3))
        assert (labels(good), labels(last)) == (["1/1"], ["3/1"])
        assert bad == Failed("bad luck")

    run(steps)


@pytest.mark.parametrize(
    "observation",
    [
        ToneObservation(label="Calm", confidence=float("nan")),
        ToneObservation(label="Calm", confidence=0.5, extra={"x": object()}),
        ToneObservation(label="Calm", confidence=0.5, extra={"x": "y" * 300_000}),
    ],
)
def test_an_answer_that_can_not_be_told_is_an_error(observation: ToneObservation) -> None:
    """Of that window, and counted; nothing is made up."""

    async def steps(here: Here) -> None:
        here.classifier.observation = observation
        (reply,) = await here.batch(asked("a"))
        assert isinstance(reply, Failed)

    run(steps)


def test_every_kind_is_told() -> None:
    """Also where it was said."""

    async def steps(here: Here) -> None:
        here.classifier.observation = SurroundingsObservation(
            kind=SurroundingsKind.SCENE, label="street", confidence=0.7, extra={"privacy_risk": "low"}
        )
        (reply,) = await here.batch(asked("a"))
        told = {"event_type": "scene", "label": "street", "confidence": 0.7, "privacy_risk": "low"}
        assert isinstance(reply, Told)
        assert reply.events == [told]

    run(steps)


def test_what_is_no_batch_is_refused() -> None:
    """400 with a code, whatever it is; too many windows, too. Nothing reaches the classifier."""

    async def steps(here: Here) -> None:
        good = b"".join(encode_request([asked("a")]))
        many = b"".join(encode_request([asked(f"s{n}", samples=8) for n in range(MOST_WINDOWS + 1)]))
        for wrong in (b"", b"\xff\xff\xff\xff", good[:-1], good + b"x", good[:40], bytes(10_000), many):
            answer = await here.raw(wrong)
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed_batch"), wrong[:50]
        assert here.classifier.batches == []

    run(steps)


def test_the_audio_arrives_as_it_was_sent() -> None:
    """Sample for sample, by both contracts."""

    async def steps(here: Here) -> None:
        await here.single(first=-321, samples=1_234)
        await here.batch(asked("a", 77, samples=99), asked("b", -5, samples=1))
        heard = [window.samples for batch in here.classifier.batches for window in batch]
        assert [(int(one[0]), len(one), str(one.dtype)) for one in heard] == [
            (-321, 1_234, "int16"),
            (77, 99, "int16"),
            (-5, 1, "int16"),
        ]

    run(steps)


# Bounds --------------------------------------------------------------------------------------------------


def test_what_is_too_large_is_not_read() -> None:
    """413, whether or not its length is told before."""

    async def steps(here: Here) -> None:
        async def pieces() -> Any:
            for _ in range(MAX_BATCH_BYTES // 65_536 + 1):
                yield bytes(65_536)

        kind = {"content-type": "application/json"}
        for path, content in (
            ("/classify", bytes(MAX_BODY_BYTES + 1)),
            ("/v1/classify/batch", bytes(MAX_BATCH_BYTES + 1)),
            ("/v1/classify/batch", pieces()),
        ):
            headers = kind if path == "/classify" else {"content-type": "application/vnd.undertone.batch"}
            answer = await here.client.post(path, content=content, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert await here.metric("undertone_sidecar_body_bytes") == 0

    run(steps)


def test_thirty_seconds_are_taken() -> None:
    """The longest window that may be."""

    async def steps(here: Here) -> None:
        answer = await here.client.post("/classify", json=body(samples=30 * 16_000))
        assert answer.status_code == 200

    run(steps)


def test_the_wrong_kind_of_body() -> None:
    """415: a page can't send these kinds without asking, and no caller sends another."""

    async def steps(here: Here) -> None:
        for path in ("/classify", "/v1/classify/batch"):
            answer = await here.client.post(path, content=b"{}", headers={"content-type": "text/plain"})
            assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")

    run(steps)


def test_a_full_sidecar_says_when_to_come_back() -> None:
    """503 for what doesn't fit; what was let in is answered."""

    async def steps(here: Here) -> None:
        here.classifier.may.clear()
        held = asyncio.create_task(here.batch(*(asked(f"s{n}", n + 20) for n in range(31))))
        await turns()
        refused = await here.raw(b"".join(encode_request([asked("x"), asked("y")])))
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert 1 <= int(refused.headers["retry-after"]) <= 3
        last = asyncio.create_task(here.single(session_id="z"))
        await turns()
        assert (await here.single(session_id="y")).status_code == 503
        here.classifier.may.set()
        assert len(await held) == 31
        assert (await last).status_code == 200

    run(steps, sidecar_queue=32)


def test_what_waits_too_long_is_told_so() -> None:
    """An error of each such window; 503 where it is all of them."""

    async def steps(here: Here) -> None:
        here.classifier.may.clear()
        first = asyncio.create_task(here.single(session_id="a"))
        await turns()
        single = asyncio.create_task(here.single(session_id="b"))
        batch = asyncio.create_task(here.raw(b"".join(encode_request([asked("c"), asked("d")]))))
        await turns()
        here.clock.advance(2.5)
        here.classifier.may.set()
        assert (await first).status_code == 200
        for answer in (await single, await batch):
            assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
            assert "retry-after" in answer.headers
        assert await here.metric('undertone_sidecar_windows_total{outcome="late"}') == 3

    run(steps)


def test_who_hangs_up_is_not_worked_for() -> None:
    """What still waits is taken out, and counted; the others don't wait for it."""

    async def steps(here: Here) -> None:
        here.classifier.may.clear()
        first = asyncio.create_task(here.single(session_id="a"))
        await turns()
        leaver = Leaver(here.app, asked("b"), asked("c"))
        call = leaver.call()
        await turns()
        assert await here.metric("undertone_sidecar_waiting_windows") == 2
        leaver.leave()
        await call
        assert await here.metric("undertone_sidecar_waiting_windows") == 0
        assert await here.metric("undertone_sidecar_held_windows") == 1
        assert await here.metric('undertone_sidecar_windows_total{outcome="abandoned"}') == 2
        assert await here.metric('undertone_sidecar_requests_total{status="499"}') == 1
        here.classifier.may.set()
        assert (await first).status_code == 200
        assert sum(map(len, here.classifier.batches)) == 1

    run(steps)
