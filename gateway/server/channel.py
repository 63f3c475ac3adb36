"""The conversation of a handover on an event loop: one message at a time, descriptors with it."""

import asyncio
import socket
from collections.abc import Sequence

from gateway.server.handover import MAX_BYTES, HandoverError, Message, Word, decode


class Channel:
    """One end of a SOCK_SEQPACKET connection, which is the caller's to close. Every wait is unbounded."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock

    def try_send(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """Send, unless there is no room; whether there was.

        Raises:
            OSError: the other side is gone.
        """
        try:
            socket.send_fds(self.sock, [message.encode()], descriptors)
        except BlockingIOError:
            return False
        return True

    async def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send; raises as `try_send`."""
        while not self.try_send(message, descriptors):
            await self.room()

    async def receive(self, descriptors: int = 0) -> tuple[Message, list[socket.socket]]:
        """The next message, and at most so many sockets that came with it.

        Raises:
            HandoverError: the other side has ended, or makes no sense.
            OSError: it is gone.
        """
        while True:
            try:
                data, numbers, _, _ = socket.recv_fds(self.sock, MAX_BYTES, descriptors)
                break
            except BlockingIOError:
                await self._ready(writable=False)
        sockets = [socket.socket(fileno=one) for one in numbers]
        try:
            if not data:
                raise HandoverError("it has ended")
            return decode(data), sockets
        except HandoverError:
            for one in sockets:
                one.close()
            raise

    async def hear(self, wanted: Word) -> None:
        """Wait for one message, which must be `wanted`; raises as `receive`."""
        message, _ = await self.receive()
        if message.word is not wanted:
            raise HandoverError(f"it says {message.word.value!r} out of turn")

    async def room(self) -> None:
        """Until there may be room to send."""
        await self._ready(writable=True)

    async def _ready(self, *, writable: bool) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        add, remove = (
            (loop.add_writer, loop.remove_writer) if writable else (loop.add_reader, loop.remove_reader)
        )
        add(self.sock, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            remove(self.sock)
