"""Captions: readable stretches at the right time, whoever else talks then."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.tasks.export.cues import CUE_LINES, LINE_CHARS, LONGEST_MS, SHORTEST_MS, Cue, captions
from gateway.tasks.export.lanes import ALL, Lane
from gateway.tasks.export.text import tokens
from gateway.tasks.story import Story
from protocol.events import DurableEvent, QueueLabel, Word
from tests.gateway.tasks.kit import RATE, queue, said, stories, story, tone


def words(*told: tuple[str, float, float]) -> tuple[Word, ...]:
    """Words by seconds."""
    return tuple(
        Word(text=text, start_sample=round(start * RATE), end_sample=round(end * RATE))
        for text, start, end in told
    )


def rows(cues: Iterable[Cue]) -> Iterator[Sequence[Cue]]:
    """Cues that follow each other: those of one speaker, or of a lane in which nobody speaks."""
    kept: dict[tuple[Lane, str], list[Cue]] = {}
    for cue in cues:
        kept.setdefault((cue.lane, cue.speaker), []).append(cue)
    yield from kept.values()


def told_words(cues: Iterable[Cue]) -> Counter[str]:
    return Counter(word for cue in cues for word in cue.text.split(" "))


@st.composite
def crowds(draw: st.DrawFn) -> Story:
    """Up to three speakers, one of them nameless, who talk within a few seconds, with tones beside it."""
    events: list[DurableEvent] = []
    for _ in range(draw(st.integers(1, 12))):
        start, length = draw(st.integers(0, 10_000)), draw(st.integers(0, 12_000))
        where = (start / 1_000, (start + length) / 1_000)
        who = draw(st.sampled_from(["Speaker A", "Speaker B", None]))
        if draw(st.booleans()):
            label = draw(st.sampled_from(["Calm", "Tense"]))
            events.append(tone(*where, label, speaker_id=who))
            continue
        marks = sorted(draw(st.lists(st.integers(start, start + length), min_size=2, max_size=30)))
        timed = [(f"w{n}", a / 1_000, b / 1_000) for n, (a, b) in enumerate(itertools.pairwise(marks))]
        text = " ".join(word for word, _, _ in timed)
        given = words(*timed) if draw(st.booleans()) else None
        events.append(said(*where, text, speaker_id=who, words=given))
    return story(*events)


@given(stories() | crowds())
def test_cues_of_a_row_follow_each_other(told: Story) -> None:
    """All are in order, and each is over when the next of its row begins, or as soon as it could be read."""
    cues = list(captions(told, ALL))
    assert [cue.start_ms for cue in cues] == sorted(cue.start_ms for cue in cues)
    for row in rows(cues):
        for one, following in itertools.pairwise(row):
            assert one.end_ms <= following.start_ms or one.end_ms - one.start_ms == SHORTEST_MS


@given(stories() | crowds())
def test_a_cue_is_short_only_where_the_next_one_of_its_row_follows(told: Story) -> None:
    """Nobody else cuts it, and what is said meanwhile by the same voice doesn't, either."""
    for row in rows(captions(told, ALL)):
        assert row[-1].end_ms - row[-1].start_ms >= SHORTEST_MS
        for one, following in itertools.pairwise(row):
            assert one.start_ms < one.end_ms
            assert one.end_ms - one.start_ms >= SHORTEST_MS or one.end_ms == following.start_ms


