"""A live session's readers and its orderly end."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.audio.window import Block
from gateway.classify.port import (
    Health,
    HealthStatus,
    QueueObservation,
    SpeakerObservation,
    ToneObservation,
)
from gateway.live.captions import Captions
from gateway.live.line import Line
from gateway.live.reader import MAX_REPLIES, Reader
from gateway.live.registry import Tasks
from gateway.live.session import ENDED, Audience, Farewell, LiveSession
from gateway.transcribe.port import Emit, TranscriptUpdate, Warn
from protocol.audio import AudioFormat
from protocol.close import CloseCode
from protocol.control import Delivery, Feature, SessionConfig
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Error, Gap, GapReason, Pong, Service, Summary, Tone, Transcript
from tests.fakes import Bench, bench


class FakeStream:
    """Says what it was fed, as words, when flushed."""

    def __init__(self, emit: Emit, warn: Warn) -> None:
        self.pending_from16k: int | None = None
        self.patient = False
        self.on_settled: Callable[[], None] = lambda: None
        self.emit, self.warn = emit, warn
        self.fed: list[tuple[int, int]] = []
        self.closed = False
        self.gate = asyncio.Event()
        self.gate.set()

    def feed(self, samples: object, start16k: int) -> None:
        self.fed.append((start16k, len(samples)))  # type: ignore[arg-type]

    async def flush(self) -> None:
        await self.gate.wait()
        self.emit(update(f"{len(self.fed)} blocks"))

    async def aclose(self) -> None:
        self.closed = True


class FakeTranscriber:
    """Opens fake streams and remembers them."""

    def __init__(self) -> None:
        self.streams: list[FakeStream] = []
        self.languages: list[str | None] = []

    def open(self, *, emit: Emit, warn: Warn, language: str | None) -> FakeStream:
        self.languages.append(language)
        self.streams.append(FakeStream(emit, warn))
        return self.streams[-1]

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def health(self) -> Health:
        return Health(HealthStatus.READY)

    def decoders(self) -> dict[str, int]:
        return {}

    def utterances(self) -> dict[str, int]:
        return {}


def update(text: str, revision: int = 0, confidence: float | None = None) -> TranscriptUpdate:
    return TranscriptUpdate(text, True, revision, confidence, 0, 1_600, "en-US")


def live(
    on: Bench,
    audience: Audience,
    tasks: Tasks,
    drain_s: float = 5.0,
    truncated: asyncio.Event | None = None,
) -> LiveSession:
    """A live session around a bench's pipeline; `truncated`: when its store answers, if not at once."""

    async def finished(_: Summary) -> None: ...

    async def ask() -> bool:
        if truncated is not None:
            await truncated.wait()
        return False

    return LiveSession(
        on.log,
        on.pipeline,
        audience,
        None,
        drain_s=drain_s,
        spawn=tasks.spawn,
        on_finished=finished,
        truncated=ask,
    )


def run(scenario: Callable[[Tasks], Awaitable[None]]) -> None:
    async def main() -> None:
        tasks = Tasks()
        try:
            await scenario(tasks)
        finally:
            await tasks.aclose()

    asyncio.run(main())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_end_waits_for_the_last_windows() -> None:
    """The partial window is classified, its events come, then the summary, then the farewell."""

    async def scenario(tasks: Tasks) -> None:
        on, audience = bench(), Audience()
        reader = Reader(on.log, 0)
        audience.seat_owner(reader, 1)
        session = live(on, audience, tasks)
        on.pipeline.feed(bytes(3_200))
        ending = session.begin_finish()
        assert session.begin_finish() is ending
        await settle()
        assert not ending.done()
        on.scheduler.answer([ToneObservation(label="Calm", confidence=0.5)])
        summary = await ending
        assert summary is not None
        assert [type(event) for event in on.events] == [Tone, Summary]
        assert (summary.classified_samples, summary.gap_samples) == (1_600, 0)
        assert reader.farewell is not None
        assert reader.farewell.code is CloseCode.NORMAL

    run(scenario)


