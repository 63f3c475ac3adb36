"""Bodies of requests, bounded one by one and all together."""

from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from gateway.api.problems import Problem
from gateway.sidecar.desk import Desk


class Room:
    """How many bytes all bodies under way may take, from their first byte to the answer."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.held = 0

    def take(self, nbytes: int) -> bool:
        """Whether there is room for so many more."""
        if self.held + nbytes > self._total:
            return False
        self.held += nbytes
        return True

    def give(self, nbytes: int) -> None:
        """They are not held any more."""
        self.held -= nbytes


class Body:
    """One request's body; holds its room until the end of the block.

    Args:
        most: bytes; a larger one is refused.
    """

    def __init__(self, request: Request, room: Room, desk: Desk, most: int) -> None:
        self._request = request
        self._room = room
        self._desk = desk
        self._most = most
        self._held = 0

    async def __aenter__(self) -> bytes:
        """The whole of it.

        Raises:
            Problem: 413, or 503 where there is no room for it, or 400 where it ends before its time.
        """
        try:
            return await self._read()
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._room.give(self._held)
        self._held = 0

    async def _read(self) -> bytes:
        said = self._request.headers.get("content-length", "")
        if said.isdecimal() and len(said) < 20:
            self._bound(int(said))  # before it is sent
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in self._request.stream():
                size += len(piece)
                self._bound(size)
                if not self._room.take(len(piece)):
                    raise self._desk.come_later("overloaded", "as many bytes are waiting here as may")
                self._held = size
                pieces.append(piece)
        except ClientDisconnect as gone:  # nobody will read this, but it is no failure of ours
            raise Problem(HTTPStatus.BAD_REQUEST, "malformed_body", "the body is not whole") from gone
        return b"".join(pieces)

    def _bound(self, size: int) -> None:
        if size > self._most:
            detail = f"the body is over {self._most} bytes"
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", detail)
