"""How much of what a peer may send: token buckets, with the time handed in.

A frame costs this process some microseconds however little is in it, so frames without weight are what a
flooder sends: empty continuations, single bytes, pings. Each kind of such traffic has an allowance. A client
that streams audio never meets one of them: the figures below say how far away it stays.
"""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

SMALL_FRAME_BYTES = 160
"""Payload bytes below which a data frame counts as small: 10 ms of 16-bit samples at 8 kHz. Larger frames
carry audio, of which the session has bounds of its own (4 × real time, or the lossless `limit`)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """An allowance: `per_s` on average, and at most `burst` at once."""

    per_s: float
    burst: float
    what: str
    """What is counted, in the plural, for people."""

    def __str__(self) -> str:
        return f"{self.per_s:,.0f} {self.what} a second ({self.burst:,.0f} at once)"


SMALL_FRAMES = Rate(500, 2_000, "small frames")
"""The smallest frames of any use are 10 ms of 8 kHz mu-law, 80 bytes: 100 a second, 400 at 4 × real time
(the session's own bound), and 500 at once where 5 s are sent again after a resume."""
CONTROL_FRAMES = Rate(20, 100, "ping and pong frames")
"""A client pings every few seconds and answers ours, which come as rarely. Browsers can't send any."""
TEXT_MESSAGES = Rate(200, 1_000, "text messages")
"""A client that acknowledges each event of a replay sends 512 at once, of live audio about two a second. Ours
asks after every 2.5 s of a recording how far the server is: at 200 × real time, 80 a second."""
TEXT_BYTES = Rate(64 * KIB, 256 * KIB, "bytes of text")
"""Control messages are some dozens of bytes; the largest one allowed has 16 KiB."""
ALL_BYTES = Rate(64 * MIB, 64 * MIB, "bytes")
"""The densest format (48 kHz, two channels of 32 bits) is 375 KiB a second in real time."""

UNHEARD_BYTES = Rate(MIB, 4 * MIB, "bytes after the end")
"""In place of `ALL_BYTES` once nobody listens: what was under way when the peer was told, and no stream."""


class Bucket:
    """Allows what its rate allows. Time may be any monotonic clock's, in seconds; it never runs backwards."""

    __slots__ = ("_at", "_left", "rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self._left = rate.burst
        self._at = now

    def take(self, amount: float, now: float) -> bool:
        """Whether `amount` may pass at `now`; what may not is not counted."""
        left = self._left + (now - self._at) * self.rate.per_s
        self._at = now
        burst = self.rate.burst
        if left > burst:
            left = burst
        if amount > left:
            self._left = left
            return False
        self._left = left - amount
        return True


class Budgets:
    """The allowances of one connection. Each method returns which was overdrawn, or None."""

    __slots__ = ("_bytes", "_control", "_small", "_text_bytes", "_texts", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        """Seconds: when the bytes being looked at came in."""
        self._bytes = Bucket(ALL_BYTES, now)
        self._small = Bucket(SMALL_FRAMES, now)
        self._control = Bucket(CONTROL_FRAMES, now)
        self._texts = Bucket(TEXT_MESSAGES, now)
        self._text_bytes = Bucket(TEXT_BYTES, now)

    def arrived(self, nbytes: int, now: float) -> Rate | None:
        """`nbytes` came in at `now`; what is told next came with them."""
        self.now = now
        return None if self._bytes.take(nbytes, now) else self._bytes.rate

    def unheard(self) -> None:
        """From now on nobody listens."""
        self._bytes = Bucket(UNHEARD_BYTES, self.now)

    def small_frame(self) -> Rate | None:
        """A data frame under `SMALL_FRAME_BYTES`."""
        return None if self._small.take(1, self.now) else self._small.rate

    def control_frame(self) -> Rate | None:
        """A ping or a pong."""
        return None if self._control.take(1, self.now) else self._control.rate

    def text(self, nbytes: int) -> Rate | None:
        """A text message of `nbytes`."""
        if not self._texts.take(1, self.now):
            return self._texts.rate
        return None if self._text_bytes.take(nbytes, self.now) else self._text_bytes.rate
