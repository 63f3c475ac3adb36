"""Each flag where its rule holds, and not where it just doesn't."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.classify.acoustic.flags import flags
from gateway.classify.acoustic.prosody import Prosody

PLAIN = Prosody(
    speech_s=0.8,
    voiced_s=0.6,
    f0_st=5.0,
    range_st=3.0,
    level_db=-22.0,
    hf500_db=-10.0,
    hnr_db=13.0,
    noise_db=-60.0,
    nuclei=3,
    terminal_st_s=None,
)

QUIET_ROOM = 38.0
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("flat_f0", {"range_st": 0.8}, {"range_st": 1.2}),
    ("flat_f0", {"range_st": 0.8, "voiced_s": 0.5}, {"range_st": 0.8, "voiced_s": 0.3}),
    ("loud", {"level": 2.0}, {"level": 1.5}),
    ("soft", {"level": -2.0}, {"level": -1.5}),
    ("fast", {"rate": 5.5}, {"rate": 4.8}),
    ("slow", {"rate": 2.0}, {"rate": 2.4}),
    ("tense", {"balance": 2.0}, {"balance": 1.5}),
    ("tense", {"balance": 2.0}, {"balance": 2.0, "hnr_db": 6.0}),
    ("tense", {"balance": 2.0}, {"balance": 2.0, "snr_db": 10.0}),
    ("breathy", {"hnr_db": 4.0}, {"hnr_db": 6.0}),
    ("breathy", {"hnr_db": 4.0}, {"hnr_db": 4.0, "snr_db": 15.0}),
    ("breathy", {"hnr_db": 4.0}, {"hnr_db": 4.0, "level": 2.0}),
    ("rising_terminal", {"terminal_st_s": 15.0}, {"terminal_st_s": 9.0}),
    ("rising_terminal", {"terminal_st_s": 15.0}, {"terminal_st_s": None}),
]


def told(
    level: float = 0.0,
    balance: float = 0.0,
    rate: float | None = 3.5,
    snr_db: float = QUIET_ROOM,
    **heard: Any,
) -> tuple[str, ...]:
    return flags(replace(PLAIN, **heard), (0.0, level, balance), rate, snr_db)


@pytest.mark.parametrize(("flag", "there", "missing"), CASES)
def test_each_rule(flag: str, there: dict[str, Any], missing: dict[str, Any]) -> None:
    """The flag is told where its rule holds, alone, and not just short of it."""
    assert told(**there) == (flag,)
    assert flag not in told(**missing)


def test_plain_speech_has_none() -> None:
    """Nothing is noticed where there is nothing to notice, nor where the rate isn't known yet."""
    assert told() == ()
    assert told(rate=None) == ()
