"""`undertone stream`: audio in, events shown. Owns the socket's tasks, the schedule and Ctrl-C."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.commands import link
from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.interrupt import Interrupt
from gateway.commands.interruptions import Chaos, Interruptions
from gateway.commands.outputs import REDRAWS_S, AnyEvent, Output
from gateway.commands.pace import Pacer
from gateway.commands.sources import Source
from protocol import events as ev
from protocol.audio import AudioFormat
from protocol.client import Client, ClientError, ConnectFailed, SessionGone, connect
from protocol.close import NO_CLOSE_FRAME
from protocol.states import StateError

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
    lossless: bool = False
    """Nothing is dropped, at whatever pace"""
    chaos_s: float | None = None
    """Cut the connection about every so many seconds"""
    chaos_seed: int | None = None
    """Makes those moments the same each time"""
    bearer: str | None = field(default=None, repr=False)
    """The key, or a ticket, where the gateway needs one"""
    give_up_s: float | None = None
    """Seconds without a connection after which to give up; None: when the session must have expired"""


class Streaming:
    """One run over one connection: a task that sends, one that receives, one that draws."""

    def __init__(
        self,
        client: Client,
        source: Source | None,
        output: Output,
        pacer: Pacer | None,
        chaos: Chaos | None = None,
    ) -> None:
        self._client = client
        self._source = source
        self._output = output
        self._pacer = pacer
        self._chaos = chaos
        self._interruptions = Interruptions(client)
        self._base = 0
        self._gaps: set[str] = set()
        self.summary: ev.Summary | None = None
        self.delays_s: deque[float] = deque(maxlen=10_000)
        """Seconds from the moment the last sample of an event's audio was due to the event's arrival"""

    @property
    def connection(self) -> str:
        """How the connection fared, in one line; empty where nothing happened to it."""
        cuts = self._chaos.cuts if self._chaos is not None else None
        return self._interruptions.report(cuts, self.summary)

    def check_whole(self) -> None:
        """Raise CommandError where a recording was not analysed from its first sample to its last."""
        summary, audio = self.summary, self._client.audio
        if summary is not None and summary.gap_samples:
            gaps, all_s = audio.seconds(summary.gap_samples), audio.seconds(summary.next_sample)
            reasons = ", ".join(sorted(self._gaps))
            raise CommandError(
                f"{gaps:.1f} s of {all_s:.1f} s were not analysed ({reasons})",
                hint="The gaps say which; docs/operations.md says what becomes a gap. Stream it again.",
                code=ExitCode.INCOMPLETE,
            )

    async def run(self, interrupt: Interrupt) -> ExitCode:
        """Until the summary, a session that is gone (raises CommandError) or Ctrl-C."""
        cutting = asyncio.create_task(self._cut())
        drawing = asyncio.create_task(self._draw())
        receiving = asyncio.create_task(self._receive())
        sending = asyncio.create_task(self._send())
        stopping = asyncio.create_task(interrupt.event.wait())
        interrupt.gentle = True
        try:
            await asyncio.wait({receiving, sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if interrupt.event.is_set():
                await _cancelled(sending)
                await self._stop(receiving)
                return interrupt.code
            interrupt.gentle = False  # `end` is being said already: from here on Ctrl-C means now
            await self._complete(receiving, sending)
            return ExitCode.OK
        finally:
            await _cancelled(sending, receiving, stopping, drawing, cutting)

    async def _stop(self, receiving: asyncio.Task[None]) -> None:
        """Ctrl-C: ask for the summary of what was sent, but don't insist."""
        if self._source is None or self._client.away:  # nobody is there who could sum up
            return
        self._output.finishing()
        with contextlib.suppress(TimeoutError, ClientError, StateError):
            async with asyncio.timeout(INTERRUPTED_WAIT_S):
                await self._client.end()
                await receiving

    async def _complete(self, receiving: asyncio.Task[None], sending: asyncio.Task[None]) -> None:
        """All audio is sent, or the gateway has ended the session by itself."""
        failure = sending.exception() if sending.done() else None
        if isinstance(failure, ClientError | StateError):
            # The gateway had its last word meanwhile; the receiver knows it, or is about to.
            await asyncio.wait({receiving}, timeout=INTERRUPTED_WAIT_S)
        if receiving.done():
            receiving.result()
            if self._source is not None:
                message = "the session was ended from elsewhere before all audio was sent"
                raise CommandError(message, code=ExitCode.LOST)
        else:
            self._output.finishing()
            await self._last_events(receiving)
        if failure is not None:
            raise failure
        if self.summary is None:
            raise link.lost(self._client.close_code or NO_CLOSE_FRAME, self._client.close_reason, None)

    async def _last_events(self, receiving: asyncio.Task[None]) -> None:
        try:
            async with asyncio.timeout(SUMMARY_WAIT_S):
                await self._client.end()
                await receiving
        except TimeoutError:
            message = f"the gateway sent no summary within {SUMMARY_WAIT_S:.0f} s of the last audio"
            raise CommandError(message, code=ExitCode.LOST) from None

    async def _send(self) -> None:
        if self._source is None:
            await asyncio.Event().wait()
            return
        audio = self._source.audio
        self._base = self._client.next_sample
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
            if isinstance(event, ev.Welcome):
                self._output.note(self._interruptions.back(event))
            self._receipt(event)
            self._output.event(event)
            if isinstance(event, ev.Summary):
                self.summary = event
            elif isinstance(event, ev.Gap):
                self._gaps.add(event.reason)

    def _receipt(self, event: AnyEvent) -> None:
        if self._pacer is None or isinstance(event, ev.Transcript):
            return
        if isinstance(event, ev.ClassifiedEvent):
            delay_s = self._pacer.since(event.end_sample - self._base)
            if delay_s is not None:
                self.delays_s.append(max(0.0, delay_s))

    async def _cut(self) -> None:
        if self._chaos is not None:
            await self._chaos.run(self._client)

    async def _draw(self) -> None:
        while True:
            told = self._interruptions.look()
            if told is not None:
                self._output.note(told)
            self._output.redraw()
            await asyncio.sleep(1 / REDRAWS_S)


