"""Sounds made from nothing, for the demo and the load tool: telephone tones, hold music, and a talking voice.

All at 16 kHz, float64, full scale ±1, and the same on each call. Telephone tones: ITU-T Q.23 (DTMF) and the
US precise tone plan. The voice is source and filter after Klatt, "Software for a cascade/parallel formant
synthesizer", JASA 67(3), 1980: pulses with a pitch contour through four moving resonances. It says nothing,
but it has syllables, phrases, pitch and effort, which is all that a prosody classifier listens to.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

RATE = 16_000
"""Hertz, of everything here"""

Samples = npt.NDArray[np.float64]

_DTMF_ROWS = {"123A": 697.0, "456B": 770.0, "789C": 852.0, "*0#D": 941.0}
_DTMF_COLUMNS = (1_209.0, 1_336.0, 1_477.0, 1_633.0)
_EDGE_S = 0.005
"""Seconds of fade at each end of a tone, against clicks"""


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(seconds * RATE))


def tones(frequencies: Sequence[float], seconds: float, level: float = 0.2) -> Samples:
    """Sines of `level` each, faded in and out."""
    time = np.arange(round(seconds * RATE)) / RATE
    mixed = level * np.sum([np.sin(2 * np.pi * f * time) for f in frequencies], axis=0)
    return _faded(mixed, _EDGE_S)


def dtmf(digits: str, *, on_s: float = 0.1, off_s: float = 0.1) -> Samples:
    """Dialled digits (`0-9 A-D * #`); raises ValueError for any other character."""
    parts: list[Samples] = []
    for digit in digits:
        parts += [tones(_dtmf_pair(digit), on_s), silence(off_s)]
    return np.concatenate(parts) if parts else silence(0)


def ringback(seconds: float) -> Samples:
    """One burst of the US ringing tone, 440 + 480 Hz."""
    return tones((440.0, 480.0), seconds, 0.15)


_CHORDS = (
    (130.8, 261.6, 329.6, 392.0),
    (110.0, 261.6, 329.6, 440.0),
    (87.3, 261.6, 349.2, 440.0),
    (98.0, 246.9, 293.7, 392.0),
)
"""Hertz; bass and three notes each"""


def hold_music(seconds: float) -> Samples:
    """Soft chords with a plucked line above, I–vi–IV–V in C, two seconds each."""
    beat = 2.0
    music = np.zeros(round((seconds + 2 * beat) * RATE))
    for bar in range(math.ceil(seconds / beat)):
        chord = _CHORDS[bar % len(_CHORDS)]
        for pitch in chord:
            _add(music, _pad(pitch, beat + 0.5), bar * beat)
        for step in range(4):
            _add(music, _pluck(2 * chord[1 + step % 3], 0.9), bar * beat + step * beat / 4)
    music = music[: round(seconds * RATE)]
    return _faded(0.28 * music / np.abs(music).max(), 0.15)


@dataclass(frozen=True, slots=True)
class Manner:
    """How the formant voice speaks."""

    pitch_hz: float
    """Hertz; middle of the voice"""
    range_st: float
    """Semitones; how far the pitch moves from the middle"""
    syllables_s: float
    """Syllables a second"""
    level: float
    """Peak of the voice, 0 to 1"""
    tilt_hz: float
    """Hertz; corner of the source's low-pass: higher sounds more pressed"""
    tract: float = 1.0
    """Formants relative to an average man's: 1.15 for an average woman's"""
    seed: int = 1
    """Which syllables"""


CALM = Manner(pitch_hz=165, range_st=1.5, syllables_s=3.8, level=0.25, tilt_hz=500, tract=1.15, seed=3)
ANIMATED = Manner(pitch_hz=230, range_st=5.0, syllables_s=5.4, level=0.75, tilt_hz=1_400, tract=1.15, seed=4)
SECOND = Manner(pitch_hz=105, range_st=2.0, syllables_s=4.2, level=0.4, tilt_hz=700, tract=0.95, seed=5)


def voice(seconds: float, manner: Manner) -> Samples:
    """A voice saying syllables in phrases of about two seconds, with a short breath between them."""
    random = np.random.default_rng(manner.seed)
    parts: list[Samples] = []
    length = 0
    while length < round(seconds * RATE):
        count = int(random.integers(6, 11))
        parts += [_phrase(count, manner, random), silence(0.22)]
        length += len(parts[-1]) + len(parts[-2])
    spoken = np.concatenate(parts)[: round(seconds * RATE)]
    return _faded(manner.level * spoken / np.abs(spoken).max(), 0.02)


_VOWELS = (
    (730, 1_090, 2_440), (270, 2_290, 3_010), (530, 1_840, 2_480), (300, 870, 2_240),
    (660, 1_720, 2_410), (570, 840, 2_410), (490, 1_350, 1_690), (440, 1_020, 2_240),
)  # fmt: skip
"""Hertz; F1 to F3 of eight vowels, men's averages of Peterson & Barney, JASA 24(2), 1952"""
_BANDWIDTHS = (70.0, 100.0, 140.0, 200.0)
_STEP = 80
"""Samples between updates of the filters (5 ms)"""


