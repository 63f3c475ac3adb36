"""What a batch of windows sounds like, 10 ms by 10 ms: level, spectrum shape, pitch, voicing and speech.

Frames of 40 ms, one each 10 ms, Hann window, one 1024-point transform each; everything else is matrix
products on its power below 5 kHz. Frame `f` of a window covers its samples [160 f, 160 f + 640).

Definitions follow GeMAPS (Eyben et al. 2016, IEEE TAFFC 7(2)) where it has one, pitch follows Boersma 1993.
They are measured on 16 kHz float32 with full scale 1; on 0 dBFS = a full-scale square wave, a full-scale sine
has -3 dBFS.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from gateway.classify.acoustic import bands, pitch, vad
from gateway.classify.port import SAMPLE_RATE

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]

FRAME = 640
"""Samples: 40 ms, three periods of the lowest voice."""
HOP = 160
"""Samples: 10 ms."""
QUIETEST_DB = -120.0
"""Level of digital silence, and of frames past a window's end."""
CHUNK = 2
"""Windows measured at a time: few enough that their spectra stay in the cache and their memory with the
allocator. From 4 on it goes back to the system each time, and page faults double the cost."""

_HANN: Float = (0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(FRAME) + 0.5) / FRAME)).astype(np.float32)
_TINY = np.float32(1e-12)
_MEL_FLOOR = np.float32(1e-6)
_DB = np.float32(10.0 / np.log(10.0))


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Per-frame measures of a batch; shape (B, F) unless said. Frames from `frames[i]` on are filler: level
    -120 dBFS, zeros, False."""

    frames: Index
    """Shape (B,): frames that lie wholly in the window; 0 for one shorter than 40 ms."""
    frame_hop_s: float
    """Seconds from one frame to the next."""
    level_db: Float
    """Root mean square, dBFS (no window function)."""
    loudness: Float
    """Sum of mel-band powers, each to the power 0.3 (Zwicker's exponent, as GeMAPS)."""
    mfcc: Float
    """Shape (B, F, 13): orthonormal cosine transform of the natural logarithm of 26 mel bands."""
    flux: Float
    """Sum of absolute changes of the mel loudness shape (each frame's sums to 1) since the frame before,
    0..2. A window's first frame has 0."""
    flatness: Float
    """Geometric over arithmetic mean of power, 62 to 3734 Hz: 0.56 for white noise, near 0 for a sine."""
    hf500_db: Float
    """Energy at 500 to 5000 Hz over that at 50 to 500 Hz, dB (Bone, Lee and Narayanan 2014)."""
    alpha_ratio_db: Float
    """Energy at 1 to 5 kHz over that at 50 to 1000 Hz, dB (GeMAPS defines the inverse ratio)."""
    hammarberg_db: Float
    """Strongest bin at 0 to 2 kHz over the strongest at 2 to 5 kHz, dB."""
    slope_0_500: Float
    """Least-squares slope of the log spectrum, dB/kHz."""
    slope_500_1500: Float
    """Least-squares slope of the log spectrum, dB/kHz."""
    f0_hz: Float
    """Pitch, 60 to 500 Hz; 0 where unvoiced."""
    hnr_db: Float
    """Harmonics to noise below 2 kHz, -20..40 dB; 0 where unvoiced."""
    voiced: Bool
    speech: Bool
    """Voice activity (`vad.speech`)."""

    @property
    def valid(self) -> Bool:
        """Shape (B, F): whether the frame lies wholly in the window."""
        inside: Bool = np.arange(self.level_db.shape[1]) < self.frames[:, None]
        return inside


def frame_count(samples: int) -> int:
    """Frames that lie wholly in `samples`."""
    return 0 if samples < FRAME else (samples - FRAME) // HOP + 1


def extract(batch: Float, lengths: Index) -> Features:
    """Measure every frame of a batch.

    Args:
        batch: shape (B, n), 16 kHz, full scale 1, zero padded on the right. B > 0.
        lengths: shape (B,), valid samples of each row, at most n.
    """
    if batch.shape[1] < FRAME:
        batch = np.pad(batch, ((0, 0), (0, FRAME - batch.shape[1])))
    parts = [_measure(batch[at : at + CHUNK], lengths[at : at + CHUNK]) for at in range(0, len(batch), CHUNK)]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[Features]) -> Features:
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Features)
        if field.name != "frame_hop_s"
    }
    return Features(frame_hop_s=HOP / SAMPLE_RATE, **arrays)


