"""More than a node can do: who is let in, what is told, what is declared; with a classifier made slow."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable

import httpx
import pytest
from websockets.asyncio.client import ClientConnection as Socket
from websockets.exceptions import InvalidStatus

from protocol.events import Flow, FlowState, Gap, GapReason, Summary, Welcome
from tests.chaos.slow import Trouble
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import Said, dial, errors, hear, only, rest, run, say, welcomed

SLOW = "tests.chaos.slow_gateway"
FRAME = bytes(3_200)
"""100 ms."""
SHORT: dict[str, object] = {"window_ms": 200, "hop_ms": 200}
CROWD, LIMIT = 200, 50


async def talk(socket: Socket, seconds: float) -> None:
    """Speak in real time."""
    for _ in range(round(seconds * 10)):
        await socket.send(FRAME)
        await asyncio.sleep(0.1)


async def ended(socket: Socket) -> list[Said]:
    """All that is said until the end that is asked for now."""
    await say(socket, "end")
    heard, code = await rest(socket)
    assert code == 1000
    return heard


def gap_samples(heard: list[Said], reason: GapReason) -> int:
    """Samples that were declared for `reason`."""
    gaps = [event for event in heard if isinstance(event, Gap) and event.reason is reason]
    return sum(gap.end_sample - gap.start_sample for gap in gaps)


def assert_accounted(heard: list[Said]) -> Summary:
    """The summary's account is balanced, and its gaps are those declared."""
    summary = only(heard, Summary)
    assert summary.next_sample == summary.classified_samples + summary.gap_samples
    assert summary.gap_samples == sum(gap_samples(heard, reason) for reason in GapReason)
    return summary


def client(gateway: GatewayProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=gateway.url, trust_env=False)


async def turned_away(rest: httpx.AsyncClient, until: int) -> str:
    """Ask for sessions until the answer is `until`; returns its code, if it is a problem."""
    for _ in range(100):
        answer = await rest.post("/api/v1/sessions")
        if answer.status_code == 201:
            await rest.delete(answer.headers["location"])
        if answer.status_code == until:
            return str(answer.json().get("code"))
        await asyncio.sleep(0.1)
    pytest.fail(f"still {answer.status_code}")


def test_exactly_as_many_sessions_as_may_be(launch: Callable[..., GatewayProcess]) -> None:
    """Of 200 that come at once 50 get in; the others are told to come later, before accept or after.

    A place that becomes free is taken again.
    """
    running = launch(TRANSCRIBER="none", MAX_SESSIONS=str(LIMIT))

    async def attempt(sockets: contextlib.AsyncExitStack) -> str:
        try:
            socket = await sockets.enter_async_context(dial(running))
        except InvalidStatus as refused:
            waits.add(int(refused.response.headers["retry-after"]))
            return f"{refused.response.status_code}"
        first = await hear(socket)
        if isinstance(first, Welcome):
            admitted.append(socket)
            return "in"
        heard, code = await rest(socket)
        assert errors([first, *heard]) == ["overloaded"]
        return f"{code}"

    admitted: list[Socket] = []
    waits: set[int] = set()

    async def main() -> None:
        async with contextlib.AsyncExitStack() as sockets:
            outcomes = Counter(await asyncio.gather(*(attempt(sockets) for _ in range(CROWD))))
            assert outcomes["in"] == LIMIT
            assert outcomes["in"] + outcomes["503"] + outcomes["4100"] == CROWD
            assert waits <= {1, 2, 3, 4, 5}
            await ended(admitted[0])
            again = Counter(await asyncio.gather(*(attempt(sockets) for _ in range(10))))
            assert again["in"] == 1

    run(main())


