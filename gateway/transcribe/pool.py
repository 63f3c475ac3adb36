"""Who gets a decoder: a bounded number of them, leased per utterance, first come first served.

Synchronous decisions only, on the event loop's thread; a decoder does its own I/O. Decoders are launched
when somebody needs one and kept then. One that dies costs the utterance it was busy with and nothing else;
another is launched in its place when it is needed, unless too many died of late.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gateway.classify.port import Health, HealthStatus
from gateway.clock import Clock
from gateway.transcribe.decoder import Decoder, Partial
from gateway.transcribe.decoder import Final as FinalResult

log = logging.getLogger(__name__)

DECODE_S: Final = 20.0
"""A final that takes longer after the utterance's end isn't waited for: its decoder is replaced."""
LOAD_S: Final = 30.0
"""A decoder that isn't ready by then is replaced."""
DEATHS: Final = 5
DEATHS_WINDOW_S: Final = 60.0
"""So many deaths within so many seconds, and none is launched until the oldest is past."""
FAILED_LOADS: Final = 3
"""So many loads in a row that failed, however long each took: none is expected to succeed any more."""
HELD_BYTES: Final = 32 << 20
"""Audio of all streams together that waits for a decoder: 17 minutes of speech."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an engine is allowed; as it stands, what a small one needs."""

    decode_s: float = DECODE_S
    load_s: float = LOAD_S
    held_bytes: int = HELD_BYTES
    back_off_s: float = 0.0
    """After a death none is launched for so long, and twice as long after each further one of late."""
    kept: int = 0
    """Decoders that are kept loaded, whether somebody speaks or not."""


class Outcome(StrEnum):
    """What became of an utterance."""

    DECODED = "decoded"
    EMPTY = "empty"
    """Decoded, but there were no words in it."""
    NO_DECODER = "no_decoder"
    """None came free in time."""
    OVERFLOW = "overflow"
    """More audio was waiting than may be held."""
    DECODER_DIED = "decoder_died"
    DECODER_STUCK = "decoder_stuck"
    LATE = "late"
    """A flush couldn't wait for it any longer."""
    ABANDONED = "abandoned"
    """Its stream was closed."""


class Claim(Protocol):
    """An utterance, as the pool sees it."""

    @property
    def deadline(self) -> float | None:
        """Monotonic seconds after which it doesn't wait any longer; None while it is being spoken."""
        ...

    def on_granted(self, lease: "Lease") -> None: ...

    def on_partial(self, partial: Partial) -> None: ...

    def on_final(self, final: FinalResult) -> None:
        """The lease is over."""
        ...

    def on_lost(self, outcome: Outcome) -> None:
        """There won't be a result; a lease is over."""
        ...


class _Nobody:
    """Has a result that nobody waits for any more."""

    deadline: float | None = None

    def on_granted(self, lease: "Lease") -> None:
        """It never asks for one."""

    def on_partial(self, partial: Partial) -> None:
        """Ignore it."""

    def on_final(self, final: FinalResult) -> None:
        """Ignore it."""

    def on_lost(self, outcome: Outcome) -> None:
        """Nothing is lost."""


class Lease:
    """The right to a decoder for one utterance."""

    __slots__ = ("_decoder", "_pool", "claim", "due")

    def __init__(self, pool: "Pool", decoder: Decoder, claim: Claim) -> None:
        self._pool = pool
        self._decoder = decoder
        self.claim = claim
        self.due: float | None = None
        """Monotonic seconds by which the final is due; None while the utterance goes on."""

    def begin(self, profile: str | None) -> None:
        """Open the utterance with what its stream's last one taught, if anything."""
        self._decoder.begin(profile)

    def audio(self, pcm: bytes) -> None:
        """The next samples: int16 little-endian, mono, 16 kHz."""
        self._decoder.audio(pcm)

    def finish(self) -> None:
        """No more audio; the claim hears `on_final` or `on_lost`."""
        self.due = self._pool.clock.monotonic() + self._pool.bounds.decode_s
        self._decoder.finish()

    def drop(self) -> None:
        """Give the decoder back without a result.

        One that was asked for a result has it to finish first, and is replaced where it never does.
        """
        if self.due is not None:
            self.claim = _Nobody()
            return
        self._decoder.drop()
        self._pool.give_back(self._decoder)


