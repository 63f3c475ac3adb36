"""`undertone stream` over real sockets against a small gateway: the good course and each bad one."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from gateway.clock import ManualClock
from gateway.commands import stream as module
from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.outputs import AnyEvent
from gateway.commands.pace import Pacer
from gateway.commands.sources import Source
from gateway.commands.stream import StreamOptions, stream
from protocol import events as ev
from protocol.audio import AudioFormat
from protocol.control import Configure, End
from protocol.errors import ErrorCode, ProtocolError
from tests.gateway.commands.fake import SESSION, Fake, fake_gateway, unauthorized

RATE = 16_000
FRAME = 3_200


class Seen:
    """An output that remembers."""

    def __init__(self) -> None:
        self.welcome: ev.Welcome | None = None
        self.watching = False
        self.events: list[AnyEvent] = []
        self.position = 0
        self.notes: list[str] = []
        self.finishes = 0
        self.delays: Sequence[float] | None = None
        self.connection = ""

    def opened(self, welcome: ev.Welcome, *, watching: bool) -> None:
        self.welcome, self.watching = welcome, watching

    def event(self, event: AnyEvent) -> None:
        self.events.append(event)

    def sent(self, sample: int) -> None:
        self.position = sample

    def note(self, text: str) -> None:
        self.notes.append(text)

    def finishing(self) -> None:
        self.finishes += 1

    def redraw(self) -> None:
        pass

    def closed(self, delays_s: Sequence[float], connection: str = "") -> None:
        assert self.delays is None, "closed once"
        self.delays, self.connection = delays_s, connection

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


def frames_of(source: Source) -> list[bytes]:
    """All frames of a source."""

    async def collect() -> list[bytes]:
        return [frame async for frame in source.frames()]

    return asyncio.run(collect())


def recording(seconds: float, *, audio: AudioFormat | None = None, **more: Any) -> Source:
    """So many seconds of audio, in frames of 100 ms."""
    form = audio or AudioFormat()
    size = form.bytes(form.sample_rate // 10)
    blocks = [bytes(size)] * round(seconds * 10)
    return Source(name="talk.wav", audio=form, total_samples=None, blocks=iter(blocks), **more)


class Hurried:
    """Real time in no time: sleeping moves a manual clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.pacer = Pacer(RATE, clock=self.clock, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await asyncio.sleep(0)


def run(fake: Fake, source: Source | None, **options: Any) -> tuple[ExitCode, Seen]:
    """One session against `fake`."""
    seen = Seen()

    async def session() -> ExitCode:
        async with fake_gateway(fake) as url:
            given = StreamOptions(url=url, **options)
            return await stream(given, source, seen, pacer=Hurried().pacer)

    return asyncio.run(session()), seen


def failing(fake: Fake, source: Source | None, **options: Any) -> CommandError:
    """How such a session fails."""
    with pytest.raises(CommandError) as failed:
        run(fake, source, **options)
    return failed.value


def test_streams_to_the_summary() -> None:
    """All audio arrives, all events are shown, `end` is said once, and the delays are known."""
    fake = Fake()
    code, seen = run(fake, recording(3.5))
    assert code is ExitCode.OK
    assert seen.types == ["tone", "tone", "tone", "summary"]
    assert len(fake.received) == 35 * FRAME
    assert [type(one) for one in fake.controls] == [End]
    assert (seen.position, seen.finishes) == (35 * 1_600, 1)
    assert seen.delays is not None
    assert len(seen.delays) == 3


@pytest.mark.parametrize("promise", ["fast", "lossless"])
def test_a_recording_with_gaps_is_no_success(promise: str) -> None:
    """Where nothing was to be dropped, what was not analysed is an error; in real time it is told only."""
    error = failing(Fake(gap=True), recording(3.5), **{promise: True})
    assert error.code is ExitCode.INCOMPLETE
    assert error.message == "1.0 s of 3.5 s were not analysed (overload)"
    assert error.hint is not None
    assert run(Fake(gap=True), recording(3.5))[0] is ExitCode.OK
    assert run(Fake(), recording(3.5), **{promise: True})[0] is ExitCode.OK


def test_the_file_s_own_format_is_announced() -> None:
    """The session is opened for the audio as it is, with the settings asked for."""
    fake = Fake()
    audio = AudioFormat(sample_rate=44_100, channels=2)
    code, seen = run(fake, recording(1, audio=audio), config={"elcor": True, "hop_ms": 500})
    assert code is ExitCode.OK
    assert seen.welcome is not None
    assert seen.welcome.audio == audio
    assert (fake.query["sample_rate"], fake.query["channels"]) == ("44100", "2")
    assert (fake.query["elcor"], fake.query["hop_ms"]) == ("true", "500")


def test_fast_uses_credit() -> None:
    """`--fast` asks for lossless delivery and never sends beyond the credit."""
    fake = Fake()
    code, seen = run(fake, recording(60), fast=True)
    assert code is ExitCode.OK
    assert fake.query["delivery"] == "lossless"
    assert fake.max_ahead == 0
    assert len(fake.received) == 600 * FRAME
    assert seen.delays == [], "delays mean nothing when audio comes faster than it is heard"


def test_paced_by_default() -> None:
    """Without `--fast`, ten seconds of audio take ten seconds."""
    hurried = Hurried()
    start = hurried.clock.monotonic()

    async def session() -> None:
        async with fake_gateway(Fake()) as url:
            await stream(StreamOptions(url=url), recording(10), Seen(), pacer=hurried.pacer)

    asyncio.run(session())
    assert hurried.clock.monotonic() - start == pytest.approx(10, abs=0.01)


def test_notes_of_the_source_are_shown() -> None:
    """What the source has to say is said, before and after."""
    _, seen = run(Fake(), recording(1, notes=["cut short"], late_notes=["ended early"]))
    assert seen.notes == ["cut short", "ended early"]


def test_watching_sends_nothing() -> None:
    """An observer sees the events and the summary of a session that is somebody else's."""
    fake = Fake()
    code, seen = run(fake, None, session_id=SESSION, observe=True)
    assert code is ExitCode.OK
    assert (fake.query["role"], fake.query["session_id"]) == ("observer", SESSION)
    assert seen.watching
    assert seen.types == ["tone", "tone", "tone", "summary"]
    assert fake.controls == []


def test_nobody_there() -> None:
    """An address without a gateway is unreachable, and nothing is left open."""
    seen = Seen()
    with pytest.raises(CommandError, match="connection refused") as failed:
        asyncio.run(stream(StreamOptions(url="ws://127.0.0.1:1"), recording(1), seen))
    assert failed.value.code is ExitCode.UNREACHABLE
    assert seen.delays == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 404 File not found\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-x\r\n",
    ],
)
def test_somebody_else_is_there(answer: bytes) -> None:
    """Another server at the address is told apart from none, whatever it speaks."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async def session() -> None:
        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await stream(StreamOptions(url=f"127.0.0.1:{port}"), recording(1), Seen())

    with pytest.raises(CommandError, match="but it is not an Undertone gateway") as failed:
        asyncio.run(session())
    assert failed.value.code is ExitCode.UNREACHABLE


@pytest.mark.parametrize("observe", [False, True])
def test_gateway_stops(observe: bool) -> None:
    """A gateway that was stopped, and knows nothing when it is back, is told about in words for people."""
    source = None if observe else recording(10)
    error = failing(Fake(drain_after=5 * FRAME, forget=True), source, observe=observe)
    assert error.code is ExitCode.LOST
    assert error.message == "the gateway no longer knows this session"
    assert "started anew" in str(error.hint)


def test_refused() -> None:
    """A refusal tells the gateway's code, its message and what to do."""
    error = failing(Fake(refuse=unauthorized()), recording(1))
    assert error.code is ExitCode.REFUSED
    assert "unauthorized: the ticket has expired" in error.message
    assert error.hint == ErrorCode.UNAUTHORIZED.advice


