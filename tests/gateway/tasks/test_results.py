"""Results that are kept: each namespace has its own room, and what is read still takes up some."""

import asyncio

import pytest

from gateway.tasks.model import Result, State, TaskNotFound
from gateway.tasks.results import NoRoom, Results
from gateway.tasks.service import TaskBounds
from tests.gateway.tasks.test_service import Bench, makes


def made(size: int) -> Result:
    """A result of so many bytes."""
    return Result((b"x" * size,), "text/plain", "x.txt")


def test_a_namespace_has_its_own_room() -> None:
    """One that is full takes nothing from another, and gets back what it gives up."""
    results = Results(10)
    first = results.keep("much", made(8))
    with pytest.raises(NoRoom):
        results.keep("much", made(3))
    results.keep("little", made(10))
    results.keep(None, made(10))
    assert (results.of("much"), results.of("little"), results.bytes) == (8, 10, 28)
    first.forget()
    results.keep("much", made(10))
    assert results.bytes == 30


def test_what_is_read_counts_until_the_last_reader_is_done() -> None:
    """Forgotten or not; and once only."""
    results = Results(10)
    kept = results.keep("a", made(10))
    with kept.reading(pytest.fail), kept.reading(pytest.fail):
        kept.forget()
        assert results.bytes == 10
        with pytest.raises(NoRoom):
            results.keep("a", made(1))
    assert results.bytes == 0
    kept.forget(stop=True)
    assert results.bytes == 0


def test_readers_are_told_to_stop() -> None:
    """Each that reads then, and none that was done before."""
    results, told = Results(10), []
    kept = results.keep("a", made(10))
    with kept.reading(pytest.fail):
        pass
    with kept.reading(lambda: told.append(1)), kept.reading(lambda: told.append(2)):
        kept.forget(stop=True)
        assert (told, results.bytes) == ([1, 2], 10)
    assert results.bytes == 0


def test_no_tenant_fails_the_task_of_another() -> None:
    """However many bytes the one has."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=1, results_bytes=8)) as bench:
            for _ in range(3):
                bench.service.submit("a", makes(b"four"), "much")
                await bench.work()
            other = bench.service.submit("b", makes(b"four"), "little")
            await bench.work()
            assert bench.states("a") == ["ready", "ready", "failed"]
            assert bench.service.get(other.id).state is State.READY

    asyncio.run(main())


def test_a_result_that_was_removed_counts_while_it_is_read() -> None:
    """Its task is gone at once; its bytes go with the one who reads them."""

    async def main() -> None:
        async with Bench() as bench:
            task = bench.service.submit("s", makes(b"four"), "a")
            await bench.work()
            with bench.service.open_result(task.id, pytest.fail) as result:
                bench.service.remove(task.id)
                with pytest.raises(TaskNotFound):
                    bench.service.open_result(task.id, pytest.fail)
                assert (result.chunks, bench.service.result_bytes) == ((b"four",), 4)
            assert bench.service.result_bytes == 0

    asyncio.run(main())