_SMALL: Final = Bounds()


class Pool:
    """At most `size` decoders, made by `make`."""

    def __init__(
        self, make: Callable[[], Decoder], *, size: int, clock: Clock, bounds: Bounds = _SMALL
    ) -> None:
        if size < 1:
            raise ValueError("a pool has at least one decoder")
        self.clock = clock
        self.bounds = bounds
        self.outcomes: Counter[Outcome] = Counter()
        """Utterances so far; only ever grows."""
        self._make = make
        self._size = size
        self._free_bytes = bounds.held_bytes
        self._waiting: deque[Claim] = deque()
        self._loading: dict[Decoder, float] = {}
        self._idle: list[Decoder] = []
        self._busy: dict[Decoder, Lease] = {}
        self._dying: dict[Decoder, str] = {}
        """Those that were killed, and why."""
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._last_death = ""
        self._failed_loads = 0
        """Since one was loaded."""
        self._last_failure = ""
        self._closed = False

    # Asked by streams

    def warm(self) -> None:
        """Have a decoder loading or loaded: somebody is about to speak."""
        self._keep(1)

    def request(self, claim: Claim) -> None:
        """Queue `claim`; it hears `on_granted`, perhaps at once, or `on_lost`."""
        if self._closed:
            claim.on_lost(Outcome.ABANDONED)
            return
        self._waiting.append(claim)
        self._match()

    def borrow(self, claim: Claim) -> bool:
        """Grant `claim` a decoder now, if one is idle and nobody waits for it; whether that was so."""
        if self._waiting or not self._idle:
            return False
        self._grant(claim)
        return True

    def withdraw(self, claim: Claim) -> None:
        """Take a waiting claim back; nothing happens if it isn't waiting."""
        if claim in self._waiting:
            self._waiting.remove(claim)

    def hold(self, size: int) -> bool:
        """Whether `size` more bytes of audio may wait; if so they count until `release`."""
        if size > self._free_bytes:
            return False
        self._free_bytes -= size
        return True

    def release(self, size: int) -> None:
        """That many bytes wait no longer."""
        self._free_bytes += size

    def give_back(self, decoder: Decoder) -> None:
        """A lease was dropped."""
        if self._busy.pop(decoder, None) is not None:
            self._idle.append(decoder)
            self._match()

    # Told by decoders

    def on_ready(self, decoder: Decoder) -> None:
        """It has loaded."""
        if self._loading.pop(decoder, None) is not None:
            self._failed_loads = 0
            self._idle.append(decoder)
            self._match()

    def on_partial(self, decoder: Decoder, partial: Partial) -> None:
        """Pass an interim on."""
        lease = self._busy.get(decoder)
        if lease is not None:
            lease.claim.on_partial(partial)

    def on_final(self, decoder: Decoder, final: FinalResult) -> None:
        """Pass the final on; the decoder goes to whoever waits longest."""
        lease = self._busy.pop(decoder, None)
        if lease is not None:
            self._idle.append(decoder)
            lease.claim.on_final(final)
            self._match()

    def on_death(self, decoder: Decoder, reason: str) -> None:
        """Count it, and lose the utterance it was busy with."""
        reason = self._dying.pop(decoder, reason)
        self._deaths.append(self.clock.monotonic())
        self._last_death = reason
        log.warning("a decoder process ended: %s", reason)
        if self._loading.pop(decoder, None) is not None:
            self._load_failed(reason)
        if decoder in self._idle:
            self._idle.remove(decoder)
        lease = self._busy.pop(decoder, None)
        if lease is not None:
            lease.claim.on_lost(Outcome.DECODER_DIED)
        self._match()

    # Told by the clock

    def tick(self) -> None:
        """Let go of who waited too long, and of decoders that are overdue. Call it a few times a second."""
        now = self.clock.monotonic()
        for claim in [c for c in self._waiting if c.deadline is not None and now >= c.deadline]:
            self.withdraw(claim)
            claim.on_lost(Outcome.NO_DECODER)
        for decoder in [d for d, since in self._loading.items() if now >= since + self.bounds.load_s]:
            del self._loading[decoder]
            self._load_failed("it took too long")
            self._kill(decoder, "it took too long to load")
        for decoder, lease in list(self._busy.items()):
            if lease.due is not None and now >= lease.due:
                del self._busy[decoder]
                self._kill(decoder, "it didn't answer")
                lease.claim.on_lost(Outcome.DECODER_STUCK)
        self._match()
        self._keep()

    async def aclose(self) -> None:
        """End every decoder; claims that wait or are served are lost. May be called twice."""
        self._closed = True
        decoders = [*self._loading, *self._idle, *self._busy, *self._dying]
        lost = [*self._waiting, *(lease.claim for lease in self._busy.values())]
        for container in (self._waiting, self._loading, self._idle, self._busy, self._dying):
            container.clear()
        for claim in lost:
            claim.on_lost(Outcome.ABANDONED)
        for decoder in decoders:
            await decoder.aclose()

    # Shown to people

    def decoders(self) -> Mapping[str, int]:
        """Decoders by state."""
        return {
            "idle": len(self._idle),
            "busy": len(self._busy),
            "loading": len(self._loading),
        }

    def health(self) -> Health:
        """Ready unless decoders die or can't be loaded; loading while the first one loads.

        Without a decoder a load that failed is told until one succeeds, however long ago it was.
        """
        working = len(self._idle) + len(self._busy)
        given_up = not working and self._recent_deaths() >= DEATHS
        if self._failed_loads and not working:
            why = _in_public(self._last_failure)
            if given_up or self._failed_loads >= FAILED_LOADS:
                return Health(HealthStatus.ERROR, f"no decoder can be loaded: {why}")
            return Health(HealthStatus.WARNING, f"a decoder could not be loaded: {why}")
        if given_up:
            return Health(HealthStatus.ERROR, f"no decoder stays alive: {_in_public(self._last_death)}")
        if self._recent_deaths():
            return Health(HealthStatus.WARNING, f"a decoder ended lately: {_in_public(self._last_death)}")
        if self._loading and not working:
            return Health(HealthStatus.LOADING, "the first decoder is loading")
        return Health(HealthStatus.READY, f"{working} of at most {self._size} decoders are running")

    @property
    def _alive(self) -> int:
        return len(self._loading) + len(self._idle) + len(self._busy) + len(self._dying)

    def _recent_deaths(self) -> int:
        since = self.clock.monotonic() - DEATHS_WINDOW_S
        return sum(death > since for death in self._deaths)

    def _may_launch(self) -> bool:
        room = not self._closed and self._alive < self._size and self._recent_deaths() < DEATHS
        return room and self.clock.monotonic() >= self._launch_from()

    def _launch_from(self) -> float:
        """Monotonic seconds at which the pause after the last death is over."""
        deaths = self._recent_deaths()
        if not deaths or not self.bounds.back_off_s:
            return float("-inf")
        return self._deaths[-1] + self.bounds.back_off_s * float(2 ** (deaths - 1))

    def _keep(self, least: int = 0) -> None:
        """Launch what is missing of the decoders to be kept."""
        while self._alive < max(least, self.bounds.kept) and self._may_launch():
            self._launch()

    def _match(self) -> None:
        while self._waiting and self._idle:
            self._grant(self._waiting.popleft())
        while len(self._waiting) > len(self._loading) and self._may_launch():
            self._launch()

    def _grant(self, claim: Claim) -> None:
        decoder = self._idle.pop()
        lease = self._busy[decoder] = Lease(self, decoder, claim)
        claim.on_granted(lease)

    def _launch(self) -> None:
        decoder = self._make()
        self._loading[decoder] = self.clock.monotonic()
        decoder.launch(self)

    def _load_failed(self, reason: str) -> None:
        self._failed_loads += 1
        self._last_failure = reason

    def _kill(self, decoder: Decoder, reason: str) -> None:
        self._dying[decoder] = reason
        decoder.kill()


def _in_public(reason: str) -> str:
    """What follows a colon may name files, which is for the log."""
    return reason.partition(":")[0]
