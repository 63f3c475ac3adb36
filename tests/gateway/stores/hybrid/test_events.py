"""Events on their way to the store and back, whatever the store does meanwhile."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.errors import BadDocument, StoreUnavailable, StoreUnsuitable
from gateway.sessions.ports import UnknownSession
from gateway.sessions.shared import Commit, Loss, StreamBounds, Superseded
from gateway.stores.hybrid.events import AT_ONCE, EVENTS
from tests.gateway.sessions.kit import entry
from tests.gateway.stores.hybrid.kit import ROOMY, Node, numbers, rest
from tests.streams import FakeStreamStore
from tests.virtual_time import VirtualLoop, run

Play = Callable[[FakeStreamStore, VirtualLoop, Node], Coroutine[Any, Any, None]]


def play(scenario: Play, bounds: StreamBounds | None = None) -> None:
    """Play it with a store, and a node `a` that has started."""

    async def steps(loop: VirtualLoop) -> None:
        streams = FakeStreamStore(loop, ROOMY)
        node = Node(streams, loop, "a", bounds or StreamBounds(10_000, 2**30))
        node.events.start()
        try:
            await scenario(streams, loop, node)
            assert not any(task.done() for task in node.events.tasks)
        finally:
            await node.events.aclose()

    run(steps)


class TestCommitting:
    def test_an_event_is_read_once_the_store_has_it(self) -> None:
        """Not before, though it has its number at once; one commit takes along what gathered meanwhile."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe = await node.claim()
            streams.answer_gate.clear()
            scribe.say()
            await rest()
            scribe.say(3)
            assert (numbers(scribe.log), streams.seqs("s"), scribe.log.top) == ([], [1], 4)
            streams.answer_gate.set()
            await rest()
            assert numbers(scribe.log) == streams.seqs("s") == [1, 2, 3, 4] == node.kept
            assert streams.calls.count("commit") == 2
            assert (node.events.committed("s"), node.events.stored("s")) == (4, 4)
            assert streams.snapshot_now("s") == b"4"

        play(scenario)

    def test_all_sessions_that_have_something_go_along(self) -> None:
        """Up to a bound; nobody is left out."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribes = [await node.claim(f"s{n}") for n in range(AT_ONCE + 1)]
            for scribe in scribes:
                scribe.say()
            await rest()
            assert streams.calls.count("commit") == 2
            assert all(streams.seqs(one.log.session_id) == [1] for one in scribes)

        play(scenario)

    def test_all_that_a_session_says_goes_along_and_its_standing(self) -> None:
        """However much it is: between two commits a session may be taken over. Others wait for the next."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            much, little = await node.claim("much"), await node.claim("little")
            streams.gate.clear()
            much.say(EVENTS + 1)
            little.say()
            streams.answer_gate.clear()
            streams.gate.set()
            await rest()
            assert len(streams.seqs("much")) == EVENTS + 1
            assert streams.snapshot_now("much") == str(EVENTS + 1).encode()
            assert streams.seqs("little") == []
            streams.answer_gate.set()
            await rest()
            assert streams.seqs("little") == [1]

        play(scenario)

    def test_progress_without_words_keeps_the_standing(self) -> None:
        """Of a session that is here; of another nothing happens."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            await node.claim()
            node.events.progress("s")
            node.events.progress("nobody's")
            await rest()
            assert streams.snapshot_now("s") == b"0"

        play(scenario)

    def test_a_standing_that_cannot_be_had_stops_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        """Its session's events are kept all the same, and so are all others."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            broken, well = await node.claim("broken"), await node.claim("well")
            broken.broken = True
            broken.say()
            well.say()
            await rest()
            assert (streams.seqs("broken"), streams.seqs("well")) == ([1], [1])
            broken.broken = False
            broken.say()
            await rest()
            assert streams.snapshot_now("broken") == b"2"

        with caplog.at_level(logging.CRITICAL + 1):
            play(scenario)

    def test_a_store_that_errs_is_asked_again(self, caplog: pytest.LogCaptureFixture) -> None:
        """Whatever it raised: the loop goes on, and nothing is left out."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            right = streams.commit

            async def wrong(commits: object) -> Any:
                raise BadDocument("by hand")

            streams.commit = wrong  # type: ignore[method-assign]
            scribe = await node.claim()
            scribe.say(2)
            await rest()
            assert node.events.is_away
            streams.commit = right  # type: ignore[method-assign]
            await rest(5.0)
            assert streams.seqs("s") == numbers(scribe.log) == [1, 2]

        with caplog.at_level(logging.CRITICAL + 1):
            play(scenario)

    def test_a_damaged_stream_harms_nobody_else(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is begun anew with what is held here; all others are committed as ever."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            node.events.restore = _yes
            broken, *others = [await node.claim(name) for name in ("broken", "one", "two")]
            for scribe in (broken, *others):
                scribe.say()
            await rest()
            streams.damaged.add("broken")
            for scribe in (broken, *others):
                scribe.say(2)
            await rest()
            assert not node.events.is_away
            for scribe in (broken, *others):
                assert streams.seqs(scribe.log.session_id) == numbers(scribe.log) == [1, 2, 3]
                assert scribe.told == []
            assert streams.snapshot_now("broken") == b"3"

        with caplog.at_level(logging.CRITICAL + 1):
            play(scenario)

    def test_one_that_is_damaged_again_and_again_is_given_up(self, caplog: pytest.LogCaptureFixture) -> None:
        """Where others are well; alone it could be the store, which is taken for away then."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            node.events.restore = _yes
            broken, well = await node.claim("broken"), await node.claim("well")
            forget = streams.forget

            async def in_vain(session_id: str) -> None:
                await forget(session_id)
                streams.damaged.add(session_id)

            streams.forget = in_vain  # type: ignore[method-assign]
            streams.damaged.add("broken")
            broken.say()
            await rest()
            assert (node.events.is_away, broken.told, numbers(broken.log)) == (True, [], [1])
            well.say()
            await rest(5.0)
            assert broken.told == [(Loss.REVERTED, True)]
            assert (node.events.is_away, streams.seqs("well")) == (False, [1])

        with caplog.at_level(logging.CRITICAL + 1):
            play(scenario)

    def test_a_store_that_takes_nothing_counts_as_away(self, caplog: pytest.LogCaptureFixture) -> None:
        """Whatever it says: sessions go on in memory, their streams are left alone, and all is given to it
        once it takes it."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribes = [await node.claim(name) for name in ("one", "two")]
            for scribe in scribes:
                scribe.say()
            await rest()
            right = streams.commit

            async def wrong(commits: object) -> Any:
                raise StoreUnsuitable("by hand")

            streams.commit = wrong  # type: ignore[method-assign]
            for scribe in scribes:
                scribe.say()
            await rest()
            assert node.events.is_away
            assert [numbers(scribe.log) for scribe in scribes] == [[1, 2]] * 2
            assert "forget" not in streams.calls
            streams.commit = right  # type: ignore[method-assign]
            await rest(5.0)
            assert (node.events.is_away, streams.seqs("one"), streams.seqs("two")) == (False, [1, 2], [1, 2])

        with caplog.at_level(logging.CRITICAL + 1):
            play(scenario)

    def test_a_writer_that_errs_harms_nobody_else(self, caplog: pytest.LogCaptureFixture) -> None:
        """Also where it is told of its loss."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            broken, well = await node.claim("broken"), await node.claim("well")

            def lost(loss: Loss, *, unseen: bool) -> None:
                raise RuntimeError("by hand")

            broken.lost = lost  # type: ignore[method-assign]
            await streams.claim("broken", "b", 2)
            broken.say()
            well.say()
            await rest()
            assert numbers(well.log) == [1]

        with caplog.at_level(logging.CRITICAL + 1):
            play(scenario)


