"""A small gateway for the command-line tests: real sockets, the real protocol, made-up observations.

It hears one `tone` a second (Calm, Animated, Calm, …) in whatever it is sent, so its counts add up by design.
"""

import asyncio
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
    vanish_after: int | None = None
    """Bytes after which the connection is cut"""
    drain_after: int | None = None
    """Bytes after which the gateway is stopped; an observer is told at once"""
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
    ended: int = 0
    """Sessions that said `end`"""
    max_ahead: int = 0
    """Most samples ever beyond the credit given; 0 where it was respected"""


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
        self.audio = AudioFormat.from_query(fake.query)
        self.config = SessionConfig.from_query(fake.query)
        self.seq = 0
        self.nbytes = 0
        self.classified = 0
        self.gaps = 0
        self.counts: dict[str, int] = {}
        self.limit: int | None = None

    async def run(self) -> None:
        if self.fake.refuse is not None:
            return await self.fail(self.fake.refuse)
        if self.config.delivery is Delivery.LOSSLESS:
            self.limit = 5 * self.audio.sample_rate
        await self.send(self.welcome())
        if self.fake.query.get("role") == "observer":
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

    async def hear(self, data: bytes) -> bool:
        """Take audio in; True where the session is over."""
        fake = self.fake
        fake.received += data
        fake.arrivals.append(asyncio.get_running_loop().time())
        self.nbytes += len(data)
        samples = self.audio.samples(self.nbytes)
        if fake.vanish_after is not None and self.nbytes >= fake.vanish_after:
            self.socket.transport.abort()
            return True
        if fake.drain_after is not None and self.nbytes >= fake.drain_after:
            await self.drain()
            return True
        if fake.fail_after is not None and self.nbytes >= fake.fail_after[0]:
            await self.fail(fake.fail_after[1])
            return True
        await self.tones(samples)
        if self.limit is not None:
            fake.max_ahead = max(fake.max_ahead, samples - self.limit)
            if self.limit - samples < 2 * self.audio.sample_rate:
                self.limit = samples + 5 * self.audio.sample_rate
            await self.send(self.flow(samples))
        return False

    async def obey(self, message: ControlMessage) -> bool:
        """Follow a control message; True where the session is over."""
        self.fake.controls.append(message)
        if isinstance(message, Configure):
            self.config = self.config.apply(message)
            await self.send(ev.Configured.of(self.config))
        if not isinstance(message, End):
            return False
        self.fake.ended += 1
        if self.fake.silent_end:
            await self.socket.wait_closed()
            return True
        await self.finish(self.audio.samples(self.nbytes))
        return True

    async def tones(self, samples: int) -> None:
        hop = self.audio.samples_of_ms(self.fake.hop_ms)
        while self.classified + self.gaps + hop <= samples:
            start = self.classified + self.gaps
            place: dict[str, Any] = {"start_sample": start, "end_sample": start + hop}
            if self.fake.gap and start == hop:
                self.gaps += hop
                await self.durable(ev.Gap, reason=ev.GapReason.OVERLOAD, **place)
                continue
            self.classified += hop
            label = "Animated" if start // hop % 2 else "Calm"
            await self.durable(ev.Tone, label=label, confidence=0.5, speaker_id="Speaker A", **place)

    async def finish(self, samples: int) -> None:
        self.classified = samples - self.gaps - self.fake.wrong_by
        counts = dict(self.counts)
        await self.durable(
            ev.Summary,
            next_sample=samples,
            classified_samples=self.classified,
            gap_samples=self.gaps,
            client_gap_samples=0,
            received_samples=samples,
            events=counts,
            duration_s=samples / self.audio.sample_rate,
            speakers=("Speaker A",),
            record_truncated=False,
        )
        await self.socket.close(1000)

    async def drain(self) -> None:
        await self.send(ev.Drain(retry_after_ms=1_000))
        await self.socket.close(1012, "restart")

    async def fail(self, error: ProtocolError) -> None:
        fatal = ProtocolError(error.code, error.message, param=error.param, fatal=True)
        await self.send(fatal.to_event())
        await self.socket.close(fatal.close_code)

    async def durable(self, kind: type[ev.DurableEvent], **fields: Any) -> None:
        self.seq += 1
        self.counts[kind.type] = self.counts.get(kind.type, 0) + 1
        end = fields.get("end_sample", fields.get("next_sample", 0))
        timestamp = end / self.audio.sample_rate
        await self.send(kind(seq=self.seq, session_id=SESSION, timestamp=timestamp, **fields))

    async def send(self, event: ev.Event) -> None:
        await self.socket.send(self.wire.send(event))

    def flow(self, samples: int) -> ev.Flow:
        done = self.classified + self.gaps
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
            next_seq=1,
            next_sample=0,
            recovered=False,
            replay_from=None,
            replay_to=None,
            resume_token="secret-resume-token",
            audio=self.audio,
            window_ms=self.config.window_ms,
            hop_ms=self.config.hop_ms,
            delivery=self.config.delivery,
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
