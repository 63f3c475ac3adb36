"""What is told at the end of a session: the counts that add up, and how soon events came."""

import math
import textwrap
from collections.abc import Sequence

from rich.text import Text

from gateway.commands.picture import Picture
from gateway.commands.words import Glyphs, clean, clock
from protocol import events as ev
from protocol.audio import AudioFormat

_LABEL = 12
_MIN_VALUE = 16
"""Columns of a value, however narrow the window"""


def closing_lines(
    picture: Picture, delays_s: Sequence[float], glyphs: Glyphs, width: int | None, connection: str = ""
) -> list[Text]:
    """The block at the end of a session: its summary, or what is known where none came.

    `delays_s`: seconds from the end of an event's audio to its arrival, if known. `width`: columns; None for
    a stream without such a thing. `connection`: how it fared, where anything happened to it.
    """
    if picture.audio is None:
        return []
    if picture.summary is None:
        title, rows = " So far", _rows_so_far(picture)
    else:
        title, rows = " Summary", _rows(picture.summary, picture.audio, delays_s, glyphs)
    if connection:
        rows.append(("Connection", connection))
    if not rows:
        return []
    lines = [Text(title, style="bold"), *(line for row in rows for line in _wrapped(*row, width))]
    if picture.missing:
        told = f"Words missing in places: {'; '.join(picture.missing)}"
        lines += [Text(line, style="yellow") for line in _fill(told, width, " " * 3)]
    if picture.summary is not None and picture.summary.record_truncated:
        told = "The session's record is incomplete: it reached its bound."
        lines += [Text(line, style="yellow") for line in _fill(told, width, " " * 3)]
    return lines


def _rows(
    summary: ev.Summary, audio: AudioFormat, delays_s: Sequence[float], glyphs: Glyphs
) -> list[tuple[str, str]]:
    rows = [
        ("Audio", _samples(summary.next_sample, audio)),
        ("Classified", _samples(summary.classified_samples, audio)),
        ("Gaps", _samples(summary.gap_samples, audio) + _sent_by(summary)),
        ("Accounts", _identity(summary, glyphs)),
        ("Events", _events(summary)),
        ("Speakers", ", ".join(summary.speakers) or "none told apart"),
    ]
    if delays_s:
        rows.append(("Delay", _delays(delays_s)))
    return rows


def _rows_so_far(picture: Picture) -> list[tuple[str, str]]:
    """What the last report said; an observer gets none, and only knows how far the events went."""
    assert picture.audio is not None
    flow, audio = picture.flow, picture.audio
    if flow is not None:
        rows = [("Received", _samples(flow.received, audio)), ("Settled", _samples(flow.classified, audio))]
    elif picture.any_event:
        rows = [("Last event", "at " + clock(picture.position_s, tenths=True))]
    else:
        return []
    if picture.gap_samples:
        rows.append(("Gaps", _samples(picture.gap_samples, audio)))
    return rows


def _wrapped(label: str, value: str, width: int | None) -> list[Text]:
    return [Text(line) for line in _fill(value, width, " " * (3 + _LABEL), f"   {label:<{_LABEL}}")]


def _fill(told: str, width: int | None, indent: str, first: str | None = None) -> list[str]:
    """`told` in lines of whole words, indented; nothing in it may steer the terminal."""
    first = indent if first is None else first
    if width is None:
        return [first + clean(told)]
    room = max(len(indent) + _MIN_VALUE, width)
    return textwrap.wrap(
        clean(told), room, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def adds_up(summary: ev.Summary) -> bool:
    """The accounting identity of the protocol, with nothing pending."""
    settled = summary.classified_samples + summary.gap_samples
    return summary.next_sample == settled and summary.pending_samples == 0


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile (`share` 0 to 1) of at least one value."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def _samples(samples: int, audio: AudioFormat) -> str:
    return f"{clock(audio.seconds(samples), tenths=True):<9} {samples:,} samples"


def _sent_by(summary: ev.Summary) -> str:
    if not summary.client_gap_samples:
        return ""
    return f"  ({summary.client_gap_samples:,} of them never sent)"


def _identity(summary: ev.Summary, glyphs: Glyphs) -> str:
    counts = f"{summary.classified_samples:,} + {summary.gap_samples:,}"
    if adds_up(summary):
        return f"{glyphs.check} classified + gaps = audio: {counts} = {summary.next_sample:,}"
    return f"! classified + gaps is not audio: {counts} against {summary.next_sample:,}; please report this"


def _events(summary: ev.Summary) -> str:
    told = [f"{count} {kind}" for kind, count in summary.events.items() if count]
    return ", ".join(told) or "none"


def _delays(delays_s: Sequence[float]) -> str:
    median, high = percentile(delays_s, 0.5), percentile(delays_s, 0.95)
    return f"median {median * 1000:.0f} ms, p95 {high * 1000:.0f} ms after the audio"
