"""From a session's sound to its updates and warnings, with decoders answered by hand."""

import asyncio
import tracemalloc

import numpy as np
import pytest

from gateway.transcribe.pool import DECODE_S, Bounds, Outcome
from gateway.transcribe.port import TranscriptUpdate
from gateway.transcribe.stream import HELD_S, MuteStream
from gateway.transcribe.utterance import PATIENCE_S
from tests.gateway.transcribe.fakes import Bench, sound


@pytest.mark.parametrize("text", ["word", ""])
def test_every_utterance_that_settles_is_told(text: str) -> None:
    """Words or not: when nothing is pending any more somebody may be waiting for just that."""
    bench = Bench()
    decoder = bench.ready()
    listener = bench.listener()
    pending: list[int | None] = []
    listener.stream.on_settled = lambda: pending.append(listener.stream.pending_from16k)
    listener.say()
    assert pending == []
    decoder.conclude(text)
    assert pending == [None]


def test_revisions_count_up_to_the_final() -> None:
    """Interims and final of an utterance are one chain, the next utterance begins another at 0."""
    bench = Bench()
    decoder, listener = bench.ready(), bench.listener()
    for _ in range(2):
        listener.say()
        decoder.understand("go")
        decoder.understand("go on")
        decoder.conclude("go on please")
    chain = [(update.text, update.revision, update.is_final) for update in listener.updates]
    assert chain[:3] == [("go", 0, False), ("go on", 1, False), ("go on please", 2, True)]
    assert chain[3:] == chain[:3]
    assert listener.warnings == []
    assert bench.pool.outcomes == {Outcome.DECODED: 2}


def test_places_are_indices_of_the_session() -> None:
    """Utterance and words stand where they were spoken, and no word reaches past its utterance."""
    bench = Bench()
    decoder, listener = bench.ready(), bench.listener()
    listener.at = 1_000_000
    listener.say(1.0)
    decoder.conclude(" ".join(["word"] * 40))
    (final,) = listener.updates
    assert final.start_sample16k == pytest.approx(1_000_000 + 11_200, abs=320)
    assert final.end_sample16k == pytest.approx(1_000_000 + 32_000 + 9_600, abs=640)
    assert final.words[0].start_sample16k == final.start_sample16k
    assert final.words[1].start_sample16k == final.start_sample16k + 1_600
    assert {word.end_sample16k for word in final.words[30:]} == {final.end_sample16k}
    assert final.confidence == 0.5
    assert final.language == "en"


def test_no_words_no_update() -> None:
    """An utterance without words says nothing; interims that turn out to be none are taken back."""
    bench = Bench()
    decoder, listener = bench.ready(), bench.listener()
    listener.say()
    decoder.conclude("")
    assert listener.updates == []
    listener.say()
    decoder.understand("shh")
    decoder.conclude("")
    assert [(update.text, update.is_final) for update in listener.updates] == [("shh", False), ("", True)]
    assert bench.pool.outcomes == {Outcome.EMPTY: 2}


def test_held_audio_is_decoded_from_its_beginning() -> None:
    """A decoder that comes free within two seconds after the end gets every sample of the utterance."""
    bench = Bench()
    listener = bench.listener()
    listener.say()
    bench.clock.advance(PATIENCE_S - 0.1)
    bench.pool.tick()
    decoder = bench.decoders[0]
    decoder.ready()
    assert decoder.calls == ["begin", "finish"]
    decoder.conclude("late but whole")
    assert listener.updates[0].end_sample16k - listener.updates[0].start_sample16k == decoder.heard
    assert listener.warnings == []


def test_a_drought_is_told_once() -> None:
    """Utterances that find no decoder are counted each, told once, and again after one was decoded."""
    bench = Bench(size=1)
    decoder, busy, thirsty = bench.ready(), bench.listener(), bench.listener()
    busy.hear(sound([(1.0, False), (1.0, True)]))
    for _ in range(3):
        thirsty.say()
        bench.clock.advance(PATIENCE_S)
        bench.pool.tick()
    assert thirsty.warnings == ["no transcript for now: no decoder is free"]
    assert bench.pool.outcomes == {Outcome.NO_DECODER: 3}
    busy.hear(sound([(1.0, False)]))
    decoder.conclude("mine")
    thirsty.say()
    decoder.conclude("at last")
    busy.hear(sound([(1.0, True)]))
    thirsty.say()
    bench.clock.advance(PATIENCE_S)
    bench.pool.tick()
    assert len(thirsty.warnings) == 2
    assert thirsty.updates[0].text == "at last"


