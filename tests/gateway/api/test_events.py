"""Where a reader begins, and what keeps a silent stream alive."""

import asyncio

import pytest

from gateway.api import events
from gateway.api.events import starting_point
from gateway.live.reader import Reader
from protocol.events import Drain, Pong, ServiceStatus
from tests.fakes import Bench, bench


def said(times: int) -> Bench:
    """A session that has said something so many times."""
    on = bench()
    for _ in range(times):
        on.pipeline.announcer.service(ServiceStatus.READY, "", 0)
    return on


@pytest.mark.parametrize(
    ("epoch", "after", "expected"),
    [
        (None, 3, (3, True)),
        ("own", 0, (0, True)),
        ("own", 5, (5, True)),
        ("own", 6, (0, False)),
        ("another", 3, (0, False)),
    ],
)
def test_a_reader_goes_on_where_it_left_off_or_is_told(
    epoch: str | None, after: int, expected: tuple[int, bool]
) -> None:
    """Its own epoch and a number that was said: recovered. Else from the oldest, and not recovered."""
    log = said(5).log
    assert starting_point(log, (log.epoch if epoch == "own" else epoch, after)) == expected
    assert starting_point(log, None) == (0, False)


def test_what_is_no_longer_held_is_not_recovered() -> None:
    """Two minutes later the events are gone, and the reader begins after them."""
    on = said(5)
    on.clock.advance(1e10)
    assert starting_point(on.log, (on.log.epoch, 3)) == (5, False)
    assert starting_point(on.log, (on.log.epoch, 5)) == (5, True)


def test_silence_is_broken_by_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing comes in time the stream says that it is still there; else it doesn't."""
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.001)

    async def main() -> tuple[bool, bool]:
        on = bench()
        reader = Reader(on.log, 0)
        silent = await events._news(reader)
        on.pipeline.announcer.service(ServiceStatus.READY, "", 0)
        return silent, await events._news(reader)

    assert asyncio.run(main()) == (False, True)


def test_a_node_that_goes_away_says_when_to_come_back() -> None:
    """`retry` is the stream's own word for it; other replies concern the owner only."""
    told = events._written("e", Drain(retry_after_ms=1_234))
    assert told == (
        b'retry: 1234\nevent: drain\ndata: {"type":"drain","retry_after_ms":1234,"reconnect_url":null}\n\n'
    )
    assert events._written("e", Pong(t=1)) == b""
