"""Workers as real processes: what they answer, and how they end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.classify.acoustic.classifier import analyse
from gateway.classify.acoustic.embedded import EmbeddedClassifier
from gateway.classify.acoustic.hand import Hand, WorkerDied
from gateway.classify.acoustic.process import COMMAND, WorkerProcess
from gateway.classify.acoustic.sizing import Where, Wish
from gateway.classify.port import ClassifierError, HealthStatus, Window
from gateway.clock import SystemClock
from tests import signals
from tests.acoustic import cut
from tests.gateway.classify.remote.kit import until

ROOT = Path(__file__).parents[4]
WAIT_S = 30.0
SAYS, STAYS = "import socket; socket.socket(fileno=0).sendall", "import time; time.sleep(60)"


class Ears:
    """Who is told of workers."""

    def __init__(self) -> None:
        self.idle: asyncio.Queue[Hand] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    def on_idle(self, worker: Hand) -> None:
        self.idle.put_nowait(worker)

    def on_end(self, worker: Hand, reason: str) -> None:
        self.ended.put_nowait(reason)


def run(
    scenario: Callable[[WorkerProcess, Ears], Awaitable[None]], worker: WorkerProcess | None = None
) -> None:
    """Play it with a worker that was launched."""

    async def steps() -> None:
        one, ears = worker or WorkerProcess(), Ears()
        one.launch(ears)
        async with asyncio.timeout(WAIT_S):
            await scenario(one, ears)
        await one.aclose()
        await one.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert one.pid is None or not alive(one.pid)

    asyncio.run(steps())


def alive(pid: int) -> bool:
    """Whether there is such a process, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers() -> list[int]:
    """The workers that this process has."""
    listings = Path("/proc/self/task").glob("*/children")
    pids = [int(word) for listing in listings for word in listing.read_text().split()]
    module = COMMAND[-1].encode()
    return [pid for pid in pids if alive(pid) and module in Path(f"/proc/{pid}/cmdline").read_bytes()]


def window(seed: int = 1) -> Window:
    return cut(voice(seed), {})[0]


def voice(seed: int) -> signals.Pcm:
    return signals.pcm(signals.chatter(100.0 + 10 * seed, 1.0, seed))


def test_a_worker_says_what_a_thread_would() -> None:
    """The same observations to the last digit, and the same state."""

    async def scenario(worker: WorkerProcess, ears: Ears) -> None:
        await ears.idle.get()
        batch = [window(seed) for seed in range(5)]
        replies = await worker.classify(batch)
        for reply, (observations, _) in zip(replies, analyse(batch), strict=True):
            assert not isinstance(reply, ClassifierError)
            assert reply[0] == observations
        again = await worker.classify(batch[:1])
        assert again[0] == replies[0]

    run(scenario)


def test_it_measures_what_a_window_costs() -> None:
    """In batches of the sizes that it is asked about."""

    async def scenario(worker: WorkerProcess, ears: Ears) -> None:
        await ears.idle.get()
        costs = await worker.measure([1, 8])
        assert costs.keys() == {1, 8}
        assert all(1e-5 < cost < 1.0 for cost in costs.values())

    run(scenario)


def test_signals_of_a_terminal_pass() -> None:
    """A gateway that drains still wants its answers."""

    async def scenario(worker: WorkerProcess, ears: Ears) -> None:
        await ears.idle.get()
        assert worker.pid is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker.pid, number)
        assert len(await worker.classify([window()])) == 1

    run(scenario)


def test_one_that_is_killed_says_so() -> None:
    """At once, to whoever waits for an answer; what it is asked later ends the same way."""

    async def scenario(worker: WorkerProcess, ears: Ears) -> None:
        await ears.idle.get()
        assert worker.pid is not None
        call = worker.classify([window()] * 32)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied):
            await call
        assert "-9" in await ears.ended.get()
        with pytest.raises(WorkerDied):
            await worker.classify([window()])

    run(scenario)


def test_one_that_has_ended_is_not_written_to() -> None:
    """In none of the moments between its end and its owner's hearing of it."""

    async def scenario(worker: WorkerProcess, ears: Ears) -> None:
        await ears.idle.get()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        while worker.alive:  # noqa: ASYNC110 - it has no event for that, on purpose
            await asyncio.sleep(0)
        while ears.ended.empty():
            with pytest.raises(WorkerDied):
                await worker.classify([window()])
            await asyncio.sleep(0)

    run(scenario)


