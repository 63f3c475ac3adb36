"""What the server tells whoever counts: connections that it ended against their peers' will."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeAlias

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from gateway.server.lifespan import Lifespan


class Cutoff(StrEnum):
    """Why a connection was cut off."""

    REQUEST = "request"
    """Its HTTP request was malformed or its head too large; it was answered 400 or 431."""
    HEAD_LATE = "head_late"
    """Its request head did not come in time."""
    BODY_LATE = "body_late"
    """Its request body did not come in time."""
    FLOOD = "flood"
    """It overdrew one of the budgets of frames and bytes."""
    VIOLATION = "violation"
    """It broke RFC 6455; it was closed with 1002, 1007 or 1009."""
    SILENT = "silent"
    """It did not answer a ping in time."""
    UNCLOSED = "unclosed"
    """It did not finish the closing handshake, or read what was left to say, in time."""
    DROPPED = "dropped"
    """The application gave it up."""


Observer: TypeAlias = Callable[[Cutoff], None]


def nobody(fact: Cutoff) -> None:
    """The observer where there is none."""


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, which it hands to each connection, and who is told of cut-off ones."""

    def __init__(self, app: Any, *, observer: Observer = nobody, **options: Any) -> None:
        super().__init__(app, **options)
        self.observer = observer

    def load(self) -> None:
        super().load()
        if self.lifespan_class is LifespanOn:
            self.lifespan_class = Lifespan


def observer_of(config: uvicorn.Config) -> Observer:
    """Whom `config` names; nobody where it is uvicorn's own."""
    return config.observer if isinstance(config, ServerConfig) else nobody