class TestAnswersThatGetLost:
    def test_what_was_done_is_neither_said_nor_kept_twice(self) -> None:
        """Readers go on, the trail hears of each event once, and the latest standing is kept."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe = await node.claim()
            scribe.say()
            await rest()
            streams.unanswered = 1
            scribe.say(2)
            await rest()
            assert node.events.is_away
            scribe.say()
            await rest(5.0)
            assert numbers(scribe.log) == streams.seqs("s") == node.kept == [1, 2, 3, 4]
            assert streams.snapshot_now("s") == b"4"
            assert node.counts.dropped == 0

        play(scenario)

    def test_the_standing_after_it_is_kept_too(self) -> None:
        """Where nothing more was said, but something was heard."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe = await node.claim()
            scribe.say()
            streams.unanswered = 1
            await rest()
            scribe.snapshot = lambda: b"heard more"  # type: ignore[method-assign]
            node.events.progress("s")
            await rest(5.0)
            assert streams.snapshot_now("s") == b"heard more"

        play(scenario)

    def test_one_session_in_doubt_holds_up_no_other(self) -> None:
        """Where the store goes while the doubt is cleared, the rest of the commit counts."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            doubtful, well = await node.claim("doubtful"), await node.claim("well")
            streams.unanswered = 1
            doubtful.say()
            await rest(5.0)
            assert not node.events.is_away
            right = streams.tail

            async def gone(session_id: str, after: int) -> Any:
                raise StoreUnavailable("by hand")

            # Once more in doubt, now together with another.
            streams.unanswered, streams.tail = 1, gone  # type: ignore[method-assign]
            doubtful.say()
            await rest(0.2)
            well.say()
            doubtful.say()
            await rest(0.2)
            assert streams.seqs("well") == [1]
            assert node.events.stored("well") == 1
            streams.tail = right  # type: ignore[method-assign]
            await rest(5.0)
            assert numbers(doubtful.log) == streams.seqs("doubtful") == [1, 2, 3]
            assert not doubtful.told

        play(scenario)


class TestAway:
    def test_sessions_go_on_in_memory(self) -> None:
        """What is said is read at once, and the store has all of it when it is back."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            told: list[bool] = []
            node.events.on_away = told.append
            scribe = await node.claim()
            streams.away = True
            scribe.say()
            assert numbers(scribe.log) == []
            await rest()
            assert numbers(scribe.log) == [1]
            scribe.say(2)
            assert (numbers(scribe.log), node.counts.away["store"]) == ([1, 2, 3], 1)
            assert (node.events.committed("s"), node.events.stored("s")) == (3, 0)
            streams.away = False
            await rest(3.0)
            assert (streams.seqs("s"), told, node.counts.away["store"]) == ([1, 2, 3], [True, False], 0)
            assert node.events.stored("s") == 3

        play(scenario)

    def test_what_had_no_room_is_a_hole(self) -> None:
        """Counted, and nobody mistakes what is there for all there was."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe = await node.claim()
            scribe.say(2)
            await rest()
            streams.away = True
            scribe.say(10)
            streams.away = False
            await rest(5.0)
            assert streams.seqs("s") == [8, 9, 10, 11, 12]
            assert (await streams.record("s")).truncated
            assert node.counts.dropped == 5
            assert numbers(scribe.log) == list(range(1, 13))

        play(scenario, StreamBounds(events=5, bytes=2**30))

    def test_whoever_was_superseded_meanwhile_is_told(self) -> None:
        """And whether somebody here has read what nobody else will."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            seen, unseen = await node.claim("seen"), await node.claim("unseen")
            streams.away = True
            unseen.say()
            await rest()
            assert numbers(unseen.log) == [1]
            streams.away = False
            for session_id in ("seen", "unseen"):
                await streams.claim(session_id, "b", 2)
            await rest(5.0)
            assert (seen.told, unseen.told) == ([(Loss.TAKEN, False)], [(Loss.TAKEN, True)])
            assert not node.events.owns("seen")
            assert node.counts.lost == {"claimed": 2, "deleted": 0, "reverted": 0}

        play(scenario)

    def test_the_store_is_looked_for_though_there_is_nothing_to_tell(self) -> None:
        """Else nobody would ever find out that it is back."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe = await node.claim()
            streams.away = True
            scribe.say()
            await rest()
            streams.away, right = False, streams.commit

            async def wrong(commits: object) -> Any:
                raise StoreUnavailable("still")

            streams.commit = wrong  # type: ignore[method-assign]
            await node.events.purge("s")
            streams.commit = right  # type: ignore[method-assign]
            assert node.events.is_away
            await rest(5.0)
            assert not node.events.is_away

        play(scenario)

    def test_what_was_to_be_forgotten_is_forgotten_later(self) -> None:
        """A store that is away takes nothing, not even that."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe = await node.claim()
            scribe.say()
            await rest()
            streams.away = True
            await node.events.purge("s")
            with pytest.raises(UnknownSession):
                scribe.say()
            await rest(1.0)
            streams.away = False
            await rest(5.0)
            with pytest.raises(UnknownSession):
                await node.events.tail("s", 0)

        play(scenario)


