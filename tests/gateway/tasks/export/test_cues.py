"""Captions: readable stretches at the right time, none on top of another of its lane."""

import itertools

from hypothesis import given

from gateway.tasks.export.cues import CUE_LINES, LINE_CHARS, LONGEST_MS, SHORTEST_MS, captions
from gateway.tasks.export.lanes import ALL, Lane
from gateway.tasks.export.text import clean
from gateway.tasks.story import Story
from protocol.events import Word
from tests.gateway.tasks.kit import RATE, said, stories, story, tone


def words(*told: tuple[str, float, float]) -> tuple[Word, ...]:
    """Words by seconds."""
    return tuple(
        Word(text=text, start_sample=round(start * RATE), end_sample=round(end * RATE))
        for text, start, end in told
    )


@given(stories())
def test_cues_are_in_order_and_never_overlap_in_their_lane(told: Story) -> None:
    """Each has a length, begins after the one before, and is over when the next of its lane begins."""
    cues = list(captions(told, ALL))
    assert [cue.start_ms for cue in cues] == sorted(cue.start_ms for cue in cues)
    for lane in Lane:
        row = [cue for cue in cues if cue.lane is lane]
        assert all(cue.start_ms < cue.end_ms for cue in row)
        assert all(one.end_ms <= following.start_ms for one, following in itertools.pairwise(row))


@given(stories())
def test_no_word_is_lost_and_lines_have_an_end(told: Story) -> None:
    """All that was said stands in the cues, in two lines or little more where words are long."""
    cues = [cue for cue in captions(told, ALL) if cue.lane is Lane.TRANSCRIPT]
    spoken = sorted(told.transcripts, key=lambda event: (event.start_sample, event.seq))
    wanted = "".join(clean(event.text) for event in spoken).replace(" ", "")
    assert "".join(cue.text for cue in cues).replace(" ", "") == wanted
    for cue in cues:
        assert len(cue.lines) <= CUE_LINES or " " not in cue.text
        assert all(0 < len(line) <= LINE_CHARS or " " not in line for line in cue.lines)


def test_a_cue_has_two_lines_with_its_tone() -> None:
    """The tone takes up room, and words don't always fill a line."""
    text = "the morning that is wonderful news i am so happy to hear it but where in all body"
    told = story(tone(0, 4, "Neutral"), said(0, 4, text))
    cues = [cue for cue in captions(told, ALL) if cue.lane is Lane.TRANSCRIPT]
    assert [len(cue.lines) for cue in cues] == [2, 1]
    assert cues[0].lines[0].startswith("[Neutral] the morning")


def test_the_times_of_words_are_kept_where_they_are_given() -> None:
    """A pause between words parts the cues, and each begins with its first word."""
    told = story(said(0, 9, "One two three.", words=words(("one", 0, 1), ("two", 1.2, 2), ("three", 6, 6.4))))
    cues = list(captions(told, ALL))
    assert [(cue.text, cue.start_ms, cue.end_ms) for cue in cues] == [
        ("One two", 0, 2_000),
        ("three.", 6_000, 6_000 + SHORTEST_MS),
    ]


def test_long_speech_without_word_times_is_shared_out() -> None:
    """A minute in one utterance becomes cues of at most six seconds that touch."""
    told = story(said(0, 60, " ".join(f"word{n:02}" for n in range(60))))
    cues = list(captions(told, ALL))
    assert (cues[0].start_ms, cues[-1].end_ms) == (0, 60_000)
    assert all(cue.end_ms - cue.start_ms <= LONGEST_MS for cue in cues)
    assert all(one.end_ms == following.start_ms for one, following in itertools.pairwise(cues))


def test_a_tone_is_told_when_it_changes_for_a_speaker() -> None:
    """Once each time, from the tone that took up most of the utterance."""
    told = story(
        tone(0, 3, "Calm"),
        tone(3, 4, "Tense"),
        tone(4, 8, "Tense"),
        said(0, 4, "So", speaker_id="Speaker A"),
        said(4, 6, "No", speaker_id="Speaker A"),
        said(6, 7, "No!", speaker_id="Speaker A"),
        said(7, 8, "Yes", speaker_id="Speaker B"),
    )
    assert [cue.tone for cue in captions(told, ALL)] == ["Calm", "Tense", "", "Tense"]


def test_without_words_tones_are_cues_of_their_own() -> None:
    """Tones that stay the same are one."""
    told = story(*(tone(n, n + 1, "Calm" if n < 3 else "Tense") for n in range(5)))
    cues = list(captions(told, ALL))
    assert [(cue.text, cue.start_ms, cue.end_ms) for cue in cues] == [
        ("[Calm]", 0, 3_000),
        ("[Tense]", 3_000, 5_000),
    ]