def test_an_end_that_can_not_wait_declares_what_is_pending() -> None:
    """A stalled classifier does not keep a session for ever."""

    async def scenario(tasks: Tasks) -> None:
        on = bench()
        session = live(on, Audience(), tasks, drain_s=0.01)
        on.pipeline.feed(bytes(64_000))
        summary = await session.finish()
        assert summary is not None
        gaps = [event for event in on.events if isinstance(event, Gap)]
        assert [(gap.start_sample, gap.end_sample, gap.reason) for gap in gaps] == [
            (0, 32_000, GapReason.DRAIN)
        ]
        assert (summary.gap_samples, summary.pending_samples) == (32_000, 0)

    run(scenario)


def test_an_abort_overtakes_an_end_that_has_begun() -> None:
    """A deleted session does not wait for anything."""

    async def scenario(tasks: Tasks) -> None:
        on = bench()
        session = live(on, Audience(), tasks, drain_s=60)
        on.pipeline.feed(bytes(3_200))
        session.begin_finish()
        await settle()
        summary = await session.abort()
        assert summary is not None
        assert summary.gap_samples == 1_600
        assert sum(isinstance(event, Summary) for event in on.events) == 1

    run(scenario)


def test_the_end_goes_on_without_the_one_who_asked() -> None:
    """A socket that is cut after `end` leaves the session ending."""

    async def scenario(tasks: Tasks) -> None:
        on = bench()
        session = live(on, Audience(), tasks)
        on.pipeline.feed(bytes(3_200))
        asker = asyncio.create_task(session.finish())
        await settle()
        asker.cancel()
        await settle()
        on.scheduler.answer()
        summary = await session.finish()
        assert summary is not None
        assert summary.classified_samples == 1_600

    run(scenario)


@pytest.mark.parametrize("asked", ["finish", "abort", "depart"])
def test_whoever_waits_for_the_end_of_a_session_that_goes_elsewhere_is_let_go(asked: str) -> None:
    """There will be no summary here, and nobody is cancelled who was not."""

    async def scenario(tasks: Tasks) -> None:
        on, asks = bench(), asyncio.Event()
        session = live(on, Audience(), tasks, truncated=asks)
        on.pipeline.feed(bytes(3_200))
        waits: dict[str, Coroutine[Any, Any, object]] = {
            "finish": session.finish(),
            "abort": session.abort(),
            "depart": session.depart(60.0),
        }
        waiting = asyncio.create_task(waits.pop(asked))
        for other in waits.values():
            other.close()
        await settle()
        assert not waiting.done()
        session.abandon()
        assert await asyncio.wait_for(waiting, 1) is None
        assert await asyncio.wait_for(session.finish(), 1) is None
        await settle()
        assert not any(isinstance(event, Summary) for event in on.events)

    run(scenario)


def test_a_session_that_has_gone_elsewhere_does_not_end_here() -> None:
    """Whoever wants it to is told at once."""

    async def scenario(tasks: Tasks) -> None:
        on = bench()
        session = live(on, Audience(), tasks)
        on.pipeline.feed(bytes(3_200))
        session.abandon()
        assert await asyncio.wait_for(session.finish(), 1) is None
        assert await asyncio.wait_for(session.abort(), 1) is None
        await asyncio.wait_for(session.depart(60.0), 1)
        assert on.events == []

    run(scenario)


@pytest.mark.parametrize("abandoned", [False, True])
def test_whoever_is_cancelled_while_waiting_for_the_end_sees_it(abandoned: bool) -> None:
    """Also where the session goes elsewhere at the same time."""

    async def scenario(tasks: Tasks) -> None:
        on = bench()
        session = live(on, Audience(), tasks)
        on.pipeline.feed(bytes(3_200))
        waiting = asyncio.create_task(session.finish())
        await settle()
        waiting.cancel()
        if abandoned:
            session.abandon()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(scenario)


def test_an_end_that_fails_says_so_to_whoever_waits() -> None:
    """And is logged once."""

    async def scenario(tasks: Tasks) -> None:
        async def fails(_: Summary) -> None:
            raise RuntimeError("a defect")

        session = live(bench(), Audience(), tasks)
        session._on_finished = fails
        with pytest.raises(RuntimeError, match="a defect"):
            await session.finish()

    run(scenario)


