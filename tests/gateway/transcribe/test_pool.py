"""Who gets a decoder, decided by hand-driven decoders and a hand-driven clock."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.classify.port import Health, HealthStatus
from gateway.transcribe.decoder import Final, Partial
from gateway.transcribe.pool import (
    DEATHS,
    DEATHS_WINDOW_S,
    DECODE_S,
    FAILED_LOADS,
    LOAD_S,
    Bounds,
    Lease,
    Outcome,
)
from tests.gateway.transcribe.fakes import Bench, HandDecoder


class Want:
    """A claim that notes what happens to it."""

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.lease: Lease | None = None
        self.results: list[Partial | Final | Outcome] = []

    def on_granted(self, lease: Lease) -> None:
        assert self.lease is None
        self.lease = lease

    def on_partial(self, partial: Partial) -> None:
        self.results.append(partial)

    def on_final(self, final: Final) -> None:
        self.results.append(final)

    def on_lost(self, outcome: Outcome) -> None:
        self.results.append(outcome)


def test_decoders_are_launched_when_needed_and_reused() -> None:
    """Two utterances one after the other share a decoder; only one at the same time launches a second."""
    bench = Bench(size=3)
    first, second, third = Want(), Want(), Want()
    bench.pool.request(first)
    bench.decoders[0].ready()
    bench.decoders[0].conclude("one")
    bench.pool.request(second)
    assert second.lease is not None
    assert len(bench.decoders) == 1
    bench.pool.request(third)
    assert len(bench.decoders) == 2
    assert bench.pool.decoders() == {"idle": 0, "busy": 1, "loading": 1}


def test_first_come_first_served_within_the_bound() -> None:
    """A freed decoder goes to whoever waits longest, and no more decoders are launched than allowed."""
    bench = Bench(size=1)
    wants = [Want() for _ in range(3)]
    for want in wants:
        bench.pool.request(want)
    assert len(bench.decoders) == 1
    bench.decoders[0].ready()
    bench.decoders[0].conclude("one")
    assert [want.lease is not None for want in wants] == [True, True, False]


def test_who_waits_too_long_is_lost() -> None:
    """A claim is let go at its deadline, not before; one without a deadline waits on."""
    bench = Bench()
    bench.ready()
    bench.pool.request(Want())
    spoken, speaking = Want(deadline=bench.clock.monotonic() + 2), Want()
    bench.pool.request(spoken)
    bench.pool.request(speaking)
    bench.clock.advance(1.9)
    bench.pool.tick()
    assert spoken.results == []
    bench.clock.advance(0.1)
    bench.pool.tick()
    assert spoken.results == [Outcome.NO_DECODER]
    bench.decoders[0].conclude("")
    assert speaking.lease is not None


def test_a_death_costs_one_utterance() -> None:
    """Only the claim that was served is lost; another decoder is launched for the one that waits."""
    bench = Bench(size=1)
    decoder = bench.ready()
    served, waiting = Want(), Want()
    bench.pool.request(served)
    bench.pool.request(waiting)
    decoder.die()
    assert served.results == [Outcome.DECODER_DIED]
    bench.decoders[1].ready()
    assert waiting.lease is not None
    assert bench.pool.health().status is HealthStatus.WARNING


def test_restarts_are_bounded_and_resume() -> None:
    """After five deaths in a minute nothing is launched until the oldest of them is a minute past."""
    bench = Bench(size=1)
    bench.pool.request(Want())
    for _ in range(DEATHS):
        bench.decoders[-1].die("by hand: /srv/models/tiny")
    assert len(bench.decoders) == DEATHS
    health = bench.pool.health()
    assert health.status is HealthStatus.ERROR
    assert "by hand" in health.detail
    assert "/srv" not in health.detail, "where files are is for the log"
    bench.clock.advance(DEATHS_WINDOW_S)
    bench.pool.tick()
    assert len(bench.decoders) == DEATHS + 1


def test_a_stuck_decoder_is_replaced() -> None:
    """A final that doesn't come in time costs the utterance, and the decoder is killed."""
    bench = Bench(size=1)
    decoder, want = bench.ready(), Want()
    bench.pool.request(want)
    bench.clock.advance(DECODE_S)
    bench.pool.tick()
    assert want.results == []
    assert want.lease
    want.lease.finish()
    bench.clock.advance(DECODE_S)
    bench.pool.tick()
    assert decoder.killed
    assert want.results == [Outcome.DECODER_STUCK]
    bench.pool.request(Want())
    assert len(bench.decoders) == 1
    decoder.die("exit status -9")
    assert bench.pool.health().detail == "a decoder ended lately: it didn't answer"
    assert len(bench.decoders) == 2
    assert want.results == [Outcome.DECODER_STUCK]


def test_a_decoder_that_never_loads_is_replaced() -> None:
    """Loading has a deadline too; its ready, should it come after all, has no effect."""
    bench = Bench(size=1)
    want = Want()
    bench.pool.request(want)
    assert bench.pool.health().status is HealthStatus.LOADING
    bench.clock.advance(LOAD_S)
    bench.pool.tick()
    assert bench.decoders[0].killed
    bench.decoders[0].ready()
    assert want.lease is None


