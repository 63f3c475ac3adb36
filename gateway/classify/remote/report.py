"""What people are told of several sidecars as one: what each of its parts is, for `service` events. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.classify.port import Health, HealthStatus
from gateway.classify.sidecar.health import MAX_MODELS, MAX_WARNINGS, SidecarHealth

WHOLE: Final = "sidecar"
"""The part that is all sidecars together."""
LOADING: Final = frozenset({"loading", "starting"})

_BEST_FIRST: Final = (HealthStatus.READY, HealthStatus.LOADING, HealthStatus.ERROR)


@dataclass(frozen=True, slots=True)
class Seen:
    """One replica, as far as anybody knows."""

    told: SidecarHealth | None = None
    """What it told last; None before it ever did."""
    away: bool = False
    """Nobody answers there."""
    shut: bool = False
    """Its breaker is not closed."""

    @property
    def well(self) -> bool:
        return not self.away and not self.shut and self.told is not None and self.told.ready


def parts(replicas: Sequence[Seen]) -> dict[str, Health]:
    """How the sidecars and each of their models are, and their warnings; by the name of the part."""
    answering = [one.told for one in replicas if one.told is not None and not one.away]
    return {WHOLE: whole(replicas), **_models(answering), **_warnings(answering)}


def whole(replicas: Sequence[Seen]) -> Health:
    """Whether windows can be classified."""
    many = len(replicas)
    well = sum(one.well for one in replicas)
    if well == many:
        return Health(HealthStatus.READY)
    if well:
        return Health(HealthStatus.WARNING, f"{many - well} of {many} sidecars can't be used now")
    if all(one.told is None and not one.away for one in replicas):
        return Health(HealthStatus.LOADING, "the sidecar has not been heard of yet")
    if all(one.away for one in replicas):
        return Health(HealthStatus.ERROR, "the sidecar can't be reached")
    words = [one.told.status for one in replicas if one.told is not None and not one.told.ready]
    if any(word in LOADING for word in words):
        return Health(HealthStatus.LOADING, "the sidecar is loading")
    if all(one.away or one.shut for one in replicas):
        return Health(HealthStatus.ERROR, "the sidecar fails")
    return Health(HealthStatus.WARNING, f"the sidecar is not ready ({words[0]})" if words else "not ready")


def _models(answering: Sequence[SidecarHealth]) -> dict[str, Health]:
    """A model is as well as it is where it is best."""
    found: dict[str, HealthStatus] = {}
    for told in answering:
        for name, status in told.models.items():
            if name in found:
                found[name] = min(found[name], status, key=_BEST_FIRST.index)
            elif len(found) < MAX_MODELS:
                found[name] = status
    return {f"model {name}": Health(status, _told(name, status)) for name, status in found.items()}


def _told(name: str, status: HealthStatus) -> str:
    match status:
        case HealthStatus.READY:
            return f"the {name} model is ready"
        case HealthStatus.LOADING:
            return f"the {name} model is loading"
        case _:
            return f"the {name} model failed"


def _warnings(answering: Sequence[SidecarHealth]) -> dict[str, Health]:
    """Each warning once, whoever says it."""
    texts = list(dict.fromkeys(text for told in answering for text in told.warnings))[:MAX_WARNINGS]
    return {f"warning {number}": Health(HealthStatus.WARNING, text) for number, text in enumerate(texts, 1)}