def test_one_that_gives_no_answer_is_killed() -> None:
    """After a while; whatever it does instead."""

    async def scenario(worker: WorkerProcess, ears: Ears) -> None:
        await ears.idle.get()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(WorkerDied, match="no answer"):
            await worker.classify([window()])

    run(scenario, WorkerProcess(stuck_s=0.3))


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(3)",
        f"{SAYS}(b'\\xff' * 64); {STAYS}",
        f"{SAYS}(b'\\2\\0\\0\\0\\x90\\xc0'); {STAYS}",
        f"{SAYS}(b'\\2\\0')",
    ],
)
def test_a_process_that_is_no_worker_is_ended(program: str) -> None:
    """Whether it ends by itself, says something else, or stops in the middle of it."""

    async def scenario(worker: WorkerProcess, ears: Ears) -> None:
        assert await ears.ended.get()

    run(scenario, WorkerProcess((sys.executable, "-c", program)))


def test_a_command_that_isnt_there() -> None:
    """Is told like one that ended."""

    async def scenario(worker: WorkerProcess, ears: Ears) -> None:
        assert "nowhere" in await ears.ended.get()

    run(scenario, WorkerProcess(("/nowhere/at/all",)))


@contextlib.contextmanager
def parent() -> Iterator[tuple[int, int]]:
    """A process with a worker: both numbers."""
    program = (
        "import asyncio, sys\n"
        "from tests.gateway.classify.acoustic.test_process import Ears\n"
        "from gateway.classify.acoustic.process import WorkerProcess\n"
        "async def main():\n"
        "    worker, ears = WorkerProcess(), Ears()\n"
        "    worker.launch(ears)\n"
        "    await ears.idle.get()\n"
        "    print(worker.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_ends_with_its_parent() -> None:
    """Although that was killed and could tell nobody."""
    with parent() as (pid, worker):
        assert alive(worker)
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + WAIT_S
        while alive(worker) and time.monotonic() < until:
            time.sleep(0.02)
        assert not alive(worker)


def test_it_gets_no_secrets_and_leaves_no_core() -> None:
    """Of the gateway's environment only what an interpreter needs."""
    os.environ["UNDERTONE_TEST_SECRET"] = "hidden"
    try:
        with parent() as (_, worker):
            assert b"hidden" not in Path(f"/proc/{worker}/environ").read_bytes()
            limits = Path(f"/proc/{worker}/limits").read_text()
            (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core")]
            assert core[4:6] == ["0", "0"]
            cmdline = Path(f"/proc/{worker}/cmdline").read_bytes().split(b"\0")
            assert cmdline[: len(COMMAND)] == [part.encode() for part in COMMAND]
    finally:
        del os.environ["UNDERTONE_TEST_SECRET"]


def test_killed_again_and_again_no_window_is_lost() -> None:
    """Four times, while batches are under way: each is answered, by a new worker where need be."""

    async def scenario() -> None:
        classifier = EmbeddedClassifier(Wish(Where.PROCESS, 2, 8), SystemClock(), cores=2)
        await classifier.start()
        await until(lambda: classifier.workers["process"] == 2)
        for _ in range(4):
            batches = [[window(seed) for seed in range(8)] for _ in range(4)]
            calls = [asyncio.ensure_future(classifier.classify(batch)) for batch in batches]
            await asyncio.sleep(0)
            os.kill(workers()[0], signal.SIGKILL)
            for batch, answers in zip(batches, await asyncio.gather(*calls), strict=True):
                assert [isinstance(answer, list) for answer in answers] == [True] * 8
                assert all(isinstance(one.state["acoustic"], bytes) for one in batch)
            await until(lambda: classifier.workers["process"] == 2)
        assert classifier.workers_ended == 4
        assert classifier.health().status is HealthStatus.READY
        await classifier.aclose()
        assert not workers()

    asyncio.run(scenario())


def test_a_state_goes_from_threads_to_processes_and_back() -> None:
    """A session goes on with what either left, as if it had been one of them all along."""
    sound = np.concatenate([voice(seed) for seed in range(6)])

    async def heard(*kinds: Where) -> list[object]:
        state: dict[str, object] = {}
        told: list[object] = []
        for kind, one in zip(kinds, cut(sound, state), strict=True):
            classifier = EmbeddedClassifier(Wish(kind, 1, 8), SystemClock(), cores=2)
            await classifier.start()
            await until(lambda at=classifier, of=kind: at.workers[of] == 1)  # type: ignore[misc]
            told += await classifier.classify([Window(one.samples, one.owned, one.end_s, state)])
            await classifier.aclose()
        return told

    by_turns = [Where.PROCESS, Where.THREAD] * 3
    assert asyncio.run(heard(*by_turns)) == asyncio.run(heard(*[Where.THREAD] * 6))
