"""One process after the other on one socket: who answers, who leaves, and who goes on where something fails.

Both are in this process here, each with its own half of the handover; the sockets are real.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop
from uvicorn.server import ServerState

from gateway.server import succession
from gateway.server.facts import ServerConfig
from gateway.server.guests import Guest
from gateway.server.handover import HandoverError, Message, Stage, Word
from gateway.server.http import HttpProtocol
from gateway.server.listening import CannotListen, listen
from gateway.server.succession import Succession
from gateway.server.takeover import Place, take_place
from gateway.server.websocket import WebSocketProtocol

HEAD = b"GET / HTTP/1.1\r\nHost: gateway\r\n"
GUESTS = 300
"""More than the kernel lets wait on such a socket (net.unix.max_dgram_qlen)."""


class Shop:
    """A server of one process, which answers each request with its name."""

    def __init__(self, name: str, place: Place, listener: socket.socket) -> None:
        self.name = name
        self.state = ServerState()
        self.config = ServerConfig(
            self.app, interface="asgi3", http=HttpProtocol, ws=WebSocketProtocol, log_config=None
        )
        self.config.load()
        self.listener = listener
        self.succession = Succession(place, listener, self)
        self.open = asyncio.Event()
        self.left = asyncio.Event()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """`/slow` is answered only once the shop is open."""
        if scope["path"] == "/slow":
            await self.open.wait()
        length = (b"content-length", str(len(self.name)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": self.name.encode()})

    async def serve(self) -> "Shop":
        self.succession.start()
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(
            lambda: HttpProtocol(self.config, self.state, {}), sock=self.listener
        )
        await self.succession.started()
        return self

    def guests(self) -> Iterable[object]:
        return self.state.connections

    async def welcome(self, guest: socket.socket, early: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Guest(self.config, self.state, {}, early), guest)

    def stop_listening(self) -> None:
        self.server.close()

    def leave(self) -> None:
        self.left.set()

    async def aclose(self) -> None:
        self.server.close()
        for connection in list(self.state.connections):
            connection.transport.abort()
        await self.succession.aclose()
        self.listener.close()


class Street:
    """Where shops follow each other, at one address."""

    def __init__(self, path: str, shops: contextlib.AsyncExitStack) -> None:
        self.path = path
        self._shops = shops

    async def first(self) -> Shop:
        """The first shop, which made its place itself."""
        shop = Shop("old", take_place(self.path), listen("127.0.0.1", 0))
        self.address = shop.listener.getsockname()
        self._shops.push_async_callback(shop.aclose)
        return await shop.serve()

    async def place(self, patience_s: float = 5) -> Place:
        """What the next one gets."""
        return await asyncio.to_thread(take_place, self.path, patience_s)

    def is_free(self) -> bool:
        """Whether nobody has left anything at its path."""
        return not os.path.lexists(self.path)

    async def next(self, place: Place) -> Shop:
        """A shop that serves with `place`."""
        assert place.listener is not None
        shop = Shop("new", place, place.listener)
        self._shops.push_async_callback(shop.aclose)
        return await shop.serve()

    async def visitor(self, said: bytes = b"") -> "Visitor":
        """Somebody who has said so much."""
        visitor = Visitor(*await asyncio.open_connection(*self.address))
        self._shops.callback(visitor.writer.close)
        visitor.writer.write(said)
        return visitor


@dataclass
class Loop:
    """An event loop of which only this is used."""

    sock_accept: Callable[[socket.socket], Awaitable[Any]]


class Visitor:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, data: bytes) -> str:
        """Who answers once that is said."""
        self.writer.write(data)
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            return (await self.reader.readexactly(3)).decode()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Runs steps in a street of their own."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else None

    def run(steps: Callable[[Street], Awaitable[None]]) -> None:
        async def main() -> None:
            async with asyncio.timeout(30), contextlib.AsyncExitStack() as shops:
                await steps(Street(str(tmp_path / "handover"), shops))

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())

    return run


Run = Callable[[Callable[[Street], Awaitable[None]]], None]


async def until(true: Callable[[], bool]) -> None:
    """Wait for it, but not for ever."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 (nobody could set an event)
            await asyncio.sleep(0.01)


