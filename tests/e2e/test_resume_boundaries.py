"""Each boundary of a resume over real sockets: where a client says it stands, who it is, what it sends.

The socket before is left half-open each time, as a phone leaves it; its successor must not wait for it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from websockets.asyncio.client import ClientConnection as Socket

from protocol.events import Error, Flushed, Gap, GapReason, Pong, Summary, Welcome
from tests.e2e.conftest import GatewayProcess, start_gateway
from tests.e2e.wire import dial, errors, hear, only, rest, run, say, seqs, until, welcomed

HELD = 16
"""Events that the gateway of the first tests keeps."""
GAP = 800
"""Samples that the client says it didn't send, each time: one event."""


@pytest.fixture(scope="module")
def forgetful() -> Iterator[GatewayProcess]:
    """A gateway whose event logs are short."""
    running = start_gateway(TRANSCRIBER="none", EVENT_LOG_EVENTS=str(HELD))
    yield running
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]


@dataclass
class Left:
    """A session whose socket is half-open: it is connected, and nobody reads it."""

    socket: Socket
    welcome: Welcome
    top: int
    """Number of its newest event."""
    next_sample: int

    def query(self, after: object = None, epoch: str | None = "right") -> dict[str, object]:
        said = {"right": self.welcome.epoch, "wrong": "bm90IHRoaXM", None: None}[epoch]
        return {"session_id": self.welcome.session_id, "after": after, "epoch": said}

    async def told(self) -> tuple[list[str], list[int], int]:
        """What the socket finds once it is read again: errors, numbers of durable events, the close code."""
        self.socket.transport.resume_reading()
        heard, code = await rest(self.socket)
        return errors(heard), seqs(heard), code


@asynccontextmanager
async def left(
    gateway: GatewayProcess, events: int, query: dict[str, object] | None = None
) -> AsyncIterator[Left]:
    """A session of which `events` durable events were said, one gap each."""
    async with dial(gateway, query) as socket:
        welcome = await welcomed(socket)
        for number in range(1, events + 1):
            await say(socket, "position", sample=number * GAP)
            while seqs([await hear(socket)]) != [number]:
                pass
        socket.transport.pause_reading()
        try:
            yield Left(socket, welcome, events, events * GAP)
        finally:
            socket.transport.resume_reading()


async def still_there(socket: Socket) -> None:
    """The socket is heard, and answered."""
    socket.transport.resume_reading()
    await say(socket, "ping", t="still there")
    await until(socket, Pong)


def after_of(name: str, top: int) -> object:
    """The `after` that a case names."""
    oldest = max(1, top - HELD + 1)
    places: dict[str, object] = {
        "absent": None,
        "zero": 0,
        "below the oldest": oldest - 2,
        "before the oldest": oldest - 1,
        "top-1": top - 1,
        "top": top,
        "top+1": top + 1,
        "far": 10**15,
    }
    return places[name]


@pytest.mark.parametrize("epoch", ["right", "wrong", None])
@pytest.mark.parametrize(
    ("top", "place", "recovered", "first"),
    [
        (0, "absent", False, None),
        (0, "zero", True, None),
        (0, "top+1", False, None),
        (5, "absent", False, 1),
        (5, "zero", True, 1),
        (5, "top-1", True, 5),
        (5, "top", True, None),
        (5, "top+1", False, 1),
        (5, "far", False, 1),
        (24, "absent", False, 9),
        (24, "zero", False, 9),
        (24, "below the oldest", False, 9),
        (24, "before the oldest", True, 9),
        (24, "top-1", True, 24),
        (24, "top", True, None),
        (24, "top+1", False, 9),
    ],
)
def test_where_a_client_left_off(
    forgetful: GatewayProcess, top: int, place: str, recovered: bool, first: int | None, epoch: str | None
) -> None:
    """`recovered` is true exactly where all that was missed follows; the replay is what `welcome` says it is.

    Another epoch's place means nothing here: all that is held is told, and that it isn't a recovery. Without
    an epoch a place is taken for one in this epoch.
    """
    oldest = max(1, top - HELD + 1)
    if epoch == "wrong":
        recovered, first = False, oldest if top else None

    async def main() -> None:
        async with left(forgetful, top) as old:
            async with dial(forgetful, old.query(after_of(place, top), epoch)) as new:
                welcome = await welcomed(new)
                assert (welcome.recovered, welcome.replay_from) == (recovered, first)
                assert welcome.replay_to == (top if first else None)
                assert (welcome.epoch, welcome.next_seq) == (old.welcome.epoch, top + 1)
                assert welcome.next_sample == old.next_sample
                await say(new, "ping", t=1)
                replayed = await until(new, Pong)
                assert seqs(replayed) == list(range(first, top + 1) if first else [])
                await say(new, "position", sample=old.next_sample + GAP)
                assert only(await until(new, Gap), Gap).seq == top + 1
            assert await old.told() == (["replaced"], [], 4005)

    run(main())


