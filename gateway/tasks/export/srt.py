"""SubRip captions, for players that know nothing else.

The format has no escapes. What players take for markup (`<i>`, `{\\an8}`) is written with look-alikes, so
that words stay words; whoever needs them exactly takes another format.
"""

from collections.abc import Iterator

from gateway.tasks.export.cues import captions
from gateway.tasks.export.lanes import Lane
from gateway.tasks.export.times import timecode
from gateway.tasks.story import Story

_LOOK_ALIKES = str.maketrans("<>{}", "‹›❴❵")


def write(story: Story, lanes: frozenset[Lane]) -> Iterator[bytes]:
    """Numbered cues; a speaker stands before the first line."""
    for number, cue in enumerate(captions(story, lanes), 1):
        head = f"{cue.speaker}: " if cue.speaker else ""
        text = escaped(head + "\n".join(cue.lines))
        timing = f"{timecode(cue.start_ms, ',')} --> {timecode(cue.end_ms, ',')}"
        yield f"{number}\n{timing}\n{text}\n\n".encode()


def escaped(text: str) -> str:
    """`text` without what a player could take for markup."""
    return text.translate(_LOOK_ALIKES)
