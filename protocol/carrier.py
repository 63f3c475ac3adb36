"""Carries one session from socket to socket until it is over: the tasks under a `Client`.

What to send, and to send again, is the `Backlog`'s to say; whether to come back, when and where, is the
`Resumption`'s. Here one task reads, one writes and one watches; they end with their socket, and the next one
is opened.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from protocol.backlog import BACKLOG_S, Backlog
from protocol.close import CloseCode
from protocol.connection import ClientConnection
from protocol.control import Delivery
from protocol.errors import ProtocolError
from protocol.events import Configured, Event, Flow, Summary, UnknownEvent
from protocol.failures import ConnectFailed
from protocol.link import Link, LinkClosed, Opening, open_link
from protocol.news import News
from protocol.pace import Pace
from protocol.resumption import Resumption, Retry, Verdict
from protocol.states import ConnectionState, StateError

MAX_UNREAD = 1_024
"""Events kept for the iterator. Full, the socket is left unread until some are taken; in the end the server
sees a slow reader and closes with 4101. After `end`, or once the session is over, the bound is lifted: what
may still come is finite."""

MIN_WAIT_S = 0.02
"""Seconds for which audio is held back at least, where it comes too fast."""


class Carrier:
    """The state that a client and its tasks share; `news` tells of every change.

    Args:
        opening: how the first socket was opened.
        link: that socket.
        resumption: what to do when it is lost.
        resume: whether to do it. Otherwise the first loss is the end.
    """

    def __init__(self, opening: Opening, link: Link, resumption: Resumption, *, resume: bool) -> None:
        welcome = link.welcome
        self.link = link
        self.resume = resume
        self.backlog = Backlog(welcome.audio, welcome.next_sample, seconds=BACKLOG_S if resume else 0)
        self.backlog.delivery = welcome.delivery
        self.limit = welcome.limit
        """Lossless: sample index up to which audio may be sent."""
        self.observes = welcome.resume_token is None and not _reads_an_afterword(opening)
        """Whether this side only reads."""
        self.unread: deque[Event | UnknownEvent] = deque()
        self.unbounded = False
        """Whether more than MAX_UNREAD may wait."""
        self.summary: Summary | None = None
        self.verdict: Verdict | None = None
        """How it ended."""
        self.away = False
        """The socket is lost, and another is tried."""
        self.writing = False
        """A message is on its way into the socket."""
        self.resumes = self.missed_before = 0
        self.news = News()
        self._opening = opening
        self._resumption = resumption
        self._ticket = welcome.resume_token

    async def run(self) -> None:
        """Carry the session until it is over; never raises about the peer."""
        try:
            course = await self._carry(self.link)
            while isinstance(course, Retry):
                course = await self._come_back(course)
            self._finish(course)
        except Exception:
            self._finish(Verdict(CloseCode.INTERNAL, "this client failed"))
            raise

    async def shut(self) -> None:
        """Close from this side, where the server hasn't; call it once `run` has ended."""
        if self.verdict is None:
            self._resumption.left()
            self._finish(Verdict(CloseCode.NORMAL, "closed by this side"))
        try:
            if self.link.connection.state is not ConnectionState.CLOSED:
                self.link.connection.closed(CloseCode.NORMAL, "closed by this side")
                await self.link.close()
        finally:
            self.link.cut()

    def lift_bound(self) -> None:
        """Let any number of events wait for the iterator."""
        self.unbounded = True
        self.news.tell()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, or for the end."""
        await self.news.until(lambda: self.verdict is not None or condition())

    # One socket ----------------------------------------------------------------------------------------

    async def _carry(self, link: Link) -> Retry | Verdict:
        """Read, write and watch one socket until it closes; returns what to do then."""
        others = [
            asyncio.create_task(self._write(link), name="undertone-client-writer"),
            asyncio.create_task(link.watch(), name="undertone-client-watch"),
        ]
        try:
            await self._read(link)
        except LinkClosed:
            return self._lost(link.connection)
        except ProtocolError as broken:
            link.connection.closed(CloseCode.PROTOCOL_VIOLATION, str(broken))
            await link.close(CloseCode.PROTOCOL_VIOLATION)
            return self._resumption.broken(broken)
        finally:
            for task in others:
                task.cancel()
            for outcome in await asyncio.gather(*others, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome

    async def _read(self, link: Link) -> NoReturn:
        while True:
            await self.news.until(lambda: self._may_read() or link.closed)
            event = await link.receive()
            if event is not None:
                self._take(event)

    def _may_read(self) -> bool:
        return self.unbounded or len(self.unread) < MAX_UNREAD

    def _take(self, event: Event | UnknownEvent) -> None:
        if self.backlog.heard(event):
            self._resumption.heard(event)
            if isinstance(event, Flow):
                self.limit = event.limit
            elif isinstance(event, Configured) and event.delivery is Delivery.REALTIME:
                self.limit = None
            elif isinstance(event, Summary):
                self.summary = event
            self.unread.append(event)
        self.news.tell()

    async def _write(self, link: Link) -> None:
        limits, backlog = link.welcome.limits, self.backlog
        pace = Pace.of(backlog.audio.sample_rate, limits.get("realtime_factor"), limits.get("burst_s"))
        backlog.ahead = pace.burst
        while link.connection.state in (ConnectionState.OPEN, ConnectionState.ENDING):
            realtime = backlog.delivery is Delivery.REALTIME
            wait_s = pace.wait(asyncio.get_running_loop().time()) if realtime else 0.0
            most = pace.piece if realtime else None
            message = backlog.take(self.limit, 0 if wait_s else most)
            if message is None:
                self.news.tell()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(wait_s, MIN_WAIT_S) if wait_s else None):
                        await self.news.next()
                continue
            if isinstance(message, bytes) and realtime:
                pace.spend(backlog.audio.samples(len(message)))
            self.writing = True
            try:
                await link.send(message)
            except (LinkClosed, StateError):  # what is worth repeating stays in the backlog
                return
            finally:
                self.writing = False
                self.news.tell()

    # From one socket to the next -----------------------------------------------------------------------

    def _lost(self, connection: ClientConnection) -> Retry | Verdict:
        code, reason = connection.close_code, connection.close_reason
        assert code is not None, "a closed connection has its code"
        course = self._resumption.lost(code, reason, asyncio.get_running_loop().time())
        if not self.resume:
            return Verdict(code, reason, self._resumption.error)
        self.away = isinstance(course, Retry)
        self.news.tell()
        return course

    async def _come_back(self, retry: Retry) -> Retry | Verdict:
        """Wait, open the next socket and carry on over it; or what to do where it didn't open."""
        await asyncio.sleep(retry.after_s)
        await self.news.until(self._may_read)
        before = self.link.connection
        connection = ClientConnection(
            before.encoding, epoch=before.epoch, last_seq=before.last_seq, resumes=before.welcome
        )
        try:
            link = await open_link(self._reopening(retry.url, before), connection)
        except ConnectFailed as failure:
            return self._resumption.failed(failure, asyncio.get_running_loop().time())
        self._adopt(link)
        return await self._carry(link)

    def _reopening(self, url: str, before: ClientConnection) -> Opening:
        assert before.session_id is not None, "there was a welcome"
        query = {"session_id": before.session_id, "epoch": str(before.epoch), "after": str(before.last_seq)}
        if "role" in self._opening.query:
            query["role"] = self._opening.query["role"]
        allowed_s = self._resumption.attempt_s(asyncio.get_running_loop().time())
        timeout_s = min(self._opening.timeout_s, allowed_s)
        return replace(self._opening, url=url, query=query, ticket=self._ticket, timeout_s=timeout_s)

    def _adopt(self, link: Link) -> None:
        """Go on over a new socket, from where the server stands."""
        welcome, before = link.welcome, self.link.connection
        self._resumption.welcomed(welcome, asyncio.get_running_loop().time())
        self.missed_before += before.missed
        self.link = link
        self.away = False
        self.resumes += 1
        renumbered = before.epoch != welcome.epoch
        self.backlog.rewind(welcome.next_sample, renumbered=renumbered)
        self.backlog.delivery = welcome.delivery
        self.limit = welcome.limit
        self._ticket = welcome.resume_token or self._ticket
        self.unread.append(welcome)
        self.news.tell()

    def _finish(self, verdict: Verdict) -> None:
        if self.verdict is None:
            self.verdict = verdict
        self.news.tell()


def _reads_an_afterword(opening: Opening) -> bool:
    """Whether an owner asked for what is left of a session, which brings no token where it is over."""
    return "after" in opening.query and opening.query.get("role") != "observer"
