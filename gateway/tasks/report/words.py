"""How the report words times, shares and labels."""

import math

from gateway.annotate.labels import humanise
from gateway.tasks.report.markup import clean
from protocol.events import GapReason, QueueLabel, ShiftDirection, SpeakerLabel

MOST_NAME_CHARS = 40
"""Of a speaker's name or a label, as `humanise` has it."""

_FAR_S = 1e12
"""Seconds; no session is there to see it."""

QUEUE_WORDS = {
    QueueLabel.HOLD_MUSIC: "hold music",
    QueueLabel.RINGBACK: "ringing",
    QueueLabel.BUSY: "busy tone",
    QueueLabel.DTMF_TONE: "keys dialled",
    QueueLabel.SILENCE: "silence",
    QueueLabel.DEAD_AIR: "dead air",
}
SHORT_QUEUE_WORDS = {
    "hold music": "music",
    "ringing": "ring",
    "busy tone": "busy",
    "keys dialled": "keys",
    "silence": "quiet",
    "dead air": "dead",
}
"""Where there is little room."""
GAP_WORDS = {
    GapReason.CLIENT: "not sent, or sent as something that is no audio",
    GapReason.OVERLOAD: "the gateway was too busy",
    GapReason.CLASSIFIER: "the classifier failed",
    GapReason.DRAIN: "the session or the gateway ended first",
    GapReason.FAILOVER: "the gateway that held the session was lost",
}
SPEAKER_WORDS = {
    SpeakerLabel.HUMAN_SINGLE: "one person",
    SpeakerLabel.HUMAN_MULTI: "several people at once",
    SpeakerLabel.IVR_SYNTH: "a recorded or synthetic voice",
    SpeakerLabel.NO_SPEAKER: "nobody",
    SpeakerLabel.TRANSFER: "a transfer",
}
SHIFT_WORDS = {
    ShiftDirection.ESCALATING: "rising",
    ShiftDirection.DE_ESCALATING: "easing",
    ShiftDirection.STABLE: "steady",
}


def clock(seconds: float, *, tenths: bool = False) -> str:
    """A place on the session's clock: `1:05`, `1:05.3`, `1:02:03`; rounded down."""
    known = min(max(0.0, seconds), _FAR_S) if math.isfinite(seconds) else 0.0
    ticks = math.floor(known * 10 + 1e-6)
    whole, tenth = divmod(ticks, 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{text}.{tenth}" if tenths else text


def length(seconds: float) -> str:
    """How long: `0.4 s`, `12 s`, `5 min 12 s`, `2 h 3 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute} min" if minute else f"{hours} h"
    if minutes:
        return f"{minutes} min {second} s" if second else f"{minutes} min"
    return f"{second} s"


def duration_of(seconds: float) -> str:
    """The same for machines, as `<time datetime>` wants it."""
    return f"PT{max(0.0, seconds):.3f}S"


def percent(share: float) -> str:
    """A share of 0 to 1; what is little is not called nothing, and not quite all is not all."""
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{share * 100:.0f} %"


def score(value: float) -> str:
    """A confidence, never as a percentage: it is no probability."""
    return f"{value:.2f}"


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 gap`, `2 gaps`, `12,000 samples`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(text: str, limit: int = MOST_NAME_CHARS) -> str:
    """`text` on one line, cut where it is longer than `limit` characters."""
    line = " ".join(clean(text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def tone_name(label: str) -> str:
    """A tone's label for people: `Warmly_Impatient` → `Warmly impatient`."""
    readable = short(humanise(label[: 4 * MOST_NAME_CHARS]))
    return readable[:1].upper() + readable[1:] if readable else "Unnamed"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
