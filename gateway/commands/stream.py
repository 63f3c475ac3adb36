"""`undertone stream`: audio in, events shown. Owns the socket's tasks, the schedule and Ctrl-C."""

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import Clock, SystemClock
from gateway.commands import link
from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.outputs import REDRAWS_S, AnyEvent, Output
from gateway.commands.pace import Pacer
from gateway.commands.sources import Source
from protocol import events as ev
from protocol.audio import AudioFormat
from protocol.client import Client, ConnectFailed, ConnectionLost, connect

SUMMARY_WAIT_S = 60.0
"""Seconds the gateway may take, after the last audio, for its last events"""
INTERRUPTED_WAIT_S = 3.0
"""Seconds of the same after Ctrl-C"""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How to stream; where from is the `Source`'s business."""

    url: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the session, as in `configure`"""
    session_id: str | None = None
    """Attach to this session instead of opening one"""
    observe: bool = False
    """Only watch it"""
    fast: bool = False
    """As fast as the gateway allows, instead of in real time"""


class Interrupt:
    """Ctrl-C (and SIGTERM) as an event: the first ends the session properly, the second at once."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._task = asyncio.current_task()

    def __call__(self) -> None:
        if self.event.is_set() and self._task is not None:
            self._task.cancel()
        self.event.set()

    @contextlib.contextmanager
    def installed(self) -> Any:
        """Listen for the signals while inside."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for one in signals:
            loop.add_signal_handler(one, self)
        try:
            yield self
        finally:
            for one in signals:
                loop.remove_signal_handler(one)


class Streaming:
    """One run over one connection: a task that sends, one that receives, one that draws."""

    def __init__(
        self, client: Client, source: Source | None, output: Output, *, clock: Clock, fast: bool
    ) -> None:
        self._client = client
        self._source = source
        self._output = output
        self._clock = clock
        self._fast = fast
        self._pacer: Pacer | None = None
        self._base = 0
        self.summary: ev.Summary | None = None
        self.delays_s: deque[float] = deque(maxlen=10_000)
        """Seconds from the moment the last sample of an event's audio was due to the event's arrival"""

    async def run(self, stop: asyncio.Event) -> ExitCode:
        """Until the summary, a lost connection (raises CommandError) or `stop`."""
        drawing = asyncio.create_task(self._draw())
        receiving = asyncio.create_task(self._receive())
        sending = asyncio.create_task(self._send() if self._source is not None else _forever())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({receiving, sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await self._end(receiving, sending, interrupted=stop.is_set())
        finally:
            await _cancelled(sending, receiving, stopping, drawing)
        return ExitCode.INTERRUPTED if stop.is_set() else ExitCode.OK

    async def _end(
        self, receiving: asyncio.Task[None], sending: asyncio.Task[None], *, interrupted: bool
    ) -> None:
        """Say `end` where audio was sent, and wait for what is still to come."""
        if receiving.done():
            await _cancelled(sending)
        elif self._source is not None:
            if interrupted:
                await _cancelled(sending)
            failure = sending.exception() if not sending.cancelled() else None
            wait_s = INTERRUPTED_WAIT_S if interrupted else SUMMARY_WAIT_S
            self._output.finishing()
            await self._say_end(receiving, wait_s, patient=not interrupted)
            if failure is not None:
                raise failure
        elif interrupted:
            return
        else:
            await receiving
        if self.summary is None and not interrupted:
            raise _without_summary(self._client)

    async def _say_end(self, receiving: asyncio.Task[None], wait_s: float, *, patient: bool) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._client.end()
                await receiving
        except TimeoutError:
            if patient:
                message = f"the gateway sent no summary within {wait_s:.0f} s of the last audio"
                raise CommandError(message, code=ExitCode.LOST) from None
        except ConnectionLost:
            if patient:
                raise

    async def _send(self) -> None:
        assert self._source is not None
        audio = self._source.audio
        self._base = self._client.next_sample
        if not self._fast:
            self._pacer = Pacer(audio.sample_rate, clock=self._clock)
        async for block in self._source.frames():
            if self._pacer is not None:
                heard = self._client.next_sample - self._base + audio.samples(len(block))
                await self._pacer.until(heard)
            await self._client.send(block)
            self._output.sent(self._client.next_sample)
        for note in self._source.late_notes:
            self._output.note(note)

    async def _receive(self) -> None:
        async for event in self._client:
            self._receipt(event)
            self._output.event(event)
            if isinstance(event, ev.Summary):
                self.summary = event

    def _receipt(self, event: AnyEvent) -> None:
        if self._pacer is None or isinstance(event, ev.Transcript):
            return
        if isinstance(event, ev.ClassifiedEvent):
            due = self._pacer.due(event.end_sample - self._base)
            if due is not None:
                self.delays_s.append(max(0.0, self._clock.monotonic() - due))

    async def _draw(self) -> None:
        while True:
            self._output.redraw()
            await asyncio.sleep(1 / REDRAWS_S)


async def stream(
    options: StreamOptions, source: Source | None, output: Output, *, clock: Clock | None = None
) -> ExitCode:
    """Run one session to its end. Raises CommandError for all that can go wrong."""
    interrupt = Interrupt()
    if source is not None:
        for note in source.notes:
            output.note(note)
    running: Streaming | None = None
    with interrupt.installed():
        try:
            async with _connected(options, source) as client:
                _check_format(client.welcome.audio, source)
                output.opened(client.welcome, watching=options.observe)
                running = Streaming(client, source, output, clock=clock or SystemClock(), fast=options.fast)
                return await running.run(interrupt.event)
        except ConnectionLost as error:
            raise link.lost(error.code, error.reason, error.error_event) from None
        except asyncio.CancelledError:
            if interrupt.event.is_set():
                return ExitCode.INTERRUPTED
            raise
        finally:
            output.closed(list(running.delays_s) if running is not None else [])
            if source is not None:
                source.close()


@contextlib.asynccontextmanager
async def _connected(options: StreamOptions, source: Source | None) -> AsyncIterator[Client]:
    url = link.voice_url(options.url)
    config = dict(options.config)
    if options.fast:
        config["delivery"] = "lossless"
    opening = connect(
        url,
        session_id=options.session_id,
        audio=source.audio if source is not None else AudioFormat(),
        config=config,
        role="observer" if options.observe else None,
    )
    try:
        client = await opening.__aenter__()
    except ConnectFailed as error:
        if error.error is not None:
            raise link.refused(error.error) from None
        if error.status is not None:
            raise link.not_opened(url, error.status) from None
        if error.code is not None:
            raise link.lost(error.code, error.reason, None) from None
        raise link.unreachable(url, error.reason) from None
    try:
        yield client
    finally:
        await opening.__aexit__(None, None, None)


def _check_format(audio: AudioFormat, source: Source | None) -> None:
    if source is not None and audio != source.audio:
        message = f"the session was opened for {audio.to_dict()}, not for the audio given"
        raise CommandError(message, hint="Leave --session-id out to open a session that fits.")


def _without_summary(client: Client) -> CommandError:
    code = client.close_code or 1006
    return link.lost(code, client.close_reason or "", None)


async def _forever() -> None:
    await asyncio.Event().wait()


async def _cancelled(*tasks: "asyncio.Task[Any]") -> None:
    """End tasks that are ours; what they would have raised was looked at where it mattered."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
