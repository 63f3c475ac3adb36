"""Twenty sockets come back to one session at once: exactly one keeps it."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.client import ClientConnection as Socket
from websockets.exceptions import ConnectionClosed

from protocol.events import Summary, Welcome
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import Said, dial, errors, hear, only, rest, run, say, seqs, welcomed

SOCKETS = 20
ROUNDS = 3
PIECE = 3_200
"""Samples that each sends as soon as it was welcomed."""


@dataclass
class Racer:
    """One of those that come back."""

    socket: Socket
    heard: list[Said] = field(default_factory=list)
    code: int = 0

    async def run(self) -> None:
        """Speak as soon as welcomed, then listen until the close."""
        self.heard.append(await hear(self.socket))
        with suppress(ConnectionClosed):  # it may have lost the seat already
            if isinstance(self.heard[0], Welcome):
                await self.socket.send(bytes(2 * PIECE))
                await say(self.socket, "ping")
        heard, self.code = await rest(self.socket)
        self.heard += heard

    @property
    def welcome(self) -> Welcome:
        return only(self.heard, Welcome)


@dataclass
class Race:
    """A session, and those that come back to it at once, after its event `after`."""

    gateway: GatewayProcess
    session_id: str
    epoch: str
    after: int

    async def run(self, tokens: list[str | None]) -> tuple[Racer, list[Racer]]:
        """One socket for each token; the one that stays, and the others. The first ends the session."""
        query: dict[str, object] = {"session_id": self.session_id, "epoch": self.epoch, "after": self.after}
        async with AsyncExitStack() as stack:
            dials = (dial(self.gateway, query, token) for token in tokens)
            racers = [Racer(one) for one in await asyncio.gather(*map(stack.enter_async_context, dials))]
            tasks = {asyncio.create_task(one.run()): one for one in racers}
            waiting = set(tasks)
            while len(waiting) > 1:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            (last,) = waiting
            await say(tasks[last].socket, "end")
            await asyncio.gather(*tasks)
            return tasks[last], [one for task, one in tasks.items() if task is not last]


def check(winner: Racer, losers: list[Racer], after: int) -> None:
    """The winner heard all, once, and was heard from where it was told to go on; the losers know why."""
    summary = only(winner.heard, Summary)
    assert winner.code == 1000
    assert winner.welcome.recovered
    assert seqs(winner.heard) == list(range(after + 1, summary.seq + 1))
    assert summary.next_sample == winner.welcome.next_sample + PIECE
    assert summary.next_sample == summary.classified_samples + summary.gap_samples
    assert summary.client_gap_samples == after * 800
    for loser in losers:
        why = errors(loser.heard)[-1]
        assert (loser.code, why) in {(4005, "replaced"), (4001, "unauthorized")}
        assert isinstance(loser.heard[0], Welcome) is (why == "replaced")


@pytest.mark.parametrize("tokens", ["none", "the same", "half of them"])
def test_of_twenty_at_once_exactly_one_keeps_the_seat(gateway: GatewayProcess, tokens: str) -> None:
    """Each speaks as soon as it is welcomed. Who comes when the token's successor has spoken is too late
    (4001); who had the seat and lost it is told so (4005), and what it says after that counts for nothing."""

    async def main() -> None:
        async with dial(gateway) as first:
            hello = await welcomed(first)
            for number in (1, 2, 3):
                await say(first, "position", sample=800 * number)
            while seqs([await hear(first)]) != [3]:
                pass
            share = {"none": 0, "the same": SOCKETS, "half of them": SOCKETS // 2}[tokens]
            offered = [hello.resume_token] * share + [None] * (SOCKETS - share)
            race = Race(gateway, hello.session_id, hello.epoch, 3)
            winner, losers = await race.run(offered)
            check(winner, losers, 3)
            heard, code = await rest(first)
            assert (errors(heard), code) == (["replaced"], 4005)

    for _ in range(ROUNDS):
        run(main())
