"""What people are told of several sidecars."""

import pytest

from gateway.classify.port import Health, HealthStatus
from gateway.classify.remote.report import WHOLE, Seen, parts, whole
from gateway.classify.sidecar.health import SidecarHealth

READY = SidecarHealth(True)
LOADING = SidecarHealth(False, "loading", {"stt": HealthStatus.LOADING})
DRAINING = SidecarHealth(False, "draining")


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        ([Seen()], HealthStatus.LOADING),
        ([Seen(READY)], HealthStatus.READY),
        ([Seen(READY), Seen(READY)], HealthStatus.READY),
        ([Seen(READY), Seen(away=True)], HealthStatus.WARNING),
        ([Seen(READY), Seen(READY, shut=True)], HealthStatus.WARNING),
        ([Seen(READY), Seen()], HealthStatus.WARNING),
        ([Seen(LOADING)], HealthStatus.LOADING),
        ([Seen(LOADING), Seen(away=True)], HealthStatus.LOADING),
        ([Seen(DRAINING)], HealthStatus.WARNING),
        ([Seen(away=True)], HealthStatus.ERROR),
        ([Seen(READY, away=True), Seen(away=True)], HealthStatus.ERROR),
        ([Seen(READY, shut=True)], HealthStatus.ERROR),
        ([Seen(READY, shut=True), Seen(away=True)], HealthStatus.ERROR),
    ],
)
def test_as_well_as_the_best(seen: list[Seen], status: HealthStatus) -> None:
    """One that is well classifies; none is an error; and each state but ready has a sentence."""
    found = whole(seen)
    assert found.status is status
    assert bool(found.detail) == (status is not HealthStatus.READY)


def test_models_are_as_well_as_where_they_are_best() -> None:
    """Of those that answer; what one says that is away is old."""
    ready = SidecarHealth(True, models={"stt": HealthStatus.READY, "tone": HealthStatus.ERROR})
    found = parts([Seen(LOADING), Seen(ready)])
    assert found["model stt"] == Health(HealthStatus.READY, "the stt model is ready")
    assert found["model tone"].status is HealthStatus.ERROR
    assert parts([Seen(LOADING), Seen(ready, away=True)])["model stt"].status is HealthStatus.LOADING


def test_each_warning_once() -> None:
    """Whoever says it."""
    found = parts(
        [Seen(SidecarHealth(True, warnings=("slow", "old"))), Seen(SidecarHealth(True, warnings=("old",)))]
    )
    assert [name for name in found if name != WHOLE] == ["warning 1", "warning 2"]
    assert found["warning 2"] == Health(HealthStatus.WARNING, "old")


def test_parts_are_few() -> None:
    """However much sidecars tell."""
    noisy = [
        Seen(
            SidecarHealth(
                True, models={f"{i}-{k}": HealthStatus.READY for k in range(16)}, warnings=(f"w{i}",)
            )
        )
        for i in range(32)
    ]
    assert len(parts(noisy)) <= 1 + 16 + 8
