"""An asyncio client: connect, send audio, iterate events, end. Where its connection is lost it comes back.

One `Client` is one session, over as many sockets as it takes; its user sees one unbroken iterator of events.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn

from protocol import states
from protocol.address import query_of
from protocol.audio import AudioFormat
from protocol.backoff import Backoff
from protocol.carrier import MAX_UNREAD as MAX_UNREAD
from protocol.carrier import Carrier
from protocol.close import CloseCode
from protocol.codec import MAX_MESSAGE_BYTES
from protocol.connection import ClientConnection
from protocol.control import Ack, Configure, ControlMessage, End, Flush, Ping, Position
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Event, Summary, UnknownEvent, Welcome
from protocol.failures import ClientError as ClientError
from protocol.failures import ConnectFailed as ConnectFailed
from protocol.failures import ConnectionLost as ConnectionLost
from protocol.failures import SessionGone as SessionGone
from protocol.link import Opening, open_link
from protocol.resumption import Resumption
from protocol.states import ConnectionInput, ConnectionState, StateError
from protocol.version import Encoding

MAX_UNANSWERED = 64
"""`configure` and `flush` that a client that resumes may have without an answer; the next one waits."""


class Client:
    """One session; made by `connect`. Iterate it for events; send from any task, one at a time."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._backlog = carrier.backlog
        self._ended = False

    @property
    def audio(self) -> AudioFormat:
        """What is sent."""
        return self._backlog.audio

    @property
    def connection(self) -> ClientConnection:
        """The protocol's side of the socket of the moment, or of the last one."""
        return self._carrier.link.connection

    @property
    def welcome(self) -> Welcome:
        """The server's first event on that socket."""
        return self._carrier.link.welcome

    @property
    def away(self) -> bool:
        """Whether the connection is lost, and another is tried."""
        return self._carrier.away and self._carrier.verdict is None

    @property
    def resumes(self) -> int:
        """How often a lost connection was replaced by another."""
        return self._carrier.resumes

    @property
    def missed(self) -> int:
        """Durable events that the server could no longer replay."""
        return self._carrier.missed_before + self.connection.missed

    @property
    def lost_samples(self) -> int:
        """Samples that were let go before the server had them; a `gap` declares each."""
        return self._backlog.lost_samples

    @property
    def close_code(self) -> int | None:
        """None while the session goes on; 1006 where it ended without a close frame."""
        return None if self._carrier.verdict is None else self._carrier.verdict.code

    @property
    def close_reason(self) -> str:
        """As the server gave it."""
        return "" if self._carrier.verdict is None else self._carrier.verdict.reason

    @property
    def next_sample(self) -> int:
        """Index of the next sample that `send` takes."""
        return self._backlog.next_sample

    @property
    def credit(self) -> int | None:
        """Samples that may go onto the wire now under lossless delivery; None without such a bound."""
        limit = self._carrier.limit
        return None if limit is None else max(0, limit - self._backlog.wire)

    # What is said --------------------------------------------------------------------------------------

    async def send(self, pcm: bytes) -> None:
        """Send PCM of any length, in messages the server takes. Bytes of an unfinished sample wait for the
        rest of it; `end` and `position` drop them.

        Realtime, `send` waits until the audio is written, but no longer than it lasts: nobody who speaks is
        held up. While the network stalls or the connection is away, five seconds are kept; beyond that the
        oldest is let go, to be declared as a gap. Lossless audio is never let go: `send` waits until the
        server has some.

        Let another task iterate meanwhile: events that nobody takes stop the reading, and with it the
        sending, as nothing is confirmed any more.

        Raises:
            SessionGone, ConnectionLost: also where it ends while waiting.
            StateError: after `end`.
            ProtocolError: `read_only`, from an observer; `configure`, `flush`, `position` and `end` likewise.
        """
        self._check_owner()
        view, width = memoryview(pcm), self.audio.bytes_per_sample
        size = min(MAX_MESSAGE_BYTES - width, self.audio.bytes(self.audio.sample_rate))
        for start in range(0, len(view), size):
            await self._send(bytes(view[start : start + size]))

    async def configure(self, **settings: Any) -> None:
        """Change settings (fields of `Configure`); the reply comes as a `Configured` event.

        Raises:
            ProtocolError: `invalid_field`; nothing was sent.
        """
        self._check_owner()
        await self._control(Configure(**settings))

    async def flush(self, id: str | int | None = None) -> None:
        """Have the partial window classified now; `Flushed` with the same `id` comes after its events."""
        self._check_owner()
        await self._control(Flush(id))

    async def ping(self, t: int | float | str | None = None) -> None:
        """Show life; `Pong` with the same `t` comes back as an event. It is of the moment: not said while the
        connection is away, and not said again."""
        message = Ping(t)
        if not self._carrier.away:
            await self._control(message)

    async def ack(self, seq: int) -> None:
        """Tell the server that every event up to `seq` is processed."""
        await self._control(Ack(seq))

    async def position(self, sample: int) -> None:
        """Declare that the next byte sent has index `sample`."""
        self._check_owner()
        await self._check(ConnectionInput.STEERING)
        self._backlog.jump(Position(sample).sample)
        await self._written()

    async def end(self) -> Summary:
        """Say that no more audio comes, and wait for `summary`; events meanwhile stay for the iterator.

        Raises:
            SessionGone, ConnectionLost: before `summary` came.
        """
        self._check_owner()
        carrier = self._carrier
        carrier.lift_bound()
        await self._check(ConnectionInput.END)
        if not self._ended:
            self._ended = True
            self._backlog.say(End())
            carrier.news.tell()
        await carrier.until(lambda: carrier.summary is not None)
        if carrier.summary is None:
            self._raise()
        return carrier.summary

    def drop(self) -> None:
        """Cut the socket hard, as a tunnel would: for tests and demonstrations."""
        self._carrier.link.cut()

    # What is heard -------------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[Event | UnknownEvent]:
        """Events in the server's order, until the session ended (close 1000). Each connection after the first
        begins with its `Welcome`, which says whether everything was `recovered`.

        Raises:
            SessionGone: after the last event, where the session ended otherwise.
            ConnectionLost: likewise, of a connection that is not resumed.
        """
        carrier = self._carrier
        while True:
            await carrier.until(lambda: bool(carrier.unread))
            if not carrier.unread:
                break
            event = carrier.unread.popleft()
            carrier.news.tell()
            yield event
        if self.close_code != CloseCode.NORMAL:
            self._raise()

    # Inside --------------------------------------------------------------------------------------------

    async def _send(self, pcm: bytes) -> None:
        carrier, backlog = self._carrier, self._backlog
        samples = self.audio.samples(len(pcm)) + 1
        await carrier.until(lambda: backlog.room is None or backlog.room >= samples)
        await self._check(ConnectionInput.AUDIO)
        backlog.append(pcm)
        if backlog.room is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.audio.seconds(samples) if carrier.resume else None):
                    await self._written(backlog.next_sample)
        carrier.news.tell()

    async def _control(self, message: ControlMessage) -> None:
        if isinstance(message, Configure | Flush) and self._carrier.resume:
            await self._carrier.until(lambda: self._backlog.unanswered < MAX_UNANSWERED)
        await self._check(states.input_of_control(message))
        self._backlog.say(message)
        await self._written()

    def _check_owner(self) -> None:
        if self._carrier.observes:
            raise ProtocolError(ErrorCode.READ_ONLY, "an observer only reads")

    async def _check(self, given: ConnectionInput) -> None:
        """Raise where `given` can't be said any more."""
        carrier = self._carrier
        spoken = carrier.summary is not None
        if not carrier.resume:
            spoken = self.connection.state in (ConnectionState.CLOSING, ConnectionState.CLOSED)
        if spoken:  # the server's last word: wait until its close tells the code
            carrier.lift_bound()
            await carrier.until(lambda: False)
        if carrier.verdict is not None:
            self._raise()
        if self._ended and states.step(ConnectionState.ENDING, given) is None:
            raise StateError(f"{given} can't be sent after `end`")

    async def _written(self, sample: int | None = None) -> None:
        """Wait until all that may go, or audio up to `sample`, went onto the wire, unless that is away."""
        carrier, backlog = self._carrier, self._backlog

        def written() -> bool:
            done = backlog.all_sent if sample is None else backlog.wire >= sample
            return carrier.away or (done and not carrier.writing)

        carrier.news.tell()
        await carrier.until(written)
        if carrier.verdict is not None and not written():
            self._raise()

    def _raise(self) -> NoReturn:
        verdict = self._carrier.verdict
        assert verdict is not None, "there is nothing to tell before the end"
        kind = SessionGone if self._carrier.resume else ConnectionLost
        raise kind(verdict.code, verdict.reason, verdict.error)


