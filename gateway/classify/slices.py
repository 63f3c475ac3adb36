"""Answers of an HTTP peer that are parsed in slices, so that none of them keeps the event loop for long.

aiohttp parses all that was read of a socket at once, which may be 256 KiB. That is quick, unless it is many
pieces: of chunks that hold one byte each, or of interim answers, so much takes some thirty milliseconds.
"""

import asyncio
import contextlib
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

LINES: Final = 512
"""Ends of lines in what was read, up to which it is parsed at once."""
SLICE_BYTES: Final = 4_096
"""What is parsed in one turn of the event loop where there are more: up to some two milliseconds."""
MOST_AHEAD: Final = 64
"""Answers that may be there before anybody has asked for them, interim ones above all."""


def parse_in_slices(connector: aiohttp.BaseConnector) -> None:
    """Let the connections that `connector` opens from now on parse so; called on the event loop."""
    make: Any = partial(SlicedResponses, asyncio.get_running_loop())
    connector._factory = make


class SlicedResponses(ResponseHandler):
    """A connection whose answers are parsed in slices. While some of one waits, nothing more is read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._held = b""
        """Read, and not parsed."""
        self._lost: list[BaseException | None] = []
        """Why the connection was lost, behind what is held."""

    @property
    def should_close(self) -> bool:
        return bool(self._held) or super().should_close

    def data_received(self, data: bytes) -> None:
        if not data or (not self._held and data.count(b"\n") <= LINES):
            self._feed(data)
            return
        if not self._held:
            self._loop.call_soon(self._parse)
        self._held += data
        if self.transport is not None:
            with contextlib.suppress(AttributeError, NotImplementedError, RuntimeError):
                self.transport.pause_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._held:
            self._lost = [exc]
        else:
            super().connection_lost(exc)

    def _feed(self, data: bytes) -> None:
        if self.transport is None:
            return
        super().data_received(data)
        if len(self._buffer) > MOST_AHEAD:
            self._buffer.clear()
            self.transport.close()
            self.set_exception(aiohttp.ClientPayloadError("more answers than questions"))
        failure = self.exception()
        if failure is not None and self._payload is not None:
            # Whoever reads the answer would wait for the rest of it.
            self._payload.set_exception(aiohttp.ClientPayloadError("the answer is not HTTP"), failure)

    def _parse(self) -> None:
        """One slice."""
        part, self._held = self._held[:SLICE_BYTES], self._held[SLICE_BYTES:]
        self._feed(part)
        if self.transport is None or self.exception() is not None:
            self._held = b""  # nobody wants the rest
        if self._held:
            self._loop.call_soon(self._parse)
        elif self._lost:
            super().connection_lost(self._lost.pop())
        elif self.transport is not None and not self._reading_paused:
            with contextlib.suppress(AttributeError, NotImplementedError, RuntimeError):
                self.transport.resume_reading()
