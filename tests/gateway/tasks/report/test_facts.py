"""What is told of a session, before it is drawn or written."""

import pytest

from gateway.tasks.report.facts import MOST_MOMENTS, MOST_SPEAKERS, Facts
from gateway.tasks.report.spans import Span
from protocol.events import QueueLabel, ShiftDirection, SpeakerLabel, Tone
from tests.gateway.tasks.report.stories import RATE, at, call, counts, gap, queue, said, speaker, story, tone


def test_tones_of_one_kind_and_speaker_are_one_stretch() -> None:
    """A pause, another label and another speaker each begin a new one."""
    events = [
        tone(0, confidence=0.2),
        tone(1, confidence=0.4),
        tone(3),
        tone(4, "Tense"),
        tone(5, "Tense", speaker_id="B"),
    ]
    found = Facts.of(story(events)).stretches
    assert [(one.span.start_s, one.span.end_s, one.label, one.speaker) for one in found] == [
        (0, 2, "Calm", None),
        (3, 4, "Calm", None),
        (4, 5, "Tense", None),
        (5, 6, "Tense", "B"),
    ]
    assert found[0].confidence == pytest.approx(0.3)


def test_overlapping_windows_count_their_time_once() -> None:
    """A hop of half a window does not double a tone's time."""
    events = [Tone(**at(start / 2, start / 2 + 1), label="Calm", confidence=0.5) for start in range(9)]
    ((label, seconds, mean),) = Facts.of(story(events)).shares
    assert (label, round(seconds, 6), round(mean, 6)) == ("Calm", 5.0, 0.5)


def test_speakers_have_the_time_of_their_tones() -> None:
    """Turns join where they follow each other; who only speaks in the transcript is there, too."""
    events = [
        tone(0, speaker_id="A"),
        tone(1, speaker_id="A"),
        tone(2, speaker_id="B"),
        tone(4, speaker_id="A"),
    ]
    voices = Facts.of(story([*events, said(0, 2, "yes", "A"), said(5, 6, "no", "C")])).voices
    assert [(one.name, one.seconds, len(one.spans), one.utterances) for one in voices] == [
        ("A", 3.0, 2, 1),
        ("B", 1.0, 1, 0),
        ("C", 0, 0, 1),
    ]


def test_without_tones_a_turn_lasts_until_the_next() -> None:
    """Speaker events are told at changes only."""
    events = [speaker(0, "A"), speaker(5, None, SpeakerLabel.NO_SPEAKER), speaker(8, "B")]
    voices = Facts.of(story(events)).voices
    assert [(one.name, one.seconds) for one in voices] == [("A", 5.0), ("B", 1.0)]


def test_more_speakers_than_fit_are_counted() -> None:
    """Those beyond the bound are told by their number."""
    facts = Facts.of(story([tone(number, speaker_id=f"S{number}") for number in range(20)]))
    assert (len(facts.voices), facts.nameless) == (MOST_SPEAKERS, 20 - MOST_SPEAKERS)


def test_a_state_of_the_call_told_again_in_time_went_on() -> None:
    """Repeats every ten seconds join; a voice in between, a long silence or another state part them."""
    music = QueueLabel.HOLD_MUSIC
    events = [queue(start, start + 1, music) for start in (0, 10, 20, 60, 70)]
    facts = Facts.of(story([*events, tone(65), queue(72, 73, QueueLabel.BUSY)]))
    assert [(call.name, call.span.start_s, call.span.end_s) for call in facts.calls] == [
        ("hold music", 0, 21),
        ("hold music", 60, 61),
        ("hold music", 70, 71),
        ("busy tone", 72, 73),
    ]


def test_the_clearest_changes_are_moments() -> None:
    """Small and steady shifts are none, close ones give way to the clearest, and they are in order."""
    up, down = ShiftDirection.ESCALATING, ShiftDirection.DE_ESCALATING
    events = [
        tone(0, shift_direction=up, shift_magnitude=0.3),
        tone(2, shift_direction=up, shift_magnitude=0.5),
        tone(20, shift_direction=ShiftDirection.STABLE, shift_magnitude=0.9),
        tone(30, shift_direction=down, shift_magnitude=0.9),
        tone(40, shift_direction=up, shift_magnitude=0.1),
        tone(50, shift_direction=up, shift_magnitude=None),
    ]
    assert [one.span.start_s for one in Facts.of(story(events)).moments] == [2, 30]
    many = [tone(10 * number, shift_direction=up, shift_magnitude=0.5) for number in range(50)]
    assert len(Facts.of(story(many)).moments) == MOST_MOMENTS


def test_what_a_truncated_record_lacks_is_known() -> None:
    """From the last event on record to the end of the audio."""
    facts = Facts.of(story([tone(0), tone(1)], counts(10 * RATE), truncated=True))
    assert facts.missing == Span(2, 10)
    assert Facts.of(story([tone(0)], counts(10 * RATE))).missing is None


def test_the_end_is_that_of_the_audio_or_of_the_last_event() -> None:
    """A session that failed has no counts, and is as long as what is known of it."""
    assert Facts.of(story([gap(3, 4)], {})).extent_s == 4
    assert Facts.of(call()).extent_s == call().duration_s


def test_an_utterance_has_the_tone_that_fills_most_of_it() -> None:
    """Told by the clearest tone of that label."""
    facts = Facts.of(
        story([tone(0, "Tense", 0.6), tone(1, "Calm", 0.1), tone(2, "Calm", 0.3), tone(3, "Tense")])
    )
    found = facts.during(Span(0.5, 3.2))
    assert found is not None
    assert (found.label, found.confidence) == ("Calm", 0.3)
    assert facts.during(Span(8, 9)) is None
    assert facts.during(Span(2, 2)) is None
