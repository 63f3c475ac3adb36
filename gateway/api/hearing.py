"""What a peer says → its session: whole messages, one at a time and in order. Synchronous.

A connection that was told to end (replaced, refused) is not heard any more: its successor goes on from the
sample that it was told, and audio must not count twice.
"""

from collections.abc import Callable

from gateway.api.attach import Attachment
from gateway.live.session import say
from gateway.sessions.tickets import Role
from gateway.telemetry.metrics import Telemetry
from protocol.connection import Audio, ServerConnection
from protocol.control import Ack, Configure, ControlMessage, End, Flush, Ping, Position
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Event, Pong


class Hearing:
    """Listens to one peer.

    Args:
        flush: answers a flush, once its windows are classified; may refuse it with a ProtocolError.
    """

    def __init__(
        self,
        connection: ServerConnection,
        attachment: Attachment,
        telemetry: Telemetry,
        flush: Callable[[Flush], None],
    ) -> None:
        self._connection = connection
        self._attachment = attachment
        self._telemetry = telemetry
        self._flush = flush
        self._live = attachment.live
        self._pipeline = attachment.live.pipeline
        self._reader = attachment.reader
        self._confirmed = attachment.role is not Role.OWNER
        self.over = False
        """Whether the connection was told to end."""

    def hear(self, data: bytes | str) -> None:
        """Take one message."""
        if self.over:
            return
        try:
            if self._confirmed and isinstance(data, bytes) and self._connection.takes_audio(len(data)):
                self._pipeline.feed(data)
                return
            incoming = self._connection.receive(data)
            if not self._confirmed:
                self._confirmed = True
                self._attachment.confirm()
            if isinstance(incoming, Audio):
                self._pipeline.feed(incoming.data)
            else:
                self._control(incoming)
        except ProtocolError as error:
            self.complain(error)

    def flooded(self, detail: str) -> None:
        """The server hears nothing more of it."""
        if self._reader.farewell is None:
            self.complain(ProtocolError(ErrorCode.FLOOD, detail, fatal=True))

    def complain(self, error: ProtocolError) -> None:
        """Say what is wrong, and end the connection where that is fatal."""
        self._telemetry.error(error.code)
        self.say(error.to_event())
        if error.fatal:
            self._reader.finish(error.close_code, error.code)

    def say(self, event: Event) -> None:
        """Answer."""
        say(self._reader, event)

    def _control(self, message: ControlMessage) -> None:
        pipeline = self._pipeline
        pipeline.note_message()
        match message:
            case Ping():
                self.say(Pong(t=message.t))
            case Ack():
                self._acknowledge(message.seq)
            case Configure():
                self.say(pipeline.configure(message))
                self._attachment.configured(pipeline.config)
                if message.delivery is not None:
                    self.say(pipeline.flow())  # it has the `limit`, which a recording needs at once
            case Position():
                pipeline.position(message.sample)
            case Flush():
                self._flush(message)
            case End():
                self._attachment.end()

    def _acknowledge(self, seq: int) -> None:
        top = self._live.log.top
        if seq > top:
            raise ProtocolError(ErrorCode.INVALID_FIELD, f"the newest event is {top}", param="seq")
        self._reader.skip_to(seq)
        self._pipeline.caught_up()
