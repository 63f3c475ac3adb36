"""Every format there is, by name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.tasks.export import document, labels, plain, srt, table, vtt
from gateway.tasks.export.lanes import ALL, Lane
from gateway.tasks.story import Story


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a story down."""

    write: Callable[[Story, frozenset[Lane]], Iterator[bytes]]
    """Yields the file in pieces of a few events at most."""
    media_type: str
    suffix: str
    """How the file's name ends."""
    takes_lanes: bool = True
    """Lanes can be left out; else the record is written as it is."""
    lanes: frozenset[Lane] = ALL
    """Written unless somebody chooses."""


_TEXT = "text/plain; charset=utf-8"

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "json": Format(document.write_json, "application/json", "json", takes_lanes=False),
        "jsonl": Format(document.write_jsonl, "application/jsonl", "jsonl", takes_lanes=False),
        "csv": Format(table.write, "text/csv; charset=utf-8; header=present", "csv"),
        "vtt": Format(vtt.write_captions, "text/vtt; charset=utf-8", "vtt"),
        "vtt_metadata": Format(vtt.write_metadata, "text/vtt; charset=utf-8", "vtt"),
        "srt": Format(srt.write, "application/x-subrip; charset=utf-8", "srt"),
        "txt": Format(plain.write, _TEXT, "txt"),
        "audacity": Format(labels.write, _TEXT, "txt"),
    }
)


def export(story: Story, name: str, lanes: frozenset[Lane] = ALL) -> bytes:
    """The whole file at once.

    Raises:
        KeyError: there is no format of this name.
    """
    return b"".join(FORMATS[name].write(story, lanes))