def test_a_flush_waits_for_its_own_windows_only() -> None:
    """What comes after the flush does not hold its reply back."""

    async def scenario(tasks: Tasks) -> None:
        on = bench()
        session = live(on, Audience(), tasks)
        on.pipeline.feed(bytes(3_200))
        flushing = asyncio.create_task(session.flushed(session.cut_short()))
        await settle()
        on.pipeline.feed(bytes(32_000))
        assert not flushing.done()
        on.scheduler.answer()
        await asyncio.wait_for(flushing, 1)
        assert on.pipeline.outstanding == 1

    run(scenario)


def test_a_farewell_with_an_error_tells_it_first() -> None:
    """Observers and owner both learn why."""
    on, audience = bench(), Audience()
    owner, observer = Reader(on.log, 0), Reader(on.log, 0)
    audience.seat_owner(owner, 1)
    audience.observers.add(observer)
    audience.dismiss(Farewell.of(ProtocolError(ErrorCode.IDLE_TIMEOUT, "idle", fatal=True)))
    for reader in (owner, observer):
        error = reader.take()[0]
        assert isinstance(error, Error)
        assert (error.code, error.fatal) == (ErrorCode.IDLE_TIMEOUT, True)
        assert reader.done


def test_an_owner_that_lets_replies_pile_up_is_dismissed() -> None:
    """It is not reading; nothing is kept for it without bound."""
    on, audience = bench(), Audience()
    owner = Reader(on.log, 0)
    audience.seat_owner(owner, 1)
    for _ in range(MAX_REPLIES + 1):
        audience.tell_owner(Pong())
    *_, told = take_all(owner)
    assert isinstance(told, Error)
    assert (told.code, told.fatal) == (ErrorCode.READER_TOO_SLOW, True)
    assert owner.farewell is not None
    assert owner.farewell.code is CloseCode.READER_TOO_SLOW
    audience.dismiss(ENDED)
    assert owner.farewell.code is CloseCode.READER_TOO_SLOW


def take_all(reader: Reader) -> list[object]:
    taken: list[object] = []
    while items := reader.take():
        taken += items
    return taken


def test_only_the_owner_in_the_seat_counts_as_leaving() -> None:
    """A replaced owner's late goodbye detaches nobody."""
    on, audience = bench(), Audience()
    first, second = Reader(on.log, 0), Reader(on.log, 0)
    assert audience.seat_owner(first, 1)
    assert audience.seat_owner(second, 2)
    assert audience.leave(first) is False
    assert audience.count == 1
    assert audience.leave(second) is True
    assert audience.count == 0


def test_of_attaches_that_come_at_once_the_latest_has_the_seat() -> None:
    """Also where its socket gets here first: the one the store saw earlier is told that it was replaced."""
    on, audience = bench(), Audience()
    early, late = Reader(on.log, 0), Reader(on.log, 0)
    assert audience.seat_owner(late, 2)
    assert not audience.seat_owner(early, 1)
    assert audience.owner is late
    assert late.farewell is None
    assert early.farewell is not None
    assert early.farewell.code is CloseCode.REPLACED


def test_a_replaced_owner_is_told_once() -> None:
    """However many come after it while it reads its last words, here and elsewhere."""
    on, audience = bench(), Audience()
    first, second = Reader(on.log, 0), Reader(on.log, 0)
    audience.seat_owner(first, 1)
    audience.displace_owner()
    audience.displace_owner()
    audience.dismiss(Farewell.of(ProtocolError(ErrorCode.STORE_UNAVAILABLE, "lost", fatal=True)))
    audience.seat_owner(second, 2)
    assert [one.code for one in take_all(first) if isinstance(one, Error)] == [ErrorCode.REPLACED]
    assert first.farewell is not None
    assert first.farewell.code is CloseCode.REPLACED
    assert take_all(second) == []


