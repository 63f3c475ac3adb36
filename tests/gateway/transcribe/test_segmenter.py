"""Where utterances begin and end."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transcribe.segmenter import FRAME, HANGOVER, LONGEST, PRE_ROLL, Action, Begin, Segmenter, Speech
from tests.gateway.transcribe.fakes import Samples, sound

Span = tuple[int, int]
STRETCHES = st.lists(
    st.tuples(st.integers(1, 140).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=6
)


def spans_of(actions: Iterable[Action], audio: Samples) -> list[Span]:
    """Begin and end of each utterance, having checked that exactly its samples were handed out, in order."""
    spans: list[Span] = []
    parts: list[Samples] = []
    begin: int | None = None
    for action in actions:
        if isinstance(action, Begin):
            assert begin is None
            begin, parts = action.start16k, []
        elif isinstance(action, Speech):
            assert begin is not None
            assert len(action.samples)
            parts.append(action.samples)
        else:
            assert begin is not None
            assert np.array_equal(np.concatenate(parts), audio[begin : action.end16k])
            spans.append((begin, action.end16k))
            begin = None
    assert begin is None
    return spans


def segment(audio: Samples, blocks: Sequence[int] = (1_600,)) -> list[Span]:
    """Utterances of a whole recording, fed in blocks of the given sizes in turn."""
    segmenter = Segmenter()
    actions: list[Action] = []
    at = turn = 0
    while at < len(audio):
        size = blocks[turn % len(blocks)]
        actions += segmenter.feed(audio[at : at + size])
        at, turn = at + size, turn + 1
    actions += segmenter.flush()
    return spans_of(actions, audio)


def test_one_word_is_one_utterance() -> None:
    """Speech is framed by 300 ms of what came before and 600 ms of what came after, to the frame."""
    ((begin, end),) = segment(sound([(4.0, False), (1.0, True), (2.0, False)]))
    assert begin == pytest.approx(4 * 16_000 - PRE_ROLL * FRAME, abs=FRAME)
    assert end == pytest.approx(5 * 16_000 + HANGOVER * FRAME, abs=2 * FRAME)


def test_clicks_and_silence_are_nothing() -> None:
    """Neither 60 ms of noise, nor digital silence, nor a constant offset, nor steady hiss is an utterance."""
    hiss = (np.random.default_rng(1).standard_normal(160_000) * 60).astype(np.int16)
    for audio in (
        sound([(4.0, False), (0.06, True), (4.0, False)]),
        np.zeros(160_000, np.int16),
        np.full(160_000, 9_000, np.int16),
        hiss,
    ):
        assert segment(audio) == []


def test_speech_at_the_very_start() -> None:
    """Somebody who is already speaking isn't taken for background noise."""
    ((begin, _),) = segment(sound([(1.0, True), (1.0, False)]))
    assert begin == 0


def test_new_background_noise_ends() -> None:
    """A fan that starts to turn counts as speech until the floor has followed it, 5 s at the most."""
    audio = np.concatenate((sound([(4.0, False)]), sound([(20.0, True)])))
    assert max(end for _, end in segment(audio)) <= (4 + 5) * 16_000


def syllables(seconds: float, steady: range = range(0)) -> Samples:
    """A second of silence, then speech that dips for 100 ms twice a second, as the noise floor needs it.

    There are no dips where the sample index is in `steady`.
    """
    audio = sound([(1.0, False), (seconds, True), (1.0, False)])
    for at in range(20_000, len(audio) - 16_000, 8_000):
        if at not in steady:
            audio[at : at + 1_600] //= 256
    return audio


def test_long_speech_is_split_at_its_first_pause() -> None:
    """A pause of 200 ms in the last of five seconds is where it is split, though a later dip is quieter."""
    speech = syllables(8.0)
    speech[80_000:83_200] //= 256
    speech[85_000:86_600] = 0
    first, second = segment(speech)
    assert 80_000 < first[1] < 83_200
    assert second[0] == first[1]


def test_speech_without_a_pause_is_split_where_it_is_quietest() -> None:
    """Without any pause the split is at the quietest place between the fourth second and the fifth."""
    speech = syllables(8.0, steady=range(73_000, 93_000))
    speech[80_000:81_600] = speech[80_000:81_600] * 0.85
    first, second = segment(speech)
    assert 80_000 < first[1] < 81_600
    assert second[0] == first[1]


