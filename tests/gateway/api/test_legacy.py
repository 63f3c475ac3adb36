"""The older routes without sockets, in virtual time: who is told what, when, and how long a session lasts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.api.legacy_audio import MAX_ANSWERS
from gateway.api.legacy_stream import HEARTBEAT_S, LOADING_S
from gateway.classify.acoustic.embedded import EmbeddedClassifier
from gateway.classify.port import (
    Health,
    HealthStatus,
    Observation,
    QueueObservation,
    SpeakerObservation,
    SurroundingsKind,
    SurroundingsObservation,
    ToneObservation,
    TranscriptObservation,
)
from gateway.live.drain import NodeDrain
from gateway.sessions.keys import Keyring, Namespace
from gateway.sessions.service import NewSession
from gateway.stores.keyfile import save
from protocol.audio import AudioFormat
from protocol.events import ServiceStatus
from tests import virtual_time
from tests.gateway.api.legacy_kit import Microphone, Old, old
from tests.gateway.inprocess import settle, until

SECOND = bytes(32_000)
"""One second of silence, and so one window."""
TONE: list[Observation] = [ToneObservation(label="Calm", confidence=0.5, extra={"sparkle": 1})]


def with_keys(folder: Path) -> dict[str, str]:
    """Settings of a gateway that has two namespaces."""
    path = folder / "namespaces.toml"
    save(path, Keyring({"elders": Namespace("elders"), "others": Namespace("others")}))
    return {"namespaces_file": str(path)}


def run(scenario: Callable[[Old], Awaitable[None]], **settings: object) -> None:
    """Play a scenario with a gateway of its own."""

    async def main(_: virtual_time.VirtualLoop) -> None:
        on = old(**settings)
        try:
            async with asyncio.timeout(3_600):
                await scenario(on)
        finally:
            await on.aclose()

    virtual_time.run(main)


async def hear(on: Old, microphone: Microphone, said: list[Observation]) -> None:
    """A second of audio in its own time, and what is heard in it."""
    on.node.clock.advance(1)
    await microphone.speak(SECOND)
    on.node.scheduler.answer(said)
    await settle()


# The stream ------------------------------------------------------------------------------------------------


def test_the_first_thing_told_is_that_the_gateway_is_ready() -> None:
    """Once to each who connects, at once, also to the second one and to one who comes back."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        for _ in range(3):
            watcher = await on.watch(session)
            assert watcher.written.startswith(b": heartbeat\n\nevent: service-event\n")
            (ready,) = watcher.told
            assert (ready.name, ready.data["status"], ready.data["session_id"]) == (
                "service-event",
                "ready",
                session,
            )
            await watcher.leave()

    run(scenario)


def test_a_classifier_that_loads_is_told_first_and_ready_when_it_is() -> None:
    """`loading` at once, `ready` within a second of it, each once."""

    async def scenario(on: Old) -> None:
        on.ready[:] = [False]
        watcher = await on.watch(await on.start())
        assert [one.data["status"] for one in watcher.told] == ["loading"]
        await asyncio.sleep(10 * LOADING_S)
        assert len(watcher.told) == 1
        on.ready.append(True)
        await asyncio.sleep(LOADING_S)
        on.ready.append(False)
        await asyncio.sleep(10 * HEARTBEAT_S)
        assert [one.data["status"] for one in watcher.told] == ["loading", "ready"]

    run(scenario)


