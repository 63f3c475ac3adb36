"""Ringback or busy: which call-progress tone sounds, and how it is switched on and off.

The frequencies alone decide too little: the same 425 Hz is ringing, busy or dial tone all over Europe. So
bursts of one tone are timed to 50 ms over several seconds, and the pattern decides. A burst counts from
150 ms on; holes under 100 ms don't end it.

Sources: ITU-T E.180 Supplement 2 (national cadences), ANSI T1.401. Patterns: North America ringing 440+480 Hz
2 s on, 4 s off, busy and reorder 480+620 Hz 0.5/0.5 and 0.25/0.25; United Kingdom ringing 400+450 Hz
0.4/0.2/0.4/2, busy 400 Hz 0.375/0.375; Germany and most of Europe 425 Hz, ringing 1/4, busy 0.48/0.48.
"""

from dataclasses import dataclass
from enum import IntEnum

from gateway.classify.acoustic import tones
from gateway.classify.acoustic.tones import GROUP_STEPS, PROGRESS_HZ, PROGRESS_TONES, STEP, ToneBlocks
from gateway.classify.port import SAMPLE_RATE, AnalysisState

GROUP_S = GROUP_STEPS * STEP / SAMPLE_RATE
"""Seconds."""
SHORTEST_S = 0.14
"""Seconds: three groups make a burst."""
HOLE_S = 0.09
"""Seconds without the tone that end a burst: two groups."""
REMEMBERED = 6
"""Bursts kept."""


class Tone(IntEnum):
    """Index into `tones.PROGRESS_TONES`."""

    US_RINGING = 0
    US_BUSY = 1
    UK_RINGING = 2
    EUROPEAN = 3
    UK_BUSY = 4


RINGING_S: dict[Tone, tuple[float, float]] = {Tone.US_RINGING: (0.8, 30.0), Tone.EUROPEAN: (0.7, 2.2)}
"""Length of one burst that says ringing by itself. The North American pair has no other use, so its burst may
still be going on; one of 425 Hz must have ended, since a dial tone doesn't."""
SHORT_S = (0.12, 0.68)
"""Busy: on and off times, two bursts running."""
UK_ON_S = (0.25, 0.6)
UK_OFF_S = (0.1, 0.35)
KEEP_S: dict[tuple[Tone, str], float] = {
    (Tone.US_RINGING, "ringback"): 5.0,
    (Tone.UK_RINGING, "ringback"): 3.0,
    (Tone.EUROPEAN, "ringback"): 6.0,
}
"""Seconds without the tone after which ringing has stopped: the longest pause of its networks, plus one."""
KEEP_BUSY_S = 1.5


@dataclass(frozen=True, slots=True)
class Progress:
    """A call-progress signal that is going on, pauses of its cadence included."""

    label: str
    """`ringback` or `busy`."""
    confidence: float
    """0.5 for one tone or 0.6 for a pair when first decided, and 0.1 more for each further burst, to 0.9."""
    hertz: tuple[float, ...]


@dataclass(slots=True)
class _Burst:
    tone: int
    start: float
    stop: float
    """Seconds of session audio."""

    @property
    def length(self) -> float:
        return self.stop - self.start


def advance(state: AnalysisState, blocks: ToneBlocks, owned: int, end_s: float) -> Progress | None:
    """The call-progress signal at the window's end, from its last `owned` samples and what came before.

    Updates `state`; an empty one means that nothing is known of what came before.
    """
    if not blocks.maybe_progress and not state:
        return None
    bursts = [_Burst(int(t), float(a), float(b)) for t, a, b in state.get("bursts", ())]
    for tone, start, stop in _groups(blocks, owned, end_s):
        _extend(bursts, tone, start, stop)
    solid = [burst for burst in bursts if burst.length > SHORTEST_S]
    label = _decide(solid, end_s) or _still(state, solid)
    keep = KEEP_S.get((Tone(solid[-1].tone), label), KEEP_BUSY_S) if solid else KEEP_BUSY_S
    state.clear()
    if not bursts or end_s - bursts[-1].stop > keep:
        return None
    state["bursts"] = [[b.tone, b.start, b.stop] for b in bursts[-REMEMBERED:]]
    if not label:
        return None
    state["label"], state["tone"] = label, solid[-1].tone
    return _progress(Tone(solid[-1].tone), label, solid)


def _groups(blocks: ToneBlocks, owned: int, end_s: float) -> list[tuple[int, float, float]]:
    """The owned groups that hold a tone: (tone, start, stop) in seconds of session audio."""
    if not blocks.maybe_progress:
        return []
    steps = tones.aligned(blocks.correlations, len(blocks.energy) * STEP)
    found = tones.progress_tones(*tones.groups(steps, blocks.energy)).tolist()
    count = min(len(found), -(-owned // (GROUP_STEPS * STEP)))
    first = end_s - count * GROUP_S
    return [
        (tone, first + i * GROUP_S, first + (i + 1) * GROUP_S)
        for i, tone in enumerate(found[len(found) - count :])
        if tone >= 0
    ]


def _extend(bursts: list[_Burst], tone: int, start: float, stop: float) -> None:
    """Add a group that holds a tone; a blip too short for a burst doesn't part the burst around it."""
    if bursts and bursts[-1].tone != tone and bursts[-1].length <= SHORTEST_S:
        bursts.pop()
    if bursts and bursts[-1].tone == tone and start - bursts[-1].stop < HOLE_S:
        bursts[-1].stop = stop
        return
    if bursts and bursts[-1].length <= SHORTEST_S:
        bursts.pop()
    bursts.append(_Burst(tone, start, stop))


def _still(state: AnalysisState, bursts: list[_Burst]) -> str:
    """The label told before, if its tone is still the one heard."""
    return str(state["label"]) if bursts and state.get("tone") == bursts[-1].tone and "label" in state else ""


def _decide(bursts: list[_Burst], now: float) -> str:
    """The label that the latest bursts support, or an empty string."""
    if not bursts:
        return ""
    last = bursts[-1]
    tone, ended = Tone(last.tone), now - last.stop > HOLE_S
    if tone in RINGING_S and _within(last.length, RINGING_S[tone]) and (ended or tone is Tone.US_RINGING):
        return "ringback"
    if len(bursts) < 2 or bursts[-2].tone != tone:
        return ""
    before = bursts[-2]
    pause = last.start - before.stop
    if tone is Tone.UK_RINGING:
        alike = _within(before.length, UK_ON_S) and last.length < UK_ON_S[1] and _within(pause, UK_OFF_S)
        return "ringback" if alike else ""
    if tone is Tone.US_RINGING:
        return ""
    alike = _within(before.length, SHORT_S) and last.length < SHORT_S[1] and _within(pause, SHORT_S)
    return "busy" if alike else ""


def _progress(tone: Tone, label: str, bursts: list[_Burst]) -> Progress:
    hertz = tuple(PROGRESS_HZ[i] for i in PROGRESS_TONES[tone])
    needed = 1 if tone in RINGING_S and label == "ringback" else 2
    more = max(0, sum(b.tone == tone for b in bursts) - needed)
    base = 0.6 if len(hertz) > 1 else 0.5
    return Progress(label, min(0.9, base + 0.1 * more), hertz)


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]
