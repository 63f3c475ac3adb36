"""Coming back to a session: what was lost on the way, what is left of one that has ended."""

from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from protocol.events import Error, Summary, Tone, Welcome
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import dial, errors, hear, only, rest, run, say, seqs, until, welcomed


def test_half_a_sample_that_was_under_way_is_void(gateway: GatewayProcess) -> None:
    """The client resends from `next_sample`; the odd byte of the lost socket must not shift what follows."""

    async def main() -> None:
        async with dial(gateway) as first:
            session = (await welcomed(first)).session_id
            await first.send(bytes(3_201))
            await say(first, "ping", t=1)
            await hear(first)
            first.transport.abort()
        async with dial(gateway, {"session_id": session}) as second:
            assert (await welcomed(second)).next_sample == 1_600
            await second.send(bytes(3_200))
            await say(second, "end")
            heard, code = await rest(second)
            summary = only(heard, Summary)
            assert (summary.received_samples, summary.next_sample, code) == (3_200, 3_200, 1000)
            assert errors(heard) == []

    run(main())


def test_a_replaced_socket_is_heard_no_more(gateway: GatewayProcess) -> None:
    """What it still sends would count twice: its successor was told where to go on."""

    async def main() -> None:
        async with dial(gateway) as first:
            session = (await welcomed(first)).session_id
            async with dial(gateway, {"session_id": session}) as second:
                await welcomed(second)
                with suppress(ConnectionClosed):  # the farewell may be here already
                    await first.send(bytes(32_000))
                heard, code = await rest(first)
                assert code == 4005
                assert isinstance(heard[-1], Error)
                await second.send(bytes(1_600))
                await say(second, "end")
                summary = only(await until(second, Summary), Summary)
                assert summary.received_samples == 800

    run(main())


def test_who_was_away_when_it_ended_gets_the_rest(gateway: GatewayProcess) -> None:
    """The connection is lost between `end` and `summary`: the last events wait for whoever had the others."""

    async def main() -> None:
        async with dial(gateway, {"delivery": "lossless"}) as socket:
            hello = await welcomed(socket)
            audio = pcm(speech()[: 16_000 * 4])
            for start in range(0, len(audio), 3_200):
                await socket.send(audio[start : start + 3_200])
            first = await until(socket, Tone)
            await say(socket, "end")
            heard, _ = await rest(socket)
        seen = seqs([*first, *heard])
        query: dict[str, object] = {"session_id": hello.session_id, "epoch": hello.epoch, "after": 1}
        async with dial(gateway, query, hello.resume_token) as again:
            back = await welcomed(again)
            replayed, code = await rest(again)
            assert back.recovered
            assert (back.replay_from, back.replay_to) == (2, seen[-1])
            assert seqs(replayed) == seen[1:]
            assert isinstance(replayed[-1], Summary)
            assert back.next_sample == replayed[-1].next_sample
            assert code == 1000
        async with dial(gateway, query | {"after": seen[-1]}) as nothing:
            heard, code = await rest(nothing)
            assert [type(event) for event in heard] == [Welcome]
            assert code == 1000

    run(main())


@pytest.mark.parametrize(
    ("after", "token", "said", "code"),
    [(None, None, "session_closed", 4004), (0, "A" * 32, "unauthorized", 4001)],
)
def test_an_ended_session_is_joined_by_nobody(
    gateway: GatewayProcess, after: int | None, token: str | None, said: str, code: int
) -> None:
    """Without a place in it there is nothing to come back for; a wrong token opens nothing."""

    async def main() -> None:
        async with dial(gateway) as socket:
            session = (await welcomed(socket)).session_id
            await say(socket, "end")
            await rest(socket)
        async with dial(gateway, {"session_id": session, "after": after}, token) as again:
            heard, closed = await rest(again)
            assert errors(heard) == [said]
            assert closed == code

    run(main())