def test_a_lossless_sessions_words_have_time() -> None:
    """Also when it becomes lossless later on."""

    async def scenario(tasks: Tasks) -> None:
        made, engine = captions(bench(), tasks, SessionConfig(delivery=Delivery.LOSSLESS))
        made.feed(BLOCK)
        seen = [engine.streams[0].patient]
        for delivery in (Delivery.REALTIME, Delivery.LOSSLESS):
            made.configure(SessionConfig(delivery=delivery))
            seen.append(engine.streams[0].patient)
        assert seen == [True, False, True]

    run(scenario)


def captions(on: Bench, tasks: Tasks, config: SessionConfig) -> tuple[Captions, FakeTranscriber]:
    engine = FakeTranscriber()
    audio = AudioFormat(sample_rate=8_000)
    return Captions(engine, on.pipeline.announcer, audio, config, tasks.spawn), engine


BLOCK = Block(0, 800, 0, np.zeros(1_600, np.int16))


def test_words_are_told_in_the_clients_samples() -> None:
    """The transcriber counts at 16 kHz, the client at its own rate; warnings become service events."""

    async def scenario(tasks: Tasks) -> None:
        on = bench(AudioFormat(sample_rate=8_000))
        words, engine = captions(on, tasks, SessionConfig(language="en"))
        words.feed(BLOCK)
        engine.streams[0].warn("no decoder is free")
        await words.flush()
        service, transcript = on.events
        assert isinstance(service, Service)
        assert isinstance(transcript, Transcript)
        assert (transcript.start_sample, transcript.end_sample, transcript.timestamp) == (0, 800, 0.1)
        assert engine.languages == ["en"]
        await words.aclose()
        engine.streams[0].emit(update("too late"))
        assert len(on.events) == 2
        assert engine.streams[0].closed

    run(scenario)


def test_a_new_language_finishes_the_old_utterance() -> None:
    """What was said before the change is still understood in the old language."""

    async def scenario(tasks: Tasks) -> None:
        on = bench(AudioFormat(sample_rate=8_000))
        words, engine = captions(on, tasks, SessionConfig(language="en"))
        words.feed(BLOCK)
        words.configure(SessionConfig(language="de"))
        words.feed(BLOCK)
        await settle()
        assert engine.languages == ["en", "de"]
        assert [stream.closed for stream in engine.streams] == [True, False]
        words.configure(SessionConfig(language="de", features=frozenset({Feature.TONE})))
        assert not words.wanted

    run(scenario)


def test_words_in_the_old_language_are_waited_for() -> None:
    """By credit and by a flush, as long as they are awaited; closing gives them up."""

    async def scenario(tasks: Tasks) -> None:
        words, engine = captions(bench(), tasks, SessionConfig(language="en", delivery=Delivery.LOSSLESS))
        progress = []
        words.on_progress = lambda: progress.append(words.pending_from)
        for language in ("de", "fr", "it"):
            words.feed(BLOCK)
            engine.streams[-1].pending_from16k = 1_600 * len(engine.streams)
            engine.streams[-1].gate.clear()
            words.configure(SessionConfig(language=language, delivery=Delivery.LOSSLESS))
        assert words.pending_from == 800
        flushing = asyncio.create_task(words.flush())
        await settle()
        for stream in engine.streams[:2]:
            assert not flushing.done()
            stream.gate.set()
            await settle()
        assert progress[-1] == 2_400
        assert [stream.closed for stream in engine.streams] == [True, True, False]
        flushing.cancel()
        await settle()
        await words.aclose()
        assert engine.streams[2].closed
        assert words.pending_from is None

    run(scenario)


def test_unsure_words_are_not_told_or_taken_back() -> None:
    """Below min_confidence a final says nothing; after interims it takes them back."""

    async def scenario(tasks: Tasks) -> None:
        on = bench(AudioFormat(sample_rate=8_000))
        words, engine = captions(on, tasks, SessionConfig(min_confidence=0.5))
        words.feed(BLOCK)
        engine.streams[0].emit(update("mumble", confidence=0.2))
        assert on.events == []
        engine.streams[0].emit(replace(update("mum"), is_final=False))
        engine.streams[0].emit(update("mumble", revision=1, confidence=0.2))
        interim, final = on.events
        assert isinstance(interim, Transcript)
        assert isinstance(final, Transcript)
        assert (interim.text, interim.is_final) == ("mum", False)
        assert (final.text, final.is_final, final.revision) == ("", True, 1)

    run(scenario)


