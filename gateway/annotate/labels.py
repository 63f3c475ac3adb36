"""Words for tone labels. Vocabularies are open: each classifier has its own, and sidecars bring theirs."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_MAX_CHARS = 40
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\s_\-./]+")


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone, in words."""

    affect: str
    """After "sounds": an adjective."""
    noun: str
    """After "with"."""
    intense: bool = False
    """More energy in the voice means more of this tone; where False, it is only more energy."""
    manner: str = ""
    """How to name it before speaking, where `With <noun>` would sound odd."""


def _intense(affect: str, noun: str) -> Tone:
    return Tone(affect, noun, intense=True)


_TONES: dict[Tone, str] = {
    # The embedded classifier's own.
    Tone("calm", "calm", manner="Calmly"): "calm calmness",
    Tone("neutral", "neutrality", manner="In a neutral tone"): "neutral neu",
    _intense("animated", "animation"): "animated animation",
    _intense("tense", "tension"): "tense tension",
    Tone("subdued", "restraint", manner="In a subdued tone"): "subdued",
    Tone("warm", "warmth"): "warm warmth",
    _intense("frustrated", "frustration"): "frustrated frustration fru",
    # What emotion models say: adjectives, nouns and the short forms of their data sets. No synonyms: a model
    # that says "impatient" doesn't mean "irritated".
    _intense("happy", "happiness"): "happy happiness hap",
    _intense("joyful", "joy"): "joyful joy",
    _intense("cheerful", "cheerfulness"): "cheerful cheerfulness",
    Tone("sad", "sadness"): "sad sadness",
    _intense("angry", "anger"): "angry anger ang",
    _intense("afraid", "fear"): "afraid fear fearful fea",
    _intense("anxious", "anxiety"): "anxious anxiety",
    _intense("nervous", "nervousness"): "nervous nervousness",
    _intense("disgusted", "disgust"): "disgusted disgust dis",
    _intense("surprised", "surprise"): "surprised surprise sur",
    _intense("excited", "excitement"): "excited excitement exc",
    _intense("irritated", "irritation"): "irritated irritation",
    _intense("impatient", "impatience"): "impatient impatience",
    _intense("stressed", "stress"): "stressed stress",
    _intense("urgent", "urgency"): "urgent urgency",
    Tone("relaxed", "ease"): "relaxed",
    Tone("bored", "boredom"): "bored boredom",
    Tone("tired", "tiredness"): "tired tiredness",
    Tone("confused", "confusion"): "confused confusion",
    Tone("hesitant", "hesitation"): "hesitant hesitation",
    Tone("uncertain", "uncertainty"): "uncertain uncertainty",
    Tone("confident", "confidence"): "confident",
    Tone("apologetic", "apology", manner="Apologetically"): "apologetic",
    Tone("sarcastic", "sarcasm"): "sarcastic sarcasm",
    Tone("dismissive", "dismissiveness", manner="Dismissively"): "dismissive",
    Tone("resigned", "resignation"): "resigned resignation",
}

_BY_LABEL = {label: tone for tone, labels in _TONES.items() for label in labels.split()}

_NO_TONE = frozenset({"", "unknown", "unk", "<unk>", "other", "oth", "none", "null", "n a", "unclear"})
"""Labels by which models say that they can't tell."""


def tone_of(label: str) -> Tone | None:
    """What is known of `label`; None for one that only its classifier understands."""
    return _BY_LABEL.get(humanise(label))


def affect_of(label: str) -> str | None:
    """One word for people, or the label made readable; None where the label says that nobody can tell."""
    tone = tone_of(label)
    if tone is not None:
        return tone.affect
    readable = humanise(label)
    return None if readable in _NO_TONE else readable


@lru_cache(maxsize=256)
def humanise(label: str) -> str:
    """`Warmly_Impatient`, `warmlyImpatient`, `生气/angry` as people would write it, on one short line."""
    _, _, last = label.rpartition("/")
    chosen = last if not label.isascii() and last.isascii() and last.strip() else label
    spaced = _SEPARATORS.sub(" ", _CAMEL.sub(" ", chosen))
    plain = "".join(char for char in spaced if not unicodedata.category(char).startswith("C"))
    return " ".join(plain.split()).lower()[:_MAX_CHARS].rstrip()
