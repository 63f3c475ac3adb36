"""Utterances that are decoded as a whole, by hand-driven decoders and clock."""

import asyncio

import pytest

from gateway.transcribe.decoder import Final, HeardWord
from gateway.transcribe.pool import DECODE_S, Bounds, Outcome
from gateway.transcribe.whisper.stream import PATIENCE_S
from tests.gateway.transcribe.fakes import HandDecoder, sound
from tests.gateway.transcribe.whisper.kit import WholeBench, hints_of


def tell(decoder: HandDecoder, text: str, language: str | None = None, confidence: float = 0.5) -> None:
    """The decoder is done, with a text of its own making."""
    assert decoder.owner
    words = tuple(HeardWord(word, 0, 1_600, 0.25) for word in text.split())
    decoder.owner.on_final(decoder, Final(words, None, text, language, confidence))


def test_a_decoder_is_leased_only_while_it_decodes() -> None:
    """Two people talk at the same time and share one decoder; both get their finals."""
    bench = WholeBench()
    decoder = bench.ready()
    one, other = bench.talker(), bench.talker()
    one.begin(0.5)
    other.begin(0.5)
    assert bench.pool.decoders()["busy"] == 0
    one.hear(sound([(1.0, False)]))
    other.hear(sound([(1.0, False)]))
    tell(decoder, "one")
    tell(decoder, "other")
    assert [update.text for update in one.updates] == ["one"]
    assert [update.text for update in other.updates] == ["other"]
    assert bench.pool.outcomes == {Outcome.DECODED: 2}


def test_the_open_utterance_is_drafted_every_second() -> None:
    """Each draft is a revision, the same text once; the final has the words."""
    bench = WholeBench()
    decoder = bench.ready()
    talker = bench.talker()
    talker.begin(1.2)
    assert hints_of(decoder).draft
    first = decoder.heard
    tell(decoder, "a")
    talker.hear(sound([(0.9, True)]))
    assert decoder.heard - first >= 16_000
    tell(decoder, "a")
    talker.hear(sound([(0.7, True)]))
    tell(decoder, "a b")
    talker.hear(sound([(1.0, False)]))
    assert not hints_of(decoder).draft
    tell(decoder, "a b c", confidence=0.75)
    assert [(update.revision, update.text, update.is_final) for update in talker.updates] == [
        (0, "a", False),
        (1, "a b", False),
        (2, "a b c", True),
    ]
    assert talker.updates[-1].confidence == 0.75
    assert [word.confidence for word in talker.updates[-1].words] == [0.25] * 3
    assert talker.updates[0].words == ()
    ends = [update.end_sample16k for update in talker.updates]
    assert ends == sorted(ends)
    assert {update.start_sample16k for update in talker.updates} == {talker.updates[0].start_sample16k}


def test_drafts_are_left_out_while_others_want_the_decoder() -> None:
    """Somebody's final goes first, and is not followed by a draft that is late."""
    bench = WholeBench()
    decoder = bench.ready()
    waiting, talker = bench.talker(), bench.talker()
    waiting.say(0.5)
    assert decoder.calls.count("begin") == 1
    assert not hints_of(decoder).draft
    talker.begin(2.5)
    assert decoder.calls.count("begin") == 1
    tell(decoder, "final")
    assert decoder.calls.count("begin") == 1
    talker.hear(sound([(0.1, True)]))
    assert decoder.calls.count("begin") == 2
    assert hints_of(decoder).draft


def test_an_utterance_that_ends_over_its_draft_is_decoded_next() -> None:
    """The draft is still told, then the final."""
    bench = WholeBench()
    decoder = bench.ready()
    talker = bench.talker()
    talker.begin(1.2)
    talker.hear(sound([(1.0, False)]))
    assert decoder.calls.count("begin") == 1
    tell(decoder, "draft")
    assert decoder.calls.count("begin") == 2
    tell(decoder, "final")
    assert [update.text for update in talker.updates] == ["draft", "final"]


