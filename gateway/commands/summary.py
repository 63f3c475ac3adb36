"""What is told at the end of a session: the counts that add up, and how soon events came."""

import math
from collections.abc import Sequence

from rich.text import Text

from gateway.commands.words import Glyphs, clean, clock
from protocol import events as ev
from protocol.audio import AudioFormat

_LABEL = 12


def summary_lines(
    summary: ev.Summary, audio: AudioFormat, delays_s: Sequence[float], glyphs: Glyphs
) -> list[Text]:
    """The closing block. `delays_s`: seconds from the end of an event's audio to its arrival, if known."""
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
    lines = [Text(" Summary", style="bold")]
    lines += [Text(f"   {label:<{_LABEL}}", style="").append(clean(value)) for label, value in rows]
    if summary.record_truncated:
        lines.append(Text("   The session's record is incomplete: it reached its bound.", style="yellow"))
    return lines


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
