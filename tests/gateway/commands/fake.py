"""A small gateway for the command-line tests: real sockets, the real protocol, made-up observations.

It hears one `tone` a second (Calm, Animated, Calm, …) in whatever it is sent, so its counts add up by design.
The last session that was opened can be resumed.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection as Socket
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from protocol import events as ev
from protocol.audio import AudioFormat
from protocol.connection import Audio, ServerConnection
from protocol.control import Configure, ControlMessage, Delivery, End, SessionConfig
from protocol.errors import ErrorCode, ProtocolError
from protocol.version import PROTOCOL, SUBPROTOCOLS, negotiate

SESSION = "0123456789abcdef0123456789abcdef"


@dataclass
class Fake:
    """What the next session does, and what the last one was sent."""

    refuse: ProtocolError | None = None
    """Say this instead of `welcome`"""
    refuse_observers: ProtocolError | None = None
    """The same, to those who only read"""
    vanish_after: int | None = None
    """Bytes after which the connection is cut, once a session"""
    drain_after: int | None = None
    """Bytes after which the gateway is stopped, once a session; an observer is told at once"""
    forget: bool = False
    """Nobody can come back to a session"""
    unreachable: bool = False
    """Hang up on everybody who comes back"""
    fail_after: tuple[int, ProtocolError] | None = None
    """Bytes after which this fatal error is told"""
    silent_end: bool = False
    """Never answer `end`"""
    wrong_by: int = 0
    """Samples missing in the summary"""
    gap: bool = False
    """Declare the second hop a gap"""
    hop_ms: int = 1_000
    """Milliseconds a tone lasts"""
    url: str = ""
    query: dict[str, str] = field(default_factory=dict)
    received: bytearray = field(default_factory=bytearray)
    arrivals: list[float] = field(default_factory=list)
    """Loop time of each audio message"""
    controls: list[ControlMessage] = field(default_factory=list)
    last: "_Held | None" = None
    """The session that was opened last"""
    ended: int = 0
    """Sessions that said `end`"""
    max_ahead: int = 0
    """Most samples ever beyond the credit given; 0 where it was respected"""


@dataclass
class _Held:
    """What outlives a socket"""

    audio: AudioFormat
    config: SessionConfig
    nbytes: int = 0
    classified: int = 0
    gaps: int = 0
    struck: bool = False
    """The loss that was asked for has happened"""
    log: list[ev.DurableEvent] = field(default_factory=list)


@asynccontextmanager
async def fake_gateway(fake: Fake) -> AsyncIterator[str]:
    """Serve on a free loopback port; yields the URL."""
    names = [Subprotocol(name) for name in SUBPROTOCOLS]

    async def handle(socket: Socket) -> None:
        with suppress(ConnectionClosed):
            await _Session(fake, socket).run()

    async with serve(handle, "127.0.0.1", 0, subprotocols=names, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        fake.url = f"ws://127.0.0.1:{port}"
        yield fake.url


class _Session:
    def __init__(self, fake: Fake, socket: Socket) -> None:
        self.fake = fake
        self.socket = socket
        request = socket.request
        assert request is not None
        pairs = [one.partition("=") for one in request.path.partition("?")[2].split("&") if one]
        fake.query = {name: value for name, _, value in pairs}
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(", ")
        self.wire = ServerConnection(negotiate([one for one in offered if one]).encoding)
        self.observes = fake.query.get("role") == "observer"
        self.resumes = "after" in fake.query
        if fake.last is None or not self.resumes:
            fake.last = _Held(AudioFormat.from_query(fake.query), SessionConfig.from_query(fake.query))
        self.held = fake.last
        self.audio = self.held.audio
        self.limit: int | None = None

    async def run(self) -> None:
        fake = self.fake
        if self.resumes and fake.unreachable:
            return self.socket.transport.abort()
        if self.resumes and fake.forget:
            return await self.fail(ProtocolError(ErrorCode.SESSION_NOT_FOUND, "there is no such session"))
        refusal = fake.refuse_observers if self.observes else fake.refuse
        if refusal is not None:
            return await self.fail(refusal)
        if self.held.config.delivery is Delivery.LOSSLESS:
            self.limit = self.audio.samples(self.held.nbytes) + 5 * self.audio.sample_rate
        await self.send(self.welcome())
        if self.resumes:
            await self.replay()
        if self.observes:
            await self.tones(3 * self.audio.sample_rate)
            if self.fake.drain_after is not None:
                return await self.drain()
            return await self.finish(3 * self.audio.sample_rate)
        async for data in self.socket:
            message = self.wire.receive(data)
            if isinstance(message, Audio):
                if await self.hear(message.data):
                    return None
            elif await self.obey(message):
                return None
        return None

    async def replay(self) -> None:
        for event in self.held.log[int(self.fake.query["after"]) :]:
            await self.send(event)

    async def hear(self, data: bytes) -> bool:
        """Take audio in; True where the session is over."""
        fake = self.fake
        fake.received += data
        fake.arrivals.append(asyncio.get_running_loop().time())
        self.held.nbytes += len(data)
        samples = self.audio.samples(self.held.nbytes)
        if self.strikes(fake.vanish_after):
            self.socket.transport.abort()
            return True
        if self.strikes(fake.drain_after):
            await self.drain()
            return True
        if fake.fail_after is not None and self.held.nbytes >= fake.fail_after[0]:
            await self.fail(fake.fail_after[1])
            return True
        await self.tones(samples)
        if self.limit is not None:
            fake.max_ahead = max(fake.max_ahead, samples - self.limit)
            if self.limit - samples < 2 * self.audio.sample_rate:
                self.limit = samples + 5 * self.audio.sample_rate
            await self.send(self.flow(samples))
        return False

    def strikes(self, after: int | None) -> bool:
        """Whether a loss that is to happen after so many bytes happens now."""
        now = after is not None and self.held.nbytes >= after and not self.held.struck
        self.held.struck = self.held.struck or now
        return now

    async def obey(self, message: ControlMessage) -> bool:
        """Follow a control message; True where the session is over."""
        self.fake.controls.append(message)
        if isinstance(message, Configure):
            self.held.config = self.held.config.apply(message)
            await self.send(ev.Configured.of(self.held.config))
        if not isinstance(message, End):
            return False
        self.fake.ended += 1
        if self.fake.silent_end:
            await self.socket.wait_closed()
            return True
        await self.finish(self.audio.samples(self.held.nbytes))
        return True

    async def tones(self, samples: int) -> None:
        hop = self.audio.samples_of_ms(self.fake.hop_ms)
        while self.held.classified + self.held.gaps + hop <= samples:
            start = self.held.classified + self.held.gaps
            place: dict[str, Any] = {"start_sample": start, "end_sample": start + hop}
            if self.fake.gap and start == hop:
                self.held.gaps += hop
                await self.durable(ev.Gap, reason=ev.GapReason.OVERLOAD, **place)
                continue
            self.held.classified += hop
            label = "Animated" if start // hop % 2 else "Calm"
            await self.durable(ev.Tone, label=label, confidence=0.5, speaker_id="Speaker A", **place)

    async def finish(self, samples: int) -> None:
        self.held.classified = samples - self.held.gaps - self.fake.wrong_by
        counts = dict(Counter(one.type for one in self.held.log))
        await self.durable(
            ev.Summary,
            next_sample=samples,
            classified_samples=self.held.classified,
            gap_samples=self.held.gaps,
            client_gap_samples=0,
            received_samples=samples,
            events=counts,
            duration_s=samples / self.audio.sample_rate,
            speakers=("Speaker A",),
            record_truncated=False,
        )
        await self.socket.close(1000)

    async def drain(self) -> None:
        await self.send(ev.Drain(retry_after_ms=20))
        await self.socket.close(1012, "restart")

    async def fail(self, error: ProtocolError) -> None:
        fatal = ProtocolError(error.code, error.message, param=error.param, fatal=True)
        await self.send(fatal.to_event())
        await self.socket.close(fatal.close_code)

    async def durable(self, kind: type[ev.DurableEvent], **fields: Any) -> None:
        end = fields.get("end_sample", fields.get("next_sample", 0))
        timestamp = end / self.audio.sample_rate
        seq = len(self.held.log) + 1
        self.held.log.append(kind(seq=seq, session_id=SESSION, timestamp=timestamp, **fields))
        await self.send(self.held.log[-1])

    async def send(self, event: ev.Event) -> None:
        await self.socket.send(self.wire.send(event))

    def flow(self, samples: int) -> ev.Flow:
        done = self.held.classified + self.held.gaps
        return ev.Flow(
            received=samples,
            classified=done,
            limit=self.limit,
            lag_ms=0.0,
            dropped_ms=0.0,
            state=ev.FlowState.OK,
        )

    def welcome(self) -> ev.Welcome:
        return ev.Welcome(
            protocol=PROTOCOL,
            session_id=SESSION,
            epoch="e1",
            next_seq=len(self.held.log) + 1,
            next_sample=self.audio.samples(self.held.nbytes),
            recovered=self.resumes,
            replay_from=None,
            replay_to=None,
            resume_token="secret-resume-token",
            audio=self.audio,
            window_ms=self.held.config.window_ms,
            hop_ms=self.held.config.hop_ms,
            delivery=self.held.config.delivery,
            limit=self.limit,
            limits={},
            heartbeat_s=20.0,
        )


def unauthorized() -> ProtocolError:
    """A refusal with advice."""
    return ProtocolError(ErrorCode.UNAUTHORIZED, "the ticket has expired")


if __name__ == "__main__":

    async def main() -> None:
        async with fake_gateway(Fake(gap=True)) as url:
            print(url, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
