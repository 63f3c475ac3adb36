"""Small independent readers of subtitles, after the formats' own rules and not after the code that writes."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

_VTT_TIME = r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})"
_VTT_TIMING = re.compile(rf"{_VTT_TIME} --> {_VTT_TIME}\Z", re.ASCII)
_SRT_TIME = r"(\d{2,}):([0-5]\d):([0-5]\d),(\d{3})"
_SRT_TIMING = re.compile(rf"{_SRT_TIME} --> {_SRT_TIME}\Z", re.ASCII)
_VOICE = re.compile(r"<v ([^>\n]+)>(.*)</v>\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ReadCue:
    """A cue as a player sees it."""

    name: str
    start_ms: int
    end_ms: int
    payload: str
    """As it stands in the file."""

    @property
    def voice(self) -> str:
        """Who speaks, by the voice tag."""
        found = _VOICE.match(self.payload)
        return html.unescape(found[1]) if found else ""

    @property
    def text(self) -> str:
        """What is shown, on one line; what is still markup is a failure of the one who wrote it."""
        found = _VOICE.match(self.payload)
        inner = found[2] if found else self.payload
        assert "<" not in inner, inner
        assert ">" not in inner, inner
        return html.unescape(inner).replace("\n", " ")


@dataclass(frozen=True, slots=True)
class ReadVtt:
    """A whole file."""

    notes: list[str]
    cues: list[ReadCue]


def read_vtt(data: bytes) -> ReadVtt:
    """WebVTT, strictly: blocks are parted by blank lines, an arrow stands in timing lines only."""
    text = data.decode("utf-8")
    assert re.search("[\r\x00\u2028\u2029\x85\x0b\x0c]", text) is None
    assert text.endswith("\n\n")
    head, *blocks = text.removesuffix("\n\n").split("\n\n")
    assert head == "WEBVTT"
    notes, cues = [], []
    for block in blocks:
        lines = block.split("\n")
        assert all(lines), f"an empty line in {block!r}"
        if lines[0].split(" ")[0] == "NOTE":
            assert "-->" not in block
            notes.append(block.removeprefix("NOTE").lstrip("\n "))
            continue
        assert sum("-->" in line for line in lines) == 1
        timing = _VTT_TIMING.match(lines[1])
        assert timing is not None, block
        cues.append(ReadCue(lines[0], *_span(timing.groups()), "\n".join(lines[2:])))
    assert len({cue.name for cue in cues}) == len(cues)
    assert [cue.start_ms for cue in cues] == sorted(cue.start_ms for cue in cues)
    return ReadVtt(notes, cues)


def read_srt(data: bytes) -> Iterator[ReadCue]:
    """SubRip, strictly: numbered from 1, blocks parted by blank lines."""
    text = data.decode("utf-8")
    blocks = text.removesuffix("\n\n").split("\n\n") if text else []
    for number, block in enumerate(blocks, 1):
        lines = block.split("\n")
        assert lines[0] == str(number)
        timing = _SRT_TIMING.match(lines[1])
        assert timing is not None, block
        assert len(lines) > 2
        assert all(lines), f"an empty line in {block!r}"
        yield ReadCue(lines[0], *_span(timing.groups()), " ".join(lines[2:]))


def _span(digits: tuple[str, ...]) -> tuple[int, int]:
    start, end = _ms(digits[:4]), _ms(digits[4:])
    assert start < end, "a cue of no length"
    return start, end


def _ms(digits: tuple[str, ...]) -> int:
    hours, minutes, seconds, ms = map(int, digits)
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000 + ms