def test_what_becomes_of_its_backend_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the events of the session; who comes meanwhile is told how it is, and when that changes."""
    health = Health(HealthStatus.READY)
    monkeypatch.setattr(EmbeddedClassifier, "health", lambda _: health)

    async def scenario(on: Old) -> None:
        nonlocal health
        session = await on.start()
        early = await on.watch(session)
        announcer = on.node.gateway.live.open(await on.node.gateway.service.get(session)).pipeline.announcer
        health = Health(HealthStatus.ERROR)
        announcer.service(ServiceStatus.ERROR, "the sidecar is gone", 16_000)
        await settle()
        late = await on.watch(session)
        health = Health(HealthStatus.READY)
        announcer.service(ServiceStatus.READY, "the sidecar is back", 16_000)
        await asyncio.sleep(10 * LOADING_S)
        assert [one.data["status"] for one in early.told] == ["ready", "error", "ready"]
        assert [one.data["status"] for one in late.told] == ["loading", "ready"]

    run(scenario)


def test_each_kind_of_event_comes_by_its_older_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """One window in which everything is heard, words too; the interim ones and the warning are not told."""
    monkeypatch.setattr(EmbeddedClassifier, "hears_words", True, raising=False)

    async def scenario(on: Old) -> None:
        session = await on.start()
        watcher, microphone = await on.watch(session), await on.record(session)
        await hear(
            on,
            microphone,
            [
                *TONE,
                SpeakerObservation(label="human_single", speaker_id="Speaker A", confidence=0.9),
                TranscriptObservation(text="good", is_final=False),
                TranscriptObservation(text="good morning", revision=1),
                QueueObservation(label="hold_music", confidence=0.8),
                SurroundingsObservation(
                    kind=SurroundingsKind.SCENE,
                    label="indoor_quiet",
                    confidence=0.7,
                    extra={"privacy_risk": "low"},
                ),
                SurroundingsObservation(kind=SurroundingsKind.ENVIRON, label="call_center", confidence=0.6),
                SurroundingsObservation(kind=SurroundingsKind.ACCENT, label="en_gb", confidence=0.6),
            ],
        )
        announcer = on.node.gateway.live.open(await on.node.gateway.service.get(session)).pipeline.announcer
        announcer.service(ServiceStatus.WARNING, "words are late", 16_000)
        announcer.service(ServiceStatus.ERROR, "the sidecar is gone", 16_000)
        await settle()
        assert watcher.names[1:] == [
            "tone-event",
            "speaker-event",
            "transcript-event",
            "queue-event",
            "scene-event",
            "environ-event",
            "accent-event",
            "service-event",
        ]
        tone = watcher.told[1].data
        assert (tone["label"], tone["timestamp"], tone["session_id"]) == ("Calm", 1.0, session)
        assert tone["sparkle"] == 1
        assert watcher.told[3].data["text"] == "good morning"
        assert watcher.told[5].data["privacy_risk"] == "low"
        assert watcher.told[-1].data["status"] == "error"

    run(scenario, transcriber="auto")


def test_who_comes_back_is_told_nothing_twice() -> None:
    """The stream is live only: what was said before or meanwhile is not told."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        microphone, first = await on.record(session), await on.watch(session)
        await hear(on, microphone, TONE)
        await first.leave()
        await hear(on, microphone, TONE)
        second = await on.watch(session)
        await hear(on, microphone, TONE)
        assert [one.data["timestamp"] for one in first.told[1:]] == [1.0]
        assert [one.data["timestamp"] for one in second.told[1:]] == [3.0]

    run(scenario)


def test_silence_is_broken_by_heartbeats_and_is_not_idleness() -> None:
    """Somebody reads: the session is not idle, although its audio socket has been silent for long."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        await on.record(session)
        watcher = await on.watch(session)
        for _ in range(60):
            on.node.clock.advance(HEARTBEAT_S)
            await asyncio.sleep(HEARTBEAT_S)
            await on.node.reap()
        assert 60 <= watcher.heartbeats <= 61
        assert await on.alive(session)

    run(scenario)


def test_a_node_that_goes_away_says_when_to_come_back() -> None:
    """In the stream's own words, which are no event; then the stream ends."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        watcher, microphone = await on.watch(session), await on.record(session)
        node_drain = NodeDrain(on.node.gateway.live, on.node.clock, grace_s=1)
        drain = asyncio.create_task(node_drain.run(asyncio.Event()))
        await until(lambda: b"retry: " in watcher.written)
        await microphone.speak(SECOND)
        await drain
        assert watcher.ended
        assert watcher.names == ["service-event"]
        assert [one["error"] for one in microphone.answers] == ["drain", "overloaded"]
        assert microphone.answers[0]["retry_after_ms"] >= 250
        assert microphone.closed == 1012

    run(scenario)


# A session's life ------------------------------------------------------------------------------------------


