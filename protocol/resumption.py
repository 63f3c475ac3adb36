"""Whether a client comes back to its session, when and where: decided here, done elsewhere.

Theory. A session outlives its socket, so losing one is an input like any other. While the session is *held*
a socket carries it. When that ends, the close code says whose move it is (`protocol.close.reconnect`): one
that forbids to come back ends it; any other leaves the client *away*, and it tries again after a pause until
a `welcome` holds the session again, until a refusal is final, or until the session must have expired. What is
over stays *over*. A server that breaks the protocol would break it again, so that ends it, too. Only where a
`drain` led, an answer that is no gateway's is no end: the address given first is tried again.

The pauses grow from failure to failure. They begin anew only when the session has moved, by a sample or an
event, or a connection has lived for a while: one that is accepted and lost again at once is a failure.
"""

from dataclasses import dataclass
from enum import StrEnum

from protocol.address import same_security
from protocol.backoff import Backoff
from protocol.close import NO_CLOSE_FRAME, CloseCode, Reconnect, reconnect
from protocol.errors import ProtocolError
from protocol.events import Drain, DurableEvent, Error, Event, Summary, UnknownEvent, Welcome
from protocol.failures import ConnectFailed

LIVED_S = 10.0
"""Seconds after which a connection counts as one that worked, even if nothing was said."""
DETACHED_S = 90.0
"""Seconds a session waits for its client, where `welcome.limits` doesn't say."""
MARGIN_S = 10.0
"""Seconds beyond that: the server may have noticed later than we did that the connection is gone."""

MIN_ATTEMPT_S = 1.0
"""Seconds that an attempt may take, even where the session waits no longer."""

_FIRST_CODE = 4000
"""Of the close codes that only a gateway uses."""
_PASSING = frozenset({408, 425, 429})
"""HTTP statuses of a client error (4xx) that may go away by itself (RFC 9110, RFC 8470, RFC 6585)."""


class Course(StrEnum):
    """Where a client stands with its session."""

    HELD = "held"
    """A socket carries it."""
    AWAY = "away"
    """The socket was lost; another is tried."""
    OVER = "over"
    """Nothing more comes."""


class Turn(StrEnum):
    """What can happen to it."""

    WELCOME = "welcome"
    LOSS = "loss"
    """The connection ended in a way that may be resumed, or an attempt failed."""
    VERDICT = "verdict"
    """The session ended, or the server forbade to come back."""
    EXPIRY = "expiry"
    """Away for longer than the session waits."""
    LEAVE = "leave"
    """This side wants no more."""


TRANSITIONS: dict[tuple[Course, Turn], Course] = {
    (Course.HELD, Turn.LOSS): Course.AWAY,
    (Course.HELD, Turn.VERDICT): Course.OVER,
    (Course.HELD, Turn.LEAVE): Course.OVER,
    (Course.AWAY, Turn.WELCOME): Course.HELD,
    (Course.AWAY, Turn.LOSS): Course.AWAY,
    (Course.AWAY, Turn.VERDICT): Course.OVER,
    (Course.AWAY, Turn.EXPIRY): Course.OVER,
    (Course.AWAY, Turn.LEAVE): Course.OVER,
    (Course.OVER, Turn.LEAVE): Course.OVER,
}
"""Where each turn leads; what is not here can't happen."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again."""

    after_s: float
    """Seconds from now."""
    url: str
    """Where."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """It is over."""

    code: int
    """Close code; 1006 where there was none."""
    reason: str
    error: Error | None = None
    """The server's last fatal error."""


