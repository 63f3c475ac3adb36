"""Ringback and busy by frequency and cadence, for three networks."""

from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest

from gateway.classify.acoustic import cadence, tones
from gateway.classify.port import AnalysisState
from tests import signals
from tests.needs import need_file
from tests.signals import RATE, Signal

HOPS_MS = [(1000, 1000), (500, 500), (333, 333), (1000, 333), (2000, 500)]


def listen(signal: Signal, window_ms: int = 1000, hop_ms: int = 1000) -> list[tuple[float, str, float]]:
    """(seconds, label or "", confidence) at each change; the state goes through msgpack each time."""
    state: AnalysisState = {}
    told = [(0.0, "", 0.0)]
    for samples, owned, end_s in signals.windows(signal, window_ms, hop_ms):
        [blocks] = tones.detect(samples[None].astype(np.float32), np.array([len(samples)]))
        heard = cadence.advance(state, blocks, owned, end_s)
        label, confidence = (heard.label, heard.confidence) if heard else ("", 0.0)
        if label != told[-1][1]:
            told.append((end_s, label, confidence))
        state = msgpack.unpackb(msgpack.packb(state))
    return told[1:]


def call(tone: Signal, lead_s: float = 0.37) -> Signal:
    """Line noise at 20 dB below the tone, the tone, and eight seconds after it."""
    return signals.with_noise(np.concatenate([signals.silence(lead_s), tone, signals.silence(8.0)]), 20)


@pytest.mark.parametrize(("window_ms", "hop_ms"), HOPS_MS)
@pytest.mark.parametrize("country", ["US", "UK", "DE"])
def test_ringback(country: str, window_ms: int, hop_ms: int) -> None:
    """Ringing is told once within 2.4 s, lasts through the pauses of three cycles, and then ends."""
    labels = listen(call(signals.ringback(country, 3)), window_ms, hop_ms)
    assert [label for _, label, _ in labels] == ["ringback", ""]
    assert labels[0][0] <= 2.4 + hop_ms / 1000


@pytest.mark.parametrize(("window_ms", "hop_ms"), HOPS_MS)
@pytest.mark.parametrize("country", ["US", "UK", "DE"])
def test_busy(country: str, window_ms: int, hop_ms: int) -> None:
    """Busy is told within 1.7 s and a hop, and never as ringing although DE uses one frequency for both."""
    labels = listen(call(signals.busy(country, 8)), window_ms, hop_ms)
    assert [label for _, label, _ in labels] == ["busy", ""]
    assert labels[0][0] <= 1.7 + hop_ms / 1000


@pytest.mark.parametrize("lead_ms", range(0, 1000, 90))
@pytest.mark.parametrize("country", ["US", "UK", "DE"])
def test_any_alignment(country: str, lead_ms: int) -> None:
    """Where in a window the cadence begins makes no difference to what is told."""
    for tone, label in ((signals.ringback(country), "ringback"), (signals.busy(country), "busy")):
        assert [told for _, told, _ in listen(call(tone, lead_ms / 1000))] == [label, ""]


def test_fast_busy() -> None:
    """North American reorder (0.25/0.25) is busy too."""
    fast = signals.cadence((480.0, 620.0), [(0.25, 0.25)] * 12)
    assert [label for _, label, _ in listen(call(fast))] == ["busy", ""]


@pytest.mark.parametrize("hertz", [(425.0,), (350.0, 440.0), (400.0,)])
def test_dial_tone_is_neither(hertz: tuple[float, ...]) -> None:
    """A tone that doesn't stop says nothing, at 425 Hz too."""
    assert listen(signals.sines(hertz, 12.0)) == []


def test_one_short_burst_is_neither() -> None:
    """A single 0.5 s burst, of any tone, decides nothing."""
    for hertz in ((440.0, 480.0), (480.0, 620.0), (400.0, 450.0), (425.0,), (400.0,)):
        assert listen(call(signals.cadence(hertz, [(0.5, 0.5)]))) == []


@pytest.mark.parametrize(
    ("hertz", "on_off"),
    [
        ((400.0, 450.0), (0.4, 1.0)),
        ((480.0, 620.0), (0.5, 1.2)),
        ((425.0,), (3.0, 1.0)),
        ((425.0,), (0.15, 3.0)),
    ],
)
def test_other_cadences_are_neither(hertz: tuple[float, ...], on_off: tuple[float, float]) -> None:
    """The right frequencies switched in another rhythm say nothing."""
    assert listen(call(signals.cadence(hertz, [on_off] * 4))) == []


def test_overlapping_windows_time_bursts_alike() -> None:
    """What a window repeats of the one before isn't timed again."""
    tone = call(signals.busy("US", 4))[: 4 * RATE].astype(np.float32)
    timed = []
    for window_ms, hop_ms in ((500, 500), (2000, 500)):
        state: AnalysisState = {}
        for samples, owned, end_s in signals.windows(tone.astype(np.float64), window_ms, hop_ms):
            [blocks] = tones.detect(samples[None].astype(np.float32), np.array([len(samples)]))
            cadence.advance(state, blocks, owned, end_s)
            starts = [start for _, start, _ in state.get("bursts", ())]
            assert starts == sorted(starts)
        timed.append([stop - start for _, start, stop in state["bursts"]])
    assert timed[0] == pytest.approx(timed[1], abs=0.06)


def test_from_ringing_to_busy() -> None:
    """A call that rings and is then refused goes from ringback to busy, without ringing again."""
    refused = np.concatenate([signals.ringback("US", 1)[: 3 * RATE], signals.busy("US", 5)])
    assert [label for _, label, _ in listen(call(refused)) if label] == ["ringback", "busy"]


def test_confidence_grows_with_each_cycle() -> None:
    """The first burst of one frequency gives 0.5, of a pair 0.6; repetition raises it to at most 0.9."""
    assert listen(call(signals.ringback("DE", 1)))[0][2] == pytest.approx(0.5)
    assert listen(call(signals.ringback("US", 1)))[0][2] == pytest.approx(0.6)
    state: AnalysisState = {}
    last = 0.0
    tone = signals.busy("US", 12).astype(np.float32)
    for end in range(RATE, len(tone) + 1, RATE):
        [blocks] = tones.detect(tone[None, end - RATE : end], np.array([RATE]))
        heard = cadence.advance(state, blocks, RATE, end / RATE)
        last = heard.confidence if heard else last
    assert last == pytest.approx(0.9)


def test_the_state_is_small_and_empties_itself() -> None:
    """State stays under 300 bytes, and there is none when no tone has sounded for a while."""
    state: AnalysisState = {}
    tone = call(signals.busy("UK", 20)).astype(np.float32)
    sizes = []
    for end in range(RATE, len(tone) + 1, RATE):
        [blocks] = tones.detect(tone[None, end - RATE : end], np.array([RATE]))
        cadence.advance(state, blocks, RATE, end / RATE)
        sizes.append(len(msgpack.packb(state)))
    assert max(sizes) < 300
    assert sizes[-1] == 1


@pytest.mark.parametrize(
    "path", signals.music_files() or [signals.ASTERISK_MUSIC], ids=lambda path: path.stem
)
def test_no_call_progress_in_music(path: Path) -> None:
    """A minute of hold music never rings."""
    assert listen(signals.recording(path, 60.0) / 32768) == []


def test_no_call_progress_in_speech() -> None:
    """Real speech and prompts never ring."""
    need_file(signals.SPHINX_DATA)
    for path in [*signals.speech_files(), *signals.prompt_files()]:
        assert listen(signals.recording(path) / 32768) == [], path