def test_a_recording_waits_for_its_words() -> None:
    """However long every decoder is taken: its audio waits, too, so nothing has to be given up."""
    bench = Bench(size=1)
    decoder, busy, recording = bench.ready(), bench.listener(), bench.listener()
    recording.stream.patient = True
    busy.hear(sound([(1.0, False), (1.0, True)]))
    recording.say()
    bench.clock.advance(100 * PATIENCE_S)
    bench.pool.tick()
    assert recording.warnings == []
    busy.hear(sound([(1.0, False)]))
    decoder.conclude("mine")
    decoder.conclude("in the end")
    assert [update.text for update in recording.updates] == ["in the end"]


def test_ones_own_queue_is_no_drought() -> None:
    """What waits for its own stream's turn keeps its patience; it is decoded in order, taught by the last."""
    bench = Bench(size=2)
    decoder, listener = bench.ready(), bench.listener()
    for _ in range(3):
        listener.say()
    assert len(bench.decoders) == 1
    for number in range(3):
        bench.clock.advance(PATIENCE_S - 0.5)
        bench.pool.tick()
        assert decoder.profile == (None if number == 0 else f"profile {number - 1}")
        decoder.conclude(f"number {number}", f"profile {number}")
    assert [update.text for update in listener.updates] == ["number 0", "number 1", "number 2"]
    assert listener.warnings == []


def test_patience_begins_when_ones_turn_comes() -> None:
    """Somebody else's turn in between doesn't cost an utterance that had to wait for its own stream first."""
    bench = Bench(size=1)
    decoder, listener, other = bench.ready(), bench.listener(), bench.listener()
    listener.say()
    listener.say()
    other.say()
    bench.clock.advance(PATIENCE_S - 0.1)
    decoder.conclude("one")
    bench.clock.advance(PATIENCE_S - 0.1)
    bench.pool.tick()
    decoder.conclude("hers")
    decoder.conclude("two")
    assert [update.text for update in listener.updates] == ["one", "two"]
    assert listener.warnings == other.warnings == []


def test_what_is_learned_stays_with_its_stream() -> None:
    """The profile of one talker is never used for another."""
    bench = Bench()
    decoder, one, two = bench.ready(), bench.listener(), bench.listener()
    one.say()
    decoder.conclude("mine", "profile of one")
    two.say()
    assert decoder.profile is None


def test_too_much_held_audio_is_dropped_and_told() -> None:
    """A stream holds half a minute of speech at most; the bytes are free again afterwards."""
    bench = Bench()
    listener = bench.listener()
    listener.hear(sound([(1.0, False)]))
    for _ in range(HELD_S):
        listener.hear(sound([(1.4, True), (0.7, False)]))
    assert listener.warnings == ["no transcript for now: audio arrives faster than it can be decoded"]
    assert bench.pool.outcomes[Outcome.OVERFLOW] > 0
    asyncio.run(listener.stream.aclose())
    assert bench.pool.hold(bench.bounds.held_bytes)


def test_all_streams_together_hold_a_bounded_amount() -> None:
    """The pool's own bound is met before that of a stream, and whoever comes next loses."""
    bench = Bench(bounds=Bounds(held_bytes=100_000))
    one, two = bench.listener(), bench.listener()
    one.say(1.0)
    two.say(1.0)
    assert (one.warnings, len(two.warnings)) == ([], 1)
    bench.decoders[0].ready()
    assert bench.decoders[0].heard > 16_000
    assert bench.pool.hold(100_000)
    bench.decoders[0].conclude("one")
    assert bench.pool.decoders()["idle"] == 1


def test_a_lost_utterance_is_closed_and_told() -> None:
    """When a decoder dies in mid-utterance, the chain ends with what was understood, and the loss is said."""
    bench = Bench()
    decoder, listener = bench.ready(), bench.listener()
    listener.hear(sound([(1.0, False), (1.0, True)]))
    decoder.understand("go for")
    decoder.die()
    listener.hear(sound([(1.0, False)]))
    assert [(u.text, u.revision, u.is_final) for u in listener.updates] == [
        ("go for", 0, False),
        ("go for", 1, True),
    ]
    assert listener.warnings == ["the transcript of an utterance was lost: its decoder ended"]
    listener.say()
    bench.decoders[1].ready()
    bench.decoders[1].conclude("back again")
    assert listener.updates[-1].text == "back again"


def test_a_gap_ends_the_utterance() -> None:
    """A jump of the index finishes what was open; what follows is another utterance behind the gap."""
    bench = Bench()
    decoder, listener = bench.ready(), bench.listener()
    listener.hear(sound([(1.0, False), (1.0, True)]))
    listener.at += 50_000
    listener.hear(sound([(1.0, True), (1.0, False)]))
    decoder.conclude("before")
    decoder.conclude("behind")
    before, behind = listener.updates
    assert before.end_sample16k == 32_000
    assert behind.start_sample16k == 82_000


