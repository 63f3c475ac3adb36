"""A session whose connection is cut over and over, and which comes back to go on where it was."""

import asyncio
import math
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import urlsplit

from gateway.commands.load_session import SUBPROTOCOL, Load, LoadSession
from gateway.commands.load_wire import text_message
from protocol import events as ev
from protocol.address import address_of
from protocol.backlog import BACKLOG_S
from protocol.backoff import Backoff
from protocol.close import NO_CLOSE_FRAME
from protocol.codec import decode_event, encode_control
from protocol.control import Position
from protocol.failures import ConnectFailed
from protocol.resumption import Resumption, Retry, Verdict
from protocol.version import TICKET_PREFIX, Encoding

_CATCH_UP = 4
"""Frames sent in one beat at most where some are due from before: four times real time, which is allowed"""


class StormSession(LoadSession):
    """Audio goes on being due while the connection is away; it is sent from `next_sample` on afterwards,
    as far as a client keeps it.

    Args:
        load: what it shares with the others.
        first: the frame it begins with.
        count: frames it sends.
        cut_every_s: least and most seconds from a welcome to the next cut.
        random: where the cuts and the pauses come from.
        come_back: asked to connect again, after a pause.
        group: where its latencies are counted, too.
        welcome: called with the session's id once it is there.
    """

    def __init__(
        self,
        load: Load,
        *,
        first: int,
        count: int,
        cut_every_s: tuple[float, float],
        random: Random,
        come_back: Callable[["StormSession", Retry], None],
        group: str | None = None,
        welcome: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(load, first=first, count=count, group=group, welcome=welcome)
        self._cut_every_s = cut_every_s
        self._random = random
        self._come_back = come_back
        self._resumption = Resumption(load.url, Backoff(draw=random.random))
        self._cut_at = 0.0
        self._session: ev.Welcome | None = None
        self._token: str | None = None
        self._refusal: ConnectFailed | None = None
        self.address = load.url
        """Where it connects to now"""

    def beat(self, due: float) -> bool:
        """Send what is due, and what is still to be sent from before; False once the session is over."""
        if self.done:
            return False
        transport = self._ready(due)
        if transport is None:
            return True
        if self.sent == self._count:
            if not self.ended:
                self._end()
            return True
        cutting = due >= self._cut_at
        for _ in range(min(_CATCH_UP, self._due_frames(due) - self.sent) - cutting):
            self._send(transport)
        if cutting:
            self._tear(transport)
        return True

    def opening(self) -> tuple[str, list[str], str | None]:
        self._refusal = None
        if self._session is None:
            return super().opening()
        resume = {
            "session_id": self._session.session_id,
            "epoch": self._session.epoch,
            "after": str(self._last_seq),
        }
        address = address_of(urlsplit(self.address)._replace(query="").geturl(), resume)
        if self._token is None:
            return address, [SUBPROTOCOL], self._load.bearer
        return address, [SUBPROTOCOL, f"{TICKET_PREFIX}{self._token}"], None

    def welcomed(self, event: dict[str, Any], message: bytes) -> None:
        """The session is there, or there again: audio goes on at the sample the server expects."""
        welcome, before = decode_event(message, Encoding.MSGPACK), self._session
        assert isinstance(welcome, ev.Welcome)
        now = self._load.now()
        self._session, self._token = welcome, welcome.resume_token or self._token
        self._resumption.welcomed(welcome, now)
        self._cut_at = math.inf if self._stopped else now + self._random.uniform(*self._cut_every_s)
        self.open = True
        if before is None:
            self._opened(welcome.session_id)
            return
        self._tally.resumes += 1
        if not welcome.recovered or welcome.epoch != before.epoch:
            self._tally.unrecovered += 1
            self._told = True
        if welcome.epoch != before.epoch:
            self._last_seq = (welcome.replay_from or welcome.next_seq) - 1
        self._go_on(welcome.next_sample)

    def refused(self, reason: str, status: int | None) -> None:
        if self._session is None:
            super().refused(reason, status)
        else:
            self._refusal = ConnectFailed(reason, status)

    def lost(self, code: int | None) -> None:
        """Come back, unless that is over or forbidden."""
        self.open = False
        if code is not None:
            self._tally.closes[code] += 1
        if self.done or self._session is None or self._summary is not None:
            self._finish(self._verdict(code))
        elif self._refusal is not None:
            self.not_connected(self._refusal)
        else:
            told = NO_CLOSE_FRAME if code is None else code
            self._obey(self._resumption.lost(told, "", self._load.now()))

    def not_connected(self, failure: ConnectFailed) -> None:
        """An attempt to come back came to nothing."""
        if not self.done:
            self._obey(self._resumption.failed(failure, self._load.now()))

    def stop(self) -> None:
        """The same, and no cuts from now on: what was sent already may have to be sent again."""
        super().stop()
        self._cut_at = math.inf

    def _tear(self, transport: asyncio.Transport) -> None:
        """Cut the connection with half of a frame under way, as networks do."""
        frame = self._next_frame()
        transport.write(frame[: len(frame) // 2])
        self._tally.cuts += 1
        self.open = False
        self.cut()

    def _obey(self, decision: Retry | Verdict) -> None:
        if isinstance(decision, Verdict):
            self._finish(self._fatal or f"not resumed: {decision.reason or decision.code}")
        else:
            self._fatal = None
            self.address = decision.url
            self._come_back(self, decision)

    def _go_on(self, next_sample: int) -> None:
        """Send from `next_sample` on, or where that is too long ago, from the oldest frame that is kept.

        A frame the server has in part is sent again, and trimmed there; what is not kept becomes a gap there.
        """
        size, sent = self._load.frame_samples, self.sent * self._load.frame_samples
        if next_sample > sent:
            self.give_up("the server counts audio that was never sent")
            return
        begin = max(next_sample // size, self._oldest()) * size
        if begin != next_sample:
            self._write(text_message(encode_control(Position(sample=begin))))
        lost = max(0, begin - next_sample)
        self._tally.declared_samples += lost
        self._tally.resent_samples += max(0, sent - next_sample - lost)
        self.sent = begin // size
        self.ended = False

    def _oldest(self) -> int:
        """The first frame of the backlog: a client keeps its last `BACKLOG_S`, sent or not."""
        if self._origin is None:
            return 0
        seconds = self._load.frame_samples / self._load.sample_rate
        spoken = min(self._count, math.floor((self._load.now() - self._origin) / seconds + 1e-6))
        return max(0, spoken - int(BACKLOG_S / seconds + 1e-6))

    def _due_frames(self, due: float) -> int:
        """Frames whose last sample is due by then."""
        assert self._origin is not None
        seconds = self._load.frame_samples / self._load.sample_rate
        return min(self._count, round((due - self._origin) / seconds))