@pytest.mark.parametrize("load_s", [30.0, 90.0])
def test_loads_that_fail_slowly_are_told(load_s: float) -> None:
    """From the first failure until one works, however rare they are: a warning, and soon an error."""
    bench = Bench(bounds=Bounds(load_s=3 * load_s, kept=1))
    bench.pool.tick()
    assert bench.pool.health().status is HealthStatus.LOADING
    for failed in range(1, FAILED_LOADS + 2):
        bench.clock.advance(load_s)
        bench.decoders[-1].die("MemoryError: /srv/models/tiny")
        told = [bench.pool.health()]
        bench.pool.tick()
        bench.clock.advance(load_s)
        told.append(bench.pool.health())
        if failed < FAILED_LOADS:
            expected = Health(HealthStatus.WARNING, "a decoder could not be loaded: MemoryError")
        else:
            expected = Health(HealthStatus.ERROR, "no decoder can be loaded: MemoryError")
        assert told == [expected] * 2
    bench.decoders[-1].ready()
    bench.clock.advance(DEATHS_WINDOW_S)
    assert bench.pool.health().status is HealthStatus.READY


def test_a_load_that_takes_too_long_has_failed() -> None:
    """It is told as such when its time is over, before and after the process is gone."""
    bench = Bench(bounds=Bounds(kept=1))
    bench.pool.tick()
    bench.clock.advance(LOAD_S)
    bench.pool.tick()
    before = bench.pool.health()
    bench.decoders[0].die("exit status -9")
    bench.clock.advance(DEATHS_WINDOW_S)
    assert bench.pool.health() == before
    assert before.status is HealthStatus.WARNING
    assert before.detail == "a decoder could not be loaded: it took too long"


def test_failed_loads_matter_less_while_one_works() -> None:
    """Words are to be had: a further decoder that can't be loaded is a warning for a minute."""
    bench = Bench(size=2)
    bench.ready()
    bench.pool.request(Want())
    bench.pool.request(Want())
    for _ in range(FAILED_LOADS):
        bench.clock.advance(DEATHS_WINDOW_S / 2)
        bench.decoders[-1].die()
    assert bench.pool.health().status is HealthStatus.WARNING
    bench.clock.advance(DEATHS_WINDOW_S)
    assert bench.pool.health().status is HealthStatus.READY


def test_a_dropped_lease_frees_its_decoder() -> None:
    """Who gives up gives the decoder back, at once."""
    bench = Bench(size=1)
    bench.ready()
    quitter, next_one = Want(), Want()
    bench.pool.request(quitter)
    bench.pool.request(next_one)
    assert quitter.lease
    quitter.lease.drop()
    assert next_one.lease is not None
    bench.decoders[0].conclude("mine")
    assert quitter.results == []


def test_a_dropped_final_is_still_due() -> None:
    """Its decoder is somebody else's when it has answered; one that never does is replaced all the same."""
    bench = Bench(size=1)
    bench.ready()
    late, stuck, next_one = Want(), Want(), Want()
    for quitter in (late, stuck):
        bench.pool.request(quitter)
        assert quitter.lease
        quitter.lease.finish()
        bench.clock.advance(DECODE_S / 2)
        quitter.lease.drop()
        if quitter is late:
            assert bench.pool.decoders()["busy"] == 1
            bench.decoders[0].conclude("late")
    bench.pool.request(next_one)
    assert bench.pool.decoders() == {"idle": 0, "busy": 1, "loading": 0}
    bench.clock.advance(DECODE_S / 2)
    bench.pool.tick()
    assert bench.decoders[0].killed
    bench.decoders[0].die()
    bench.decoders[1].ready()
    assert next_one.lease is not None
    assert [late.results, stuck.results, next_one.results] == [[], [], []]


def test_close_ends_everything() -> None:
    """Every decoder is closed, every claim is told, later ones too; nothing is launched any more."""
    bench = Bench(size=1)
    bench.ready()
    served, waiting, late = Want(), Want(), Want()
    bench.pool.request(served)
    bench.pool.request(waiting)
    asyncio.run(bench.pool.aclose())
    bench.pool.request(late)
    bench.pool.warm()
    assert [want.results for want in (served, waiting, late)] == [[Outcome.ABANDONED]] * 3
    assert [decoder.closed for decoder in bench.decoders] == [True]


def test_a_pool_has_a_decoder() -> None:
    """An empty pool is refused."""
    with pytest.raises(ValueError, match="at least one"):
        Bench(size=0)