def test_a_session_that_was_made_has_its_place(launch: Callable[..., GatewayProcess]) -> None:
    """A POST is refused where nobody could attach; who was told 201 gets in, whoever comes meanwhile."""
    running = launch(TRANSCRIBER="none", MAX_SESSIONS=str(LIMIT))

    async def main() -> None:
        async with client(running) as rest, contextlib.AsyncExitStack() as sockets:
            answers = await asyncio.gather(*(rest.post("/api/v1/sessions") for _ in range(CROWD)))
            assert Counter(answer.status_code for answer in answers) == {201: LIMIT, 503: CROWD - LIMIT}
            made = [answer.json() for answer in answers if answer.status_code == 201]
            with pytest.raises(InvalidStatus):
                await sockets.enter_async_context(dial(running))
            await rest.delete(f"/api/v1/sessions/{made.pop()['id']}")
            replacement = await rest.post("/api/v1/sessions")
            for session in [*made, replacement.json()]:
                query: dict[str, object] = {"session_id": session["id"]}
                socket = await sockets.enter_async_context(dial(running, query, session["ticket"]))
                await welcomed(socket)
            assert (await rest.post("/api/v1/sessions")).status_code == 503
            await rest.delete(f"/api/v1/sessions/{made[0]['id']}")
            assert (await rest.post("/api/v1/sessions")).status_code == 201
            metrics = (await rest.get("/metrics")).text
            assert f'undertone_refusals_total{{code="overloaded"}} {CROWD - LIMIT + 2}.0' in metrics

    run(main())


def test_a_node_that_is_late_lets_nobody_new_in(launch: Callable[..., GatewayProcess]) -> None:
    """It stays ready, its sessions can be joined and are told in `flow`; then it takes new ones again."""
    running = launch(
        *(SLOW, "--slow", "3"),
        TRANSCRIBER="none",
        CLASSIFY_WORKERS="1",
        DISPATCH_DEADLINE_S="0.4",
        ADMISSION_LATE_S="1",
    )

    async def main() -> None:
        async with client(running) as rest, dial(running, SHORT) as socket:
            session = (await welcomed(socket)).session_id
            speaking = asyncio.create_task(talk(socket, 6))
            assert await turned_away(rest, until=503) == "overloaded"
            with pytest.raises(InvalidStatus):
                await dial(running)
            assert (await rest.get("/readyz")).status_code == 200
            assert "undertone_dispatch_late_seconds 0.0" not in (await rest.get("/metrics")).text
            async with dial(running, {"session_id": session, "role": "observer"}) as observer:
                await welcomed(observer)
            await speaking
            heard = await ended(socket)
            await turned_away(rest, until=201)
        summary = assert_accounted(heard)
        flows = [event for event in heard if isinstance(event, Flow)]
        assert FlowState.SHEDDING in {flow.state for flow in flows}
        dropped = gap_samples(heard, GapReason.OVERLOAD)
        assert dropped == summary.gap_samples > 0
        assert max(flow.dropped_ms for flow in flows) <= dropped / 16

    run(main())


@pytest.mark.parametrize("trouble", Trouble)
def test_a_classifier_in_trouble_is_declared_and_forgotten(
    launch: Callable[..., GatewayProcess], trouble: Trouble
) -> None:
    """Windows without an answer are `gap: classifier`, to the sample; those after it are answered again."""
    running = launch(SLOW, "--trouble", trouble, TRANSCRIBER="none", CLASSIFY_TIMEOUT_S="0.5")

    async def main() -> None:
        async with client(running) as rest, dial(running, SHORT) as socket:
            session = (await welcomed(socket)).session_id
            await talk(socket, 1)
            running.process.send_signal(signal.SIGUSR1)
            await talk(socket, 2)
            ready = (await rest.get("/readyz")).status_code
            running.process.send_signal(signal.SIGUSR2)
            await talk(socket, 2)
            await say(socket, "flush", id=1)
            stats = (await rest.get(f"/api/v1/sessions/{session}/stats")).json()
            await talk(socket, 1)
            heard = await ended(socket)
            assert ready == (503 if trouble is Trouble.STUCK else 200)
            assert (await rest.get("/readyz")).status_code == 200
        summary = assert_accounted(heard)
        assert summary.gap_samples == stats["gap_samples"] >= 8_000
        assert gap_samples(heard, GapReason.CLASSIFIER) > 0

    run(main())
