"""Labels as ranges of arousal: what a classifier says that has no better words, the embedded one included.

Subdued, Calm, Neutral and Animated, and Tense instead of Animated where valence is heard to be low. Nothing
is called warm or frustrated for its dimensions alone.
"""

EDGES = (0.32, 0.44, 0.60)
"""Arousals that part the labels."""
LABELS = ("Subdued", "Calm", "Neutral", "Animated")
LOW_VALENCE = 0.4
"""Valence below which high arousal is Tense."""
OPEN_WIDTH = 0.12
"""Arousal beyond the outer edges at which a label is as clear as can be."""
EDGE_SURE, MOST_SURE = 0.5, 0.9
"""Confidence of such a label at its range's edge, and in its middle."""


def inside(arousal: float) -> float:
    """How far inside its label's range it is: 0 at an edge, 1 in the middle or well beyond the outer ones."""
    place = sum(arousal >= edge for edge in EDGES)
    around = EDGES[max(0, place - 1) : place + 1]
    width = 0.5 * (around[1] - around[0]) if len(around) == 2 else OPEN_WIDTH
    return min(1.0, min(abs(arousal - edge) for edge in around) / width)


def led_by(arousal: float, valence: float | None) -> tuple[str, float]:
    """The label of a model's dimensions, 0 to 1 each, and how sure it is."""
    place = sum(arousal >= edge for edge in EDGES)
    tense = place == len(EDGES) and valence is not None and valence < LOW_VALENCE
    label = "Tense" if tense else LABELS[place]
    return label, EDGE_SURE + (MOST_SURE - EDGE_SURE) * inside(arousal)
