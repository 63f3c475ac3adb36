"""Single things a listener would notice about how something was said, each by a rule of its own.

| flag | rule |
|---|---|
| `flat_f0` | pitch stays within 1 semitone (20th to 80th percentile) over at least 0.4 s of voice |
| `loud`, `soft` | level 1.8 spreads above or below the voice's usual |
| `fast`, `slow` | over 5 or under 2.2 syllables a second of speech, over at least 2.5 s |
| `tense` | energy above 500 Hz 1.8 spreads over usual in a clear voice (pressed voice: flatter spectrum) |
| `breathy` | a noisy voice (harmonics to noise under 5 dB) in a quiet room, not louder than usual |
| `rising_terminal` | the last 80 to 300 ms of voice before a pause rise by over 12 semitones a second |

A phrase that ends with the window has no pause in it yet and gets no `rising_terminal`.
"""

from gateway.classify.acoustic.baseline import Cues
from gateway.classify.acoustic.prosody import Prosody

FLAT_ST, FLAT_VOICED_S = 1.0, 0.4
LOUD_Z = 1.8
FAST_PER_S, SLOW_PER_S, RATE_SPOKEN_S = 5.0, 2.2, 2.5
TENSE_Z, TENSE_HNR_DB, TENSE_SNR_DB = 1.8, 8.0, 15.0
BREATHY_HNR_DB, BREATHY_SNR_DB = 5.0, 20.0
RISING_ST_S = 12.0


def flags(heard: Prosody, deviations: Cues, rate: float | None, snr_db: float) -> tuple[str, ...]:
    """The flags of one window, in the order of the table.

    Args:
        heard: the window's speech.
        deviations: of pitch, level and spectral balance, in the voice's own spreads.
        rate: syllables a second; None while too little was heard.
        snr_db: voice over room.
    """
    _, level, balance = deviations
    rules = {
        "flat_f0": heard.range_st < FLAT_ST and heard.voiced_s >= FLAT_VOICED_S,
        "loud": level > LOUD_Z,
        "soft": level < -LOUD_Z,
        "fast": rate is not None and rate > FAST_PER_S,
        "slow": rate is not None and rate < SLOW_PER_S,
        "tense": balance > TENSE_Z and heard.hnr_db > TENSE_HNR_DB and snr_db > TENSE_SNR_DB,
        "breathy": heard.hnr_db < BREATHY_HNR_DB and snr_db > BREATHY_SNR_DB and level < LOUD_Z,
        "rising_terminal": heard.terminal_st_s is not None and heard.terminal_st_s > RISING_ST_S,
    }
    return tuple(name for name, holds in rules.items() if holds)