class Resumption:
    """The course of one session; `now` is monotonic seconds.

    Args:
        url: the gateway's address.
        backoff: the pauses.
        give_up_after_s: seconds away after which it is over; by default as long as the server waits.
    """

    def __init__(self, url: str, backoff: Backoff, give_up_after_s: float | None = None) -> None:
        self._url = url
        self._backoff = backoff
        self._give_up_after_s = give_up_after_s
        self._patience_s = DETACHED_S + MARGIN_S
        self._next_sample = -1
        self._since = 0.0
        self._drain: Drain | None = None
        self._elsewhere: str | None = None
        self.error: Error | None = None
        self._complete = False
        self.course = Course.AWAY

    def welcomed(self, welcome: Welcome, now: float) -> None:
        """A socket carries the session (again)."""
        self._turn(Turn.WELCOME)
        if welcome.next_sample > self._next_sample:
            self._backoff.reset()
        self._next_sample = max(self._next_sample, welcome.next_sample)
        self._patience_s = welcome.limits.get("detached_s", DETACHED_S) + MARGIN_S
        if self._give_up_after_s is not None:
            self._patience_s = self._give_up_after_s
        self._since = now
        self._drain = self.error = None

    def heard(self, event: Event | UnknownEvent) -> None:
        """An event came that was not seen before."""
        match event:
            case Drain():
                self._drain = event
            case Error(fatal=True):
                self.error = event
            case Summary():
                self._complete = True
            case DurableEvent():
                self._backoff.reset()

    def lost(self, code: int, reason: str, now: float) -> Retry | Verdict:
        """The connection is closed."""
        if reconnect(code) is Reconnect.NEVER:
            return self._over(Verdict(code, reason, self.error))
        if self._complete:  # the last word was said, and only the close frame got lost
            return self._over(Verdict(CloseCode.NORMAL, reason))
        if now - self._since >= LIVED_S:
            self._backoff.reset()
        self._turn(Turn.LOSS)
        self._since = now
        return self._retry(min(self._pause(reconnect(code)), self._patience_s))

    def broken(self, error: ProtocolError) -> Verdict:
        """The server broke the protocol."""
        return self._over(Verdict(CloseCode.PROTOCOL_VIOLATION, str(error)))

    def attempt_s(self, now: float) -> float:
        """Seconds that an attempt which begins now may take."""
        return max(MIN_ATTEMPT_S, self._patience_s - (now - self._since))

    def failed(self, failure: ConnectFailed, now: float) -> Retry | Verdict:
        """An attempt to come back came to nothing."""
        if _is_final(failure) and (self._elsewhere is None or _is_of_a_gateway(failure)):
            code = failure.code or _CODES.get(failure.status or 0, CloseCode.PROTOCOL_VIOLATION)
            return self._over(Verdict(code, failure.reason, failure.error))
        away_s = now - self._since
        if away_s >= self._patience_s:
            self._turn(Turn.EXPIRY)
            reason = f"no connection for {away_s:.0f} s, the session must have expired: {failure.reason}"
            return Verdict(NO_CLOSE_FRAME, reason, failure.error)
        self._turn(Turn.LOSS)
        self._elsewhere = None  # whoever was to take over is not there; the old address may lead to another
        pause = self._backoff.next()
        if failure.retry_after_s is not None:
            pause = max(pause, self._backoff.jitter(failure.retry_after_s))
        return self._retry(min(pause, self._patience_s - away_s))

    def left(self) -> None:
        """This side wants no more."""
        self._turn(Turn.LEAVE)

    def _pause(self, advice: Reconnect) -> float:
        drain, self._drain = self._drain, None
        pause = self._backoff.next()
        if drain is None:
            return pause
        if drain.reconnect_url is not None and same_security(self._url, drain.reconnect_url):
            self._elsewhere = drain.reconnect_url
        return max(pause, drain.retry_after_ms / 1000) if advice is Reconnect.AFTER_DRAIN else pause

    def _retry(self, pause: float) -> Retry:
        return Retry(pause, self._elsewhere or self._url)

    def _over(self, verdict: Verdict) -> Verdict:
        self._turn(Turn.VERDICT)
        return verdict

    def _turn(self, turn: Turn) -> None:
        self.course = TRANSITIONS[self.course, turn]


_CODES = {401: CloseCode.UNAUTHORIZED, 403: CloseCode.UNAUTHORIZED, 404: CloseCode.NOT_FOUND}
"""The close code that says what an HTTP status says; any other final one is a server that is none of ours."""


def _is_final(failure: ConnectFailed) -> bool:
    """Whether the same attempt would fail again."""
    if failure.foreign:
        return True
    if failure.code is not None:
        return reconnect(failure.code) is Reconnect.NEVER
    return failure.status is not None and failure.status < 500 and failure.status not in _PASSING


def _is_of_a_gateway(failure: ConnectFailed) -> bool:
    return failure.code is not None and failure.code >= _FIRST_CODE