def test_a_session_lasts_as_long_as_somebody_reads_and_a_while_longer() -> None:
    """An hour with a reader; after the last one has left it is there for 90 seconds, then it is gone."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        first, second = await on.watch(session), await on.watch(session)
        for _ in range(60):
            on.node.clock.advance(60)
            await on.node.reap()
        await first.leave()
        on.node.clock.advance(89)
        await on.node.reap()
        await second.leave()
        on.node.clock.advance(89)
        await on.node.reap()
        assert await on.alive(session)
        on.node.clock.advance(2)
        report = await on.node.reap()
        assert report.expired == 1
        assert not await on.alive(session)
        assert (await on.watch(session)).status == 404
        assert (await on.record(session)).closed == 4004

    run(scenario)


def test_who_comes_back_in_time_finds_it() -> None:
    """A phone that was locked for 80 seconds goes on, again and again."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        for _ in range(5):
            watcher = await on.watch(session)
            await watcher.leave()
            on.node.clock.advance(80)
            await on.node.reap()
            assert await on.alive(session)

    run(scenario)


def test_the_end_is_told_and_final() -> None:
    """What was heard is said before; then streams end, sockets close, and only its history is left."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        watcher, microphone = await on.watch(session), await on.record(session)
        await microphone.speak(SECOND)
        ending = asyncio.create_task(on.ask("DELETE", f"/session/{session}/end"))
        await settle()
        assert not await on.alive(session)
        on.node.scheduler.answer(TONE)
        answer = await ending
        await settle()
        assert (answer.status_code, answer.json()) == (200, {"session_id": session, "state": "stopped"})
        assert watcher.names == ["service-event", "tone-event"]
        assert watcher.ended
        assert microphone.closed == 1000
        assert (await on.ask("DELETE", f"/session/{session}/end")).status_code == 404
        assert (await on.ask("GET", f"/session/{session}/history")).json()["count"] == 1

    run(scenario)


def test_a_session_that_nobody_came_to_can_be_ended() -> None:
    """There is nothing to wait for, and nothing in its history."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        history = await on.ask("GET", f"/session/{session}/history")
        assert history.json() == {"session_id": session, "count": 0, "events": []}
        assert (await on.ask("GET", f"/session/{session}/export")).json()["events"] == []
        assert (await on.ask("DELETE", f"/session/{session}/end")).json()["state"] == "stopped"
        assert not await on.alive(session)

    run(scenario)


def test_who_asks_for_the_stream_s_head_gets_no_stream() -> None:
    """Or a link checker would hold the session for ever."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        answer = await on.ask("HEAD", f"/session/{session}/stream")
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            "text/event-stream; charset=utf-8",
        )
        on.node.clock.advance(31)
        assert not await on.alive(session)

    run(scenario)


# History ---------------------------------------------------------------------------------------------------


def test_history_is_the_latest_sure_tones_in_order() -> None:
    """`min_confidence` and `limit` choose; nothing but tones is in it, and bad values are named."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        microphone = await on.record(session)
        for n in range(6):
            tone = ToneObservation(label=f"T{n}", confidence=0.2 + n % 2 * 0.5)
            await hear(on, microphone, [tone, QueueObservation(label="busy", confidence=0.9)])
        path = f"/session/{session}/history"
        every = (await on.ask("GET", path)).json()
        assert [one["label"] for one in every["events"]] == ["T0", "T1", "T2", "T3", "T4", "T5"]
        sure = (await on.ask("GET", path, params={"min_confidence": 0.6, "limit": 2})).json()
        assert (sure["count"], [one["label"] for one in sure["events"]]) == (2, ["T3", "T5"])
        assert (await on.ask("GET", path, params={"limit": 10**9})).json()["count"] == 6
        for name, value in (("limit", "0"), ("limit", "-1"), ("limit", "x"), ("min_confidence", "nan")):
            answer = await on.ask("GET", path, params={name: value})
            assert (answer.status_code, answer.json()["param"]) == (422, name)

    run(scenario)