def test_utterances_of_a_stream_never_interleave() -> None:
    """The second is neither drafted nor decoded before the first has its final."""
    bench = WholeBench()
    talker = bench.talker()
    talker.say(0.5)
    talker.begin(2.0)
    decoder = bench.ready()
    assert not hints_of(decoder).draft
    tell(decoder, "first")
    assert bench.pool.decoders()["busy"] == 0
    talker.hear(sound([(1.0, False)]))
    tell(decoder, "draft")
    tell(decoder, "second")
    assert [update.text for update in talker.updates] == ["first", "draft", "second"]
    assert [update.is_final for update in talker.updates] == [True, False, True]


def test_an_idle_decoder_doesnt_draft_out_of_turn() -> None:
    """While the first utterance's final is awaited the second waits, whoever is idle."""
    bench = WholeBench(size=2)
    talkers = [bench.talker(), bench.talker()]
    for talker in talkers:
        talker.say(0.5)
    for decoder in bench.decoders:
        decoder.ready()
    tell(bench.decoders[1], "other")
    talkers[0].begin(2.0)
    assert bench.pool.decoders() == {"idle": 1, "busy": 1, "loading": 0}


def test_the_language_is_the_sessions_or_the_one_that_was_heard() -> None:
    """A draft takes the one that the draft before it heard; the final listens again."""
    bench = WholeBench()
    decoder = bench.ready()
    given, open_ = bench.talker("fr", "Names."), bench.talker(None)
    given.begin(1.2)
    assert (hints_of(decoder).language, hints_of(decoder).prompt) == ("fr", "Names.")
    tell(decoder, "oui")
    assert given.updates[0].language == "fr"
    open_.begin(1.2)
    assert hints_of(decoder).language is None
    tell(decoder, "ya", "jv")
    assert open_.updates[0].language == "jv"
    open_.hear(sound([(1.0, True)]))
    assert hints_of(decoder).language == "jw"
    tell(decoder, "ya ya")
    assert open_.updates[1].language is None
    open_.hear(sound([(1.0, False)]))
    assert hints_of(decoder).language is None


def test_a_draft_that_dies_costs_no_words() -> None:
    """It is told, and the utterance is decoded when it is over, by another decoder."""
    bench = WholeBench()
    talker = bench.talker()
    decoder = bench.ready()
    talker.begin(1.2)
    decoder.die()
    assert len(talker.warnings) == 1
    assert "decoded again" in talker.warnings[0]
    talker.hear(sound([(1.0, False)]))
    bench.decoders[-1].ready()
    tell(bench.decoders[-1], "whole")
    assert talker.updates[-1].text == "whole"
    assert bench.pool.outcomes == {Outcome.DECODED: 1}


def test_a_draft_that_hangs_is_replaced() -> None:
    """After the bound its decoder is killed; an utterance that ended meanwhile is decoded by another."""
    bench = WholeBench(size=2)
    talker = bench.talker()
    decoder = bench.ready()
    talker.begin(1.2)
    talker.hear(sound([(1.0, False)]))
    bench.clock.advance(DECODE_S)
    bench.pool.tick()
    assert decoder.killed
    bench.decoders[-1].ready()
    tell(bench.decoders[-1], "whole")
    assert talker.updates[-1].text == "whole"


def test_a_draft_that_hangs_costs_no_final() -> None:
    """However long it hangs: the utterance's patience begins when its draft is given up."""
    bench = WholeBench()
    talker = bench.talker()
    decoder = bench.ready()
    talker.begin(1.2)
    talker.hear(sound([(1.0, False)]))
    bench.clock.advance(DECODE_S)
    bench.pool.tick()
    decoder.die()
    for _ in range(2):
        bench.clock.advance(PATIENCE_S / 2 - 0.1)
        bench.pool.tick()
    bench.decoders[-1].ready()
    tell(bench.decoders[-1], "whole")
    assert [(update.text, update.is_final) for update in talker.updates] == [("whole", True)]
    assert bench.pool.outcomes == {Outcome.DECODED: 1}


