"""DTMF digits in order, each exactly once, across windows of any length.

Every 40 ms block, one each 10 ms, either holds a valid pair or not (`tones.dtmf_digits`). Two blocks running
with the same pair make a digit; 20 ms without it end it, so that the interruptions of 10 ms which ITU-T Q.24
tolerates don't double a digit, and the pauses of 40 ms which it requires to be seen do part two. The last
three steps of a window are carried over: a digit across two windows is one digit.
"""

from dataclasses import dataclass

import numpy as np

from gateway.classify.acoustic import tones
from gateway.classify.acoustic.tones import DTMF, DTMF_STEPS, KEYPAD, STEP, Complex, Float, ToneBlocks
from gateway.classify.port import AnalysisState

CONFIRM = 2
"""Blocks running with the same pair that make a digit: 50 ms of tone for certain, 40 ms where it is clean."""
RELEASE = 2
"""Blocks running without the digit's pair that end it."""
_TAIL = DTMF_STEPS - 1


@dataclass(frozen=True, slots=True)
class Heard:
    """Digits confirmed in one window."""

    keys: str
    """In order; empty where there were none."""
    share: float
    """Mean share of the energy that their confirming blocks had in the pair; 0 where there were none."""


NOTHING = Heard("", 0.0)


@dataclass(slots=True)
class Run:
    """Where a digit stands between two blocks."""

    held: str = ""
    """The digit already told that still sounds."""
    quiet: int = 0
    """Blocks since `held` was last heard."""
    candidate: str = ""
    count: int = 0
    """Blocks running with `candidate`."""

    def step(self, key: str) -> str:
        """Take the next block's digit (or none); returns the digit if this block confirms one."""
        if key and key == self.held:
            self.quiet, self.candidate, self.count = 0, "", 0
            return ""
        self.quiet += 1
        if self.quiet >= RELEASE:
            self.held = ""
        self.count = self.count + 1 if key and key == self.candidate else int(bool(key))
        self.candidate = key
        if self.count < CONFIRM:
            return ""
        self.held, self.quiet, self.candidate, self.count = key, 0, "", 0
        return key


def advance(state: AnalysisState, blocks: ToneBlocks, owned: int) -> Heard:
    """The digits confirmed in the last `owned` samples of the window, in order; updates `state`.

    An empty `state` means that nothing is known of what came before.
    """
    if not blocks.maybe_digits:
        state.clear()
        return NOTHING
    run = Run(*state.get("run", ()))
    steps, energy = _with_tail(state, blocks, owned)
    digit, share = tones.dtmf_digits(steps, energy)
    keys = [run.step(KEYPAD[d] if d >= 0 else "") for d in digit.tolist()]
    shares = [part for key, part in zip(keys, share.tolist(), strict=True) if key]
    onward = tones.rotation(-owned)[DTMF]
    state["tail"] = (steps[-_TAIL:] * onward).astype("<c8").tobytes()
    state["energy"] = energy[-_TAIL:].astype("<f4").tobytes()
    state["run"] = [run.held, run.quiet, run.candidate, run.count]
    return Heard("".join(keys), sum(shares) / len(shares)) if shares else NOTHING


def _with_tail(state: AnalysisState, blocks: ToneBlocks, owned: int) -> tuple[Complex, Float]:
    """The owned steps behind those carried over, all on the time origin where the owned part begins."""
    count = min(len(blocks.energy), -(-owned // STEP))
    first = len(blocks.energy) - count
    now = tones.aligned(blocks.correlations[first:], owned)[:, DTMF]
    before = np.frombuffer(state.get("tail", b""), dtype="<c8").reshape(-1, now.shape[1])
    earlier = np.frombuffer(state.get("energy", b""), dtype="<f4")
    steps = np.concatenate([before.astype(np.complex64), now])
    return steps, np.concatenate([earlier.astype(np.float32), blocks.energy[first:]])
