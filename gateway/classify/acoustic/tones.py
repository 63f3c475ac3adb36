"""Which exact frequencies a window holds: DTMF and call-progress tones, every 10 ms, for a whole batch.

Each window is cut into 10 ms steps counted back from its end, and each step is correlated with fourteen
exact frequencies by one matrix product: a discrete Fourier transform evaluated only where a tone can be
(what the Goertzel recursion does one bin at a time). Steps are kept complex, so that neighbours add up to
longer blocks with the resolution the standards ask for: 40 ms for DTMF, 50 ms for call progress (several of
which running make a tone). So a tone may begin in one window and end in the next, whatever the hop (`digits`,
`cadence`).

Sources: ITU-T Q.23 and Q.24 (DTMF frequencies, tolerance, twist, timing); ITU-T E.180 Supplement 2 (tones of
national networks); ANSI T1.401 (North American call progress).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.classify.port import SAMPLE_RATE

Complex = npt.NDArray[np.complex64]
Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

STEP = 160
"""Samples in one step: 10 ms."""
DTMF_STEPS = 4
"""Steps in one DTMF block: 40 ms, the shortest digit Q.24 wants accepted."""
GROUP_STEPS = 5
"""Steps in one call-progress group: 50 ms, where 440 and 480 Hz are exactly orthogonal."""
MASK_GROUPS = 2
"""Groups running with one call-progress tone that mark it: 100 ms. None do in 12 minutes of speech."""

LOW_HZ = (697.0, 770.0, 852.0, 941.0)
HIGH_HZ = (1209.0, 1336.0, 1477.0, 1633.0)
PROGRESS_HZ = (400.0, 425.0, 440.0, 450.0, 480.0, 620.0)
FREQUENCIES = np.array(LOW_HZ + HIGH_HZ + PROGRESS_HZ)
DTMF = slice(0, 8)
PROGRESS = slice(8, 14)

KEYPAD = "123A456B789C*0#D"
"""Row by row: low frequency index * 4 + high frequency index."""
DTMF_SHARE = 0.7
"""Least share of a block's energy in its strongest pair; 10 dB of white noise leaves 0.91."""
TWIST_DB = (-10.0, 6.0)
"""Allowed level of the high tone over the low one: Q.24's -8 to +4 dB, and 2 dB for what noise does to it."""
DETUNE = 0.012
"""Frequency hypotheses each side of nominal: with them a tone 1.5 % off (Q.24) still counts."""
PROGRESS_SHARE = 0.75
"""Least share of a group's energy in its tone or pair."""
PAIR_BALANCE = 0.2
"""Least part either tone has in a pair: 6 dB of twist."""
FLOOR = 3e-6
"""Mean square below which nothing counts as a tone: -55 dBFS."""

PROGRESS_TONES: tuple[tuple[int, ...], ...] = ((2, 4), (4, 5), (0, 3), (1,), (0,))
"""Call-progress tones as indices into PROGRESS_HZ: see `cadence.Tone`."""

_TIME = np.arange(STEP) / SAMPLE_RATE
_PHASOR = np.exp(-2j * np.pi * _TIME[:, None] * FREQUENCIES)
_BASIS: Float = np.ascontiguousarray(_PHASOR.astype(np.complex64)).view(np.float32)
_OFFSETS = (np.arange(DTMF_STEPS) - (DTMF_STEPS - 1) / 2) * STEP / SAMPLE_RATE
_RETUNE = np.array([-DETUNE, 0.0, DETUNE])[:, None, None] * FREQUENCIES[DTMF]
_HYPOTHESES: Complex = np.exp(-2j * np.pi * _RETUNE * _OFFSETS[None, :, None]).astype(np.complex64)
_TWIST = tuple(10.0 ** (db / 10.0) for db in TWIST_DB)
_DTMF_SCALE = 2.0 / (DTMF_STEPS * STEP)
_GROUP_SCALE = 2.0 / (GROUP_STEPS * STEP)
_STEP_HINT = 0.5
"""Share of a single step in a pair, from which digits may be near: a step that holds a digit has over 0.6."""
_STEP_BALANCE = 0.03
"""Least part of that in either tone: 10 dB of twist, and what 10 ms blur."""


