"""From what a classifier heard to what a client is told. Pure."""

from gateway.annotate.events import Context, annotate

__all__ = ["Context", "annotate"]