def test_music_and_signals_are_nobodys_words() -> None:
    """What a recogniser makes of a dial tone is not told."""

    async def scenario(tasks: Tasks) -> None:
        on = bench(AudioFormat(sample_rate=8_000))
        words, engine = captions(on, tasks, SessionConfig())
        words.feed(BLOCK)
        line = on.pipeline.announcer.line
        line.hear([QueueObservation(label="dtmf_tone", confidence=0.9, digits="5")], 0, 8_000)
        engine.streams[0].emit(update("ah"))
        assert on.events == []
        line.hear([ToneObservation(label="Calm", confidence=0.5)], 8_000, 16_000)
        engine.streams[0].emit(replace(update("hello"), start_sample16k=16_000, end_sample16k=30_000))
        assert [event.text for event in on.events if isinstance(event, Transcript)] == ["hello"]

    run(scenario)


def test_the_line_is_known_from_where_it_began() -> None:
    """Hold music is recognised after seconds; the seconds before belong to it, silence and voices do not."""
    line = Line()
    line.hear([ToneObservation(label="Calm", confidence=0.5)], 0, 10)
    line.hear([], 10, 20)
    line.hear([], 20, 30)
    line.hear([QueueObservation(label="hold_music", confidence=0.8)], 30, 40)
    line.hear([], 40, 50)
    line.hear([QueueObservation(label="silence", confidence=0.8)], 50, 60)
    line.hear([], 60, 70)
    assert line.mostly(10, 50)
    assert line.mostly(5, 20)
    assert not line.mostly(0, 20)
    assert not line.mostly(50, 70)


def test_a_recording_waits_for_its_words() -> None:
    """Lossless credit is not raised past words that are still awaited, and is once they were told."""

    async def scenario(tasks: Tasks) -> None:
        engine = FakeTranscriber()
        on = bench(config=SessionConfig(delivery=Delivery.LOSSLESS), transcriber=engine, spawn=tasks.spawn)
        assert on.pipeline.credit is not None
        for _ in range(9):
            on.pipeline.feed(bytes(32_000))
            on.scheduler.answer()
            engine.streams[0].pending_from16k = 0
        assert on.pipeline.credit.limit == 160_000
        engine.streams[0].pending_from16k = None
        engine.streams[0].emit(update("all of it"))
        assert on.pipeline.credit.limit == 9 * 16_000 + 160_000

    run(scenario)


def test_an_utterance_without_words_is_progress_too() -> None:
    """Or a recording whose credit waits for it would wait for ever: nothing else comes."""

    async def scenario(tasks: Tasks) -> None:
        words, engine = captions(bench(), tasks, SessionConfig(delivery=Delivery.LOSSLESS))
        progress = []
        words.on_progress = lambda: progress.append(words.pending_from)
        words.feed(BLOCK)
        engine.streams[0].on_settled()
        assert progress == [None]
        await words.aclose()
        engine.streams[0].on_settled()
        assert progress == [None]

    run(scenario)


def test_words_belong_to_whoever_spoke_at_their_samples() -> None:
    """A recording is classified faster than its words are found: the present speaker is not always theirs."""

    async def scenario(tasks: Tasks) -> None:
        on = bench(AudioFormat(sample_rate=8_000))
        words, engine = captions(on, tasks, SessionConfig())
        words.feed(BLOCK)
        for who, start in (("Speaker A", 0), ("Speaker B", 16_000)):
            heard = SpeakerObservation(label="human_single", speaker_id=who, confidence=0.4)
            on.pipeline.announcer.observe([heard], start, start + 8_000, SessionConfig())
        engine.streams[0].emit(replace(update("good morning"), start_sample16k=0, end_sample16k=24_000))
        engine.streams[0].emit(replace(update("good day"), start_sample16k=32_000, end_sample16k=40_000))
        told = [event.speaker_id for event in on.events if isinstance(event, Transcript)]
        assert told == ["Speaker A", "Speaker B"]

    run(scenario)
