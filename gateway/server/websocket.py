"""How WebSocket bytes reach the application under uvicorn."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

INVALID_PAYLOAD = 1007
"""RFC 6455 section 7.4.1: text that is not UTF-8."""


class VoiceWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's sans-I/O protocol, for which a peer's broken text is no event worth a traceback."""

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self.frames = []
            self.conn.send_close(INVALID_PAYLOAD)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
