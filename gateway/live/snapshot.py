"""Where a session stands, so that another node can go on with it exactly there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgpack  # type: ignore[import-untyped]

from gateway.classify.port import AnalysisState
from gateway.errors import BadDocument
from protocol.labels import GapReason

VERSION: Final = 1
"""Of what is packed; a greater one was written by a newer gateway."""

Span: TypeAlias = tuple[int, int, GapReason]
"""Samples [start, end) and why they were not classified."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Taken between two events: what was said before it is said, what comes after it is not."""

    sample: int
    """Every sample before it is classified or declared in a gap, and that was said."""
    wanted_from: int
    """Where audio is wanted from: `sample`, or earlier for the next window and for words not told yet."""
    classified_samples: int
    """Before `sample`."""
    gaps: Mapping[GapReason, int] = field(default_factory=dict)
    """Samples before `sample` by reason."""
    ahead: tuple[Span, ...] = ()
    """Gaps beyond `sample` that were said already, in order."""
    analysis: AnalysisState = field(default_factory=dict, repr=False)
    """The classifier's, after the last window before `sample`."""
    speakers: tuple[str, ...] = ()
    turns: tuple[tuple[int, str], ...] = ()
    """Who began to speak where."""
    line: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """As of `Line.save`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Events said, by type."""
    traffic: tuple[int, int, int] = (0, 0, 0)
    """Chunks received, chunks processed, messages."""
    told_to: int = 0
    """Words before this sample are told, or were given up: what is heard again of them says nothing."""

    def packed(self) -> bytes:
        """In msgpack."""
        packed: bytes = msgpack.packb(
            {
                "v": VERSION,
                "sample": self.sample,
                "wanted_from": self.wanted_from,
                "classified": self.classified_samples,
                "gaps": dict(self.gaps),
                "ahead": self.ahead,
                "analysis": self.analysis,
                "speakers": self.speakers,
                "turns": self.turns,
                "line": self.line,
                "counts": self.counts,
                "traffic": self.traffic,
                "told_to": self.told_to,
            }
        )
        return packed

    def tally(self) -> dict[str, int]:
        """By the names of the statistics; nothing is pending in a snapshot."""
        received, processed, messages = self.traffic
        gaps, client = sum(self.gaps.values()), self.gaps.get(GapReason.CLIENT, 0)
        return {
            "message_count": messages,
            "audio_chunks_received": received,
            "audio_chunks_processed": processed,
            "next_sample": self.sample,
            "received_samples": self.sample - client,
            "classified_samples": self.classified_samples,
            "gap_samples": gaps,
            "client_gap_samples": client,
            "pending_samples": 0,
        }

    @classmethod
    def unpack(cls, packed: bytes) -> "Snapshot":
        """The one that was packed.

        Raises:
            BadDocument: it is damaged, or newer than this gateway.
        """
        try:
            said = msgpack.unpackb(packed)
            version = said["v"]
            if version > VERSION:
                raise BadDocument(f"a snapshot has version {version}, this gateway knows {VERSION}")
            found = cls(
                sample=said["sample"],
                wanted_from=said["wanted_from"],
                classified_samples=said["classified"],
                gaps={GapReason(reason): count for reason, count in said["gaps"].items()},
                ahead=tuple((start, end, GapReason(reason)) for start, end, reason in said["ahead"]),
                analysis=said["analysis"],
                speakers=tuple(said["speakers"]),
                turns=tuple((since, who) for since, who in said["turns"]),
                line=said["line"],
                counts=said["counts"],
                traffic=tuple(said["traffic"]),
                told_to=said.get("told_to", 0),  # older ones say nothing of it
            )
            plausible = found._plausible()
        except (ValueError, TypeError, KeyError, AttributeError, msgpack.UnpackException) as error:
            raise BadDocument("a snapshot is damaged") from error
        if not plausible:
            raise BadDocument("a snapshot does not add up")
        return found

    def _plausible(self) -> bool:
        settled = self.classified_samples + sum(self.gaps.values())
        starts = [self.sample, *(end for _, end, _ in self.ahead)]
        in_order = all(at <= start < end for at, (start, end, _) in zip(starts, self.ahead, strict=False))
        return 0 <= self.wanted_from <= self.sample == settled and in_order
