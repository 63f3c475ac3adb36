"""Who waits for a call, and leaves while waiting."""

import asyncio

import pytest

from gateway.classify.remote.pool import Lease, NobodyThere
from tests.gateway.classify.remote.kit import asking, run


def test_whoever_leaves_takes_nobodys_turn() -> None:
    """Before a turn comes, with it, or just after it was given: the next one in the row is served."""

    async def scenario() -> None:
        async with asking("http://127.0.0.1:1", calls=1) as (classifier, _):
            pool = classifier._pool
            for moment in ("before", "with", "after"):
                held = pool.take()
                assert held is not None
                leaving = asyncio.create_task(pool.lease())
                staying = asyncio.create_task(pool.lease())
                await asyncio.sleep(0)
                assert pool.take() is None
                if moment == "before":
                    leaving.cancel()
                    await asyncio.sleep(0)
                    pool.abandon(held)
                elif moment == "with":
                    leaving.cancel()
                    pool.abandon(held)
                else:
                    pool.abandon(held)
                    leaving.cancel()
                found = await staying
                assert isinstance(found, Lease)
                with pytest.raises(asyncio.CancelledError):
                    await leaving
                pool.abandon(found)

    run(scenario)


def test_where_nobody_is_left_nobody_waits() -> None:
    """Those who wait when the last breaker opens are told at once."""

    async def scenario() -> None:
        async with asking("http://127.0.0.1:1", calls=1) as (classifier, _):
            held = classifier._pool.take()
            assert held is not None
            waiting = asyncio.create_task(classifier._pool.lease())
            await asyncio.sleep(0)
            classifier.replicas[0].breaker.trip(asyncio.get_running_loop().time())
            classifier._pool.wake()
            with pytest.raises(NobodyThere):
                await waiting
            classifier._pool.abandon(held)

    run(scenario)
