"""The sentence: exact wording for what is known, sound grammar and respect for anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.annotate.subtext import CLEAR, FAINT, SLIGHT, subtext
from protocol.events import ShiftDirection

UP, DOWN, STABLE = ShiftDirection.ESCALATING, ShiftDirection.DE_ESCALATING, ShiftDirection.STABLE


@pytest.mark.parametrize(
    ("label", "direction", "magnitude", "plain", "elcor"),
    [
        ("Tense", None, None, "Sounds tense.", "With tension:"),
        ("Tense", STABLE, 0.0, "Sounds tense.", "With tension:"),
        ("Tense", UP, 0.4, "Sounds tense, and getting more so.", "With rising tension:"),
        ("Tense", UP, None, "Sounds tense, and getting more so.", "With rising tension:"),
        ("Tense", UP, 0.1, "Sounds tense, and getting a little more so.", "With slightly rising tension:"),
        ("Tense", UP, 0.9, "Sounds tense, and clearly getting more so.", "With clearly rising tension:"),
        ("Tense", DOWN, 0.4, "Sounds tense, but easing.", "With easing tension:"),
        ("Animated", DOWN, 0.1, "Sounds animated, but easing a little.", "With slightly easing animation:"),
        ("Calm", None, None, "Sounds calm.", "Calmly:"),
        ("Calm", UP, 0.4, "Sounds calm, with energy rising.", "Calmly, with rising energy:"),
        (
            "Calm",
            DOWN,
            0.9,
            "Sounds calm, with energy clearly fading.",
            "Calmly, with clearly fading energy:",
        ),
        ("Neutral", None, None, "Sounds neutral.", "In a neutral tone:"),
        (
            "Subdued",
            UP,
            0.1,
            "Sounds subdued, with energy rising a little.",
            "In a subdued tone, with slightly rising energy:",
        ),
        ("Warm", UP, 0.4, "Sounds warm, with energy rising.", "With warmth and rising energy:"),
        ("oddly_bright", None, None, "Sounds like: oddly bright.", "In a tone marked oddly bright:"),
        ("unknown", UP, 0.4, "The tone can't be told.", "With a tone that can't be told:"),
    ],
)
def test_wording(
    label: str, direction: ShiftDirection | None, magnitude: float | None, plain: str, elcor: str
) -> None:
    """Label, course and degree in both styles."""
    assert subtext(label, confidence=0.5, direction=direction, magnitude=magnitude) == plain
    assert subtext(label, confidence=0.5, direction=direction, magnitude=magnitude, elcor=True) == elcor


def test_a_guess_is_worded_as_one() -> None:
    """Below the confidence that deserves it, the sentence says "might"."""
    assert subtext("Tense", confidence=FAINT - 0.01) == "Might sound tense."
    assert subtext("Tense", confidence=FAINT) == "Sounds tense."
    assert subtext("Calm", confidence=0.1, elcor=True) == "Possibly calmly:"


def test_degrees_meet_at_their_bounds() -> None:
    """`SLIGHT` is no longer slight, `CLEAR` is clear."""
    assert "a little" not in subtext("Tense", confidence=0.5, direction=UP, magnitude=SLIGHT)
    assert "clearly" in subtext("Tense", confidence=0.5, direction=UP, magnitude=CLEAR)


def test_a_models_own_affect_word_helps_where_the_label_does_not() -> None:
    """The label goes first; an unknown one gives way to the affect word."""
    assert subtext("cluster_7", confidence=0.5, affect="tired") == "Sounds tired."
    assert subtext("cluster_7", confidence=0.5, affect="wistful") == "Sounds like: wistful."
    assert subtext("Tense", confidence=0.5, affect="wistful") == "Sounds tense."


@given(
    label=st.one_of(st.sampled_from(["Tense", "Calm", "Warm", "Subdued", "angry", ""]), st.text(max_size=60)),
    confidence=st.floats(0, 1),
    direction=st.sampled_from([None, *ShiftDirection]),
    magnitude=st.one_of(st.none(), st.floats(0, 1)),
)
def test_any_tone_gets_one_honest_line(
    label: str, confidence: float, direction: ShiftDirection | None, magnitude: float | None
) -> None:
    """Whatever the label, the words are one hedged line, closed as their style has it, always the same."""
    arguments = {"confidence": confidence, "direction": direction, "magnitude": magnitude}
    plain = subtext(label, **arguments)  # type: ignore[arg-type]
    elcor = subtext(label, elcor=True, **arguments)  # type: ignore[arg-type]
    assert plain.startswith(("Sounds ", "Might sound ", "The tone can't be told"))
    assert plain.endswith(".")
    assert elcor.startswith(("With ", "In a ", "Possibly ", "Calmly", "Apologetically", "Dismissively"))
    assert elcor.endswith(":")
    assert len(plain.splitlines()) == len(elcor.splitlines()) == 1
    assert plain == subtext(label, **arguments)  # type: ignore[arg-type]