@asynccontextmanager
async def connect(
    url: str,
    *,
    session_id: str | None = None,
    audio: AudioFormat | None = None,
    config: Mapping[str, Any] | None = None,
    encoding: Encoding = Encoding.MSGPACK,
    ticket: str | None = None,
    bearer: str | None = None,
    after: int | None = None,
    epoch: str | None = None,
    role: str | None = None,
    open_timeout: float = 10,
    resume: bool = True,
    give_up_after: float | None = None,
    backoff: Backoff | None = None,
) -> AsyncIterator[Client]:
    """A session on the gateway at `url`; its connection is closed on leaving.

    Args:
        url: `ws://host:port`, or with a path of its own; `http` and `https` are taken for `ws` and `wss`.
        session_id: an existing session; without it one is created with `audio` and `config`.
        audio: what will be sent; the session's own format wins where it exists.
        config: settings by name (`hop_ms`, `delivery`, …) of a session created on the spot.
        encoding: how events come.
        ticket: offered as a subprotocol, never put into the URL.
        bearer: sent as `Authorization`.
        after: the last durable event seen, to go on with a session of another client's.
        epoch: as in the `welcome` before, likewise.
        role: `observer` to only read.
        open_timeout: seconds for the handshake and `welcome`.
        resume: come back where the connection is lost; otherwise the first loss is the end.
        give_up_after: seconds without a connection after which the session counts as gone; by default as long
            as the server keeps it. The last attempt has a second of its own.
        backoff: the pauses between attempts.

    Raises:
        ConnectFailed: no session came about; the first attempt is the only one.
    """
    query = query_of(
        session_id, audio or AudioFormat(), config or {}, {"after": after, "epoch": epoch, "role": role}
    )
    opening = Opening(url, query, ticket, bearer, open_timeout)
    link = await open_link(opening, ClientConnection(encoding, epoch=epoch, last_seq=after or 0))
    resumption = Resumption(url, backoff or Backoff(), give_up_after)
    resumption.welcomed(link.welcome, asyncio.get_running_loop().time())
    carrier = Carrier(opening, link, resumption, resume=resume)
    runner = asyncio.create_task(carrier.run(), name="undertone-client")
    try:
        yield Client(carrier)
    finally:
        runner.cancel()
        (outcome,) = await asyncio.gather(runner, return_exceptions=True)
        await carrier.shut()
        if isinstance(outcome, Exception):
            raise outcome