@dataclass(frozen=True, slots=True, eq=False)
class ToneBlocks:
    """What one window holds at the exact frequencies. Step `i` covers samples
    `[length - STEP * (steps - i), length - STEP * (steps - i - 1))` of the window."""

    correlations: Complex
    """Shape (steps, 14): sum of sample times e^(-j w t), t from the step's start."""
    energy: Float
    """Shape (steps,): sum of squared samples, full scale 1."""
    mask: Bool
    """Shape (steps,): True where a DTMF pair or call-progress tone holds the energy (this window alone)."""
    maybe_digits: bool
    """Whether any step looks enough like DTMF for `digits.advance` to be needed."""
    maybe_progress: bool
    """Whether any group looks enough like call progress for `cadence.advance` to be needed."""
    length: int
    """Valid samples of the window."""

    @property
    def is_tone(self) -> bool:
        """Whether signalling tones hold most of what the window has to hear, weighted by energy."""
        total = float(self.energy.sum())
        return total > 0.0 and float(self.energy[self.mask].sum()) > 0.5 * total

    def tone_at(self, samples: npt.NDArray[np.intp]) -> Bool:
        """The mask at sample positions of the window (frame centres, say); before step 0, that of step 0."""
        steps = len(self.mask)
        if steps == 0:
            return np.zeros(samples.shape, dtype=np.bool_)
        index = (samples - (self.length - STEP * steps)) // STEP
        return self.mask[np.clip(index, 0, steps - 1)]


def detect(batch: npt.NDArray[np.float32], lengths: npt.NDArray[np.intp]) -> list[ToneBlocks]:
    """The tone blocks of a batch.

    Args:
        batch: shape (B, n), 16 kHz, full scale 1, zero padded on the right.
        lengths: shape (B,), valid samples of each row.
    """
    out: list[ToneBlocks | None] = [None] * len(batch)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        same = batch if len(rows) == len(batch) else batch[rows]
        for row, blocks in zip(rows, _detect_equal(same, int(length)), strict=True):
            out[row] = blocks
    return [blocks for blocks in out if blocks is not None]


def _detect_equal(batch: npt.NDArray[np.float32], length: int) -> list[ToneBlocks]:
    steps = length // STEP
    rows = len(batch)
    cut = np.ascontiguousarray(batch[:, length - steps * STEP : length], dtype=np.float32)
    flat = cut.reshape(rows * steps, STEP)
    correlations = (flat @ _BASIS).view(np.complex64).reshape(rows, steps, len(FREQUENCIES))
    energy = np.einsum("ij,ij->i", flat, flat).reshape(rows, steps)
    digit_hint = _digit_hints(correlations, energy)
    progress = progress_tones(*groups(aligned(correlations, steps * STEP), energy))
    mask = np.zeros((rows, steps), dtype=np.bool_)
    for i in np.flatnonzero(digit_hint):
        _mark_digits(mask[i], correlations[i], energy[i])
    has_progress: Bool = np.any(progress >= 0, axis=1)
    for i in np.flatnonzero(has_progress):
        _mark_progress(mask[i], progress[i])
    return [
        ToneBlocks(correlations[i], energy[i], mask[i], bool(digit_hint[i]), bool(has_progress[i]), length)
        for i in range(rows)
    ]


def aligned(correlations: Complex, span: int) -> Complex:
    """Correlations turned to one common time origin, so that neighbouring steps simply add.

    Args:
        correlations: shape (…, steps, 14).
        span: where the origin lies, in samples before the last step's end.
    """
    steps = correlations.shape[-2]
    starts = span - STEP * (steps - np.arange(steps))
    return (correlations * rotation(starts)).astype(np.complex64, copy=False)


def rotation(samples: npt.NDArray[np.intp] | int) -> Complex:
    """e^(-j w t) at `samples` after the origin; shape (…, 14)."""
    turns = np.asarray(samples)[..., None] * (FREQUENCIES / SAMPLE_RATE)
    phasor: Complex = np.exp(-2j * np.pi * (turns % 1.0)).astype(np.complex64)
    return phasor