def test_no_utterance_stays_open_past_five_seconds() -> None:
    """A flush shortly after the fifth second finds the utterance split already."""
    assert len(segment(syllables(4.75)[:-16_000])) == 2


def test_the_pre_roll_doesnt_reach_into_the_utterance_before() -> None:
    """Speech that resumes right after an end begins where the last utterance ended."""
    first, second = segment(sound([(1.0, False), (1.0, True), (0.8, False), (1.0, True), (1.0, False)]))
    assert second[0] == first[1]


def test_silence_behind_a_split_is_no_utterance() -> None:
    """When speech stops at the split, the rest isn't decoded for nothing."""
    spans = segment(sound([(1.0, False), (3.9, True), (1.5, False)]))
    assert len(spans) == 1


@given(stretches=STRETCHES, seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_utterances_are_disjoint_ordered_and_bounded(stretches: list[tuple[float, bool]], seed: int) -> None:
    """Each sample of the stream is in one utterance at most, and no utterance is longer than five seconds."""
    audio = sound(stretches, seed)
    at = 0
    for begin, end in segment(audio):
        assert at <= begin < end <= len(audio)
        assert end - begin <= LONGEST * FRAME
        at = end


@given(lengths=st.lists(st.integers(6, 50), min_size=1, max_size=5), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_every_sample_of_speech_is_in_exactly_one_utterance(lengths: list[int], seed: int) -> None:
    """From the onset to the end of speech no sample is left out, splits included (syllables 0.1 to 2.5 s)."""
    stretches = [(1.0, False)]
    for length in lengths:
        stretches += [(length / 20, True), (0.24, False)]
    stretches.append((1.0, False))
    audio = sound(stretches, seed)
    spans = segment(audio)
    assert spans[0][0] <= 16_000
    assert spans[-1][1] >= len(audio) - 16_000 - round(0.24 * 16_000) - FRAME
    owned = np.zeros(len(audio), int)
    for begin, end in spans:
        owned[begin:end] += 1
    at = 16_000
    for length in lengths:
        assert np.all(owned[at : at + length * 800] == 1)
        at += length * 800 + 3_840


@given(
    stretches=STRETCHES,
    blocks=st.lists(st.integers(1, 40_000), min_size=1, max_size=4).filter(lambda b: sum(b) > 800 * len(b)),
)
@settings(max_examples=40, deadline=None)
def test_the_split_into_blocks_doesnt_matter(stretches: list[tuple[float, bool]], blocks: list[int]) -> None:
    """The same audio gives the same utterances, whatever the sizes of the blocks."""
    audio = sound(stretches)
    assert segment(audio, blocks) == segment(audio)


def test_flush_ends_at_the_last_sample() -> None:
    """A flush ends the open utterance with the last sample fed, be it within a frame, and then goes on."""
    audio = sound([(1.0, False), (1.0, True)])[: 16_000 + 8_123]
    segmenter = Segmenter()
    actions = [*segmenter.feed(audio), *segmenter.flush()]
    assert spans_of(actions, audio)[0][1] == len(audio)
    assert segmenter.next_sample == len(audio)
    assert segmenter.flush() == []


def test_jump_ends_and_starts_anew() -> None:
    """Behind a gap the pre-roll reaches back to the gap and not beyond it."""
    segmenter = Segmenter()
    list(segmenter.feed(sound([(1.0, False), (0.5, True)])))
    ended = list(segmenter.jump(100_000))
    assert ended
    assert segmenter.next_sample == 100_000
    begun = list(segmenter.feed(sound([(0.1, False), (0.5, True)])))
    assert begun[0] == Begin(100_000)


def test_the_samples_of_a_pause_are_told_to_be_one() -> None:
    """From 120 ms without an active frame on, until the next; what is decoded meanwhile may be in vain."""
    segmenter = Segmenter()
    actions: list[Action] = []
    audio = sound([(1.0, False), (1.0, True), (0.4, False), (1.0, True)])
    for at in range(0, len(audio), 1_600):
        actions += segmenter.feed(audio[at : at + 1_600])
    begins = [action.start16k for action in actions if isinstance(action, Begin)]
    pieces = [action for action in actions if isinstance(action, Speech)]
    assert len(begins) == 1
    at, pauses = begins[0], []
    for piece in pieces:
        at += len(piece.samples)
        if piece.pause:
            pauses.append(at / 16_000)
    assert pauses
    assert all(2.1 <= second <= 2.45 for second in pauses)
