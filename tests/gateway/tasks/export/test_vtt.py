"""WebVTT: whatever was said, a strict reader finds the cues that were meant, and no others."""

import json

from hypothesis import given

from gateway.tasks.export.cues import captions
from gateway.tasks.export.formats import export
from gateway.tasks.export.lanes import ALL, Lane, in_lanes
from gateway.tasks.story import Story
from protocol.events import GapReason, QueueLabel
from tests.gateway.tasks.export.readers import read_vtt
from tests.gateway.tasks.kit import gap, queue, said, stories, story, tone


def test_captions_say_who_speaks_how_and_what_was_heard_instead_of_words() -> None:
    """Voice tags, the tone where it changes, queue states and gaps in brackets, exact values in notes."""
    data = export(
        story(
            tone(0, 1, "Calm", speaker_id="Speaker A"),
            tone(1, 2, "Tense", speaker_id="Speaker A", subtext="Something presses."),
            said(0, 2, "Good morning & welcome", speaker_id="Speaker A"),
            said(2, 3, "Well", speaker_id="Speaker A"),
            queue(3, 4, QueueLabel.HOLD_MUSIC),
            gap(4, 4.5, GapReason.CLIENT),
        ),
        "vtt",
    ).decode()
    assert data.startswith(
        "WEBVTT\n\nNOTE\nUndertone session ssssssss, 2023-11-14T22:13:20Z\n4.500 seconds of audio\n\n"
    )
    assert (
        "transcript-1\n00:00:00.000 --> 00:00:02.000\n"
        "<v Speaker A>[Calm] Good morning &amp; welcome</v>\n\n" in data
    )
    assert "transcript-2\n00:00:02.000 --> 00:00:03.000\n<v Speaker A>Well</v>\n\n" in data
    assert "queue-3\n00:00:03.000 --> 00:00:04.000\n[hold music]\n\n" in data
    assert "gap-4\n00:00:04.000 --> 00:00:04.700\n[not analysed: client]\n\n" in data
    notes = [json.loads(note) for note in read_vtt(data.encode()).notes if note.startswith("{")]
    assert [(note["lane"], note["label"], note["start_s"]) for note in notes] == [
        ("tone", "Calm", 0.0),
        ("tone", "Tense", 1.0),
    ]
    assert notes[1]["subtext"] == "Something presses."


@given(stories())
def test_every_caption_is_read_back_as_it_was_meant(told: Story) -> None:
    """Text, voice and times survive escaping; hostile text makes no cue, note or tag of its own."""
    meant = list(captions(told, ALL))
    read = read_vtt(export(told, "vtt"))
    assert [(cue.start_ms, cue.end_ms) for cue in read.cues] == [(cue.start_ms, cue.end_ms) for cue in meant]
    assert [cue.voice for cue in read.cues] == [cue.speaker for cue in meant]
    assert [cue.text for cue in read.cues] == [" ".join(cue.lines) for cue in meant]
    notes = [json.loads(note) for note in read.notes[1:]]
    in_order = list(in_lanes(told, frozenset((Lane.TONE, Lane.SPEAKER))))
    assert [note["seq"] for note in notes] == [event.seq for _, event in in_order]
    assert [note["label"] for note in notes] == [event.label for _, event in in_order]  # type: ignore[attr-defined]


@given(stories())
def test_metadata_holds_every_event_of_its_lanes(told: Story) -> None:
    """One cue of JSON each, with the exact text; events lie where the samples do."""
    read = read_vtt(export(told, "vtt_metadata"))
    payloads = [json.loads(cue.payload) for cue in read.cues]
    events = [event for _, event in in_lanes(told, ALL)]
    assert [one["seq"] for one in payloads] == [event.seq for event in events]
    for cue, event in zip(read.cues, events, strict=True):
        assert abs(cue.start_ms / 1_000 - told.seconds(event.start_sample)) <= 0.0005 + 1e-9
    texts = [one["text"] for one in payloads if one["lane"] == "transcript"]
    assert sorted(texts) == sorted(one.text for one in told.transcripts)


def test_lanes_can_be_left_out() -> None:
    """Without speakers there are no voices, without tones no brackets and no notes."""
    told = story(tone(0, 1, speaker_id="Speaker A"), said(0, 1, "Hello", speaker_id="Speaker A"))
    read = read_vtt(export(told, "vtt", frozenset((Lane.TRANSCRIPT,))))
    assert [cue.payload for cue in read.cues] == ["Hello"]
    assert len(read.notes) == 1


def test_what_is_missing_is_declared() -> None:
    """A record that reached its bound, or couldn't be read whole, says so at the head."""
    head = read_vtt(export(story(truncated=True, unreadable=2), "vtt")).notes[0]
    assert "later events are missing" in head
    assert "2 events of the record could not be read" in head
