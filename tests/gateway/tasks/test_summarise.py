"""Summaries: seconds add up, and every figure can be checked by hand."""

import json

import pytest
from hypothesis import given

from gateway.tasks.story import Story
from gateway.tasks.summarise import summarise, write
from protocol.events import QueueLabel, ShiftDirection
from tests.gateway.tasks.kit import gap, queue, said, stories, story, tone


def test_talk_time_and_tones_count_no_second_twice() -> None:
    """Of windows that overlap, each owns what the ones before left."""
    told = story(
        tone(0, 1, "Calm", speaker_id="Speaker A", confidence=0.4),
        tone(0.5, 1.5, "Calm", speaker_id="Speaker A", confidence=0.6),
        tone(1, 2, "Tense", speaker_id="Speaker B"),
        tone(4, 5, "Tense", speaker_id=None),
    )
    summary = summarise(told)
    assert summary["talk_time"] == [
        {"speaker_id": "Speaker A", "seconds": 1.5, "share": 0.5},
        {"speaker_id": None, "seconds": 1.0, "share": 0.3333},
        {"speaker_id": "Speaker B", "seconds": 0.5, "share": 0.1667},
    ]
    assert summary["tones"] == [
        {"label": "Calm", "seconds": 1.5, "share": 0.5, "mean_confidence": 0.467},
        {"label": "Tense", "seconds": 1.5, "share": 0.5, "mean_confidence": 0.5},
    ]
    assert summary["events"] == {"tone": 4}
    assert summary["duration_s"] == 5.0


def test_shifts_are_those_that_moved() -> None:
    """Counted by direction, the largest told one by one in their order."""
    told = story(
        tone(0, 1, shift_direction=ShiftDirection.STABLE, shift_magnitude=0.9),
        tone(1, 2, "Tense", shift_direction=ShiftDirection.ESCALATING, shift_magnitude=0.6),
        tone(2, 3, shift_direction=ShiftDirection.DE_ESCALATING, shift_magnitude=0.7),
        *(
            tone(n, n + 1, shift_direction=ShiftDirection.ESCALATING, shift_magnitude=0.1)
            for n in range(3, 40)
        ),
    )
    shifts = summarise(told)["shifts"]
    assert (shifts["escalating"], shifts["de_escalating"]) == (38, 1)
    assert len(shifts["largest"]) == 20
    assert shifts["largest"][0] == {
        "seq": 2,
        "at_s": 1.0,
        "label": "Tense",
        "speaker_id": None,
        "direction": "escalating",
        "magnitude": 0.6,
    }


@pytest.mark.parametrize(
    ("events", "next_s", "silence"),
    [
        ([tone(0, 2), tone(7, 8)], 10, (2, 7)),
        ([tone(0, 2), tone(5, 6)], 10, (6, 10)),
        ([tone(0, 2), gap(2, 6), tone(7, 8)], 10, (8, 10)),
        ([tone(0, 1), queue(1, 2, QueueLabel.HOLD_MUSIC), tone(6, 7)], 8, (7, 8)),
        ([queue(0, 1, QueueLabel.HOLD_MUSIC)], 15, (11, 15)),
        ([tone(0, 1), queue(3, 4, QueueLabel.SILENCE), tone(6, 7)], 8, (1, 6)),
        ([queue(1, 2, QueueLabel.DTMF_TONE), tone(7, 8)], 8, (2, 7)),
        ([said(0, 10, "all the time")], 10, (0, 0)),
    ],
)
def test_the_longest_silence_is_what_was_listened_to_and_empty(
    events: list[object], next_s: int, silence: tuple[int, int]
) -> None:
    """Neither voice nor music nor signals, and no gap, where nobody knows."""
    told = story(*events, next_sample=next_s * 16_000)  # type: ignore[arg-type]
    start, end = silence
    found = summarise(told)["longest_silence"]
    assert found == {"start_s": start, "end_s": end, "seconds": end - start}


def test_where_nothing_tells_there_is_no_silence() -> None:
    """A session whose events were not wanted was not silent; nobody knows."""
    assert summarise(story(gap(0, 1), next_sample=160_000))["longest_silence"] is None


@given(stories())
def test_shares_add_up_and_the_document_says_the_same(told: Story) -> None:
    """Whatever happened: shares sum to one, or nothing was shared; the JSON is the summary."""
    summary = summarise(told)
    *pauses, document = write(told)
    assert not any(pauses)
    assert json.loads(document) == summary
    for part in ("talk_time", "tones"):
        shares = [one["share"] for one in summary[part]]
        assert sum(shares) == pytest.approx(1.0, abs=0.001) or not any(shares)
    silence = summary["longest_silence"]
    if silence is not None:
        assert 0 <= silence["seconds"] <= summary["duration_s"] + 0.001