def _measure(batch: Float, lengths: Index) -> Features:
    count = frame_count(batch.shape[1])
    frames = np.where(lengths < FRAME, 0, (lengths - FRAME) // HOP + 1)
    valid: Bool = np.arange(count) < frames[:, None]
    level = np.where(valid, _levels(batch, count), np.float32(QUIETEST_DB))
    power = _power(batch, count)
    projected = power @ bands.PROJECTION
    log_mel = np.log(projected[..., : bands.MELS] + _MEL_FLOOR)
    low500, high500, low1000, high1000 = np.moveaxis(projected[..., bands.MELS :], 2, 0)
    texture = np.log(power[..., : bands.LOG_BINS] + _TINY) @ bands.LOG_PROJECTION
    loudness = np.exp(np.float32(0.3) * log_mel)
    total = loudness.sum(axis=2)
    flux = _flux(loudness, total)
    flatness = np.minimum(np.exp(texture[..., 0]) / (power[..., bands.TEXTURE].mean(axis=2) + _TINY), 1.0)
    peaks = power[..., :128].max(axis=2), power[..., 128:].max(axis=2)
    track = pitch.track(power, level)
    return Features(
        frames=frames.astype(np.intp),
        frame_hop_s=HOP / SAMPLE_RATE,
        level_db=level,
        loudness=_kept(total, valid),
        mfcc=(log_mel @ bands.COSINES) * valid[..., None],
        flux=_kept(flux, valid),
        flatness=_kept(flatness, valid),
        hf500_db=_kept(_ratio_db(high500, low500), valid),
        alpha_ratio_db=_kept(_ratio_db(high1000, low1000), valid),
        hammarberg_db=_kept(_ratio_db(*peaks), valid),
        slope_0_500=_kept(texture[..., 1], valid),
        slope_500_1500=_kept(texture[..., 2], valid),
        f0_hz=track.f0_hz,
        hnr_db=track.hnr_db,
        voiced=track.voiced,
        speech=vad.speech(level, track.f0_hz, track.hnr_db, flux, flatness, valid),
    )


def _levels(batch: Float, count: int) -> Float:
    """dBFS of every frame, from the energies of its four hops."""
    hops = batch[:, : (count + 3) * HOP].reshape(len(batch), count + 3, HOP)
    energy = np.einsum("bfs,bfs->bf", hops, hops)
    total = energy[:, :count] + energy[:, 1:-2] + energy[:, 2:-1] + energy[:, 3:]
    level: Float = _DB * np.log(total * np.float32(1.0 / FRAME) + _TINY)
    return level


def _power(batch: Float, count: int) -> Float:
    """Power spectra below 5 kHz; shape (B, F, BINS)."""
    framed = sliding_window_view(batch, FRAME, axis=1)[:, ::HOP][:, :count] * _HANN
    spectrum = scipy.fft.rfft(framed, bands.FFT, axis=2)[..., : bands.BINS]
    power: Float = spectrum.real**2
    power += spectrum.imag**2
    return power


def _flux(loudness: Float, total: Float) -> Float:
    shape = loudness / (total[..., None] + np.float32(1e-9))
    flux: Float = np.zeros(total.shape, dtype=np.float32)
    flux[:, 1:] = np.abs(np.diff(shape, axis=1)).sum(axis=2)
    return flux


def _ratio_db(above: Float, below: Float) -> Float:
    ratio: Float = _DB * np.log((above + _MEL_FLOOR) / (below + _MEL_FLOOR))
    return ratio


def _kept(values: Float, valid: Bool) -> Float:
    return np.where(valid, values, np.float32(0.0))