class TestLosses:
    def test_a_stream_that_the_store_lost_is_begun_anew(self) -> None:
        """In the same epoch, with all that is held here: readers notice nothing."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe = await node.claim()
            epoch = scribe.log.epoch
            scribe.say(3)
            await rest()
            restored: list[str] = []

            async def restore(session_id: str) -> bool:
                restored.append(session_id)
                return True

            node.events.restore = restore
            streams.lose_everything()
            scribe.say()
            await rest()
            assert (restored, scribe.told) == (["s"], [])
            assert streams.seqs("s") == numbers(scribe.log) == [1, 2, 3, 4]
            assert (await node.events.tail("s", 0)).epoch == epoch
            assert not (await streams.record("s")).truncated
            scribe.say()
            await rest()
            assert streams.seqs("s") == [1, 2, 3, 4, 5]

        play(scenario)

    def test_events_that_the_store_lost_again_are_given_again(self) -> None:
        """A replica that lagged behind became the primary; the writer has them still."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe = await node.claim()
            scribe.say(5)
            await rest()
            streams.lose_last("s", 2)
            scribe.say()
            await rest()
            assert streams.seqs("s") == numbers(scribe.log) == [1, 2, 3, 4, 5, 6]
            assert not (await streams.record("s")).truncated
            assert streams.calls.count("commit") < 10

        play(scenario)

    def test_those_that_are_not_held_any_more_are_a_hole(self) -> None:
        """Declared as one, and the stream goes on."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe = await node.claim()
            scribe.say(5)
            await rest()
            scribe.history = lambda: ()  # type: ignore[method-assign]
            streams.lose_last("s", 2)
            scribe.say()
            await rest()
            assert streams.seqs("s") == [6]
            assert (await streams.record("s")).truncated
            assert streams.calls.count("commit") < 10

        play(scenario)

    def test_a_later_attach_elsewhere_wins_after_a_loss(self) -> None:
        """The node that comes back to an empty store is told so, and goes on with its other sessions."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            scribe, other = await node.claim("s"), await node.claim("other")
            node.events.restore = _yes
            streams.lose_everything()
            await streams.claim("s", "b", 7)
            await streams.forget("s")
            streams.lose_everything()
            waiting = streams.calls.count("claim")
            right = streams.claim

            async def late(session_id: str, node_id: str, turn: int = 0, epoch: str | None = None) -> Any:
                if session_id == "s" and node_id == "a":
                    await right("s", "b", 7)  # just between the two
                return await right(session_id, node_id, turn, epoch)

            streams.claim = late  # type: ignore[method-assign]
            scribe.say()
            other.say()
            await rest()
            assert streams.calls.count("claim") > waiting
            assert scribe.told == [(Loss.TAKEN, False)]
            assert (streams.seqs("other"), other.told) == ([1], [])

        play(scenario)

    def test_a_new_beginning_whose_answer_gets_lost_is_tried_again(self) -> None:
        """The node is fenced by nobody but itself."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            for turn in (1, 2):
                scribe = await node.claim(turn=turn)  # its gen is 2: a new beginning's is another
            node.events.restore = _yes
            scribe.say()
            await rest()
            streams.lose_everything()
            right = streams.claim

            async def unanswered(*args: Any) -> Any:
                streams.claim = right  # type: ignore[method-assign]
                await right(*args)
                raise StoreUnavailable("no answer")

            streams.claim = unanswered  # type: ignore[method-assign,assignment]
            scribe.say()
            await rest(10.0)
            assert scribe.told == []
            assert streams.seqs("s") == numbers(scribe.log) == [1, 2]

        play(scenario)

    def test_a_session_that_cannot_be_restored_is_gone(self) -> None:
        """The same as one that was deleted elsewhere."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            lost, deleted = await node.claim("lost"), await node.claim("deleted")
            streams.lose_everything()
            await streams.claim("deleted", "a", 1)
            await streams.forget("deleted")
            lost.say()
            deleted.say()
            await rest()
            assert lost.told == deleted.told == [(Loss.DELETED, False)]

        play(scenario)

    def test_a_lost_claim_is_told_as_lost(self) -> None:
        """Nobody else has it: its owner may come back. Where somebody claims it first, it is that one's,
        though the count is the same."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            for name in ("back", "taken"):
                await streams.claim(name, "b")
            back, taken = await node.claim("back"), await node.claim("taken")
            for name in ("back", "taken"):
                streams.lose_claim(name, "b")
            await streams.claim("taken", "c", 2)
            back.say()
            taken.say()
            await rest()
            assert (back.told, taken.told) == ([(Loss.REVERTED, False)], [(Loss.TAKEN, False)])
            assert streams.seqs("taken") == []

        play(scenario)

    def test_one_that_is_quiet_finds_out_when_it_is_asked_about(self) -> None:
        """It has nothing to say and would never hear that it was deleted; one that talks isn't asked."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            quiet = await node.claim("quiet")
            await streams.forget("quiet")
            commits = streams.calls.count("commit")
            node.events.recheck()  # something may have been heard just now
            await rest()
            assert streams.calls.count("commit") == commits
            node.events.recheck()
            await rest()
            assert quiet.told == [(Loss.DELETED, False)]

        play(scenario)