def _phrase(count: int, manner: Manner, random: np.random.Generator) -> Samples:
    """Syllables under one declining pitch line (declination and accents), ending low."""
    shape = random.choice(len(_VOWELS), size=count)
    lengths = random.uniform(0.85, 1.2, size=count) / manner.syllables_s * RATE
    totals = np.maximum(3 * _STEP, np.round(lengths).astype(int) // _STEP * _STEP)
    pitch = _contour(totals, manner, random)
    parts: list[Samples] = []
    previous = _VOWELS[shape[0]]
    for vowel, end, total in zip(shape, np.cumsum(totals), totals, strict=True):
        parts.append(_syllable(previous, _VOWELS[vowel], pitch[end - total : end], manner, random))
        previous = _VOWELS[vowel]
    return np.concatenate(parts)


def _contour(totals: npt.NDArray[np.int_], manner: Manner, random: np.random.Generator) -> Samples:
    """Pitch in hertz through one target a syllable; it glides all the time, as voices do and notes don't."""
    count = len(totals)
    targets = np.linspace(0.5, -0.7, count) + random.uniform(-0.5, 1.0, size=count)
    middles = np.cumsum(totals) - totals / 2
    time = np.arange(totals.sum())
    glide = 0.4 * np.sin(2 * np.pi * (4.3 * time / RATE + random.random()))
    semitones = manner.range_st * np.interp(time, middles, targets) + glide
    return np.asarray(manner.pitch_hz * 2 ** (semitones / 12))


def _syllable(
    before: Sequence[float],
    vowel: Sequence[float],
    pitch: Samples,
    manner: Manner,
    random: np.random.Generator,
) -> Samples:
    """A soft noise for the consonant, then a vowel gliding in from the one before."""
    total = len(pitch)
    onset = round(0.22 * total)
    position = np.linspace(0, 1, total)
    source = _glottal(pitch, manner, random)
    effort = np.clip((np.arange(total) - 0.6 * onset) / onset, 0, 1) * np.clip((1 - position) / 0.12, 0.08, 1)
    spoken = _tract(source * effort, before, vowel, manner.tract)
    hiss = random.standard_normal(onset) * np.hanning(onset)
    spoken[:onset] += 0.05 * np.abs(spoken).max() * np.diff(hiss, prepend=0.0)
    return spoken


def _glottal(pitch: Samples, manner: Manner, random: np.random.Generator) -> Samples:
    """Pulses at `pitch` (hertz per sample, 1 % jitter) and a little breath, tilted as the manner asks."""
    wobble = np.repeat(random.normal(1, 0.01, size=len(pitch) // _STEP + 1), _STEP)[: len(pitch)]
    phase = np.cumsum(pitch * wobble / RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0) + 0.01 * random.standard_normal(len(pitch))
    pole = math.exp(-2 * math.pi * manner.tilt_hz / RATE)
    return np.asarray(lfilter([1 - pole], [1, -pole], lfilter([1 - pole], [1, -pole], pulses)))


def _tract(source: Samples, before: Sequence[float], vowel: Sequence[float], tract: float) -> Samples:
    """Four resonators in cascade, moved every 5 ms, their state carried over."""
    out = np.empty_like(source)
    states = [np.zeros(2) for _ in _BANDWIDTHS]
    steps = len(source) // _STEP
    for step in range(steps):
        share = min(1.0, 2.5 * step / steps)
        formants = [b + (v - b) * share for b, v in zip(before, vowel, strict=True)] + [3_400.0]
        piece = source[step * _STEP : (step + 1) * _STEP]
        for index, (formant, width) in enumerate(zip(formants, _BANDWIDTHS, strict=True)):
            top, bottom = _resonator(formant * tract, width)
            piece, states[index] = lfilter(top, bottom, piece, zi=states[index])
        out[step * _STEP : (step + 1) * _STEP] = piece
    return out


def _resonator(frequency: float, bandwidth: float) -> tuple[list[float], list[float]]:
    """Klatt's digital resonator, unity gain at 0 Hz."""
    radius = math.exp(-math.pi * bandwidth / RATE)
    b = 2 * radius * math.cos(2 * math.pi * frequency / RATE)
    c = -radius * radius
    return [1 - b - c], [1.0, -b, -c]


def _dtmf_pair(digit: str) -> tuple[float, float]:
    for row, low in _DTMF_ROWS.items():
        if digit and digit in row:
            return low, _DTMF_COLUMNS[row.index(digit)]
    raise ValueError(f"{digit!r} is no DTMF digit")


def _pad(pitch: float, seconds: float) -> Samples:
    """A held organ-like note: six falling partials, slow edges."""
    time = np.arange(round(seconds * RATE)) / RATE
    note = sum(np.sin(2 * np.pi * pitch * k * time) / k**1.7 for k in range(1, 7))
    return _faded(0.5 * np.asarray(note), 0.25)


def _pluck(pitch: float, seconds: float) -> Samples:
    """A soft plucked note that dies away."""
    time = np.arange(round(seconds * RATE)) / RATE
    note = np.sin(2 * np.pi * pitch * time) + 0.4 * np.sin(4 * np.pi * pitch * time)
    return _faded(0.45 * note * np.exp(-3.5 * time), 0.012)


def _add(into: Samples, sound: Samples, at_s: float) -> None:
    start = round(at_s * RATE)
    room = into[start : start + len(sound)]
    room += sound[: len(room)]


def _faded(sound: Samples, edge_s: float) -> Samples:
    edge = min(len(sound) // 2, round(edge_s * RATE))
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / max(1, edge))
    faded = sound.copy()
    faded[:edge] *= ramp
    faded[len(faded) - edge :] *= ramp[::-1]
    return faded
