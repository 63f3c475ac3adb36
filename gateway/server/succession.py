"""One process's part in the handover: it lends its listening socket, yields it, and leaves.

What is said, and when, stands in `gateway.server.handover`; here is the I/O on the event loop.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterable
from typing import Protocol

from gateway.server.channel import Channel
from gateway.server.guests import descriptor, early_bytes
from gateway.server.handover import REFUSALS, HandoverError, Message, Stage, Turn, Word, step
from gateway.server.http import HttpProtocol
from gateway.server.takeover import Place, uid_of_peer

log = logging.getLogger(__name__)

ASK_S = 2.0
"""Seconds that one who calls has to say what it wants."""
START_S = 120.0
"""Seconds that a next process may take from the loan until it serves."""
YIELD_S = 5.0
"""Seconds for the last words of a handover, guests included."""

_ATTEMPTS, _ATTEMPT_S = 10, 0.05
_SHORTAGE_S = 1.0
"""Seconds until callers are answered again, where there was no descriptor left for one."""


class House(Protocol):
    """The server whose listening socket it is."""

    def guests(self) -> Iterable[object]:
        """Its connections."""

    async def welcome(self, guest: socket.socket, early: bytes) -> None:
        """Serve a connection that another process accepted."""

    def stop_listening(self) -> None:
        """Accept no more."""

    def leave(self) -> None:
        """The socket is another's: drain, and end."""


class Succession:
    """Follows `handover.TRANSITIONS` from this process's start to its end."""

    def __init__(self, place: Place, listener: socket.socket, house: House) -> None:
        self._place = place
        self._listener = listener
        self._house = house
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering: asyncio.Task[None] | None = None
        self._has_place = place.predecessor is None
        self.stage = Stage.STARTING

    # Coming --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Answer whoever calls, unless the process before us still does."""
        self._place.control.setblocking(False)
        if self._has_place:
            self._answer()

    async def started(self) -> None:
        """We serve: have the process before us stop accepting, and take its guests in.

        Raises:
            HandoverError: it has taken the loan back and goes on itself, so we must not serve.
        """
        predecessor = self._place.predecessor
        if predecessor is not None:
            with contextlib.closing(predecessor):
                await self._inherit(Channel(predecessor))
            self._has_place = True
            self._answer()
        self._turn(Turn.STARTED)

    async def _inherit(self, channel: Channel) -> None:
        refusal: str | None = None
        try:
            async with asyncio.timeout(YIELD_S):
                with contextlib.suppress(OSError):  # it has closed; its last word can be read all the same
                    await channel.send(Message(Word.READY))
                while refusal is None:
                    message, guests = await _last_words(channel)
                    for guest in guests:
                        await self._house.welcome(guest, message.payload)
                    if message.word is Word.REFUSE:
                        refusal = message.payload.decode("utf-8", "replace")
                    elif message.word is Word.YIELD:
                        log.info("took over the listening socket")
                        break
        except TimeoutError:
            log.warning("the process before this one does not say that it has stopped accepting")
        except (HandoverError, OSError) as error:
            log.info("the process before this one is gone: %s", error)
        if refusal is not None:
            raise HandoverError(refusal)

    # Staying -------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        self._answering = asyncio.create_task(self._accept(), name="handover")

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                caller, _ = await loop.sock_accept(self._place.control)
            except OSError as error:
                log.warning("a handover can't be answered: %s", error)
                await asyncio.sleep(_SHORTAGE_S)
                continue
            task = asyncio.create_task(self._serve(caller), name="handover-call")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, caller: socket.socket) -> None:
        with contextlib.closing(caller):
            channel = Channel(caller)
            try:
                async with asyncio.timeout(ASK_S):
                    await channel.hear(Word.TAKE)
                if uid_of_peer(caller) == os.geteuid():
                    await self._lend(channel)
            except (HandoverError, OSError, TimeoutError) as error:
                log.warning("a handover came to nothing: %s", str(error) or type(error).__name__)

    async def _lend(self, channel: Channel) -> None:
        refusal = REFUSALS.get(self.stage, "")
        if not self._turn(Turn.TAKE):
            await channel.send(Message(Word.REFUSE, refusal.encode()))
            return
        log.info("another process is starting with the listening socket")
        outcome = Turn.LOST
        try:
            async with asyncio.timeout(START_S):
                await channel.send(
                    Message(Word.LEND), (self._listener.fileno(), self._place.control.fileno())
                )
                await channel.hear(Word.READY)
            outcome = Turn.READY
        except TimeoutError:
            with contextlib.suppress(OSError):
                channel.try_send(Message(Word.REFUSE, _TOO_LATE.encode()))
            raise HandoverError(_TOO_LATE) from None
        finally:
            self._turn(outcome)
        await self._yield(channel)

    async def _yield(self, channel: Channel) -> None:
        """From here on there is no way back."""
        self._house.stop_listening()
        self._stop_answering()
        try:
            async with asyncio.timeout(YIELD_S):
                moved = await self._send_guests(channel)
                await channel.send(Message(Word.YIELD))
            log.info("yielded the listening socket", extra={"guests": moved})
        finally:
            self._house.leave()

    async def _send_guests(self, channel: Channel) -> int:
        """Send on whoever can go; a request that is being answered has a moment to be done with."""
        moved = 0
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_ATTEMPT_S)
            moved += await _send_on(channel, self._house.guests())
            if not any(isinstance(one, HttpProtocol) for one in self._house.guests()):
                break
        return moved

    # Going ---------------------------------------------------------------------------------------------

    @property
    def yielded(self) -> bool:
        """Whether the listening socket is another process's."""
        return self.stage is Stage.YIELDED

    def stop(self) -> None:
        """The drain begins. Whoever wants the socket gets it all the same."""
        self._turn(Turn.STOP)

    async def aclose(self) -> None:
        """The end. The path goes too, unless somebody else has it, or is about to."""
        ours = self._has_place and self.stage in (Stage.STARTING, Stage.SERVING, Stage.STOPPING)
        self._stop_answering()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if ours:
            self._place.vacate()
        self._place.close()

    def _stop_answering(self) -> None:
        if self._answering is not None:
            self._answering.cancel()

    def _turn(self, turn: Turn) -> bool:
        """Whether `turn` was possible."""
        following = step(self.stage, turn)
        if following is not None:
            self.stage = following
        return following is not None


_TOO_LATE = f"it did not serve within {START_S:.0f} s, and the process that runs goes on"


async def _last_words(channel: Channel) -> tuple[Message, list[socket.socket]]:
    """The next message. That the other side has not read ours is told before what it has sent (unix(7))."""
    try:
        return await channel.receive(1)
    except ConnectionResetError:
        return await channel.receive(1)


async def _send_on(channel: Channel, connections: Iterable[object]) -> int:
    """Send on every connection that can be moved; returns how many that were."""
    moved = 0
    for one in tuple(connections):
        if not isinstance(one, HttpProtocol):
            continue
        # While there is no room, it may ask for something: it is looked at again before each attempt.
        while (early := early_bytes(one)) is not None:
            if channel.try_send(Message(Word.GUEST, early), (descriptor(one),)):
                one.transport.abort()  # this process's hold on it: the connection goes on
                moved += 1
                break
            await channel.room()
    return moved
