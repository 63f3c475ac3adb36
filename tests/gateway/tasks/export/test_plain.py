"""Transcripts to read, and Audacity's labels: one line for each thing, whatever the text."""

import re

import pytest
from hypothesis import given

from gateway.tasks.export.formats import FORMATS, export
from gateway.tasks.export.lanes import ALL, Lane, in_lanes
from gateway.tasks.export.text import clean
from gateway.tasks.story import Story
from protocol.events import QueueLabel, Transcript
from tests.gateway.tasks.kit import RATE, gap, queue, said, stories, story, tone

SHARED = ("vtt", "srt", "txt", "audacity")
"""Formats that are made to be shown to others."""


def test_a_transcript_reads_like_one() -> None:
    """Who said what when, tones where they change, gaps with their length."""
    told = story(
        tone(0, 1, "Calm", speaker_id="Speaker A"),
        said(0.5, 2, "Good\nmorning", speaker_id="Speaker A"),
        tone(1, 2, "Calm", speaker_id="Speaker A"),
        gap(2, 2.25),
    )
    assert export(told, "txt").decode() == (
        "Undertone session ssssssss\n"
        "2023-11-14T22:13:20Z, 00:00:02.250 of audio, closed\n"
        "\n"
        "[00:00:00.000] (Calm 0.50, Speaker A)\n"
        "[00:00:00.500] Speaker A: Good morning\n"
        "[00:00:02.000] (not analysed: overload, 0.250 s)\n"
    )


@pytest.mark.parametrize("name", ["txt", "audacity", "csv", "vtt_metadata", "vtt", "srt"])
@pytest.mark.parametrize("text", ["", " \n\t ", "\u2028\u00a0", "\x00\ufeff"])
def test_what_says_nothing_is_left_out(name: str, text: str) -> None:
    """A blank transcript makes no line, label, row or cue."""
    nothing = export(story(tone(0, 1), next_sample=RATE), name)
    blank = said(0, 1, text, speaker_id="Speaker A")
    assert export(story(tone(0, 1), blank, next_sample=RATE), name) == nothing


@pytest.mark.parametrize(("name", "shown"), [(name, name not in SHARED) for name in FORMATS])
def test_dialled_keys_are_in_data_only(name: str, shown: bool) -> None:
    """They may be a secret: what is made to be read and passed on tells how many they were."""
    data = export(story(queue(0, 1, QueueLabel.DTMF_TONE, digits="4711")), name).decode()
    assert ("4711" in data) == shown
    assert ("dtmf tone, 4 keys" in data) == (not shown)


@given(stories())
def test_a_transcript_has_a_line_for_every_utterance(told: Story) -> None:
    """With all its words; no text makes a line of its own."""
    data = export(told, "txt", frozenset((Lane.TRANSCRIPT,)))
    _, _, body = data.decode().partition("\n\n")
    said_in_order = [event for _, event in in_lanes(told, ALL) if isinstance(event, Transcript)]
    lines = body.split("\n")[:-1]
    assert [line.partition("] ")[2] for line in lines] == [clean(event.text) for event in said_in_order]


@given(stories())
def test_every_label_is_read_back(told: Story) -> None:
    """Three fields parted by tabs: start and end in seconds to the microsecond, and a text."""
    lines = export(told, "audacity").decode().split("\n")[:-1]
    events = [event for _, event in in_lanes(told, ALL)]
    for line, event in zip(lines, events, strict=True):
        start, end, label = line.split("\t")
        assert re.fullmatch(r"\d+\.\d{6}", start)
        assert abs(float(start) - told.seconds(event.start_sample)) < 1e-6
        assert abs(float(end) - told.seconds(event.end_sample)) < 1e-6
        assert label.startswith(f"{event.type}: ")


@given(stories())
def test_pieces_are_small_in_every_format(told: Story) -> None:
    """Writing can pause often: there are about as many pieces as there is to tell."""
    for chosen in FORMATS.values():
        pieces = list(chosen.write(told, chosen.lanes))
        assert all(len(piece) < 65_536 for piece in pieces)