class PoolMachine(RuleBasedStateMachine):
    """Any order of requests, results, deaths and passing time."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(size=2)
        self.wants: list[Want] = []
        self.dropped: list[Want] = []
        self.dead: set[HandDecoder] = set()

    def alive(self) -> list[HandDecoder]:
        return [decoder for decoder in self.bench.decoders if decoder not in self.dead]

    @rule(patience=st.one_of(st.none(), st.floats(0, 5)))
    def request(self, patience: float | None) -> None:
        now = self.bench.clock.monotonic()
        self.wants.append(Want(None if patience is None else now + patience))
        self.bench.pool.request(self.wants[-1])

    @rule(index=st.integers(0, 9), what=st.sampled_from(["ready", "conclude", "die"]))
    @precondition(lambda self: self.alive())
    def decoder(self, index: int, what: str) -> None:
        decoder = self.alive()[index % len(self.alive())]
        if what == "ready":
            decoder.ready()
        elif what == "conclude":
            decoder.conclude("word")
        else:
            self.dead.add(decoder)
            decoder.die()

    @rule(index=st.integers(0, 9), what=st.sampled_from(["finish", "drop"]))
    def lease(self, index: int, what: str) -> None:
        served = [want for want in self.wants if want.lease and not want.results]
        if served:
            want = served[index % len(served)]
            assert want.lease
            getattr(want.lease, what)()
            if what == "drop":
                self.wants.remove(want)
                self.dropped.append(want)

    @rule(seconds=st.floats(0, 40))
    def time(self, seconds: float) -> None:
        self.bench.clock.advance(seconds)
        self.bench.pool.tick()

    @invariant()
    def never_more_decoders_than_allowed(self) -> None:
        assert len(self.alive()) <= 2

    @invariant()
    def each_claim_settles_once(self) -> None:
        assert all(len(want.results) <= 1 for want in self.wants)
        assert all(want.results == [] for want in self.dropped)

    @invariant()
    def as_many_busy_as_served(self) -> None:
        served = [want for want in self.wants if want.lease and not want.results]
        leases = self.bench.pool._busy.values()
        owed = [want for want in self.dropped if want.lease in leases and want.lease and want.lease.due]
        assert self.bench.pool.decoders()["busy"] == len(served) + len(owed)

    @invariant()
    def nobody_waits_beside_an_idle_decoder(self) -> None:
        waiting = [want for want in self.wants if not want.lease and not want.results]
        assert not (waiting and self.bench.pool.decoders()["idle"])


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_decoder_is_borrowed_only_while_nobody_wants_it() -> None:
    """Idle it is granted at once; loading, busy or waited for it isn't, and nothing is queued."""
    bench, want, waiting, draft = Bench(), Want(), Want(), Want()
    assert not bench.pool.borrow(draft)
    decoder = bench.ready()
    assert bench.pool.borrow(want)
    assert want.lease is not None
    assert not bench.pool.borrow(draft)
    bench.pool.request(waiting)
    decoder.conclude("want")
    assert waiting.lease is not None
    decoder.conclude("waiting")
    assert draft.lease is None
    assert bench.pool.borrow(draft)


def test_whoever_waits_goes_before_a_borrower() -> None:
    """Also while a final is told, when its decoder is idle for a moment."""
    bench = Bench()
    granted: list[bool] = []

    class Greedy(Want):
        def on_final(self, final: Final) -> None:
            granted.append(bench.pool.borrow(Want()))

    decoder, waiting = bench.ready(), Want()
    bench.pool.request(Greedy())
    bench.pool.request(waiting)
    decoder.conclude("greedy")
    assert granted == [False]
    assert waiting.lease is not None


def test_after_deaths_launching_waits_longer_and_longer() -> None:
    """Half a second, one, two: an engine that takes a minute's memory to fail isn't tried without a pause."""
    bench = Bench(bounds=Bounds(back_off_s=0.5, kept=1))
    bench.pool.tick()
    for pause in (0.5, 1.0, 2.0):
        launched = len(bench.decoders)
        bench.decoders[-1].die()
        bench.clock.advance(pause - 0.25)
        bench.pool.tick()
        assert len(bench.decoders) == launched
        bench.clock.advance(0.25)
        bench.pool.tick()
        assert len(bench.decoders) == launched + 1


def test_a_decoder_can_be_kept_loaded() -> None:
    """Before anybody speaks, and again after it died; no more than that one."""
    bench = Bench(size=3, bounds=Bounds(kept=1))
    bench.pool.tick()
    assert bench.pool.health().status is HealthStatus.LOADING
    bench.decoders[0].ready()
    bench.pool.tick()
    assert len(bench.decoders) == 1
    bench.decoders[0].die()
    bench.pool.tick()
    assert len(bench.decoders) == 2


def test_the_bounds_are_the_engines() -> None:
    """One that loads and decodes slowly is waited for."""
    bench, want = Bench(bounds=Bounds(decode_s=2 * DECODE_S, load_s=2 * LOAD_S)), Want()
    bench.pool.request(want)
    bench.clock.advance(2 * LOAD_S - 1)
    bench.pool.tick()
    assert not bench.decoders[0].killed
    bench.decoders[0].ready()
    assert want.lease is not None
    want.lease.finish()
    bench.clock.advance(2 * DECODE_S - 1)
    bench.pool.tick()
    assert want.results == []
    bench.clock.advance(1)
    bench.pool.tick()
    assert want.results == [Outcome.DECODER_STUCK]
