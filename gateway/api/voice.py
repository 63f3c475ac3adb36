"""`/ws/voice`: one WebSocket, PCM in, events out.

A connection goes through three steps: admission (refused with an HTTP status before it is accepted),
attachment (accepted, told in an `error`, closed), and the conversation. Who comes back to a session that has
ended meanwhile gets what it missed instead.
"""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.api.attach import Afterword, attach
from gateway.api.auth import Presented, bearer
from gateway.api.context import Gateway
from gateway.api.conversation import Conversation
from gateway.api.problems import Problem, error_of, foreign_page
from gateway.api.replay import replay
from gateway.api.writer import turn_away
from gateway.sessions.tickets import Role
from protocol.connection import ServerConnection
from protocol.version import Negotiated, negotiate


class VoiceEndpoint:
    """The ASGI application behind `/ws/voice`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        if (await receive())["type"] != "websocket.connect":
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            self._gateway.telemetry.refused(refusal.code)
            await websocket.send_denial_response(refusal.response())
            return
        agreed = negotiate(scope.get("subprotocols", ()))
        await _accept(websocket, agreed.subprotocol)
        if agreed.refusal is not None:
            connection = ServerConnection(agreed.encoding)
            await turn_away(self._gateway, websocket, connection, agreed.refusal)
            return
        await self._admitted(websocket, receive, agreed)

    def _refusal(self, scope: Scope) -> Problem | None:
        """Why this handshake gets no WebSocket at all, if so."""
        gateway = self._gateway
        if not gateway.origins.admits(scope):
            return foreign_page()
        comes_back = b"session_id=" in scope["query_string"]
        return None if comes_back and not gateway.draining() else gateway.refusal_of_new()

    async def _admitted(self, websocket: WebSocket, receive: Receive, agreed: Negotiated) -> None:
        query: Mapping[str, str] = websocket.query_params
        try:
            presented = Presented(agreed.ticket, bearer(websocket.scope))
            attachment = await attach(self._gateway, query, presented)
        except Exception as error:
            await turn_away(self._gateway, websocket, ServerConnection(agreed.encoding), error_of(error))
            return
        if isinstance(attachment, Afterword):
            await replay(
                self._gateway, websocket, ServerConnection(agreed.encoding, read_only=True), attachment
            )
            return
        observes = attachment.role is Role.OBSERVER
        connection = ServerConnection(agreed.encoding, read_only=observes)
        conversation = Conversation(self._gateway, websocket, receive, connection, attachment)
        try:
            await conversation.run()
        finally:
            await attachment.leave()


async def _accept(websocket: WebSocket, subprotocol: str | None) -> None:
    websocket.client_state = websocket.client_state.CONNECTED
    await websocket.accept(subprotocol)
