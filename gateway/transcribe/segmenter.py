"""Where utterances begin and end in a 16 kHz stream. Pure, and a few microseconds per 100 ms.

Which frames are active a `Detector` says. To the one that needs nothing installed, whose durations follow, a
frame is active when its power stands clear of the noise floor, which is the smallest smoothed power of the
last three seconds (minimum statistics: Martin 2001, IEEE TSAP 9(5)); speech dips to it between
syllables, so no speech decision is needed to track it, and a fan that starts to turn is part of it three
seconds later. `ONSET_FRAMES` active frames among the last `ONSET_SPAN` open an utterance, from 300 ms before
the first of them; 600 ms without an active frame close it.

None is longer than five seconds. One that still goes on after four is split at the first pause in its last
second, else at the quietest place. Its audio is therefore held back from the fourth second on, until the
place is known. The rest is a new utterance as soon as a frame of it is active.

Frames are counted from the first sample after a start, jump or flush: the same audio yields the same
utterances however it is split into blocks.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.int16]

FRAME: Final = 320
"""Samples: 20 ms."""
PRE_ROLL: Final = 15
"""Frames before the first active one that belong to its utterance: 300 ms."""
ONSET_FRAMES: Final = 4
ONSET_SPAN: Final = 6
"""Frames: 80 ms active among 120; a click is shorter, any word is longer."""
HANGOVER: Final = 30
"""Frames without activity that end an utterance: 600 ms."""
HOLD: Final = 200
"""Frames: from 4 s on the place of a split is looked for."""
LONGEST: Final = 250
"""Frames: no utterance is longer than 5 s."""

_PAUSE: Final = 6
"""Inactive frames in a row that make a pause: 120 ms; the closure of a stop consonant is shorter."""
_DIP: Final = 5
"""Frames over which the quietest place is looked for where there is no pause."""
_ONSET_RATIO: Final = 10.0
"""Power over the noise floor that begins speech: 10 dB."""
_STAY_RATIO: Final = 5.0
"""Power over the noise floor that goes on with it: 7 dB."""
_FULL_SCALE: Final = float(2**30)
"""Power of a full-scale square wave, in squared int16 steps."""
_LOWEST_FLOOR: Final = _FULL_SCALE * 10**-6.6
"""-66 dBFS: digital silence must not make every rustle count as speech."""
_FIRST_FLOOR: Final = _FULL_SCALE * 10**-5.0
"""-50 dBFS: a higher floor isn't believed before three seconds were heard, or a talker who is already
speaking when the stream starts would be taken for it."""
_SMOOTHING: Final = 0.5
_MINIMA: Final = 6
_MINIMUM_FRAMES: Final = 25
"""The floor is the smallest of six minima of half a second each."""


@dataclass(frozen=True, slots=True)
class Measure:
    """The segmenter's durations, in frames of a detector."""

    frame: int = FRAME
    """Samples."""
    pre_roll: int = PRE_ROLL
    onset_frames: int = ONSET_FRAMES
    onset_span: int = ONSET_SPAN
    hangover: int = HANGOVER
    hold: int = HOLD
    longest: int = LONGEST
    pause: int = _PAUSE
    dip: int = _DIP

    @property
    def history(self) -> int:
        """Samples that an onset may reach back to."""
        return (self.pre_roll + self.onset_span) * self.frame


class Detector(Protocol):
    """Says of each frame of one stream, in order, how much it is like speech."""

    @property
    def measure(self) -> Measure: ...

    @property
    def onset(self) -> float:
        """A score above this begins speech, ..."""
        ...

    @property
    def stay(self) -> float:
        """... and one above this goes on with it."""
        ...

    def scores(self, frames: Samples) -> list[float]:
        """One for each row of `frames`, shape (n, measure.frame)."""
        ...

    def reset(self) -> None:
        """The next frame doesn't follow the one before."""
        ...


@dataclass(frozen=True, slots=True)
class Begin:
    """An utterance begins at this sample; `Speech` follows."""

    start16k: int


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """The next samples of the open utterance."""

    samples: Samples
    pause: bool = False
    """They end in a pause: the utterance may be over."""


@dataclass(frozen=True, slots=True)
class End:
    """The open utterance ends before this sample."""

    end16k: int