def test_a_slow_draft_costs_no_final() -> None:
    """It comes back when the utterance would have been out of patience, and others are before it."""
    bench = WholeBench()
    talker, other = bench.talker(), bench.talker()
    other.stream.patient = True
    decoder = bench.ready()
    talker.begin(1.2)
    other.say(0.5)
    talker.hear(sound([(1.0, False)]))
    bench.clock.advance(PATIENCE_S + 1)
    bench.pool.tick()
    tell(decoder, "draft")
    bench.pool.tick()
    tell(decoder, "other")
    tell(decoder, "final")
    assert [update.text for update in talker.updates] == ["draft", "final"]
    assert talker.warnings == []


@pytest.mark.parametrize("drafted", [True, False])
def test_a_final_that_dies_is_lost_and_told(drafted: bool) -> None:
    """The chain of revisions is closed with what was understood, and the next utterance is decoded."""
    bench = WholeBench()
    talker = bench.talker()
    decoder = bench.ready()
    talker.begin(1.2 if drafted else 0.5)
    if drafted:
        tell(decoder, "half")
    talker.hear(sound([(1.0, False)]))
    decoder.die()
    assert talker.warnings == ["the transcript of an utterance was lost: its decoder ended"]
    assert [(update.text, update.is_final) for update in talker.updates] == (
        [("half", False), ("half", True)] if drafted else []
    )
    talker.say()
    bench.decoders[-1].ready()
    tell(bench.decoders[-1], "next")
    assert talker.updates[-1].text == "next"


def test_an_utterance_waits_for_a_decoder_while_it_may() -> None:
    """Then it is given up, once told; a patient stream's waits on."""
    bench = WholeBench()
    talker, recording = bench.talker(), bench.talker()
    recording.stream.patient = True
    talker.say()
    recording.say()
    bench.clock.advance(PATIENCE_S)
    bench.pool.tick()
    assert talker.warnings == ["no transcript for now: no decoder is free"]
    assert talker.stream.pending_from16k is None
    assert recording.stream.pending_from16k is not None
    assert recording.warnings == []


def test_what_turned_out_to_be_no_words_is_taken_back() -> None:
    """Where drafts were told; where none was, nothing is."""
    bench = WholeBench()
    decoder = bench.ready()
    talker = bench.talker()
    talker.begin(1.2)
    tell(decoder, "hm")
    talker.hear(sound([(1.0, False)]))
    tell(decoder, "")
    assert [(update.text, update.is_final, update.confidence) for update in talker.updates] == [
        ("hm", False, 0.5),
        ("", True, None),
    ]
    talker.say(0.5)
    tell(decoder, "")
    assert len(talker.updates) == 2
    assert bench.pool.outcomes == {Outcome.EMPTY: 2}


def test_the_audio_of_all_utterances_is_bounded() -> None:
    """One that doesn't fit is lost and told, and what it held may be held by others again."""
    bench = WholeBench(bounds=Bounds(held_bytes=50_000))
    talker = bench.talker()
    bench.ready()
    talker.begin(4.0)
    assert talker.warnings == ["no transcript for now: audio arrives faster than it can be decoded"]
    assert bench.pool.hold(50_000)


def test_a_flush_waits_for_the_final() -> None:
    """Of an utterance that ends with it, draft under way or not."""

    async def main() -> None:
        bench = WholeBench()
        decoder = bench.ready()
        talker = bench.talker()
        talker.begin(1.2)
        flushing = asyncio.create_task(talker.stream.flush())
        await asyncio.sleep(0)
        tell(decoder, "draft")
        await asyncio.sleep(0)
        assert not flushing.done()
        tell(decoder, "final")
        await flushing
        assert talker.updates[-1].is_final
        await talker.stream.aclose()
        await talker.stream.aclose()
        talker.begin(3.0)
        await talker.stream.flush()
        assert talker.stream.pending_from16k is None
        assert len(talker.updates) == 2

    asyncio.run(main())


def test_a_closed_stream_gives_its_decoder_back() -> None:
    """And says nothing more, whatever the decoder still answers."""

    async def main() -> None:
        bench = WholeBench()
        decoder = bench.ready()
        talker, other = bench.talker(), bench.talker()
        talker.begin(1.2)
        await talker.stream.aclose()
        other.say(0.5)
        tell(decoder, "draft")
        tell(decoder, "other")
        assert talker.updates == []
        assert [update.text for update in other.updates] == ["other"]

    asyncio.run(main())
