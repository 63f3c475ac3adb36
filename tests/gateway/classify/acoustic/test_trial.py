"""What a window costs, by a clock of the test's own."""

import itertools

from gateway.classify.acoustic import trial
from gateway.classify.acoustic.classifier import analyse
from gateway.classify.port import ToneObservation


def test_the_best_round_of_each_size_counts() -> None:
    """Seconds a window, however many windows a round has."""
    ticks = itertools.count()
    found = trial.costs((1, 4), clock=lambda: float(next(ticks)), rounds=2)
    assert found == {1: 1 / trial.AT_LEAST, 4: 1 / trial.AT_LEAST}


def test_what_it_tries_is_taken_for_speech() -> None:
    """By sessions that have talked for a while: silence would cost less than what it stands for."""
    windows = trial._windows()
    assert len(windows) == trial.VOICES
    for window, (heard, _) in zip(windows, analyse(windows), strict=True):
        assert window.state
        assert [one for one in heard if isinstance(one, ToneObservation)]


def test_a_thread_has_a_clock_of_its_own() -> None:
    """Others are at work in its process."""
    assert 1e-5 < trial.in_thread([8])[8] < 1.0
