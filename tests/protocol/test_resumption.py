"""Whether, when and where to come back: every state, every close code, every failure."""

from dataclasses import replace
from itertools import product
from typing import cast

import pytest

from protocol.backoff import BASE_S, CAP_S, Backoff
from protocol.close import CloseCode
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Drain, Error, Summary, Tone, Welcome
from protocol.failures import ConnectFailed
from protocol.resumption import LIVED_S, TRANSITIONS, Course, Resumption, Retry, Turn, Verdict
from tests.vectors.messages import EVENTS

URL = "ws://gateway"
WELCOME = replace(cast(Welcome, EVENTS["welcome"]), limits={"detached_s": 90})
TONE = cast(Tone, EVENTS["tone"])
REFUSED = ConnectFailed("connection refused")


def held(at: float = 0.0, url: str = URL, **options: float) -> Resumption:
    """A session that a socket carries; pauses are as long as they may get."""
    course = Resumption(url, Backoff(draw=lambda: 1.0), **options)
    course.welcomed(WELCOME, at)
    return course


def away(at: float = 0.0) -> Resumption:
    course = held()
    course.lost(1006, "", at)
    return course


def test_the_table_is_whole() -> None:
    """Over is the end; nobody is welcomed twice; leaving is always possible."""
    for course, turn in product(Course, Turn):
        following = TRANSITIONS.get((course, turn))
        if course is Course.OVER:
            assert following in (None, Course.OVER)
        if turn is Turn.LEAVE:
            assert following is Course.OVER
        if turn is Turn.WELCOME:
            assert following in (None, Course.HELD)


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 4100, 4101, 4102, 4199])
def test_closes_that_may_be_resumed(code: int) -> None:
    """The connection is gone, the session isn't."""
    course = held()
    assert course.lost(code, "", 1.0) == Retry(BASE_S, URL)
    assert course.course is Course.AWAY


@pytest.mark.parametrize("code", [1000, 1002, 1009, 4000, 4001, 4004, 4005, 4008, 4009, 4010, 4099, 4200])
def test_closes_that_are_final(code: int) -> None:
    """The verdict has the code and the server's own words; another owner is not fought."""
    course = held()
    error = Error(code="x", message="why", fatal=True)
    course.heard(error)
    assert course.lost(code, "reason", 1.0) == Verdict(code, "reason", error)
    assert course.course is Course.OVER


def test_after_the_summary_nothing_was_lost() -> None:
    """The last word was said: a close frame that got lost is no reason to come back."""
    course = held()
    course.heard(cast(Summary, EVENTS["summary"]))
    assert course.lost(1006, "lost", 1.0) == Verdict(CloseCode.NORMAL, "lost")


def test_a_server_that_breaks_the_protocol_would_do_so_again() -> None:
    """No way back to it."""
    broken = ProtocolError(ErrorCode.MALFORMED_MESSAGE, "what is this")
    assert held().broken(broken) == Verdict(4008, "malformed_message: what is this")


def test_pauses_grow_until_something_works() -> None:
    """Being welcomed alone is no success; a sample or an event that moved is, or a connection that lived."""
    course = away()
    waits = []
    for _ in range(3):
        course.welcomed(WELCOME, 0.0)
        waits.append(course.lost(1006, "", 0.1))
    assert [one.after_s for one in waits if isinstance(one, Retry)] == [0.5, 1, 2]
    course.welcomed(replace(WELCOME, next_sample=1), 0.0)
    assert course.lost(1006, "", 0.1) == Retry(BASE_S, URL)
    course.welcomed(WELCOME, 0.0)
    course.heard(TONE)
    assert course.lost(1006, "", 0.1) == Retry(BASE_S, URL)
    course.welcomed(WELCOME, 0.0)
    assert course.lost(1006, "", LIVED_S) == Retry(BASE_S, URL)


def test_it_gives_up_when_the_session_must_have_expired() -> None:
    """Not before the server's own bound and a margin; the last attempt comes just then."""
    course, now, attempts = away(), 0.0, 0
    step: Retry | Verdict = Retry(0.0, URL)
    while isinstance(step, Retry):
        now += step.after_s
        attempts += 1
        step = course.failed(REFUSED, now)
    assert now == 100.0
    assert attempts == 15
    assert step.code == 1006
    assert step.reason == "no connection for 100 s, the session must have expired: connection refused"
    assert course.course is Course.OVER


def test_the_time_to_give_up_can_be_told() -> None:
    """Shorter than the server's, if the user wants."""
    course = held(give_up_after_s=3.0)
    course.lost(1006, "", 10.0)
    assert course.failed(REFUSED, 12.875) == Retry(0.125, URL)
    assert isinstance(course.failed(REFUSED, 13.0), Verdict)