Action: TypeAlias = Begin | Speech | End


class NoiseFloor:
    """Minimum statistics over three seconds of frame powers."""

    __slots__ = ("_count", "_minima", "_minimum", "_older", "_smoothed")

    def __init__(self) -> None:
        self._minima = deque([_FIRST_FLOOR] * _MINIMA, maxlen=_MINIMA)
        self._older = _FIRST_FLOOR
        self._minimum = self._smoothed = _FIRST_FLOOR
        self._count = 0

    def update(self, power: float) -> float:
        """The floor after a frame of `power`, both in squared int16 steps."""
        self._smoothed += _SMOOTHING * (power - self._smoothed)
        if self._smoothed < self._minimum:
            self._minimum = self._smoothed
        self._count += 1
        if self._count == _MINIMUM_FRAMES:
            self._count = 0
            self._minima.append(self._minimum)
            self._older, self._minimum = min(self._minima), self._smoothed
        return max(_LOWEST_FLOOR, min(self._older, self._minimum))


class PowerDetector:
    """Frames whose power stands clear of the noise floor; the score is how many times it."""

    __slots__ = ("_floor",)

    measure: Final = Measure()
    onset: Final = _ONSET_RATIO
    stay: Final = _STAY_RATIO

    def __init__(self) -> None:
        self._floor = NoiseFloor()

    def scores(self, frames: Samples) -> list[float]:
        """Power over the floor, which the frame itself may have lowered."""
        update = self._floor.update
        return [power / update(power) for power in _powers(frames)]

    def reset(self) -> None:
        """The room is the same, wherever the clock jumped to."""