class TestClaiming:
    def test_it_tells_what_is_held_and_from_whom_it_was_taken(self) -> None:
        """A new session is nobody's; a later attach keeps it."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            other, taken = Node(streams, loop, "b"), list[tuple[str, str]]()
            other.events.on_taken = lambda *told: taken.append(told)
            scribe = await node.claim(turn=1)
            scribe.say(3)
            await rest()
            held = await other.events.claim("s", 2)
            assert ([one.seq for one in held.tail.entries], held.snapshot) == ([1, 2, 3], b"3")
            assert (taken, other.counts.claims) == ([("s", "a")], {"new": 0, "taken": 1})
            with pytest.raises(Superseded):
                await node.events.claim("s", 1)
            assert node.events.owns("s")  # as far as it knows
            node.events.lose(["s", "nobody's"])
            await rest()
            assert scribe.told == [(Loss.TAKEN, False)]

        play(scenario)

    def test_a_claim_made_again_drops_what_the_one_before_had_in_mind(self) -> None:
        """What was on its way under the old claim is either there or was never said."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            first = await node.claim(turn=1)
            first.say()
            await rest()
            streams.gate.clear()
            first.say()
            await rest()
            claiming = asyncio.ensure_future(node.claim(turn=2))
            await rest()
            streams.gate.set()
            second = await claiming
            top = second.log.top
            second.say()
            await rest()
            assert streams.seqs("s") == list(range(1, top + 2))
            assert numbers(second.log) == list(range(1, top + 2))
            assert first.told == []  # who claims anew lets go of it

        play(scenario)

    def test_a_lost_stream_goes_on_where_the_trail_says(self) -> None:
        """A session that has said something is not asked about."""

        async def scenario(streams: FakeStreamStore, _: VirtualLoop, node: Node) -> None:
            asked: list[str] = []

            async def recall(session_id: str) -> bytes | None:
                asked.append(session_id)
                return b"as it was"

            node.events.recall = recall
            assert (await node.events.claim("s", 4)).snapshot == b"as it was"
            scribe = await node.claim("t")
            scribe.say()
            await rest()
            asked.clear()
            assert (await node.events.claim("t", 2)).snapshot == b"1"
            assert asked == []

        play(scenario)


