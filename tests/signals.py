"""Sounds with known content, for tests: sines, noise, vowels, DTMF, call progress, real recordings.

Everything is 16 kHz mono. Synthesis returns float64 with full scale 1; `pcm` turns it into int16.
"""

import subprocess
import wave
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import soxr

from tests.needs import need_command, need_file

Signal = npt.NDArray[np.float64]
Pcm = npt.NDArray[np.int16]

Sample = TypeVar("Sample", np.float64, np.int16)

RATE = 16_000
"""Hertz."""
KEYS = "123A456B789C*0#D"
LOW_HZ = (697.0, 770.0, 852.0, 941.0)
HIGH_HZ = (1209.0, 1336.0, 1477.0, 1633.0)

ASTERISK_SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
ASTERISK_MUSIC = Path("/usr/share/asterisk/moh")
ALSA_SOUNDS = Path("/usr/share/sounds/alsa")
SPHINX_DATA = Path("/usr/share/pocketsphinx/test/data")


def pcm(signal: Signal) -> Pcm:
    """Signed 16-bit samples, clipped at full scale."""
    return np.clip(np.round(signal * 32767.0), -32768, 32767).astype(np.int16)


def silence(seconds: float) -> Signal:
    """Digital silence."""
    return np.zeros(round(seconds * RATE))


def sines(hertz: Sequence[float], seconds: float, amplitude: float = 0.2) -> Signal:
    """Equal sines of `amplitude` each, all starting at phase zero."""
    time = np.arange(round(seconds * RATE)) / RATE
    out: Signal = amplitude * np.sum([np.sin(2 * np.pi * hz * time) for hz in hertz], axis=0)
    return out


def white(seconds: float, rms: float, seed: int = 0) -> Signal:
    """Gaussian white noise of the given root mean square."""
    return np.random.default_rng(seed).normal(0.0, rms, round(seconds * RATE))


def with_noise(signal: Signal, snr_db: float, seed: int = 0) -> Signal:
    """The signal in white noise; the ratio is over the parts where the signal isn't zero."""
    active = signal[signal != 0.0]
    rms = float(np.sqrt(np.mean(active**2))) if active.size else 0.0
    return signal + white(len(signal) / RATE, rms * 10 ** (-snr_db / 20), seed)[: len(signal)]


def at(level_dbfs: float, signal: Signal) -> Signal:
    """The signal scaled to a root mean square of `level_dbfs` (full-scale square wave = 0)."""
    return signal * (10 ** (level_dbfs / 20) / float(np.sqrt(np.mean(signal**2))))


def vowel(
    f0_hz: float | Signal,
    seconds: float,
    formants: Sequence[tuple[float, float]] = ((700.0, 90.0), (1220.0, 110.0), (2600.0, 160.0)),
    amplitude: float = 0.2,
) -> Signal:
    """A source-filter vowel (Fant 1960): harmonics of F0 falling 12 dB an octave, through formant resonances.

    `f0_hz` is constant or one value a sample; `formants` are (centre, bandwidth) in hertz.
    """
    count = round(seconds * RATE)
    f0 = np.broadcast_to(np.asarray(f0_hz, dtype=float), (count,))
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    out = np.zeros(count)
    for harmonic in range(1, int(0.5 * RATE / f0.max())):
        hz = f0 * harmonic
        gain = np.ones(count)
        for centre, width in formants:
            gain = gain * centre**2 / np.sqrt((centre**2 - hz**2) ** 2 + (width * hz) ** 2)
        out += gain / harmonic**2 * np.sin(harmonic * phase)
    return out * (amplitude / float(np.max(np.abs(out))))


def chatter(f0_hz: float, seconds: float, seed: int = 0) -> Signal:
    """Speech-like babble: short vowels with gliding pitch, changing formants, and pauses between them."""
    rng = np.random.default_rng(seed)
    parts: list[Signal] = []
    while sum(map(len, parts)) < seconds * RATE:
        length = rng.uniform(0.10, 0.25)
        glide = f0_hz * 2 ** np.linspace(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), round(length * RATE))
        shape = ((rng.uniform(300, 800), 90.0), (rng.uniform(900, 2200), 110.0), (2600.0, 160.0))
        syllable = vowel(glide, length, shape)
        ramp = np.minimum(1.0, np.minimum(np.arange(len(glide)), np.arange(len(glide))[::-1]) / (0.02 * RATE))
        parts += [syllable * ramp, silence(float(rng.choice([0.03, 0.06, 0.3])))]
    return np.concatenate(parts)[: round(seconds * RATE)]


