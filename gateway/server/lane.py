"""What comes in over one WebSocket: frames → whole messages → whoever listens, within budgets.

Messages go straight to a listener (`gateway.fastlane`), which may answer without ASGI, too, or wait for
ASGI's `receive`; nothing here awaits.
"""

import codecs
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from websockets.exceptions import ProtocolError
from websockets.frames import Close

from gateway.server import frames
from gateway.server.budget import SMALL_FRAME_BYTES, Budgets, Rate
from gateway.server.parser import WHOLE_BINARY, FrameParser, Violation

log = logging.getLogger(__name__)

HELD_BYTES = 256 * 1024
"""Bytes of messages that may wait before anybody listens or reads."""
HELD_MESSAGES = 64
"""The same in messages."""


class LaneEvents(Protocol):
    """What the lane tells the connection that it belongs to."""

    def held(self) -> None:
        """A message waits for `take`."""

    def pinged(self, payload: bytes) -> None:
        """The peer wants a pong."""

    def ponged(self, payload: bytes) -> None:
        """The peer answered some ping."""

    def closed(self, close: Close) -> None:
        """The peer's close frame; nothing comes after it."""

    def violated(self, violation: Violation) -> None:
        """The connection is to be failed; nothing comes after this."""

    def failed(self) -> None:
        """The listener raised; nothing comes after this."""

    def flooded(self, detail: str, *, tellable: bool) -> None:
        """A budget is overdrawn; nothing comes after this. The application is told as well, where it is
        `tellable`: not one that reads through ASGI."""

    def aborted(self) -> None:
        """The application wants the connection gone."""

    @property
    def clogged(self) -> bool:
        """Whether the peer doesn't read as fast as is written."""

    def said(self, messages: Sequence[bytes | str]) -> None:
        """The application sends these messages."""


class Lane:
    """One connection's way in, and the `FastLane` of its scope.

    Args:
        events: the connection.
        max_message_bytes: larger messages are a violation (1009).
        clock: monotonic seconds.
    """

    def __init__(self, events: LaneEvents, max_message_bytes: int, clock: Callable[[], float]) -> None:
        self._events = events
        self._max_bytes = max_message_bytes
        self._clock = clock
        self._budgets = Budgets(clock())
        self._parser: FrameParser | None = None
        self._draft: _Draft | None = None
        self._sink: Callable[[bytes | str], None] = self._hold
        self._flooded: Callable[[str], None] | None = None
        self._room: Callable[[], None] | None = None
        self._overdrawn: str | None = None
        self._held: list[bytes | str] = []
        self._held_bytes = 0
        self._listening = False
        self._reading = False
        self._deaf = False
        self._straight = True
        """Whether a whole binary message may go by the short way: nobody is deaf, no message is half in."""

    # The bytes ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """From now on there are frames."""
        self._parser = FrameParser(self, self._max_bytes)

    def stop(self) -> None:
        """There are none any more; what waits for `take` stays. May be called twice."""
        self._parser = None
        self._draft = None
        self._straight = False

    def gone(self) -> None:
        """The connection is no more: nothing here refers to it, or to who listened, any longer."""
        self.stop()
        self._events = _NOBODY
        self._sink = _unheard
        self._flooded = self._room = None

    @property
    def stopped(self) -> bool:
        """Whether bytes that come in now go nowhere."""
        return self._parser is None

    def feed(self, nbytes: int) -> bool:
        """`nbytes` were put into `parser.RECEIVED`. Whether anybody wanted them."""
        parser = self._parser
        if parser is None:
            return False
        overdrawn = self._budgets.arrived(nbytes, self._clock())
        if overdrawn is not None:
            self._flood(overdrawn)
            return True
        try:
            parser.feed(nbytes)
        except Violation as violation:
            if self._parser is not None:
                self._violate(violation)
        return True

    # The frames --------------------------------------------------------------------------------------

    def take_frame(self, head: int, payload: bytes) -> bool:
        """The parser found a frame; see `parser.FrameTaker`."""
        size = len(payload)
        # All but a few frames are whole messages of audio; they take the shortest way.
        if head == WHOLE_BINARY and size >= SMALL_FRAME_BYTES and self._straight:
            self._hand_over(payload)
        else:
            self._take(head, payload, size)
        return self._parser is not None

    def _take(self, head: int, payload: bytes, size: int) -> None:
        if head & frames.RESERVED_BITS:
            raise Violation(frames.PROTOCOL_ERROR, "reserved bits are set")
        opcode = head & frames.OPCODE_BITS
        if opcode >= frames.CLOSE:
            self._control(opcode, payload)
            return
        # Once nobody listens, every frame is without use and as good as a small one.
        if size < SMALL_FRAME_BYTES or self._deaf:
            overdrawn = self._budgets.small_frame()
            if overdrawn is not None:
                self._flood(overdrawn)
                return
        if not self._deaf:
            self._data(opcode, bool(head & frames.FIN), payload)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.CLOSE:
            close = _parse_close(payload)
            self.stop()
            self._events.closed(close)
            return
        overdrawn = self._budgets.control_frame()
        if overdrawn is not None:
            self._flood(overdrawn)
        elif opcode == frames.PING:
            self._events.pinged(payload)
        else:
            self._events.ponged(payload)

    def _data(self, opcode: int, fin: bool, payload: bytes) -> None:
        draft = self._draft
        if opcode == frames.CONTINUATION:
            if draft is None:
                raise Violation(frames.PROTOCOL_ERROR, "a continuation of nothing")
        elif draft is not None:
            raise Violation(frames.PROTOCOL_ERROR, "a message inside another one")
        else:
            draft = self._draft = _Draft(opcode == frames.TEXT, self._max_bytes)
            self._straight = False
        message = draft.add(payload, fin)
        if message is None:
            return
        self._draft = None
        self._straight = True
        overdrawn = self._budgets.text(draft.size) if isinstance(message, str) else None
        if overdrawn is not None:
            self._flood(overdrawn)
        else:
            self._hand_over(message)

    # The messages ------------------------------------------------------------------------------------

    def _hand_over(self, message: bytes | str) -> None:
        if self._deaf:
            return
        try:
            self._sink(message)
        except Exception:
            log.exception("a listener failed")
            self.deafen()
            self.stop()
            self._events.failed()

    def _hold(self, message: bytes | str) -> None:
        if not self._reading and not self._fits(len(message)):
            self._flood(None)
            return
        self._held.append(message)
        self._held_bytes += len(message)
        self._events.held()

    def _fits(self, nbytes: int) -> bool:
        return len(self._held) < HELD_MESSAGES and self._held_bytes + nbytes <= HELD_BYTES

    def is_full(self) -> bool:
        """Whether so much waits for `take` that no more should be read."""
        return not self._fits(1)

    def take(self) -> bytes | str | None:
        """The next message for an application that reads through ASGI, if there is one."""
        self._reading = True
        if not self._held:
            return None
        message = self._held.pop(0)
        self._held_bytes -= len(message)
        return message

    # The `FastLane` ------------------------------------------------------------------------------------

    def listen(
        self,
        sink: Callable[[bytes | str], None],
        flooded: Callable[[str], None],
        room: Callable[[], None] | None = None,
    ) -> None:
        """See `gateway.fastlane.FastLane.listen`."""
        assert not self._listening
        self._listening = True
        held, self._held, self._held_bytes = self._held, [], 0
        self._sink, self._flooded, self._room = sink, flooded, room
        for message in held:
            self._hand_over(message)
        if self._overdrawn is not None:
            flooded(self._overdrawn)

    def deafen(self) -> None:
        """See `gateway.fastlane.FastLane.deafen`."""
        if not self._deaf:
            self._budgets.unheard()
        self._deaf = True
        self._straight = False
        self._held.clear()
        self._held_bytes = 0

    def abort(self) -> None:
        """See `gateway.fastlane.FastLane.abort`."""
        self._events.aborted()

    @property
    def clogged(self) -> bool:
        """See `gateway.fastlane.FastLane.clogged`."""
        return self._events.clogged

    def send(self, messages: Sequence[bytes | str]) -> None:
        """See `gateway.fastlane.FastLane.send`."""
        self._events.said(messages)

    def unclogged(self) -> None:
        """The peer has read; whoever writes past ASGI may go on."""
        if self._room is not None:
            self._room()

    # Ends ----------------------------------------------------------------------------------------------

    def _violate(self, violation: Violation) -> None:
        self.stop()
        self._events.violated(violation)

    def _flood(self, overdrawn: Rate | None) -> None:
        """Nothing more is heard; the application has a moment to say why, also one that listens only then."""
        self.stop()
        if overdrawn is None:
            detail = f"more than {HELD_MESSAGES} messages or {HELD_BYTES} bytes before anybody listened"
        else:
            detail = f"more than {overdrawn}"
        self._overdrawn = detail
        self._events.flooded(detail, tellable=self._listening or not self._reading)
        if self._flooded is not None:
            self._flooded(detail)