class Segmenter:
    """Cuts one stream into utterances. Feed it, and do what the returned actions say, in order."""

    __slots__ = (
        "_active",
        "_carry",
        "_detector",
        "_frames",
        "_held",
        "_history",
        "_m",
        "_open",
        "_quiet",
        "_recent",
        "_scores",
        "_splitting",
        "at",
    )

    at: int
    """Index of the first sample that isn't framed yet."""

    def __init__(self, start16k: int = 0, detector: Detector | None = None) -> None:
        self._detector = detector or PowerDetector()
        self._m = self._detector.measure
        self.at = start16k
        self._carry: Samples = np.empty(0, np.int16)
        self._history: Samples = self._carry
        self._held: list[Samples] = []
        self._scores: list[float] = []
        self._rest()

    @property
    def next_sample(self) -> int:
        """Index of the sample expected next."""
        return self.at + len(self._carry)

    def feed(self, samples: Samples) -> Sequence[Action]:
        """Take the next samples, shape (n,)."""
        if len(self._carry):
            samples = np.concatenate((self._carry, samples))
        frame = self._m.frame
        count = len(samples) // frame
        self._carry = samples[count * frame :].copy()
        if not count:
            return ()
        frames = samples[: count * frame].reshape(count, frame)
        scores = self._detector.scores(frames)
        if self._open or self._splitting:
            return self._follow(frames, scores, [])
        return self._listen(frames, scores, [])

    def jump(self, start16k: int) -> Sequence[Action]:
        """End the open utterance; the next sample fed is `start16k`."""
        actions = self.flush()
        self._detector.reset()
        self.at = start16k
        return actions

    def flush(self) -> Sequence[Action]:
        """End the open utterance with the last sample fed."""
        actions: list[Action] = []
        if self._open:
            rest = np.concatenate((*self._held, self._carry))
            actions += [Speech(rest)] if len(rest) else []
            actions.append(End(self.next_sample))
        self.at = self.next_sample
        self._carry = self._history = np.empty(0, np.int16)
        self._rest()
        return actions

    def _rest(self) -> None:
        """No utterance is open, nor any frame towards one heard."""
        self._open = self._splitting = False
        self._recent = self._active = self._frames = self._quiet = 0
        self._held, self._scores = [], []

    def _listen(self, frames: Samples, scores: list[float], actions: list[Action]) -> list[Action]:
        """Look for an onset."""
        mask = (1 << self._m.onset_span) - 1
        onset, enough = self._detector.onset, self._m.onset_frames
        for index, score in enumerate(scores):
            active = score > onset
            self._recent = (self._recent << 1 | active) & mask
            if active and self._recent.bit_count() >= enough:
                self._remember(frames[: index + 1])
                self._begin(actions)
                return self._follow(frames[index + 1 :], scores[index + 1 :], actions)
        self._remember(frames)
        return actions

    def _remember(self, frames: Samples) -> None:
        """Keep what an onset may reach back to."""
        self.at += frames.size
        reach = self._m.history
        new = frames.ravel()[-reach:]
        old = self._history[max(0, len(self._history) + len(new) - reach) :]
        self._history = np.concatenate((old, new))

    def _begin(self, actions: list[Action]) -> None:
        """Open an utterance at the pre-roll of its first active frame, or where the history starts."""
        frame = self._m.frame
        length = min(len(self._history), (self._m.pre_roll + self._recent.bit_length()) * frame)
        actions += (Begin(self.at - length), Speech(self._history[len(self._history) - length :].copy()))
        self._rest()
        self._history = np.empty(0, np.int16)
        self._open, self._frames = True, length // frame

    def _follow(self, frames: Samples, scores: list[float], actions: list[Action]) -> list[Action]:
        """Go on with an open utterance, or with what is left behind a split."""
        ready, stay, m = 0, self._detector.stay, self._m
        for index, score in enumerate(scores):
            active = score > stay
            self._quiet = 0 if active else self._quiet + 1
            self._frames += 1
            self.at += m.frame
            if self._splitting or self._frames > m.hold:
                self._send(frames[ready:index], actions)
                ready = index + 1
                self._hold(frames[index], score, active, actions)
            if self._quiet >= m.hangover:
                self._send(frames[ready : index + 1], actions)
                self._close(actions)
                return self._listen(frames[index + 1 :], scores[index + 1 :], actions)
        self._send(frames[ready:], actions)
        return actions

    def _send(self, frames: Samples, actions: list[Action]) -> None:
        if self._open and len(frames):
            actions.append(Speech(frames.ravel().copy(), self._quiet >= self._m.pause))

    def _hold(self, frame: Samples, score: float, active: bool, actions: list[Action]) -> None:
        """Keep a frame back while the place of the split isn't known, and split when it is."""
        self._held.append(frame.copy())
        self._scores.append(score)
        if self._splitting:
            if active:
                self._splitting, self._open = False, True
                actions.append(Begin(self.at - len(self._held) * self._m.frame))
                self._release(len(self._held), actions)
        elif self._quiet >= self._m.pause and len(self._held) >= self._m.pause:
            self._split(len(self._held) - self._m.pause // 2, actions)
        elif self._frames >= self._m.longest:
            self._split(_quietest(self._scores, self._m.dip), actions)

    def _release(self, count: int, actions: list[Action]) -> None:
        """Hand out the first `count` held frames."""
        if count:
            actions.append(Speech(np.concatenate(self._held[:count])))
        del self._held[:count], self._scores[:count]

    def _split(self, count: int, actions: list[Action]) -> None:
        """End the utterance behind `count` held frames; the rest waits for an active frame among it."""
        self._release(count, actions)
        actions.append(End(self.at - len(self._held) * self._m.frame))
        rest = len(self._held)
        self._frames = rest
        self._open, self._splitting = False, True
        if rest > self._quiet:
            self._splitting, self._open = False, True
            actions.append(Begin(self.at - rest * self._m.frame))
            self._release(rest, actions)

    def _close(self, actions: list[Action]) -> None:
        """The hangover is over: end the utterance; what is held behind a split was silence."""
        if self._open:
            self._release(len(self._held), actions)
            actions.append(End(self.at))
            self._rest()
            return
        self._history = np.concatenate(self._held)[-self._m.history :].copy()
        self._rest()


def _powers(frames: Samples) -> list[float]:
    """The variance of each row: a constant offset isn't sound."""
    values = frames.astype(np.float32)
    sums = values.sum(axis=1)
    squares = np.einsum("ij,ij->i", values, values)
    powers: list[float] = ((squares - sums * sums * (1 / FRAME)) * (1 / FRAME)).tolist()
    return powers


def _quietest(scores: Sequence[float], dip: int) -> int:
    """How many frames come before the middle of the quietest dip of so many frames."""
    dips = [sum(scores[i : i + dip]) for i in range(len(scores) - dip + 1)]
    return dips.index(min(dips)) + dip // 2