@pytest.mark.parametrize("after", ["-1", "1.5", "", "x", "1e3", "٣", "9" * 17, "0x1", " 1", "1,2"])
def test_a_place_that_is_no_number(forgetful: GatewayProcess, after: str) -> None:
    """A typed refusal that names the parameter; whoever is attached stays so."""

    async def main() -> None:
        async with left(forgetful, 1) as old:
            async with dial(forgetful, old.query(after)) as new:
                heard, code = await rest(new)
                error = only(heard, Error)
                assert (error.code, error.param, error.fatal, code) == ("invalid_field", "after", True, 4008)
            await still_there(old.socket)

    run(main())


# Who comes back ---------------------------------------------------------------------------------------------


@dataclass
class Tokens:
    """What a thief or a late client might present."""

    older: str
    """Of an attach before the previous one, whose successor has spoken."""
    previous: str
    current: str
    foreign: str
    """Of another session."""
    used_ticket: str
    foreign_ticket: str
    fresh_ticket: str


async def attach_once(gateway: GatewayProcess, query: dict[str, object], token: str | None) -> str:
    """Attach, speak, lose the socket; the resume token that was given."""
    async with dial(gateway, query, token) as socket:
        welcome = await welcomed(socket)
        await say(socket, "ping")
        await until(socket, Pong)
        socket.transport.abort()
        assert welcome.resume_token is not None
        return welcome.resume_token


@asynccontextmanager
async def history(gateway: GatewayProcess) -> AsyncIterator[tuple[Socket, dict[str, object], Tokens]]:
    """A session on its third owner, which has not spoken yet, and every token that it ever had."""
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as client:
        mine, other = [(await client.post("/api/v1/sessions")).json() for _ in range(2)]
    query: dict[str, object] = {"session_id": mine["id"]}
    older = await attach_once(gateway, query, mine["ticket"])
    previous = await attach_once(gateway, query, older)
    foreign = await attach_once(gateway, {"session_id": other["id"]}, None)
    async with dial(gateway, query, previous) as third:
        current = (await welcomed(third)).resume_token
        assert current is not None
        tickets = (mine["ticket"], other["ticket"], other["ticket"])
        yield third, query, Tokens(older, previous, current, foreign, *tickets)


@pytest.mark.parametrize("role", ["owner", "observer"])
@pytest.mark.parametrize("spoken", [False, True])
@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("current", "always"),
        ("previous", "until spoken"),
        ("older", "never"),
        ("foreign", "never"),
        ("used_ticket", "never"),
        ("foreign_ticket", "never"),
        ("invented", "never"),
        ("empty-ish", "never"),
        ("nothing", "always"),
    ],
)
def test_who_a_client_says_it_is(
    gateway: GatewayProcess, name: str, good: str, spoken: bool, role: str
) -> None:
    """The current token lets in, the one before until its successor's owner has spoken, and no other.

    A refusal is typed, closes with 4001 and disturbs nobody.
    """

    async def main() -> None:
        async with history(gateway) as (owner, query, tokens):
            if spoken:
                await still_there(owner)
            token = {"invented": "A" * 32, "empty-ish": "_", "nothing": None}.get(name, "")
            token = getattr(tokens, name) if token == "" else token
            welcome_in = good == "always" or (good == "until spoken" and not spoken)
            async with dial(gateway, {**query, "role": role, "after": 0}, token) as new:
                if welcome_in:
                    welcome = await welcomed(new)
                    assert welcome.recovered
                    assert (welcome.resume_token is None) == (role == "observer")
                else:
                    heard, code = await rest(new)
                    assert (errors(heard), code) == (["unauthorized"], 4001)
            if welcome_in and role == "owner":
                heard, code = await rest(owner)
                assert (errors(heard), code) == (["replaced"], 4005)
            else:
                await still_there(owner)

    run(main())


# What is sent after coming back -----------------------------------------------------------------------------

Steps = Callable[[Socket], Awaitable[None]]


