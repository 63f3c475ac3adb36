"""Small wordings and glyphs that the live view, the plain lines and the reports share."""

from dataclasses import dataclass

from protocol import events as ev
from protocol.audio import AudioEncoding, AudioFormat

_ENCODINGS = {AudioEncoding.PCM_F32LE: "float", AudioEncoding.MULAW: "µ-law", AudioEncoding.ALAW: "A-law"}
_SPEAKERS: dict[str, str] = {
    "human_single": "somebody",
    "human_multi": "several people",
    "ivr_synth": "a machine",
    "no_speaker": "nobody",
    "transfer": "a transfer",
}
QUEUE_WORDS: dict[str, str] = {"dtmf_tone": "dialling", "ringback": "ringing"}
_CHANNELS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs drawn, for terminals that can show them and for those that can't."""

    full: str
    rest: str
    done: str
    todo: str
    dot: str
    between: str
    up: str
    down: str
    level: str
    gap: str
    queue: dict[str, str]
    """Queue label → one cell of the timeline"""
    dash: str
    check: str
    more: str


UNICODE = Glyphs(
    full="█",
    rest="░",
    done="━",
    todo="─",
    dot="·",
    between="·",
    up="↗",
    down="↘",
    level="→",
    gap="×",
    queue={
        "hold_music": "♪",
        "ringback": "~",
        "busy": "!",
        "dtmf_tone": "#",
        "silence": "_",
        "dead_air": "=",
    },
    dash="—",
    check="✓",
    more="…",
)
ASCII = Glyphs(
    full="#",
    rest=".",
    done="=",
    todo="-",
    dot=".",
    between="|",
    up="/",
    down="\\",
    level="-",
    gap="x",
    queue={**UNICODE.queue, "hold_music": "m"},
    dash="-",
    check="ok:",
    more="...",
)


def glyphs_for(encoding: str | None) -> Glyphs:
    """The signs that a stream of this text encoding can carry."""
    try:
        "█░━♪↗✓…".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def clean(text: str) -> str:
    """`text` with a space for each character that could steer a terminal; as long as before."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def clock(seconds: float, *, tenths: bool = False) -> str:
    """Minutes and seconds: `1:05`, `1:05.3`, `1:02:03`."""
    ticks = round(seconds * 10) if tenths else int(seconds) * 10
    whole, tenth = divmod(max(0, ticks), 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{text}.{tenth}" if tenths else text


def audio_words(audio: AudioFormat) -> str:
    """`16 kHz mono`, `44.1 kHz stereo float`."""
    words = [f"{audio.sample_rate / 1000:g} kHz", _CHANNELS[audio.channels], _ENCODINGS.get(audio.encoding)]
    return " ".join(word for word in words if word)


def humanised(label: str) -> str:
    """A label of the wire for people: `hold_music` → `hold music`."""
    return label.replace("_", " ").strip()


def speaker_words(event: ev.Speaker) -> str:
    """Who is heard, for people."""
    return event.speaker_id or _SPEAKERS.get(event.label, humanised(event.label))


def queue_words(event: ev.Queue) -> str:
    """A queue state for people."""
    return QUEUE_WORDS.get(event.label, humanised(event.label))


def shift_glyph(direction: str | None, glyphs: Glyphs) -> str:
    """The arrow of a shift; empty where there is none to tell."""
    arrows = {"escalating": glyphs.up, "de-escalating": glyphs.down, "stable": glyphs.level}
    return arrows.get(direction or "", "")


def bar(share: float, width: int, glyphs: Glyphs) -> tuple[str, str]:
    """A bar of `width` cells as its filled and its empty part."""
    filled = round(min(1.0, max(0.0, share)) * width)
    return glyphs.full * filled, glyphs.rest * (width - filled)
