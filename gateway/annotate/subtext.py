"""One sentence on how something was said, for people who can't hear tone or find it hard to read.

Plain style describes ("Sounds tense, and getting more so."). Elcor style names the tone before the words, as
a flat declaration ("With rising tension:"). Neither claims to know what anybody feels: a voice *sounds* like
something. The same observation always gives the same words.
"""

from gateway.annotate.labels import Tone, affect_of, tone_of
from protocol.events import ShiftDirection

FAINT = 0.3
"""Confidence below which the wording is a guess ("Might sound …")."""
SLIGHT = 0.25
"""Shift magnitude below which a change is "a little"."""
CLEAR = 0.6
"""Shift magnitude from which a change is "clearly" so."""

_RISING = ShiftDirection.ESCALATING
_FALLING = ShiftDirection.DE_ESCALATING


def subtext(
    label: str,
    *,
    confidence: float,
    direction: ShiftDirection | None = None,
    magnitude: float | None = None,
    elcor: bool = False,
    affect: str | None = None,
) -> str:
    """The sentence for a tone.

    Args:
        label: the classifier's label, of any vocabulary.
        confidence: 0 to 1.
        direction: where the tone is going; None where nobody knows.
        magnitude: how far it went, 0 to 1; None where nobody knows.
        elcor: Elcor style instead of plain.
        affect: the model's own affect word, used where the label is not a known one.
    """
    tone = tone_of(label) or (tone_of(affect) if affect else None)
    name = (affect_of(affect) if affect else None) or affect_of(label)
    if name is None:
        return "With a tone that can't be told:" if elcor else "The tone can't be told."
    shift = direction if direction in (_RISING, _FALLING) else None
    if elcor:
        said = _elcor(tone, name, shift, magnitude)
        return f"{said if confidence >= FAINT else _guessed(said)}:"
    sounds = "Sounds" if confidence >= FAINT else "Might sound"
    described = tone.affect if tone else f"like: {name}"
    return f"{sounds} {described}{_course(tone, shift, magnitude)}."


def _course(tone: Tone | None, shift: ShiftDirection | None, magnitude: float | None) -> str:
    """The second half of the plain sentence: where the tone is going."""
    if shift is None:
        return ""
    before, after = _degree(magnitude)
    if tone is None or not tone.intense:
        return f", with energy {before}{'rising' if shift is _RISING else 'fading'}{after}"
    if shift is _FALLING:
        return f", but {before}easing{after}"
    return f", and {before}getting{after} more so"


def _elcor(tone: Tone | None, name: str, shift: ShiftDirection | None, magnitude: float | None) -> str:
    adverb = _elcor_degree(magnitude)
    if tone is not None and tone.intense and shift is not None:
        return f"With {adverb}{'rising' if shift is _RISING else 'easing'} {tone.noun}"
    manner = (tone.manner or f"With {tone.noun}") if tone else f"In a tone marked {name}"
    if shift is None:
        return manner
    link = " and" if manner.startswith("With ") else ", with"
    return f"{manner}{link} {adverb}{'rising' if shift is _RISING else 'fading'} energy"


def _degree(magnitude: float | None) -> tuple[str, str]:
    """What goes before and after the verb of change."""
    if magnitude is None or SLIGHT <= magnitude < CLEAR:
        return "", ""
    return ("clearly ", "") if magnitude >= CLEAR else ("", " a little")


def _elcor_degree(magnitude: float | None) -> str:
    if magnitude is None or SLIGHT <= magnitude < CLEAR:
        return ""
    return "clearly " if magnitude >= CLEAR else "slightly "


def _guessed(manner: str) -> str:
    return f"Possibly {manner[0].lower()}{manner[1:]}"
