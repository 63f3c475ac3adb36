"""A storm strikes everybody, each in its time, and the same way again with the same seed."""

from collections import Counter

import pytest

from tests.chaos.storm import Fault, Storm, Strike

NUMBERS = range(500)


def test_the_same_seed_is_the_same_storm() -> None:
    """Whatever the order in which the links come; another seed is another storm."""
    forwards = [Storm(7).strike(number) for number in NUMBERS]
    backwards = [Storm(7).strike(number) for number in reversed(NUMBERS)]
    assert forwards == backwards[::-1]
    assert forwards != [Storm(8).strike(number) for number in NUMBERS]


def test_it_keeps_to_its_time_and_its_faults() -> None:
    """Spread over the whole of it."""
    faults = (Fault.CUT, Fault.CUT, Fault.FORGET)
    strikes = [Storm(1, (2.0, 5.0), faults).strike(number) for number in NUMBERS]
    times = [strike.after_s for strike in strikes]
    assert 2.0 <= min(times) < 2.1
    assert 4.9 < max(times) <= 5.0
    count = Counter(strike.fault for strike in strikes)
    assert set(count) == set(faults)
    assert 1.5 < count[Fault.CUT] / count[Fault.FORGET] < 2.7


class Target:
    """Stands for a link, and remembers what happened to it."""

    def __init__(self, seen: list[str], name: str = "") -> None:
        self._seen = seen
        self._name = name

    def __getattr__(self, name: str) -> "Target":
        return Target(self._seen, f"{self._name}.{name}".strip("."))

    def __call__(self) -> None:
        self._seen.append(self._name)


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (Fault.CUT, "cut"),
        (Fault.CLOSE, "close"),
        (Fault.STALL, "stall"),
        (Fault.FORGET, "forget"),
        (Fault.DEAF, "down.shut_window"),
    ],
)
def test_each_fault_is_what_it_says(fault: Fault, what: str) -> None:
    """One action each, and none is without."""
    seen: list[str] = []
    Strike(0.0, fault).hit(Target(seen))  # type: ignore[arg-type]
    assert seen == [what]
