"""The embedded classifier as the settings ask for it."""

from gateway.classify.acoustic.embedded import EmbeddedClassifier
from gateway.classify.acoustic.sizing import Where, Wish
from gateway.clock import Clock
from gateway.settings import Settings, WorkerKind


def configured_acoustic(settings: Settings, clock: Clock) -> EmbeddedClassifier:
    """Not started; what the settings leave open is measured when it is."""
    return EmbeddedClassifier(wish(settings), clock, cores=settings.cores)


def wish(settings: Settings) -> Wish:
    """What the settings ask for."""
    kind = settings.classify_worker_kind
    where = None if kind is WorkerKind.AUTO else Where(kind.value)
    return Wish(where, settings.classify_workers, settings.classify_batch)
