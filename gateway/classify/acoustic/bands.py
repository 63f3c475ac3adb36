"""The fixed matrices that turn a power spectrum into bands, cepstra and slopes.

Everything lies below 5 kHz. The mel bands end at 3.8 kHz, so that a voice keeps its shape when it comes over
the telephone (300 to 3400 Hz) instead of a wideband microphone.

Sources: Eyben et al. 2016, "The Geneva Minimalistic Acoustic Parameter Set", IEEE TAFFC 7(2) (alpha ratio,
Hammarberg index, spectral slopes); Davis and Mermelstein 1980, IEEE TASSP 28(4) (mel cepstrum).
"""

import numpy as np
import numpy.typing as npt

from gateway.classify.port import SAMPLE_RATE

Float = npt.NDArray[np.float32]

FFT = 1024
"""Points: frames of 640 samples are zero padded, so that lags to 384 don't wrap in the autocorrelation."""
BIN_HZ = SAMPLE_RATE / FFT
BINS = 321
"""Bins kept: 0 to 5 kHz."""
TEXTURE = slice(4, 240)
"""Bins over which spectral flatness is taken: 62 to 3734 Hz."""
LOG_BINS = 240
"""Bins of which the logarithm is needed."""
MELS = 26
CEPSTRA = 13
MEL_HZ = (50.0, 3800.0)

BANDS_HZ = {
    "low500": (50.0, 500.0),
    "high500": (500.0, 5000.0),
    "low1000": (50.0, 1000.0),
    "high1000": (1000.0, 5000.0),
}
"""Energies beside the mel bands, in column order."""


def _mel_bands() -> npt.NDArray[np.float64]:
    """Triangles equally spaced on the mel scale; shape (BINS, MELS)."""
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in MEL_HZ)
    edge = 700.0 * (10.0 ** (np.linspace(low, high, MELS + 2) / 2595.0) - 1.0)
    hertz = (np.arange(BINS) * BIN_HZ)[:, None]
    rise = (hertz - edge[:-2]) / (edge[1:-1] - edge[:-2])
    fall = (edge[2:] - hertz) / (edge[2:] - edge[1:-1])
    bands: npt.NDArray[np.float64] = np.clip(np.minimum(rise, fall), 0.0, None)
    return bands


def _energies() -> npt.NDArray[np.float64]:
    hertz = (np.arange(BINS) * BIN_HZ)[:, None]
    edges = np.array(list(BANDS_HZ.values())).T
    inside: npt.NDArray[np.float64] = ((hertz >= edges[0]) & (hertz < edges[1])).astype(np.float64)
    return inside


def _dct() -> npt.NDArray[np.float64]:
    """Orthonormal DCT-II; shape (MELS, CEPSTRA)."""
    angle = np.pi / MELS * (np.arange(MELS)[:, None] + 0.5) * np.arange(CEPSTRA)
    scale = np.full(CEPSTRA, np.sqrt(2.0 / MELS))
    scale[0] = np.sqrt(1.0 / MELS)
    matrix: npt.NDArray[np.float64] = np.cos(angle) * scale
    return matrix


def _slope(low_hz: float, high_hz: float) -> npt.NDArray[np.float64]:
    """Least-squares slope of ln(power) over frequency as a dot product, in dB/kHz; shape (LOG_BINS,)."""
    hertz = np.arange(LOG_BINS) * BIN_HZ
    inside = (hertz >= low_hz) & (hertz <= high_hz)
    centred = np.where(inside, hertz - hertz[inside].mean(), 0.0)
    weights: npt.NDArray[np.float64] = centred / np.sum(centred**2) * 1000.0 * 10.0 / np.log(10.0)
    return weights


def _texture() -> npt.NDArray[np.float64]:
    """Mean of ln(power) over the texture bins, and the two GeMAPS slopes; shape (LOG_BINS, 3)."""
    mean = np.zeros(LOG_BINS)
    mean[TEXTURE] = 1.0 / (TEXTURE.stop - TEXTURE.start)
    return np.stack([mean, _slope(4 * BIN_HZ, 500.0), _slope(500.0, 1500.0)], axis=1)


PROJECTION: Float = np.concatenate([_mel_bands(), _energies()], axis=1).astype(np.float32)
"""Power to mel bands and band energies; shape (BINS, MELS + 4)."""
COSINES: Float = _dct().astype(np.float32)
"""Log mel bands to cepstra; shape (MELS, CEPSTRA)."""
LOG_PROJECTION: Float = _texture().astype(np.float32)
"""ln(power) to its mean and slopes; shape (LOG_BINS, 3)."""