async def stream(
    options: StreamOptions, source: Source | None, output: Output, *, pacer: Pacer | None = None
) -> ExitCode:
    """Run one session to its end. `pacer` stands in for real time.

    Raises CommandError for all that can go wrong with the gateway or the connection.
    """
    interrupt = Interrupt()
    if source is not None:
        pacer = None if options.fast else pacer or Pacer(source.audio.sample_rate)
        for note in source.notes:
            output.note(note)
    chaos = Chaos(options.chaos_s, options.chaos_seed) if options.chaos_s is not None else None
    running: Streaming | None = None
    with interrupt.installed():
        try:
            async with _connected(options, source) as client:
                _check_format(client.welcome.audio, source)
                output.opened(client.welcome, watching=options.observe)
                running = Streaming(client, source, output, pacer, chaos)
                try:
                    outcome = await running.run(interrupt)
                except asyncio.CancelledError:
                    client.drop()  # the second Ctrl-C waits for no goodbye
                    raise
                if outcome is ExitCode.OK and (options.fast or options.lossless):
                    running.check_whole()
                return outcome
        except SessionGone as error:
            raise link.gone(error.code, error.reason, error.error_event) from None
        except asyncio.CancelledError:
            if interrupt.event.is_set():
                return interrupt.code
            raise
        finally:
            if running is not None:
                output.closed(list(running.delays_s), running.connection)
            else:
                output.closed([])
            if source is not None:
                source.close()


@contextlib.asynccontextmanager
async def _connected(options: StreamOptions, source: Source | None) -> AsyncIterator[Client]:
    url = link.voice_url(options.url)
    config = dict(options.config)
    if options.fast or options.lossless:
        config["delivery"] = "lossless"
    opening = connect(
        url,
        session_id=options.session_id,
        audio=source.audio if source is not None else AudioFormat(),
        config=config,
        role="observer" if options.observe else None,
        bearer=options.bearer,
        give_up_after=options.give_up_s,
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
        if link.answered(error):
            raise link.stranger(url) from None
        raise link.unreachable(url, link.reason_of(error)) from None
    try:
        yield client
    finally:
        await opening.__aexit__(None, None, None)


def _check_format(audio: AudioFormat, source: Source | None) -> None:
    if source is not None and audio != source.audio:
        message = f"the session was opened for {audio.to_dict()}, not for the audio given"
        raise CommandError(message, hint="Leave --session-id out to open a session that fits.")


async def _cancelled(*tasks: "asyncio.Task[Any]") -> None:
    """End tasks that are ours; what they would have raised was looked at where it mattered."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