def dtmf_digits(steps: Complex, energy: Float) -> tuple[npt.NDArray[np.intp], Float]:
    """The digit of every 40 ms block, one block each step.

    Args:
        steps: shape (n, 8), common time origin.
        energy: shape (n,).

    Returns:
        Index into KEYPAD or -1, and the pair's share of the block's energy; shape (max(0, n - 3),) each.
    """
    blocks = len(energy) - DTMF_STEPS + 1
    if blocks <= 0:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.float32)
    sums = sum(steps[None, k : k + blocks] * _HYPOTHESES[:, k, None] for k in range(DTMF_STEPS))
    power = (np.abs(sums) ** 2).max(axis=0)
    total = sum(energy[k : k + blocks] for k in range(DTMF_STEPS)) + np.float32(1e-12)
    low, high = power[:, :4], power[:, 4:]
    low_best, high_best = low.max(axis=1), high.max(axis=1)
    share = _DTMF_SCALE * (low_best + high_best) / total
    good = (share > DTMF_SHARE) & (total > FLOOR * DTMF_STEPS * STEP)
    good &= (high_best > _TWIST[0] * low_best) & (high_best < _TWIST[1] * low_best)
    digit = low.argmax(axis=1) * 4 + high.argmax(axis=1)
    return np.where(good, digit, -1), share.astype(np.float32, copy=False)


def groups(steps: Complex, energy: Float) -> tuple[Float, Float]:
    """Call-progress power (…, groups, 6) and energy (…, groups) of 50 ms groups counted back from the end.

    Args:
        steps: shape (…, n, 14), common time origin.
        energy: shape (…, n).
    """
    count = steps.shape[-2] // GROUP_STEPS
    first = steps.shape[-2] - count * GROUP_STEPS
    shape = (*steps.shape[:-2], count, GROUP_STEPS)
    sums = steps[..., first:, PROGRESS].reshape(*shape, len(PROGRESS_HZ)).sum(axis=-2)
    return np.abs(sums) ** 2, energy[..., first:].reshape(shape).sum(axis=-1)


def progress_tones(power: Float, energy: Float) -> npt.NDArray[np.intp]:
    """The call-progress tone of each group: an index into PROGRESS_TONES, or -1. Shape of `energy`."""
    scale = _GROUP_SCALE / (energy + np.float32(1e-12))
    loud = energy > FLOOR * GROUP_STEPS * STEP
    found = np.full(energy.shape, -1, dtype=np.intp)
    for index, tones in enumerate(PROGRESS_TONES):
        parts = power[..., tones] * scale[..., None]
        share = parts.sum(axis=-1)
        hit = loud & (share > PROGRESS_SHARE) & (parts.min(axis=-1) >= PAIR_BALANCE * share)
        found[hit & (found < 0)] = index
    return found


def _digit_hints(correlations: Complex, energy: Float) -> Bool:
    power = np.abs(correlations[..., DTMF]) ** 2
    low, high = power[..., :4].max(axis=-1), power[..., 4:].max(axis=-1)
    pair = low + high
    near = pair * np.float32(2.0 / STEP) > _STEP_HINT * energy
    near &= np.minimum(low, high) > _STEP_BALANCE * pair
    hints: Bool = (near & (energy > FLOOR * STEP)).any(axis=1)
    return hints


def _mark_digits(mask: Bool, correlations: Complex, energy: Float) -> None:
    steps = aligned(correlations, len(energy) * STEP)
    digit, _ = dtmf_digits(steps[:, DTMF], energy)
    for block in np.flatnonzero(digit >= 0):
        mask[block : block + DTMF_STEPS] = True


def _mark_progress(mask: Bool, progress: npt.NDArray[np.intp]) -> None:
    """A single group doesn't count here: a voiced sound may hold 425 Hz for a moment."""
    first = len(mask) - len(progress) * GROUP_STEPS
    for end in range(MASK_GROUPS, len(progress) + 1):
        block = progress[end - MASK_GROUPS : end]
        if block[0] >= 0 and (block == block[0]).all():
            mask[first + (end - MASK_GROUPS) * GROUP_STEPS : first + end * GROUP_STEPS] = True