def test_the_export_is_a_file_of_everything_that_was_said() -> None:
    """Tones where older tools look for them, all else beside; more than one page of the record."""

    async def scenario(on: Old) -> None:
        session = await on.start(elcor=True)
        microphone = await on.record(session)
        for _ in range(150):
            await hear(on, microphone, [*TONE, QueueObservation(label="busy", confidence=0.9)])
        answer = await on.ask("GET", f"/session/{session}/export")
        assert answer.headers["content-disposition"].startswith('attachment; filename="undertone-session-')
        assert session not in answer.headers["content-disposition"]
        told = answer.json()
        assert (told["session_id"], told["elcor"], told["truncated"]) == (session, True, False)
        assert [one["timestamp"] for one in told["events"]] == [float(n) for n in range(1, 151)]
        assert {one["event_type"] for one in told["events"]} == {"tone"}
        assert [one["label"] for one in told["other_events"]] == ["busy"] * 150

    run(scenario)


# Audio -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", [True, False])
def test_each_chunk_is_answered_in_its_turn(lane: bool) -> None:
    """Also an odd one, an empty one, and text, which is refused; the socket stays."""

    async def scenario(on: Old) -> None:
        microphone = await on.record(await on.start(), lane=lane)
        await microphone.speak(bytes(3_200), bytes(3), "hello", bytes(1), b"")
        assert microphone.answers == [
            {"ok": True, "bytes": 3_200},
            {"ok": True, "bytes": 3},
            {
                "ok": False,
                "error": "unknown_message",
                "message": "send audio, in binary messages; no text",
                "fatal": False,
            },
            {"ok": True, "bytes": 1},
            {"ok": True, "bytes": 0},
        ]
        assert microphone.closed is None

    run(scenario)