def test_connections_go_along(run: Run) -> None:
    """One that has been silent, one in the middle of a head, and one between two requests are answered by
    the next process; a request that is being answered is answered to its end."""

    async def steps(street: Street) -> None:
        old = await street.first()
        silent, half, kept, busy = [await street.visitor() for _ in range(4)]
        half.writer.write(HEAD + b"X: ")
        assert await kept.says(HEAD + b"\r\n") == "old"
        busy.writer.write(b"GET /slow HTTP/1.1\r\nHost: gateway\r\n\r\n")
        await until(lambda: len(old.state.connections) == 4 and bool(old.state.tasks))
        new = await street.next(await street.place())
        await old.left.wait()
        assert (old.succession.stage, new.succession.stage) == (Stage.YIELDED, Stage.SERVING)
        assert not old.server.is_serving()
        assert await silent.says(HEAD + b"\r\n") == "new"
        assert await half.says(b"y\r\n\r\n") == "new"
        assert await kept.says(HEAD + b"\r\n") == "new"
        assert await (await street.visitor()).says(HEAD + b"\r\n") == "new"
        old.open.set()
        assert await busy.says(b"") == "old"

    run(steps)


def test_however_many_they_are(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """They go one by one, each when there is room."""
    monkeypatch.setattr(succession, "_ATTEMPTS", 1)

    async def steps(street: Street) -> None:
        old = await street.first()
        visitors = [await street.visitor() for _ in range(GUESTS)]
        await until(lambda: len(old.state.connections) == GUESTS)
        await street.next(await street.place())
        assert {await one.says(HEAD + b"\r\n") for one in visitors} == {"new"}

    run(steps)


def test_who_does_not_start_changes_nothing(run: Run) -> None:
    """It takes the socket and ends before it serves: the first goes on, and the next may try."""

    async def steps(street: Street) -> None:
        old = await street.first()
        kept = await street.visitor()
        place = await street.place()
        assert old.succession.stage is Stage.LENT
        with pytest.raises(CannotListen, match="already"):
            await street.place()
        place.give_up()
        await until(lambda: old.succession.stage is Stage.SERVING)
        assert await kept.says(HEAD + b"\r\n") == "old"
        assert await (await street.visitor()).says(HEAD + b"\r\n") == "old"
        await street.next(await street.place())
        assert await kept.says(HEAD + b"\r\n") == "new"

    run(steps)


def test_who_is_stopped_before_it_serves_leaves_the_place_alone(run: Run) -> None:
    """It never had it."""

    async def steps(street: Street) -> None:
        old = await street.first()
        place = await street.place()
        assert place.listener is not None
        new = Shop("new", place, place.listener)
        new.succession.start()
        new.succession.stop()
        await new.succession.aclose()
        await until(lambda: old.succession.stage is Stage.SERVING)
        assert not street.is_free()

    run(steps)


def test_who_takes_for_ever_to_start_is_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be stuck; others may try then."""
    monkeypatch.setattr(succession, "START_S", 0.05)

    async def steps(street: Street) -> None:
        old = await street.first()
        with contextlib.closing(await street.place()):
            await until(lambda: old.succession.stage is Stage.SERVING)

    run(steps)


def test_who_comes_too_late_does_not_serve(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loan was taken back, as from a machine that slept: there must not be two on one socket."""
    monkeypatch.setattr(succession, "START_S", 0.05)

    async def steps(street: Street) -> None:
        old = await street.first()
        place = await street.place()
        await until(lambda: old.succession.stage is Stage.SERVING)
        with pytest.raises(HandoverError, match="goes on"):
            await street.next(place)
        assert old.succession.stage is Stage.SERVING
        assert not old.left.is_set()
        monkeypatch.setattr(succession, "START_S", 10)
        assert (await street.next(await street.place())).succession.stage is Stage.SERVING

    run(steps)


def test_one_without_descriptors_answers_again_when_it_has_some(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller that can't be accepted waits, and the next attempt takes it."""
    monkeypatch.setattr(succession, "_SHORTAGE_S", 0.01)

    async def steps(street: Street) -> None:
        old = await street.first()
        loop, real = asyncio.get_running_loop(), asyncio.get_running_loop().sock_accept
        short = 3

        async def accept(control: socket.socket) -> Any:
            nonlocal short
            if short:
                short -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return await real(control)

        monkeypatch.setattr(asyncio, "get_running_loop", lambda: Loop(accept))
        old.succession._stop_answering()
        old.succession._answer()
        await asyncio.sleep(0)
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
        assert (await street.next(await street.place())).succession.stage is Stage.SERVING

    run(steps)
    assert "Too many open files" in caplog.text


def test_one_that_is_only_starting_says_so(run: Run) -> None:
    """Of two that are started at the same moment one wins; the other says why."""

    async def steps(street: Street) -> None:
        place = take_place(street.path)
        with contextlib.closing(listen("127.0.0.1", 0)) as listener:
            shop = Shop("old", place, listener)
            shop.succession.start()
            with pytest.raises(CannotListen, match="only starting"):
                await street.place()
            await shop.succession.started()
            with contextlib.closing(await street.place()):
                assert shop.succession.stage is Stage.LENT
            await shop.succession.aclose()

    run(steps)


def test_one_that_is_stopping_hands_over_all_the_same(run: Run) -> None:
    """Whether it is told to stop before or after the next one has asked."""

    async def steps(street: Street) -> None:
        old = await street.first()
        old.succession.stop()
        (await street.place()).give_up()
        await until(lambda: old.succession.stage is Stage.STOPPING)
        place = await street.place()
        old.succession.stop()
        new = await street.next(place)
        assert old.succession.yielded
        assert await (await street.visitor()).says(HEAD + b"\r\n") == "new"
        new.succession.stop()
        await new.aclose()
        assert street.is_free()

    run(steps)


def test_one_that_is_gone_meanwhile_is_not_waited_for(run: Run) -> None:
    """It ended while the next one started, which has all that it needs. The path is left to it."""

    async def steps(street: Street) -> None:
        old = await street.first()
        place = await street.place()
        old.succession.stop()
        old.stop_listening()
        await old.succession.aclose()
        waiting = await street.visitor(HEAD)
        new = await street.next(place)
        assert new.succession.stage is Stage.SERVING
        assert await waiting.says(b"\r\n") == "new"
        with contextlib.closing(await street.place()) as following:
            assert following.predecessor is not None

    run(steps)


def test_one_that_never_yields_is_not_waited_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is stuck, perhaps for ever; the next one serves."""
    monkeypatch.setattr(succession, "YIELD_S", 0.05)

    async def steps(street: Street) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.closing(take_place(street.path)) as made:
            place = Place(street.path, made.control.dup(), listen("127.0.0.1", 0), ours)
            new = await street.next(place)
            assert new.succession.stage is Stage.SERVING
            assert theirs.recv(100) == Message(Word.READY).encode()

    run(steps)
    assert "does not say that it has stopped" in caplog.text


def test_callers_who_say_nothing_of_sense_are_dropped(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A silent one, one who talks nonsense, one who says things out of turn, and one who leaves."""
    monkeypatch.setattr(succession, "ASK_S", 0.05)

    async def steps(street: Street) -> None:
        old = await street.first()
        for said in (b"", b"hello", Message(Word.READY).encode(), None):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
                caller.connect(street.path)
                caller.settimeout(5)
                if said:
                    caller.send(said)
                if said is not None:
                    assert await asyncio.to_thread(caller.recv, 100) == b""
        await until(lambda: caplog.text.count("came to nothing") == 4)
        assert old.succession.stage is Stage.SERVING

    run(steps)
