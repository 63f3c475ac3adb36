"""What a sidecar tells of itself: `GET /health` → whether it can answer, its models, and what it offers.

    {"status": "ready", "batch": {"path": "/v1/classify/batch", "max": 32},
     "models": {"stt": "loading"}, "warnings": ["no GPU: slow"]}

Status 200 is ready; everything in the body is optional. It is bounded and cleaned here: people will see it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from gateway.classify.port import HealthStatus
from gateway.classify.sidecar.batch import MAX_WINDOWS

PATH: Final = "/health"
MAX_BYTES: Final = 65_536
MAX_MODELS: Final = 16
MAX_WARNINGS: Final = 8
MAX_NAME: Final = 48
"""Characters of a model's name; longer ones are cut."""
MAX_WARNING: Final = 200
"""Characters of a warning; longer ones are cut."""

_PATH: Final = re.compile(r"/(?!/)[A-Za-z0-9._~/-]{0,255}\Z")
"""An absolute path of plain characters: no other host, no query, nothing to decode."""
_UNREADABLE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_MODEL_STATES: Final[Mapping[str, HealthStatus]] = {
    "loading": HealthStatus.LOADING,
    "ready": HealthStatus.READY,
    "error": HealthStatus.ERROR,
}
_NOT_READY: Final = frozenset({"loading", "starting", "draining", "error"})


@dataclass(frozen=True, slots=True)
class Offer:
    """The batch contract, offered."""

    path: str
    max: int
    """Windows in one call."""


@dataclass(frozen=True, slots=True)
class SidecarHealth:
    """What a sidecar says of itself."""

    ready: bool
    status: str = ""
    """Its own word for it, where it is not ready."""
    models: Mapping[str, HealthStatus] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    offer: Offer | None = None


def read_health(status: int, body: bytes) -> SidecarHealth:
    """What an answer to `GET /health` with this status says. A body that makes no sense says nothing."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        told = {}
    word = told.get("status")
    word = _clean(word, MAX_NAME) if isinstance(word, str) else ""
    ready = status == 200 and word not in _NOT_READY
    warnings = _warnings(told.get("warnings"))
    offer = _offer(told.get("batch"))
    if offer is None and told.get("batch") is not None:
        warnings = (*warnings[: MAX_WARNINGS - 1], "it offers the batch contract in a way that can't be used")
    return SidecarHealth(
        ready, "" if ready else word or f"status {status}", _models(told.get("models")), warnings, offer
    )


def _offer(batch: Any) -> Offer | None:
    if not isinstance(batch, dict):
        return None
    path, most = batch.get("path"), batch.get("max")
    if not isinstance(path, str) or not _PATH.match(path) or {".", ".."} & set(path.split("/")):
        return None
    if type(most) is not int or most < 1:
        return None
    return Offer(path, min(most, MAX_WINDOWS))


def _models(models: Any) -> dict[str, HealthStatus]:
    if not isinstance(models, dict):
        return {}
    found: dict[str, HealthStatus] = {}
    for name, state in models.items():
        known = _MODEL_STATES.get(state) if isinstance(state, str) else None
        name = _clean(name, MAX_NAME)
        if known is not None and name and len(found) < MAX_MODELS:
            found[name] = known
    return found


def _warnings(warnings: Any) -> tuple[str, ...]:
    if not isinstance(warnings, list):
        return ()
    texts = [_clean(one, MAX_WARNING) for one in warnings[:MAX_WARNINGS] if isinstance(one, str)]
    return tuple(dict.fromkeys(text for text in texts if text))


def _clean(text: str, longest: int) -> str:
    """One short line that neither moves a terminal's cursor nor turns text around."""
    return _UNREADABLE.sub(" ", text[: 4 * longest]).strip()[:longest]