def test_no_time_at_all_can_be_told() -> None:
    """One attempt is made, and that was it."""
    course = held(give_up_after_s=0.0)
    assert course.lost(1006, "", 10.0) == Retry(0.0, URL)
    assert isinstance(course.failed(REFUSED, 10.0), Verdict)


def test_an_attempt_takes_no_longer_than_the_session_waits() -> None:
    """What is left of it, but at least a second, so that the last attempt is one."""
    course = held(give_up_after_s=5.0)
    course.lost(1006, "", 10.0)
    assert [course.attempt_s(now) for now in (10.0, 12.0, 14.5, 20.0)] == [5.0, 3.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "failure",
    [
        REFUSED,
        ConnectFailed("no answer within 10 s"),
        ConnectFailed("no capacity", 503),
        ConnectFailed("bad gateway", 502),
        ConnectFailed("slow down", 429),
        ConnectFailed("overloaded", code=4100),
        ConnectFailed("closed before welcome", code=1006),
    ],
)
def test_failures_that_may_pass(failure: ConnectFailed) -> None:
    """The network, a gateway that is full or being replaced: try on."""
    assert away().failed(failure, 1.0) == Retry(2 * BASE_S, URL)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ConnectFailed("expired", code=4004, error=Error(code="x", message="expired")), 4004),
        (ConnectFailed("used", code=4001), 4001),
        (ConnectFailed("foreign origin", 403), 4001),
        (ConnectFailed("nothing here", 404), 4004),
        (ConnectFailed("teapot", 418), 4008),
        (ConnectFailed("not an Undertone server", foreign=True), 4008),
    ],
)
def test_failures_that_are_final(failure: ConnectFailed, code: int) -> None:
    """The same attempt would fail again."""
    assert away().failed(failure, 1.0) == Verdict(code, failure.reason, failure.error)


def test_a_server_that_names_a_time_is_not_asked_before() -> None:
    """`Retry-After` is honoured and spread; so is the drain's, which the server has spread itself."""
    assert away().failed(ConnectFailed("full", 503, retry_after_s=8.0), 1.0) == Retry(10.0, URL)
    course = held()
    course.heard(Drain(retry_after_ms=7_000))
    assert course.lost(1012, "", 1.0) == Retry(7.0, URL)
    assert course.failed(REFUSED, 8.0) == Retry(2 * BASE_S, URL), "only once"


def test_a_wait_never_outlives_the_session() -> None:
    """However long the server wants one to wait, the last attempt is made in time."""
    course = held()
    course.heard(Drain(retry_after_ms=10**9))
    assert course.lost(1012, "", 1.0) == Retry(100.0, URL)


@pytest.mark.parametrize(
    ("url", "elsewhere", "followed"),
    [
        ("ws://a", "ws://b", True),
        ("ws://a", "wss://b", True),
        ("wss://a", "https://b", True),
        ("wss://a", "ws://b", False),
        ("https://a", "http://b", False),
        ("ws://a", "ws://[::1", False),
        ("wss://a", "wss://[::1", False),
    ],
)
def test_a_drain_may_name_another_address(url: str, elsewhere: str, followed: bool) -> None:
    """It is tried once, and never at the price of encryption."""
    course = held(url=url)
    course.heard(Drain(retry_after_ms=0, reconnect_url=elsewhere))
    step = course.lost(1012, "", 1.0)
    assert isinstance(step, Retry)
    assert step.url == (elsewhere if followed else url)
    assert course.failed(REFUSED, 2.0) == Retry(2 * BASE_S, url)


@pytest.mark.parametrize(
    "failure",
    [
        ConnectFailed("not an Undertone server", foreign=True),
        ConnectFailed("nothing here", 404),
        ConnectFailed("policy", code=1008),
    ],
)
def test_no_gateway_elsewhere_is_no_end(failure: ConnectFailed) -> None:
    """The address given first may still lead to one; only there such an answer is final."""
    course = held()
    course.heard(Drain(retry_after_ms=0, reconnect_url="ws://elsewhere"))
    course.lost(1012, "", 1.0)
    assert course.failed(failure, 1.0) == Retry(2 * BASE_S, URL)
    assert isinstance(course.failed(failure, 1.0), Verdict)


def test_a_gateway_elsewhere_has_the_last_word() -> None:
    """Its own close code says what became of the session."""
    course = held()
    course.heard(Drain(retry_after_ms=0, reconnect_url="ws://elsewhere"))
    course.lost(1012, "", 1.0)
    assert course.failed(ConnectFailed("expired", code=4004), 1.0) == Verdict(4004, "expired")


def test_no_pause_is_longer_than_the_cap() -> None:
    """However often it failed."""
    course = away()
    steps = [course.failed(REFUSED, 0.0) for _ in range(20)]
    assert all(isinstance(one, Retry) and one.after_s <= CAP_S for one in steps)


def test_leaving_ends_it() -> None:
    """From wherever it stands."""
    for course in (held(), away()):
        course.left()
        course.left()
        assert course.course is Course.OVER