class TestFarewell:
    def test_what_is_left_is_given_first(self) -> None:
        """Also what is on its way just then, and though there was nothing to do before."""

        async def steps(loop: VirtualLoop) -> None:
            streams = FakeStreamStore(loop, ROOMY)
            node = Node(streams, loop)
            node.events.start()
            scribe = await node.claim()
            scribe.say()
            await rest()
            scribe.say()
            streams.gate.clear()
            await rest()  # on its way
            ending = asyncio.ensure_future(node.events.aclose())
            await rest()
            streams.gate.set()
            await ending
            assert streams.seqs("s") == [1, 2] == node.kept
            assert all(task.done() for task in node.events.tasks)

        run(steps)

    def test_something_said_last_is_not_forgotten(self) -> None:
        """Though the loop had come to rest before."""

        async def steps(loop: VirtualLoop) -> None:
            streams = FakeStreamStore(loop, ROOMY)
            node = Node(streams, loop)
            node.events.start()
            scribe = await node.claim()
            scribe.say()
            await rest()
            scribe.say()
            await node.events.aclose()
            assert streams.seqs("s") == [1, 2]

        run(steps)

    def test_a_store_that_is_away_is_not_waited_for_long(self) -> None:
        """Nor at all where there is nothing for it, or nothing has begun."""

        async def steps(loop: VirtualLoop) -> None:
            streams = FakeStreamStore(loop, ROOMY)
            await Node(streams, loop).events.aclose()
            node = Node(streams, loop)
            node.events.start()
            scribe = await node.claim()
            streams.away = True
            scribe.say()
            await rest()
            began = loop.time()
            await node.events.aclose()
            assert loop.time() - began <= 5.0

        run(steps)