def test_flush_waits_for_the_last_words() -> None:
    """Flush ends the open utterance and returns when its final was emitted, not before."""

    async def main() -> None:
        bench = Bench()
        decoder, listener = bench.ready(), bench.listener()
        listener.hear(sound([(1.0, False), (1.0, True)]))
        assert listener.stream.pending_from16k == pytest.approx(11_200, abs=320)
        flush = asyncio.create_task(listener.stream.flush())
        await asyncio.sleep(0)
        assert decoder.calls == ["begin", "finish"]
        assert not flush.done()
        decoder.conclude("last words")
        await flush
        assert [update.text for update in listener.updates] == ["last words"]
        assert listener.updates[0].end_sample16k == 32_000
        assert listener.stream.pending_from16k is None

    asyncio.run(main())


def test_flush_doesnt_wait_for_ever() -> None:
    """What isn't decoded in time is given up with a warning; the decoder is free when it has answered."""

    async def main() -> None:
        bench = Bench()
        decoder, listener = bench.ready(), bench.listener(flush_s=0)
        listener.hear(sound([(1.0, False), (1.0, True)]))
        await listener.stream.flush()
        assert listener.warnings == ["the last words were not transcribed in time"]
        decoder.conclude("too late")
        assert listener.updates == []
        assert bench.pool.decoders()["idle"] == 1

    asyncio.run(main())


def test_a_cancelled_flush_loses_nothing() -> None:
    """Cancelling the wait leaves the utterance with its decoder; its final still arrives."""

    async def main() -> None:
        bench = Bench()
        decoder, listener = bench.ready(), bench.listener()
        listener.hear(sound([(1.0, False), (1.0, True)]))
        flush = asyncio.create_task(listener.stream.flush())
        await asyncio.sleep(0)
        flush.cancel()
        await asyncio.gather(flush, return_exceptions=True)
        assert flush.cancelled()
        decoder.conclude("still here")
        assert [update.text for update in listener.updates] == ["still here"]
        await listener.stream.flush()
        assert listener.warnings == []

    asyncio.run(main())


def test_close_abandons() -> None:
    """After close nothing is emitted or warned, decoder and memory are free, and feeding has no effect."""
    bench = Bench()
    decoder, listener = bench.ready(), bench.listener()
    listener.say()
    listener.say()
    asyncio.run(listener.stream.aclose())
    asyncio.run(listener.stream.aclose())
    decoder.conclude("too late")
    listener.say()
    assert (listener.updates, listener.warnings) == ([], [])
    assert bench.pool.outcomes == {Outcome.ABANDONED: 2}
    assert bench.pool.decoders()["idle"] == 1
    assert bench.pool.hold(bench.bounds.held_bytes)


def test_a_faulty_receiver_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """An exception of the receiver is logged, without the words; the decoder goes on."""
    bench = Bench()
    decoder, listener = bench.ready(), bench.listener()

    def fail(update: TranscriptUpdate) -> None:
        raise RuntimeError("a full disk")

    listener.stream._emit = fail
    listener.say()
    decoder.conclude("hush")
    assert "receiver of a transcript" in caplog.text
    assert "hush" not in caplog.text
    assert bench.pool.decoders()["idle"] == 1


def test_a_stuck_decoder_is_told() -> None:
    """A final that never comes is a warning."""
    bench = Bench()
    bench.ready()
    listener = bench.listener()
    listener.say()
    bench.clock.advance(DECODE_S)
    bench.pool.tick()
    assert listener.warnings == ["the transcript of an utterance was lost: its decoder didn't answer"]


def test_a_stuck_decoder_costs_one_utterance() -> None:
    """The one behind it has waited for its own stream only: its patience begins now."""
    bench = Bench()
    decoder, listener = bench.ready(), bench.listener()
    listener.say()
    listener.say()
    bench.clock.advance(DECODE_S)
    bench.pool.tick()
    decoder.die()
    bench.clock.advance(PATIENCE_S - 0.1)
    bench.pool.tick()
    bench.decoders[-1].ready()
    bench.decoders[-1].conclude("second")
    assert [update.text for update in listener.updates] == ["second"]
    assert bench.pool.outcomes == {Outcome.DECODER_STUCK: 1, Outcome.DECODED: 1}


def test_another_language_is_told_once() -> None:
    """A stream in a language that isn't understood warns at its first audio and never again."""
    warnings: list[str] = []
    stream = MuteStream(warnings.append, "de")
    assert warnings == []
    stream.feed(np.zeros(1_600, np.int16), 0)
    stream.feed(np.zeros(1_600, np.int16), 1_600)
    asyncio.run(stream.flush())
    assert warnings == ["no transcript for de"]


def test_an_idle_stream_is_small() -> None:
    """A stream that hears silence holds 20 KiB at most."""
    bench = Bench()
    silence = sound([(10.0, False)])
    bench.listener().hear(silence)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    listeners = [bench.listener() for _ in range(20)]
    for listener in listeners:
        listener.hear(silence)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(listeners) <= 20 * 1_024
