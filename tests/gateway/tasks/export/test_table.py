"""CSV: any reader gets the same table, and no spreadsheet runs it."""

import csv
import io
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.tasks.export.formats import export
from gateway.tasks.export.lanes import Lane
from gateway.tasks.export.table import COLUMNS, guarded, plain
from gateway.tasks.export.text import clean
from gateway.tasks.story import Story
from protocol.events import Gap, Transcript
from tests.gateway.tasks.kit import TEXT, gap, said, stories, story, tone


def rows(data: bytes) -> list[dict[str, str]]:
    """The table, by the standard library's reader."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))


def test_the_header_is_fixed_and_a_row_says_all() -> None:
    """Whatever was heard, the columns are the same; seconds have three decimals, samples are exact."""
    data = export(story(tone(0, 1, "Tense", subtext="Hm.", arousal=0.75), gap(1, 1.5)), "csv")
    assert data.splitlines()[0].decode() == ",".join(f'"{name}"' for name in COLUMNS)
    first, second = rows(data)
    assert (first["type"], first["start_s"], first["end_s"]) == ("tone", "0.000", "1.000")
    assert (first["label"], first["confidence"], first["text"]) == ("Tense", "0.5", "Hm.")
    assert (first["arousal"], first["valence"]) == ("0.75", "")
    assert (second["type"], second["label"], second["end_sample"]) == ("gap", "overload", "24000")


@given(stories())
def test_every_event_is_read_back(told: Story) -> None:
    """Each in its row, hostile text in its cell, samples and scores to the last digit."""
    found = rows(export(told, "csv"))
    events = [one for one in told.events if one in told.transcripts or not isinstance(one, Transcript)]
    assert [int(row["seq"]) for row in found] == [event.seq for event in events]
    for row, event in zip(found, events, strict=True):
        assert None not in row
        assert row["type"] == event.type
        start = getattr(event, "start_sample", None)
        assert row["start_sample"] == ("" if start is None else str(start))
        label = event.reason if isinstance(event, Gap) else getattr(event, "label", None)
        if label is not None:
            assert plain(row["label"]) == clean(label)
        if (confidence := getattr(event, "confidence", None)) is not None:
            assert float(row["confidence"]) == confidence
    words = [plain(row["text"]) for row in found if row["type"] == "transcript"]
    assert words == [clean(event.text) for event in told.transcripts]


@given(stories())
def test_no_cell_is_a_formula(told: Story) -> None:
    """What begins with `=`, `+`, `-` or `@` is a number, or it has an apostrophe in front."""
    for row in rows(export(told, "csv")):
        for cell in row.values():
            assert not re.match(r"[=+\-@＝＋－＠\t\r\n]", cell) or re.fullmatch(r"-?\d[\d.e+-]*", cell)


@given(TEXT | st.from_regex(r"'*[=+@-].*"))
def test_the_guard_is_taken_away_again(text: str) -> None:
    """Text with apostrophes of its own too."""
    assert plain(guarded(text)) == text


def test_lanes_can_be_left_out() -> None:
    """Only the rows of the lanes that are wanted."""
    told = story(tone(0, 1), said(0, 1, "Hello"), gap(1, 2))
    data = export(told, "csv", frozenset((Lane.TRANSCRIPT, Lane.GAP)))
    assert [row["type"] for row in rows(data)] == ["transcript", "gap"]
