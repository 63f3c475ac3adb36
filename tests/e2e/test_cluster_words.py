"""What was being said when a node was killed is transcribed once: not twice, and not left out."""

import asyncio
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np

from protocol.client import connect
from protocol.events import DurableEvent, Gap, Summary, Transcript
from scripts.cluster.balancer import Balancer
from tests.e2e.audio import LIBRIVOX, pcm, recording
from tests.e2e.cluster import VALKEY, cluster
from tests.e2e.wire import run
from tests.needs import need_module

FRAME = 1_600
"""Samples of 100 ms."""
KILLED_AT_S = 7.0
READINGS = ("0870", "0880", "0890")
LEAST = 0.7
"""How much of the words has to be the same: a decoder that begins anew hears some otherwise."""


def audio() -> bytes:
    """A reader, 16 kHz, about 20 s."""
    return pcm(np.concatenate([recording(LIBRIVOX.format(number))[1] for number in READINGS])[: 20 * 16_000])


def test_words_around_a_kill() -> None:
    """A reading in two runs, one of which loses its node in the middle: the finals cover the same stretches,
    none overlaps another, and their text is nearly the same."""
    need_module("pocketsphinx")
    sound = audio()

    async def read(url: str, killing: "asyncio.Event | None") -> tuple[list[Transcript], list[int], Summary]:
        finals: list[Transcript] = []
        seqs: list[int] = []
        async with connect(url) as client:

            async def listen() -> None:
                async for event in client:
                    if isinstance(event, Transcript) and event.is_final:
                        finals.append(event)
                    if isinstance(event, DurableEvent):
                        seqs.append(event.seq)
                    assert not isinstance(event, Gap), event

            listening = asyncio.create_task(listen())
            began = asyncio.get_running_loop().time()
            for at in range(0, len(sound) // 2, FRAME):
                await client.send(sound[2 * at : 2 * (at + FRAME)])
                if killing is not None and at / 16_000 >= KILLED_AT_S:
                    killing.set()
                await asyncio.sleep(began + (at + FRAME) / 16_000 - asyncio.get_running_loop().time())
            summary = await client.end()
            await listening
            assert client.resumes == (0 if killing is None else 1)
        return finals, seqs, summary

    async def main() -> None:
        with cluster(VALKEY, 3, TRANSCRIBER="pocketsphinx") as three:
            calm_at = three.nodes[-1]
            async with Balancer(
                lambda: [one for one in three.addresses if one[1] != calm_at.port]
            ) as balancer:
                moment = asyncio.Event()

                async def kill() -> None:
                    await moment.wait()
                    claimed = [
                        node
                        for node in three.nodes[:-1]
                        if any(one["message"] == "claimed" for one in node.records())
                    ]
                    (victim,) = claimed
                    await asyncio.to_thread(three.kill, victim)

                (moved, seqs, summary), (calm, _, other), _ = await asyncio.gather(
                    read(balancer.ws_url, moment), read(calm_at.ws_url, None), kill()
                )
        assert seqs == list(range(1, summary.seq + 1))
        assert summary.classified_samples == other.classified_samples == len(sound) // 2
        spans = [(one.start_sample, one.end_sample) for one in moved]
        assert all(end <= start for (_, end), (start, _) in pairwise(spans)), spans
        words, expected = (" ".join(one.text for one in finals).split() for finals in (moved, calm))
        print(f"{len(calm)} finals: {' '.join(expected)}")
        print(f"{len(moved)} finals: {' '.join(words)}")
        alike = SequenceMatcher(None, expected, words, autojunk=False).ratio()
        covered, whole = (sum(one.end_sample - one.start_sample for one in each) for each in (moved, calm))
        print(f"alike: {alike:.2f}; covered: {covered / 16_000:.1f} of {whole / 16_000:.1f} s")
        assert alike >= LEAST
        assert abs(len(words) - len(expected)) <= 3 + len(expected) // 10
        assert 0.9 <= covered / whole <= 1.1

    run(main(), 110)