def test_fatal_error_midway() -> None:
    """A fatal error in the middle ends it with the gateway's reason, not with a guess."""
    flood = ProtocolError(ErrorCode.FLOOD, "four times real time")
    error = failing(Fake(fail_after=(5 * FRAME, flood)), recording(10))
    assert error.code is ExitCode.REFUSED
    assert "flood: four times real time" in error.message


def test_lost_midway() -> None:
    """A connection that breaks is taken up again, on time, without a byte or an event lost or repeated."""
    fake = Fake(vanish_after=25 * FRAME)
    code, seen = run(fake, recording(10), lossless=True)
    assert code is ExitCode.OK
    assert fake.max_ahead == 0
    assert [one for one in seen.types if one != "flow"] == ["tone"] * 2 + ["welcome"] + ["tone"] * 8 + [
        "summary"
    ]
    assert len(fake.received) == 100 * FRAME
    assert seen.notes[-1] == "reconnected, nothing missed"
    assert seen.connection == "lost on the way, reconnected once; nothing missed"


def test_lost_for_good() -> None:
    """Where no way back is found in time, it is a loss, and what was tried is told."""
    error = failing(Fake(vanish_after=5 * FRAME, unreachable=True), recording(10), give_up_s=0.05)
    assert error.code is ExitCode.LOST
    assert "no connection for" in error.message


