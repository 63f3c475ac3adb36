"""Connections lost or held up on the way, by accident or on purpose, and what is told of them."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from protocol.audio import AudioFormat
from protocol.client import Client
from protocol.events import Summary, Welcome


class Chaos:
    """Cuts a connection on purpose, about every `every_s` seconds; the same `seed` gives the same pauses."""

    def __init__(
        self,
        every_s: float,
        seed: int | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._every_s = every_s
        self._random = random.Random(seed)
        self._sleep = sleep
        self.cuts = 0

    async def run(self, client: Client) -> None:
        """Cut `client` again and again; one that is away already is left alone."""
        while True:
            await self._sleep(self._every_s * self._random.uniform(0.5, 1.5))
            if not client.away:
                client.drop()
                self.cuts += 1


class Interruptions:
    """Turns what a client went through into words; says each thing once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told_away = False
        self._lost_samples = 0

    def look(self) -> str | None:
        """A line where the connection has been lost since the last look."""
        away = self._client.away
        new, self._told_away = away and not self._told_away, away
        return "connection lost, trying again" if new else None

    def back(self, welcome: Welcome) -> str:
        """A line for the first event of another connection."""
        lost, self._lost_samples = self._client.lost_samples - self._lost_samples, self._client.lost_samples
        missing = []
        if not welcome.recovered:
            missing.append("some events can't be had again")
        if lost:
            missing.append(f"{_seconds(lost, welcome.audio)} of audio could not be kept")
        return "reconnected, " + (" and ".join(missing) or "nothing missed")

    def report(self, cuts: int | None, summary: Summary | None) -> str:
        """A line for the end, `cuts` of the losses made on purpose; empty where there is nothing to say.

        Without a `summary` nobody knows what was missed.
        """
        client = self._client
        if cuts is None and not client.resumes and not client.lost_samples:
            return ""
        missing = []
        if client.missed:
            missing.append(f"{client.missed} event{'s' if client.missed > 1 else ''}")
        gaps = max(client.lost_samples, summary.gap_samples if summary is not None else 0)
        if gaps:
            missing.append(f"{_seconds(gaps, client.audio)} of audio")
        if cuts is None and not client.resumes:
            told = "held up on the way"
        else:
            lost = f"cut {_times(cuts)} on purpose" if cuts is not None else "lost on the way"
            told = f"{lost}, reconnected {_times(client.resumes)}"
        if summary is None and not missing:
            return told
        return f"{told}; {' and '.join(missing) or 'nothing'} missed"


def _seconds(samples: int, audio: AudioFormat) -> str:
    return f"{audio.seconds(samples):.1f} s"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