def test_sockets_come_and_go_within_one_session() -> None:
    """The audio goes on where it was; of two at once the newer has it, and the older one is told."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        first = await on.record(session)
        await first.speak(bytes(16_000))
        await first.go()
        second = await on.record(session)
        await second.speak(bytes(8_000))
        third = await on.record(session)
        await second.speak(bytes(8_000))
        await third.speak(bytes(8_000))
        live = on.node.gateway.live.get(session)
        assert live is not None
        assert live.pipeline.ledger.next_sample == 16_000
        assert (second.answers[-1]["error"], second.closed) == ("replaced", 4005)
        assert third.answers == [{"ok": True, "bytes": 8_000}]

    run(scenario)


def test_a_session_of_other_audio_takes_none_of_it() -> None:
    """Made by another route for 8 kHz, it would hear 16 kHz as noise."""

    async def scenario(on: Old) -> None:
        created = await on.node.gateway.service.create(NewSession(audio=AudioFormat(sample_rate=8_000)))
        microphone = await on.record(created.session.id)
        assert (microphone.answers[0]["error"], microphone.closed) == ("unsupported_audio", 4008)

    run(scenario)


def test_a_recording_with_its_header_is_refused() -> None:
    """A WAV file is not PCM: the chunk is answered, and the socket stays for what is."""

    async def scenario(on: Old) -> None:
        microphone = await on.record(await on.start())
        await microphone.speak(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28))
        (answer,) = microphone.answers
        assert (answer["ok"], answer["error"]) == (False, "unsupported_audio")

    run(scenario)


def test_floods_are_told_and_closed() -> None:
    """Audio beyond four times real time, and what the server found itself."""

    async def scenario(on: Old) -> None:
        fast, small = await on.record(await on.start()), await on.record(await on.start())
        await fast.speak(*[SECOND] * 8)
        assert [one["ok"] for one in fast.answers] == [True] * 5 + [False]
        assert (fast.answers[-1]["error"], fast.answers[-1]["fatal"], fast.closed) == ("flood", True, 4009)
        assert small.lane is not None
        small.lane.flooded("too many frames")
        await settle()
        assert (small.answers, small.closed) == (
            [{"ok": False, "error": "flood", "message": "too many frames", "fatal": True}],
            4009,
        )
        assert small.lane.deaf

    run(scenario)


def test_a_page_that_was_held_up_gets_every_answer() -> None:
    """Five seconds in the smallest chunks of a browser, at once, with a complaint among them: all in turn."""

    async def scenario(on: Old) -> None:
        microphone = await on.record(await on.start())
        chunks = [bytes(256)] * 300
        assert microphone.lane is not None
        for chunk in chunks:
            microphone.lane.sink(chunk)
        microphone.lane.sink("text")
        for chunk in chunks:
            microphone.lane.sink(chunk)
        await until(lambda: len(microphone.answers) == 601)
        assert [one["ok"] for one in microphone.answers] == [True] * 300 + [False] + [True] * 300
        assert microphone.closed is None

    run(scenario)


def test_a_peer_that_reads_no_answers_is_closed() -> None:
    """They wait in a bounded queue."""

    async def scenario(on: Old) -> None:
        microphone = await on.record(await on.start())
        microphone.takes.clear()
        for _ in range(MAX_ANSWERS // 64 + 1):
            await microphone.speak(*[bytes(2)] * 64)
        microphone.takes.set()
        await until(lambda: microphone.closed is not None)
        assert (microphone.answers[-1]["error"], microphone.closed) == ("reader_too_slow", 4101)

    run(scenario)


def test_a_node_that_is_full_starts_nothing() -> None:
    """503 and when to try again, as on every way in."""

    async def scenario(on: Old) -> None:
        for _ in range(2):
            await on.start()
        answer = await on.ask("POST", "/session/start")
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) > 0

    run(scenario, max_sessions=2)


# Tenants ---------------------------------------------------------------------------------------------------


def test_with_keys_the_older_routes_serve_nobody_unless_a_tenant_is_named(tmp_path: Path) -> None:
    """401 at each of them but `/health`, 4001 at the socket."""

    async def scenario(on: Old) -> None:
        for method, path in (
            ("POST", "/session/start"),
            ("GET", "/session/x"),
            ("GET", "/session/x/stream"),
            ("GET", "/session/x/history"),
            ("GET", "/session/x/export"),
            ("DELETE", "/session/x/end"),
        ):
            assert (await on.ask(method, path)).status_code == 401, path
        assert (await on.ask("GET", "/health")).status_code == 200
        microphone = await on.record("x")
        assert (microphone.answers[0]["error"], microphone.closed) == ("unauthorized", 4001)

    run(scenario, **with_keys(tmp_path))


def test_a_tenant_s_sessions_are_its_own(tmp_path: Path) -> None:
    """What is made here belongs to it, and another one's session is as absent as none."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        assert (await on.node.gateway.service.get(session)).namespace_id == "elders"
        watcher, microphone = await on.watch(session), await on.record(session)
        await hear(on, microphone, TONE)
        assert watcher.names == ["service-event", "tone-event"]
        other = (await on.node.gateway.service.create(NewSession(namespace_id="others"))).session.id
        foreign, absent = [await on.ask("GET", f"/session/{one}/history") for one in (other, "nobody")]
        assert (foreign.status_code, foreign.content) == (404, absent.content)
        assert (await on.watch(other)).status == 404
        assert (await on.record(other)).closed == 4004

    run(scenario, **with_keys(tmp_path), legacy_namespace="elders")


def test_a_session_that_was_made_with_a_key_is_not_had_without(tmp_path: Path) -> None:
    """An observer knows its id, too, and must not become its owner by these routes."""

    async def scenario(on: Old) -> None:
        mine = (await on.node.gateway.service.create(NewSession(namespace_id="elders"))).session.id
        for method, rest in (("GET", ""), ("GET", "/history"), ("GET", "/export"), ("DELETE", "/end")):
            asked, absent = [await on.ask(method, f"/session/{one}{rest}") for one in (mine, "nobody")]
            assert (asked.status_code, asked.content) == (404, absent.content), rest
        assert (await on.watch(mine)).status == 404
        assert (await on.record(mine)).closed == 4004

    run(scenario, **with_keys(tmp_path), legacy_namespace="elders")


def test_without_keys_no_tenant_is_needed() -> None:
    """Sessions are nobody's, as on the other routes."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        assert (await on.node.gateway.service.get(session)).namespace_id is None

    run(scenario)


def test_a_foreign_page_learns_nothing() -> None:
    """Not even whether a session is there."""

    async def scenario(on: Old) -> None:
        session = await on.start()
        answer = await on.ask("GET", f"/session/{session}", headers={"origin": "https://evil.example"})
        assert answer.status_code == 403

    run(scenario)
