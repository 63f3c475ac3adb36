"""How WebSocket bytes reach the application under uvicorn."""

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

INVALID_PAYLOAD = 1007
"""RFC 6455 section 7.4.1: text that is not UTF-8."""
ABORT_AFTER_S = 5.0
"""Seconds a peer has to take what was left to say, once the application is done with it."""


class VoiceWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's sans-I/O protocol, minus three ways in which a peer's misbehaviour stays with us.

    Broken text is no event worth a traceback; a handshake that can't be parsed is answered; and a peer that
    does not read is let go, where `transport.close()` would wait for it for ever.
    """

    _abort: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self.frames = []
            self.conn.send_close(INVALID_PAYLOAD)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self._abort = self.loop.call_later(ABORT_AFTER_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._abort is not None:
            self._abort.cancel()
        super().connection_lost(exc)


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