def test_cut_on_purpose() -> None:
    """`--chaos` cuts and comes back; the end says how often, and that nothing was lost."""
    fake = Fake()
    code, seen = run(fake, recording(120), fast=True, chaos_s=0.02, chaos_seed=1)
    assert code is ExitCode.OK
    assert bytes(fake.received) == bytes(1_200 * FRAME)
    assert seen.types.count("tone") == 120
    assert seen.types.count("welcome") > 0
    assert seen.connection.startswith("cut ")
    assert seen.connection.endswith("nothing missed")


def test_no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that never sends its summary doesn't hold the terminal for ever."""
    monkeypatch.setattr(module, "SUMMARY_WAIT_S", 0.05)
    error = failing(Fake(silent_end=True), recording(1))
    assert error.code is ExitCode.LOST
    assert "no summary" in error.message


def test_session_of_another_format() -> None:
    """Attaching to a session that was opened for other audio is refused before anything is sent."""

    class Other(Fake):
        pass

    fake = Other()
    error = failing(fake, recording(1, audio=AudioFormat(sample_rate=8_000)), session_id=SESSION)
    assert "opened for" in error.message
    assert fake.received == b""


def test_failing_disk_still_ends_the_session() -> None:
    """When the source breaks, what was sent still gets its summary, and the error is told."""

    def blocks() -> Iterator[bytes]:
        yield bytes(FRAME)
        raise OSError(5, "Input/output error")

    fake = Fake()
    source = Source(name="x", audio=AudioFormat(), total_samples=None, blocks=blocks())
    error = failing(fake, source)
    assert "cannot read x: Input/output error" in error.message
    assert fake.ended == 1


def interrupted(fake: Fake, signals: int) -> tuple[ExitCode, Seen]:
    """Ctrl-C in the middle of a live source that never ends."""
    seen = Seen()

    class Endless(Source):
        async def frames(self) -> AsyncIterator[bytes]:
            while True:
                yield bytes(FRAME)
                await asyncio.sleep(0)
                if fake.arrivals and not seen.finishes:
                    for _ in range(signals):
                        os.kill(os.getpid(), signal.SIGINT)
                    await asyncio.Event().wait()

    source = Endless(name="mic", audio=AudioFormat(), total_samples=None, blocks=iter(()))

    async def session() -> ExitCode:
        async with fake_gateway(fake) as url:
            return await stream(StreamOptions(url=url, fast=True), source, seen)

    return asyncio.run(session()), seen


def test_ctrl_c_ends_the_session_properly() -> None:
    """The first Ctrl-C says `end`, shows the summary, and exits with 130."""
    fake = Fake()
    code, seen = interrupted(fake, 1)
    assert code is ExitCode.INTERRUPTED
    assert seen.types[-1] == "summary"
    assert fake.ended == 1


def test_ctrl_c_does_not_wait_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that does not answer doesn't keep a user who wants to leave."""
    monkeypatch.setattr(module, "INTERRUPTED_WAIT_S", 0.05)
    code, seen = interrupted(Fake(silent_end=True), 1)
    assert code is ExitCode.INTERRUPTED
    assert "summary" not in seen.types


def test_ctrl_c_while_the_summary_is_awaited() -> None:
    """Once all audio is sent, one Ctrl-C is enough to leave at once."""

    class Impatient(Seen):
        def finishing(self) -> None:
            super().finishing()
            os.kill(os.getpid(), signal.SIGINT)

    seen = Impatient()

    async def session() -> ExitCode:
        async with fake_gateway(Fake(silent_end=True)) as url:
            return await stream(StreamOptions(url=url, fast=True), recording(1), seen)

    assert asyncio.run(session()) is ExitCode.INTERRUPTED
    assert seen.finishes == 1


def test_broken_pipe_comes_through() -> None:
    """When the reader of our output goes away, that ends it, whatever the gateway does."""

    class Gone(Seen):
        def event(self, event: AnyEvent) -> None:
            raise BrokenPipeError

    async def session() -> None:
        async with fake_gateway(Fake()) as url:
            options = StreamOptions(url=url)
            await stream(options, recording(5), Gone(), pacer=Hurried().pacer)

    with pytest.raises(BrokenPipeError):
        asyncio.run(session())


def test_configure_is_never_needed() -> None:
    """Settings go into the opening, so the first window is cut by them already."""
    fake = Fake()
    run(fake, recording(1), config={"window_ms": 500})
    assert not any(isinstance(one, Configure) for one in fake.controls)
