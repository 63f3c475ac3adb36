"""What is kept of sessions: never more than the bounds, the newest last, nothing that is too old."""

import asyncio
from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.clock import ManualClock
from gateway.sidecar.memory import ENTRY_BYTES, Bounds, Dropped, Keeper, Turns

BOUNDS = Bounds(count=4, bytes=4 * (ENTRY_BYTES + 20), ttl_s=10.0)
NAMES = st.sampled_from("abcdefg")


class KeeperMachine(RuleBasedStateMachine):
    """Beside a plain list of what should be there."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.dropped: list[tuple[str, Dropped]] = []
        self.keeper = Keeper(BOUNDS, self.clock, lambda name, why: self.dropped.append((name, why)))
        self.model: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def _bytes(self) -> int:
        return sum(len(name) + len(value) + ENTRY_BYTES for name, (value, _) in self.model.items())

    def _drop(self) -> str:
        return self.model.popitem(last=False)[0]

    def _age(self) -> list[tuple[str, Dropped]]:
        gone = []
        oldest = self.clock.monotonic() - BOUNDS.ttl_s
        while self.model and next(iter(self.model.values()))[1] < oldest:
            gone.append((self._drop(), Dropped.TTL))
        return gone

    @rule(name=NAMES, value=st.binary(max_size=600))
    def put(self, name: str, value: bytes) -> None:
        self.dropped.clear()
        self.model.pop(name, None)
        self.model[name] = value, self.clock.monotonic()
        gone = self._age()
        while len(self.model) > BOUNDS.count:
            gone.append((self._drop(), Dropped.COUNT))
        while self._bytes() > BOUNDS.bytes:
            gone.append((self._drop(), Dropped.BYTES))
        self.keeper.put(name, value)
        assert self.dropped == gone

    @rule(name=NAMES)
    def get(self, name: str) -> None:
        self.dropped.clear()
        gone = self._age()
        found = self.model.get(name)
        assert self.keeper.get(name) == (None if found is None else found[0])
        assert self.dropped == gone

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        self.dropped.clear()
        self.model.pop(name, None)
        self.keeper.forget(name)
        assert self.dropped == []

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self._age()
        self.keeper.sweep()

    @invariant()
    def bounded(self) -> None:
        assert len(self.keeper) == len(self.model) <= BOUNDS.count
        assert self.keeper.size == self._bytes() <= BOUNDS.bytes


TestKeeper = KeeperMachine.TestCase


@given(st.lists(st.tuples(NAMES, st.integers(0, 3)), max_size=20))
def test_one_at_a_time_for_each_name(wanted: list[tuple[str, int]]) -> None:
    """First come, first served; different names don't wait for each other; nothing is left behind."""

    async def main() -> None:
        turns = Turns()
        inside: set[str] = set()
        order: dict[str, list[int]] = {}

        async def one(place: int, name: str, pauses: int) -> None:
            async with turns.of(name):
                assert name not in inside
                inside.add(name)
                order.setdefault(name, []).append(place)
                for _ in range(pauses):
                    await asyncio.sleep(0)
                inside.remove(name)

        await asyncio.gather(*(one(place, *who) for place, who in enumerate(wanted)))
        assert all(places == sorted(places) for places in order.values())
        assert len(turns) == 0

    asyncio.run(main())


def test_who_gives_up_waiting_holds_nobody_up() -> None:
    """Cancelled while waiting, or with the turn, the next one has it."""

    async def main() -> None:
        turns = Turns()
        had: list[str] = []
        go_on = asyncio.Event()

        async def one(who: str) -> None:
            async with turns.of("x"):
                had.append(who)
                await go_on.wait()

        tasks = [asyncio.create_task(one(who)) for who in "abc"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[0].cancel()
        await asyncio.sleep(0.0)
        go_on.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert had == ["a", "c"]
        assert len(turns) == 0

    asyncio.run(main())
