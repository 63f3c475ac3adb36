"""CSV (RFC 4180): one row an event, the same columns always, for a spreadsheet or a data frame.

Text is quoted. Where it begins like a formula it gets an apostrophe in front, since spreadsheets run
formulas out of files; `plain` takes it away again.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.tasks.export.lanes import LANE_OF, Lane
from gateway.tasks.export.text import blank, clean
from gateway.tasks.export.times import decimal
from gateway.tasks.story import Story
from protocol.events import AudioEvent, DurableEvent, Gap, Service, Task, Tone, Transcript

COLUMNS = (
    "seq",
    "type",
    "start_s",
    "end_s",
    "start_sample",
    "end_sample",
    "speaker_id",
    "label",
    "confidence",
    "text",
    "affect",
    "shift_direction",
    "shift_magnitude",
    "valence",
    "arousal",
    "dominance",
    "digits",
    "language",
    "queued_ms",
    "classify_ms",
)
"""The header. `label` is a gap's reason, a service's status and a task's state, too; `text` is what was said,
a tone's sentence in plain words, a service's detail or a task's type. Empty is unknown."""

_FORMULA = re.compile(r"'*[=+\-@\uff1d\uff0b\uff0d\uff20]")
"""How a formula begins, in full width too; apostrophes before it don't make it one."""
_BESIDE = frozenset(("task", "service", "environ", "scene", "accent"))


def write(story: Story, lanes: frozenset[Lane]) -> Iterator[bytes]:
    """The header and the rows by number.

    Events that are in no lane come with all lanes only, transcripts without words not at all.
    """
    yield _row(map(_quoted, COLUMNS))
    for event in story.events:
        if isinstance(event, Transcript) and blank(event.text):
            continue
        lane = LANE_OF.get(type(event)) if isinstance(event, AudioEvent) else None
        beside = lane is None and event.type in _BESIDE and lanes.issuperset(Lane)
        if lane in lanes or beside:
            yield _row(_cells(story, event))


def guarded(text: str) -> str:
    """`text` so that no spreadsheet takes it for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def plain(cell: str) -> str:
    """What `guarded` made the cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _row(cells: Iterable[str]) -> bytes:
    return f"{','.join(cells)}\r\n".encode()


def _cells(story: Story, event: DurableEvent) -> Iterator[str]:
    rate = story.audio.sample_rate
    yield str(event.seq)
    yield _quoted(event.type)
    if isinstance(event, AudioEvent):
        start, end = event.start_sample, event.end_sample
        yield from (decimal(start, rate), decimal(end, rate), str(start), str(end))
    else:
        yield from (f"{event.timestamp:.3f}", f"{event.timestamp:.3f}", "", "")
    said = _said(event)
    for column in COLUMNS[6:]:
        yield _cell(said[column] if column in said else getattr(event, column, None))


def _said(event: DurableEvent) -> Mapping[str, Any]:
    """What stands in columns of another name."""
    match event:
        case Tone():
            return {"text": event.subtext}
        case Gap():
            return {"label": event.reason}
        case Service():
            return {"label": event.status, "text": event.detail}
        case Task():
            return {"label": event.state, "text": event.task_type}
        case _:
            return {}


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return _quoted(guarded(clean(value))) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