def digit(
    key: str, seconds: float = 0.08, amplitude: float = 0.2, twist_db: float = 0.0, detune: float = 0.0
) -> Signal:
    """One DTMF key; `twist_db` raises its high tone, `detune` shifts both tones (0.015: +1.5 %)."""
    low, high = divmod(KEYS.index(key), 4)
    shift = 1.0 + detune
    high_amplitude = amplitude * 10 ** (twist_db / 20)
    return sines([LOW_HZ[low] * shift], seconds, amplitude) + sines(
        [HIGH_HZ[high] * shift], seconds, high_amplitude
    )


def dtmf(keys: str, on_s: float = 0.08, off_s: float = 0.08, amplitude: float = 0.2) -> Signal:
    """Keys one after another, each followed by a gap."""
    return np.concatenate([part for key in keys for part in (digit(key, on_s, amplitude), silence(off_s))])


def cadence(hertz: Sequence[float], on_off: Iterable[tuple[float, float]], amplitude: float = 0.1) -> Signal:
    """A tone switched on and off."""
    return np.concatenate(
        [part for on, off in on_off for part in (sines(hertz, on, amplitude), silence(off))]
    )


def ringback(country: str, cycles: int = 2) -> Signal:
    """The ringing tone heard by a caller in the `US`, `UK` or `DE` (ITU-T E.180)."""
    hertz, cycle = {
        "US": ((440.0, 480.0), [(2.0, 4.0)]),
        "UK": ((400.0, 450.0), [(0.4, 0.2), (0.4, 2.0)]),
        "DE": ((425.0,), [(1.0, 4.0)]),
    }[country]
    return cadence(hertz, cycle * cycles)


def busy(country: str, cycles: int = 6) -> Signal:
    """The busy tone of the `US`, `UK` or `DE` (ITU-T E.180)."""
    hertz, on_off = {
        "US": ((480.0, 620.0), (0.5, 0.5)),
        "UK": ((400.0,), (0.375, 0.375)),
        "DE": ((425.0,), (0.48, 0.48)),
    }[country]
    return cadence(hertz, [on_off] * cycles)


def windows(
    samples: npt.NDArray[Sample], window_ms: int = 1000, hop_ms: int | None = None
) -> Iterator[tuple[npt.NDArray[Sample], int, float]]:
    """(samples, owned, end in seconds) of each window as a session cuts them; the last one is flushed."""
    window, hop = window_ms * RATE // 1000, (hop_ms or window_ms) * RATE // 1000
    owned_from, end = 0, min(window, len(samples))
    while owned_from < len(samples):
        yield samples[max(0, end - window) : end], end - owned_from, end / RATE
        owned_from, end = end, min(end + hop, len(samples))


def recording(path: str | Path, seconds: float | None = None, start: float = 0.0) -> Pcm:
    """A 16-bit WAV file, or headerless 16 kHz `.raw`, as 16 kHz mono (first channel)."""
    found = need_file(path)
    if found.suffix == ".raw":
        samples, rate = np.frombuffer(found.read_bytes(), dtype="<i2"), RATE
    else:
        with wave.open(str(found)) as file:
            rate, channels = file.getframerate(), file.getnchannels()
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")[::channels]
    samples = samples[round(start * rate) :]
    if seconds is not None:
        samples = samples[: round(seconds * rate)]
    if rate == RATE:
        return samples.astype(np.int16)
    return np.asarray(soxr.resample(samples, rate, RATE), dtype=np.int16)


def spoken(text: str, voice: str, folder: Path) -> Pcm:
    """The text in a flite voice (`kal kal16 awb rms slt`), written under `folder` and read back."""
    path = folder / f"{voice}-{abs(hash(text))}.wav"
    subprocess.run([need_command("flite"), "-voice", voice, "-t", text, "-o", str(path)], check=True)
    return recording(path)


def speech_files() -> list[Path]:
    """Real and read speech on this machine: pocketsphinx test data and ALSA's channel names."""
    found = [
        *SPHINX_DATA.glob("cards/*.wav"),
        *SPHINX_DATA.glob("librivox/*.wav"),
        *SPHINX_DATA.glob("*.raw"),
    ]
    found += [path for path in ALSA_SOUNDS.glob("*.wav") if path.stem != "Noise"]
    return sorted(found)


def prompt_files(every: int = 12) -> list[Path]:
    """A sample of Asterisk's spoken prompts: one in `every`, without beeps and silences."""
    spoken_only = [p for p in ASTERISK_SOUNDS.rglob("*.wav") if not _not_speech(p)]
    return sorted(spoken_only)[::every]


def music_files() -> list[Path]:
    """Asterisk's hold music."""
    return sorted(ASTERISK_MUSIC.glob("*.wav"))


def _not_speech(path: Path) -> bool:
    return path.parent.name == "silence" or any(word in path.stem for word in ("beep", "2tone", "tt-monkeys"))