class _Nobody:
    """Where a connection was."""

    def held(self) -> None: ...

    def pinged(self, payload: bytes) -> None: ...

    def ponged(self, payload: bytes) -> None: ...

    def closed(self, close: Close) -> None: ...

    def violated(self, violation: Violation) -> None: ...

    def failed(self) -> None: ...

    def flooded(self, detail: str, *, tellable: bool) -> None: ...

    def aborted(self) -> None: ...

    @property
    def clogged(self) -> bool:
        return False

    def said(self, messages: Sequence[bytes | str]) -> None: ...


_NOBODY = _Nobody()


def _unheard(_: bytes | str) -> None:
    """Where its messages went."""


class _Draft:
    """A message of which not all fragments are there yet."""

    __slots__ = ("_checker", "_data", "_max_bytes", "_text", "size")

    def __init__(self, text: bool, max_bytes: int) -> None:
        self._text = text
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._checker = _new_checker() if text else None
        self.size = 0
        """Bytes so far."""

    def add(self, payload: bytes, fin: bool) -> bytes | str | None:
        """The next fragment; returns the whole message after the last one.

        Raises:
            Violation: too large (1009), or text that can't become UTF-8 any more (1007).
        """
        self.size += len(payload)
        if self.size > self._max_bytes:
            raise Violation(frames.MESSAGE_TOO_BIG, f"a message of more than {self._max_bytes} bytes")
        if self._checker is not None:
            try:
                self._checker.decode(payload, fin)
            except UnicodeDecodeError as error:
                raise Violation(frames.INVALID_PAYLOAD, "text that is not UTF-8") from error
        if fin and not self._data:
            return payload.decode() if self._text else payload
        self._data += payload
        if not fin:
            return None
        return self._data.decode() if self._text else bytes(self._data)


_new_checker = codecs.getincrementaldecoder("utf-8")


def _parse_close(payload: bytes) -> Close:
    try:
        return Close.parse(payload)
    except ProtocolError as error:
        raise Violation(frames.PROTOCOL_ERROR, str(error)) from error
    except UnicodeDecodeError as error:
        raise Violation(frames.INVALID_PAYLOAD, "a reason that is not UTF-8") from error
