"""A node stops, another one takes its session over, and it wakes and believes that nothing has happened."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Iterator
from itertools import pairwise

import pytest
from websockets.asyncio.client import ClientConnection as Socket

from protocol.audio import AudioFormat
from protocol.events import Flow, Pong, Queue, Speaker, Summary, Tone
from tests.chaos.callers import Voice
from tests.e2e.cluster import POSTGRES, VALKEY, Cluster, asked, cluster, in_background
from tests.e2e.wire import Said, dial, errors, only, rest, run, say, seqs, until, welcomed

VOICE = Voice(AudioFormat(sample_rate=16_000))
FRAME = 3_200
"""Samples of 200 ms."""
SHORT: dict[str, object] = {"window_ms": 500, "hop_ms": 500}
LEASE_S = 2
FROZEN_S = LEASE_S + 1.5


@pytest.fixture(scope="module", params=[VALKEY, POSTGRES])
def pair(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two nodes that are soon taken for gone."""
    with cluster(request.param, 2, NODE_LEASE_S=str(LEASE_S)) as made:
        yield made


async def talk(socket: Socket, start: int) -> None:
    """Speak in real time from sample `start` on, until the connection ends."""
    with contextlib.suppress(Exception):
        while True:
            await socket.send(VOICE.pcm(start, start + FRAME))
            start += FRAME
            await asyncio.sleep(0.2)


def stored(pair: Cluster, session_id: str) -> list[tuple[int, int]]:
    """Generation and number of each event in Valkey."""
    assert pair.backing.valkey is not None
    said = pair.backing.valkey.cli("--no-raw", "XRANGE", f"undertone:{{s:{session_id}}}:log", "-", "+")
    return [(int(one), int(other)) for one, other in re.findall(r'\) "(\d+)-(\d+)"$', said, re.MULTILINE)]


def check_windows(heard: list[Said]) -> None:
    """No window came twice, and none overlaps another."""
    of_windows = [one for one in heard if isinstance(one, Tone | Speaker | Queue)]
    spans = sorted({(one.start_sample, one.end_sample) for one in of_windows})
    assert all(end <= start for (_, end), (start, _) in pairwise(spans)), spans
    kinds = [(one.type, one.start_sample) for one in of_windows]
    assert len(set(kinds)) == len(kinds)


def test_what_a_stopped_owner_says_is_not_heard(pair: Cluster) -> None:
    """While it stands still, its client speaks on to it, and another socket of the owner's takes the session
    over at the other node. Awake again it classifies what waits in its socket, and nothing of that gets into
    the stream; its owner is told 4005, and its observers go on with what is said elsewhere."""
    here, there = pair.nodes

    async def main() -> None:
        async with dial(here, SHORT) as owner:
            welcome = await welcomed(owner)
            session_id = welcome.session_id
            asks: dict[str, object] = {"session_id": session_id, "role": "observer", "after": 0}
            async with dial(here, asks) as beside, in_background(talk(owner, 0)):
                before = await until(owner, Tone)
                os.kill(here.pid, signal.SIGSTOP)
                try:
                    await asyncio.sleep(FROZEN_S)
                    resumes = {"session_id": session_id, "after": 0, "epoch": welcome.epoch}
                    opened = dial(there, resumes)
                    second = await opened.__aenter__()
                    again = await welcomed(second)
                    assert (again.epoch, again.recovered) == (welcome.epoch, True)
                    speaking = asyncio.create_task(talk(second, again.next_sample))
                    heard = await until(second, Tone)
                    for _ in range(2):
                        heard += await until(second, Flow)
                finally:
                    os.kill(here.pid, signal.SIGCONT)
                told, code = await asyncio.wait_for(rest(owner), 8)
                assert (errors(told), code) == (["replaced"], 4005)
                await asyncio.sleep(1.0)
                speaking.cancel()
                await say(second, "end")
                rested, code = await rest(second)
                heard += rested
                assert code == 1000
                watched, code = await asyncio.wait_for(rest(beside), 8)
                assert code == 1000
                await opened.__aexit__(None, None, None)
        summary = only(heard, Summary)
        whole = list(range(1, summary.seq + 1))
        assert seqs(heard) == whole
        assert seqs(watched) == whole
        check_windows(heard)
        assert summary.classified_samples == summary.next_sample > 3 * 16_000
        assert [one for one in watched if seqs([one])] == [one for one in heard if seqs([one])]
        # What the first owner heard is the beginning of the same.
        first = [one for one in [*before, *told] if seqs([one])]
        assert first == [one for one in heard if seqs([one])][: len(first)]
        for node in (here, there):
            history = (await asked(f"{node.url}/api/v1/sessions/{session_id}/history")).json()
            assert [event["seq"] for event in history["events"]] == whole
        if pair.backing.valkey is not None:
            ids = stored(pair, session_id)
            assert len({gen for gen, _ in ids}) == 2
            assert all(later > earlier for earlier, later in pairwise(ids))
            numbers = [seq for _, seq in ids if seq]
            assert numbers == whole
        lost = [one for one in here.records() if one["message"] == "lost a session"]
        assert [(one["session_id"], one["how"]) for one in lost] == [(session_id[:8], "claimed")]

    run(main(), 60)


@pytest.mark.parametrize("stopped", [True, False])
def test_what_a_replaced_owner_asks_of_its_node_is_not_done(pair: Cluster, stopped: bool) -> None:
    """Its successor has its welcome at the other node, and then it says `configure` and `end`: to a node that
    has not heard of that yet, or wakes with both in its socket. It is told 4005, and the session goes on."""
    here, there = pair.nodes

    async def main() -> None:
        async with dial(here, SHORT) as owner:
            welcome = await welcomed(owner)
            url = f"{there.url}/api/v1/sessions/{welcome.session_id}"
            await say(owner, "ping")
            await until(owner, Pong)
            if stopped:
                os.kill(here.pid, signal.SIGSTOP)
            try:
                async with dial(there, {"session_id": welcome.session_id}) as successor:
                    at = (await welcomed(successor)).next_sample
                    await say(owner, "configure", hop_ms=300)
                    await say(owner, "end")
                    if stopped:
                        os.kill(here.pid, signal.SIGCONT)
                    told, code = await asyncio.wait_for(rest(owner), 8)
                    assert (errors(told), code) == (["replaced"], 4005)
                    await asyncio.sleep(0.5)
                    session = (await asked(url)).json()
                    assert (session["status"], session["hop_ms"]) == ("live", 500)
                    await successor.send(VOICE.pcm(at, at + 16_000))
                    await say(successor, "end")
                    heard, code = await rest(successor)
                    assert (errors(heard), code) == ([], 1000)
                    assert only(heard, Summary).received_samples == 16_000
            finally:
                os.kill(here.pid, signal.SIGCONT)

    run(main(), 30)
