"""What admission saw may be gone when a session is made: the limit holds, and who is too many is told."""

import asyncio
from collections import Counter
from typing import Any

from gateway.app import create_app
from gateway.settings import Settings
from protocol.codec import decode_event
from protocol.events import Error, Event, UnknownEvent, Welcome
from protocol.version import Encoding

CROWD, LIMIT = 200, 50


class Guest:
    """The server's end of ASGI for one WebSocket, who waits for all the others once accepted."""

    def __init__(self, door: asyncio.Barrier) -> None:
        self.door = door
        self.said: list[Event | UnknownEvent] = []
        self.closed: int | None = None
        self.told = asyncio.Event()
        self._opened = False

    async def receive(self) -> dict[str, Any]:
        if self._opened:
            await asyncio.Event().wait()
        self._opened = True
        return {"type": "websocket.connect"}

    async def send(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.accept":
                await self.door.wait()
            case "websocket.send":
                self.said.append(decode_event(message["bytes"], Encoding.MSGPACK))
            case "websocket.close":
                self.closed = message["code"]
        if self.closed is not None or any(isinstance(event, Welcome) for event in self.said):
            self.told.set()

    @property
    def outcome(self) -> str:
        (first,) = self.said
        if isinstance(first, Error):
            return f"{first.code} {self.closed}"
        return f"{first.type} {self.closed}"


SCOPE = {
    "type": "websocket",
    "scheme": "ws",
    "server": ("127.0.0.1", 8522),
    "client": ("127.0.0.1", 50_000),
    "root_path": "",
    "path": "/ws/voice",
    "raw_path": b"/ws/voice",
    "query_string": b"",
    "headers": [],
    "subprotocols": [],
}


def test_no_more_get_in_than_may_though_all_were_accepted() -> None:
    """Each of 200 was let through before the first session was made; 50 are, and 150 hear `overloaded`."""

    async def main() -> Counter[str]:
        app = create_app(Settings(transcriber="none", max_sessions=LIMIT))  # type: ignore[arg-type]
        door = asyncio.Barrier(CROWD)
        guests = [Guest(door) for _ in range(CROWD)]
        async with asyncio.timeout(20), app.router.lifespan_context(app):
            visits = [
                asyncio.create_task(app(dict(SCOPE), guest.receive, guest.send))  # type: ignore[arg-type]
                for guest in guests
            ]
            await asyncio.gather(*(guest.told.wait() for guest in guests))
            outcomes = Counter(guest.outcome for guest in guests)
            for visit in visits:
                visit.cancel()
            await asyncio.gather(*visits, return_exceptions=True)
        return outcomes

    assert asyncio.run(main()) == {"welcome None": LIMIT, "overloaded 4100": CROWD - LIMIT}
