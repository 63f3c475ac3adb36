"""How a sidecar is: its models as their classifier tells, and whether calls are welcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.classify.port import Classifier, Health, HealthStatus

_WELL = (HealthStatus.READY, HealthStatus.WARNING)
_AS_MODEL = {HealthStatus.WARNING: HealthStatus.READY}
"""A model that works although something is to be said of it is ready to those who ask."""


@dataclass(frozen=True, slots=True)
class Wellbeing:
    """How it is now."""

    classifier: str
    health: Health
    parts: Mapping[str, Health] = field(default_factory=dict)
    dispatching: bool = True
    """Whether windows are handed to the classifier at all."""
    stalled: bool = False
    """Whether the classifier gave no answer in time, and none since."""
    draining: bool = False

    @classmethod
    def of(cls, classifier: Classifier, **more: bool) -> "Wellbeing":
        """That of `classifier` and what is round it."""
        return cls(classifier.name, classifier.health(), dict(classifier.notices.current), **more)

    @property
    def ready(self) -> bool:
        """Whether calls are welcome."""
        return self.health.status in _WELL and self.dispatching and not (self.stalled or self.draining)

    @property
    def status(self) -> str:
        """In one word: `ready`, `loading`, `error` or `draining`."""
        if self.draining:
            return "draining"
        if self.stalled or not self.dispatching:
            return "error"
        return "ready" if self.health.status in _WELL else self.health.status.value

    def told(self) -> dict[str, Any]:
        """As `/health` tells it."""
        parts = self.parts or {self.classifier: self.health}
        warnings = [f"{name}: {one.detail}" for name, one in parts.items() if _warns(one)]
        return {
            "status": self.status,
            "classifier": self.classifier,
            "models": {name: _AS_MODEL.get(one.status, one.status).value for name, one in parts.items()},
            "warnings": warnings,
        }

    def checks(self) -> dict[str, str]:
        """As `/readyz` tells it."""
        found = {
            "classifier": "stalled" if self.stalled else self.health.status.value,
            "scheduler": "ok" if self.dispatching else "stopped",
        }
        if self.draining:
            found["sidecar"] = "draining"
        return found


def _warns(health: Health) -> bool:
    return bool(health.detail) and health.status is not HealthStatus.READY
