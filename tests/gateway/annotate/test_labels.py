"""Words for labels: known ones in many spellings, unknown ones made readable."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.annotate.labels import affect_of, humanise, tone_of


@pytest.mark.parametrize(
    ("label", "affect"),
    [
        ("Calm", "calm"),
        ("Neutral", "neutral"),
        ("Animated", "animated"),
        ("Tense", "tense"),
        ("Subdued", "subdued"),
        ("ang", "angry"),
        ("HAPPINESS", "happy"),
        ("生气/angry", "angry"),
        ("warmly_impatient", "warmly impatient"),
        ("warmlyImpatient", "warmly impatient"),
        ("Gereizt", "gereizt"),
        ("impatient", "impatient"),
        ("<unk>", None),
        ("unknown", None),
        ("  ", None),
    ],
)
def test_affect(label: str, affect: str | None) -> None:
    """Own labels, data set abbreviations, bilingual labels, strange ones, and those that say nothing."""
    assert affect_of(label) == affect


def test_energy_is_told_apart_from_tone() -> None:
    """More energy makes a tense voice more tense, but not a calm one more calm."""
    tense, calm = tone_of("Tense"), tone_of("Calm")
    assert tense is not None
    assert calm is not None
    assert (tense.intense, calm.intense) == (True, False)


@given(st.text(max_size=200))
@example("long " * 50)
@example("tone\x1b[31m\u202ered")
def test_any_label_becomes_one_short_printable_line(label: str) -> None:
    """A sidecar's label can't break a line or hide control characters."""
    plain = humanise(label)
    assert len(plain) <= 40
    assert len(plain.splitlines()) <= 1
    assert not any(unicodedata.category(char).startswith("C") for char in plain)
    assert plain == plain.strip()
