"""An application's start, which may fail for a reason that somebody can do something about."""

import logging
from typing import Any, Final

from uvicorn.lifespan.on import LifespanOn

_FAILED: Final = "lifespan.startup.failed"
_SILENT: Final = logging.Logger("silent", logging.CRITICAL + 1)  # noqa: LOG001 - known to nobody else


class CannotStart(Exception):
    """The application did not start, and that is no defect."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason
        """What it said."""


class Lifespan(LifespanOn):
    """uvicorn's, but that it writes no traceback where the application says why it can't be
    (`app.state.cannot_start`): that is told by whoever started the server."""

    async def send(self, message: Any) -> None:
        app: Any = self.config.app
        if message["type"] == _FAILED and getattr(app.state, "cannot_start", None) is not None:
            self.logger = _SILENT
        await super().send(message)