@given(crowds())
def test_each_utterance_begins_when_its_first_word_does(told: Story) -> None:
    """Whoever else talks then."""
    wanted = Counter(
        (event.speaker_id or "", (event.words[0] if event.words else event).start_sample * 1_000 // RATE)
        for event in told.transcripts
    )
    found = Counter(
        (cue.speaker, cue.start_ms) for cue in captions(told, ALL) if cue.text.split(" ")[0] == "w0"
    )
    assert found == wanted


@given(crowds())
def test_who_speaks_is_captioned_as_if_alone(told: Story) -> None:
    """The words and times of a speaker are the same without the others."""
    cues = [cue for cue in captions(told, ALL) if cue.lane is Lane.TRANSCRIPT]
    alone = frozenset((Lane.TRANSCRIPT, Lane.SPEAKER))
    for who in ("Speaker A", "Speaker B", None):
        own = replace(told, events=[one for one in told.transcripts if one.speaker_id == who])
        wanted = [cue for cue in captions(own, alone) if cue.lane is Lane.TRANSCRIPT]
        if any(cue.tone for cue in cues):
            continue  # a tone takes up room
        assert [replace(cue, tone="") for cue in cues if cue.speaker == (who or "")] == wanted


@given(stories() | crowds())
def test_no_word_is_lost_and_lines_have_an_end(told: Story) -> None:
    """All that was said stands in the cues, in two lines or little more where words are long."""
    cues = [cue for cue in captions(told, ALL) if cue.lane is Lane.TRANSCRIPT]
    assert told_words(cues) == Counter(
        word for event in told.transcripts for word in tokens(event.text, LINE_CHARS)
    )
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


def test_who_cuts_in_takes_nothing_away() -> None:
    """Another speaker's words stand beside those of the one who talks on."""
    told = story(
        said(0, 12, " ".join(f"alpha{n}" for n in range(30)), speaker_id="Speaker A"),
        said(2, 4, "Something in between", speaker_id="Speaker B"),
    )
    cues = [(cue.speaker, cue.start_ms, cue.end_ms) for cue in captions(told, ALL)]
    assert cues == [
        ("Speaker A", 0, 4_020),
        ("Speaker B", 2_000, 4_000),
        ("Speaker A", 4_020, 8_220),
        ("Speaker A", 8_220, 12_000),
    ]


def test_windows_that_overlap_are_all_seen() -> None:
    """Of two that begin at the same time, too."""
    told = story(said(0, 2, "one two"), said(0, 2, "one, too"), said(0.5, 2.5, "three four"))
    cues = [(cue.text, cue.start_ms, cue.end_ms) for cue in captions(told, ALL)]
    assert cues == [
        ("one two", 0, SHORTEST_MS),
        ("one, too", 0, SHORTEST_MS),
        ("three four", 500, 2_500),
    ]


def test_tones_of_two_speakers_are_two_rows() -> None:
    """A window in which both were heard cuts neither."""
    told = story(
        *(
            tone(n, n + 1, label, speaker_id=who)
            for n in range(3)
            for who, label in (("A", "Calm"), ("B", "Tense"))
        )
    )
    cues = [(cue.speaker, cue.text, cue.start_ms, cue.end_ms) for cue in captions(told, ALL)]
    assert cues == [("A", "[Calm]", 0, 3_000), ("B", "[Tense]", 0, 3_000)]


def test_keys_that_were_dialled_are_counted_and_not_shown() -> None:
    """They may be a secret."""
    told = story(
        queue(0, 1, QueueLabel.DTMF_TONE, digits="0123#"), queue(2, 3, QueueLabel.DTMF_TONE, digits="7")
    )
    texts = [cue.text for cue in captions(told, ALL)]
    assert texts == ["[dtmf tone, 5 keys]", "[dtmf tone, 1 key]"]


class Looked(int):
    """A sample index that counts how often it is compared."""

    looks = 0

    def __gt__(self, other: int) -> bool:
        Looked.looks += 1
        return int(self) > int(other)

    def __le__(self, other: int) -> bool:
        return not self > other


def test_a_long_tone_below_many_short_ones_costs_little() -> None:
    """Each utterance looks at the tones it shares a stretch with, and not at all that there were."""
    number = 400
    tones = [tone(0, number, "Calm"), *(tone(n, n + 1, "Tense") for n in range(number))]
    looked = [replace(one, end_sample=Looked(one.end_sample)) for one in tones]
    told = story(*looked, *(said(n, n + 1, "word") for n in range(number)), next_sample=number * RATE)
    Looked.looks = 0
    assert len([cue for cue in captions(told, ALL) if cue.lane is Lane.TRANSCRIPT]) == number
    assert Looked.looks < 10 * number