class TestFollowing:
    def test_a_damaged_stream_keeps_nobody_else_from_news(self, caplog: pytest.LogCaptureFixture) -> None:
        """Who follows it is told, if it stays so."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            other = Node(streams, loop, "b")
            other.events.start()
            scribes = {name: await node.claim(name) for name in ("broken", "well")}
            for scribe in scribes.values():
                scribe.say()
            await rest()
            _, told = await other.follow("broken")
            log, _ = await other.follow("well")
            streams.damaged.add("broken")
            scribes["well"].say()
            await rest(1.0)
            assert numbers(log) == [1, 2]
            assert None not in told
            await rest(10.0)
            assert told[-1] is None
            await other.events.aclose()

        with caplog.at_level(logging.CRITICAL + 1):
            play(scenario)

    def test_what_is_said_elsewhere_is_read_here(self) -> None:
        """All of it, in order, once, whoever writes; nothing more once that was ended."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            other = Node(streams, loop, "b")
            other.events.start()
            scribe = await node.claim()
            scribe.say(2)
            await rest()
            first, _ = await other.follow()
            assert numbers(first) == [1, 2]
            scribe.say(2)
            await rest(0.5)
            second, _ = await other.follow()
            scribe = await node.claim(turn=2)
            scribe.say(2)
            await rest(0.5)
            assert numbers(first) == numbers(second) == [1, 2, 3, 4, 5, 6]
            assert first.epoch == scribe.log.epoch
            await other.events.aclose()

        play(scenario)

    def test_a_stream_that_has_not_begun_is_told_of_once_it_has(self) -> None:
        """And nobody takes it for deleted."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            event_log, told = await node.follow()
            await rest(60.0)
            assert told == []
            other = Node(streams, loop, "b")
            other.events.start()
            (await other.claim()).say()
            await rest(1.0)
            assert (numbers(event_log), len(told)) == ([1], 1)
            await other.events.aclose()

        play(scenario)

    def test_one_that_is_gone_is_told_as_gone_after_a_while(self) -> None:
        """Its writer may bring it back to a store that has lost it."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            claim = await streams.claim("s", "b", 1)
            await streams.commit([Commit("s", claim.gen, [entry(1)])])
            _, told = await node.follow()
            for _ in range(3):
                streams.lose_everything()
                await rest(4.03)
                again = await streams.claim("s", "b", 1, claim.epoch)
                await streams.commit([Commit("s", again.gen, [entry(1)])])
                await rest(4.0)
            assert None not in told
            await streams.forget("s")
            await rest(20.0)
            assert told.count(None) == 1

        play(scenario)

    def test_a_store_that_is_away_or_errs_is_asked_again(self, caplog: pytest.LogCaptureFixture) -> None:
        """Nothing is missed by it."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            other = Node(streams, loop, "b")
            other.events.start()
            scribe = await node.claim()
            event_log, _ = await other.follow()
            streams.away = True
            await rest(2.0)
            scribe.say(2)
            streams.away, right = False, streams.newer

            async def wrong(*_: object) -> Any:
                raise BadDocument("by hand")

            streams.newer = wrong  # type: ignore[method-assign,assignment]
            await rest(2.0)
            streams.newer = right  # type: ignore[method-assign]
            await rest(5.0)
            assert numbers(event_log) == [1, 2]
            assert not any(task.done() for task in other.events.tasks)
            await other.events.aclose()

        with caplog.at_level(logging.CRITICAL + 1):
            play(scenario)

    def test_a_reader_that_errs_harms_nobody_else(self, caplog: pytest.LogCaptureFixture) -> None:
        """Who errs at once is not told again; who errs later goes on."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            claim, failed = await streams.claim("s", "b"), list[object]()

            def wrong(tail: object) -> None:
                failed.append(tail)
                raise RuntimeError("by hand")

            with pytest.raises(RuntimeError):
                await node.events.follow("s", wrong)
            event_log, _ = await node.follow()
            await streams.commit([Commit("s", claim.gen, [])])
            scribe = await Node(streams, loop, "c").claim()
            assert scribe.log.epoch == event_log.epoch
            await rest(1.0)
            assert len(failed) == 1

        with caplog.at_level(logging.CRITICAL + 1):
            play(scenario)

    def test_who_reads_no_more_is_asked_about_no_more(self) -> None:
        """The store is left alone where nobody reads."""

        async def scenario(streams: FakeStreamStore, loop: VirtualLoop, node: Node) -> None:
            asked: list[int] = []
            right = streams.newer

            async def counted(cursors: Any, wait_s: float) -> Any:
                asked.append(len(cursors))
                return await right(cursors, wait_s)

            streams.newer = counted  # type: ignore[method-assign]
            await streams.claim("s", "b")
            stop = await node.events.follow("s", lambda _: None)
            await rest(1.0)
            assert asked
            stop()
            await rest(1.0)
            asked.clear()
            await rest(10.0)
            assert asked == []

        play(scenario)


async def _yes(_: str) -> bool:
    return True