def account(
    gateway: GatewayProcess, first: bytes, steps: Steps, query: dict[str, object] | None = None
) -> tuple[Summary, list[Gap], list[str]]:
    """A session whose first socket sent `first` and is half-open; the second does `steps`, then ends it."""

    async def main() -> tuple[Summary, list[Gap], list[str]]:
        async with left(gateway, 0, query) as old:
            await old.socket.send(first)
            await still_there(old.socket)
            async with dial(gateway, old.query(0)) as new:
                await welcomed(new)
                await steps(new)
                await say(new, "end")
                heard, code = await rest(new)
                assert code == 1000
                gaps = [event for event in heard if isinstance(event, Gap)]
                return only(heard, Summary), gaps, errors(heard)

    return run(main())


@pytest.mark.parametrize(
    ("position", "sent", "total", "gap"),
    [
        pytest.param(1_600, 800, 2_400, None, id="at the top"),
        pytest.param(800, 1_600, 2_400, None, id="behind: the overlap is trimmed"),
        pytest.param(0, 1_600, 1_600, None, id="behind: all of it is known"),
        pytest.param(0, 800, 1_600, None, id="behind, and never as far as the top"),
        pytest.param(2_400, 800, 3_200, (1_600, 2_400), id="ahead: a gap"),
        pytest.param(
            1_600 + 16_000 * 86_400,
            1,
            1_601 + 16_000 * 86_400,
            (1_600, 1_600 + 16_000 * 86_400),
            id="a day ahead",
        ),
    ],
)
def test_where_a_client_goes_on(
    gateway: GatewayProcess, position: int, sent: int, total: int, gap: tuple[int, int] | None
) -> None:
    """No sample counts twice, none is skipped without a gap; half a sample that was lost shifts nothing."""

    async def steps(socket: Socket) -> None:
        await say(socket, "position", sample=position)
        await socket.send(bytes(2 * sent))

    summary, gaps, told = account(gateway, bytes(3_201), steps)
    assert (summary.next_sample, summary.pending_samples) == (total, 0)
    assert summary.received_samples == total - (gap[1] - gap[0] if gap else 0)
    assert [(one.start_sample, one.end_sample) for one in gaps] == ([gap] if gap else [])
    assert {one.reason for one in gaps} <= {GapReason.CLIENT}
    assert told == []


@pytest.mark.parametrize("sample", [-1, 1_601 + 16_000 * 86_400, 2**53, 1.5, "0", None, True])
def test_a_place_that_no_audio_could_have(gateway: GatewayProcess, sample: object) -> None:
    """A typed error that isn't fatal; the audio goes on where it was."""

    async def steps(socket: Socket) -> None:
        await say(socket, "position", sample=sample)
        await socket.send(bytes(1_600))

    summary, gaps, told = account(gateway, bytes(3_200), steps)
    assert (summary.next_sample, gaps, told) == (2_400, [], ["invalid_field"])


def test_a_lossless_client_goes_on_within_its_credit(gateway: GatewayProcess) -> None:
    """The limit is an absolute index: a resume neither grants more nor takes any back."""

    async def main() -> None:
        async with left(gateway, 0, {"delivery": "lossless"}) as old:
            limit = old.welcome.limit
            assert limit is not None
            await old.socket.send(bytes(2 * 16_000))
            await still_there(old.socket)
            async with dial(gateway, old.query(0)) as new:
                welcome = await welcomed(new)
                assert welcome.limit is not None
                assert limit <= welcome.limit <= limit + 16_000
                await new.send(bytes(2 * 16_000))
                await new.send(bytes(2 * 16_000))
                await say(new, "position", sample=48_000)
                await say(new, "end")
                summary = only((await rest(new))[0], Summary)
                assert (summary.next_sample, summary.gap_samples) == (48_000, 0)

    run(main())


# Who was replaced -------------------------------------------------------------------------------------------


def test_a_replaced_socket_changes_nothing_any_more(gateway: GatewayProcess) -> None:
    """Audio, position, settings, flush and end of the loser: none of it is heard; the session lives on."""

    async def main() -> None:
        async with left(gateway, 0) as old:
            await old.socket.send(bytes(3_200))
            await still_there(old.socket)
            old.socket.transport.pause_reading()
            async with dial(gateway, old.query(0)) as new:
                assert (await welcomed(new)).next_sample == 1_600
                await old.socket.send(bytes(3_200))
                await say(old.socket, "position", sample=99_000)
                await say(old.socket, "configure", hop_ms=500, window_ms=500)
                await say(old.socket, "end")
                assert await old.told() == (["replaced"], [], 4005)
                await new.send(bytes(1_600))
                await say(new, "flush", id="mine")
                assert only(await until(new, Flushed), Flushed).id == "mine"
                await say(new, "end")
                summary = only((await rest(new))[0], Summary)
                assert (summary.received_samples, summary.gap_samples) == (2_400, 0)

    run(main())
