"""The client comes back by itself: what it asks for, what it says again, and what its user sees."""

import asyncio
from dataclasses import replace

import pytest

from protocol.close import CloseCode
from protocol.connection import Audio
from protocol.control import (
    Ack,
    Configure,
    ControlMessage,
    Delivery,
    End,
    Flush,
    Ping,
    Position,
    SessionConfig,
)
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Configured, Flushed, Pong
from tests.protocol.loopback import (
    AGAIN,
    FLOW,
    SUMMARY,
    TONE,
    WELCOME,
    Peer,
    gateway,
    one_after_another,
    over,
    run,
    until,
)
from tests.protocol.loopback import eager_connect as connect


async def hears(peer: Peer, count: int) -> list[bytes | ControlMessage]:
    """The next messages, consecutive audio as one."""
    heard: list[bytes | ControlMessage] = []
    while len(heard) < count:
        message = await peer.hear()
        if not isinstance(message, Audio):
            heard.append(message)
        elif heard and isinstance(heard[-1], bytes):
            heard[-1] += message.data
        else:
            heard.append(message.data)
    return heard


async def audio_of(peer: Peer, nbytes: int) -> bytes:
    """So many bytes of audio."""
    data = b""
    while len(data) < nbytes:
        message = await peer.hear()
        assert isinstance(message, Audio)
        data += message.data
    return data


def test_one_unbroken_iterator_over_three_sockets() -> None:
    """Each resume names session, epoch, last event and newest token; what was seen isn't shown again."""
    second, third = AGAIN, replace(AGAIN, resume_token="third")

    async def one(peer: Peer) -> None:
        assert peer.negotiated.ticket == "mine"
        await peer.say(WELCOME, TONE)
        peer.vanish()

    async def two(peer: Peer) -> None:
        assert peer.query == {"session_id": WELCOME.session_id, "epoch": WELCOME.epoch, "after": "1"}
        assert peer.negotiated.ticket == WELCOME.resume_token
        await peer.say(second, TONE, replace(TONE, seq=2))
        await peer.close(CloseCode.INTERNAL)

    async def three(peer: Peer) -> None:
        assert peer.query["after"] == "2"
        assert peer.negotiated.ticket == "second"
        await peer.say(third)
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two, three)) as url, connect(url, ticket="mine") as client:
            events = [event async for event in client]
            assert events == [TONE, second, replace(TONE, seq=2), third, SUMMARY]
            assert (client.resumes, client.missed, client.close_code) == (2, SUMMARY.seq - 3, 1000)
            assert client.welcome == third

    run(test())


def test_audio_goes_on_where_the_server_lost_it() -> None:
    """To the sample, and whole: half a sample is sent again with its other half."""
    pcm = bytes(range(250)) * 20
    heard: list[bytes] = []

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        await audio_of(peer, 1_000)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(replace(AGAIN, next_sample=321))
        heard.append(await audio_of(peer, len(pcm) - 642))
        assert await peer.hear() == End()
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            for start in range(0, len(pcm), 333):
                await client.send(pcm[start : start + 333])
            await client.end()
            assert client.next_sample == len(pcm) // 2
            assert client.lost_samples == 0

    run(test())
    assert heard == [pcm[642:]]


def test_what_has_no_answer_is_said_again_in_its_place() -> None:
    """`configure`, `flush` and `end` keep their place in the audio; `ping` is of the moment."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        assert len(await hears(peer, 6)) == 6
        await peer.say(Configured.of(SessionConfig(hop_ms=500)), Flushed(id="a"))
        await hears(peer, 1)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(replace(AGAIN, next_sample=2))
        assert await hears(peer, 3) == [b"ef", Flush("b"), End()]
        await peer.say(Flushed(id="b"))
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            await client.configure(hop_ms=500)
            await client.send(b"abcd")
            await client.flush("a")
            await client.ping(1)
            await client.send(b"ef")
            await client.flush("b")
            events = aiter(client)
            assert [(await anext(events)).type for _ in range(2)] == ["configured", "flushed"]
            await client.end()

    run(test())


def test_realtime_speaks_on_while_nobody_listens() -> None:
    """Without a connection `send` doesn't wait; what is too old then is declared, and counted."""
    there = asyncio.Event()
    heard: list[bytes | ControlMessage] = []

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        await audio_of(peer, 32_000)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await there.wait()
        await peer.say(replace(AGAIN, next_sample=16_000))
        heard.extend(await hears(peer, 3))
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            await client.send(bytes(32_000))
            await until(lambda: client.away)
            for second in range(7):
                await client.send(bytes([second]) * 32_000)
            await client.ping("lost")
            there.set()
            await client.end()
            assert client.lost_samples == 32_000

    run(test())
    assert heard == [Position(48_000), b"".join(bytes([n]) * 32_000 for n in range(2, 7)), End()]


def test_lossless_waits_for_the_server() -> None:
    """Without a connection `send` takes five seconds and then waits; nothing is lost."""
    there = asyncio.Event()
    lossless = {"delivery": Delivery.LOSSLESS, "limit": 10**9}
    heard: list[bytes] = []

    async def one(peer: Peer) -> None:
        await peer.say(replace(WELCOME, **lossless))  # type: ignore[arg-type]
        peer.vanish()

    async def two(peer: Peer) -> None:
        await there.wait()
        await peer.say(replace(AGAIN, **lossless))  # type: ignore[arg-type]
        message: Audio | ControlMessage = Ping()
        while not isinstance(message, End):
            message = await peer.hear()
            if isinstance(message, Audio):
                heard.append(message.data)
            if isinstance(message, Ping):
                await peer.say(replace(FLOW, received=0, limit=10**9), Pong(t=message.t))
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            await until(lambda: client.away)
            sending = asyncio.create_task(client.send(b"".join(bytes([n]) * 32_000 for n in range(20))))
            await until(lambda: client.next_sample == 64_000)
            await asyncio.sleep(0)
            assert not sending.done()
            there.set()
            await sending
            await client.end()
            events = [event.type async for event in client]
            assert "pong" not in events, "the backlog's own pings are not the user's"

    run(test())
    assert b"".join(heard) == b"".join(bytes([n]) * 32_000 for n in range(20))


def test_what_could_not_be_replayed_is_told() -> None:
    """`recovered: false`: the welcome shows it and the count says how much; the new events come."""
    partly = replace(AGAIN, recovered=False, next_seq=12)
    anew = replace(AGAIN, recovered=False, epoch="another")

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, TONE)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(partly, replace(TONE, seq=9))
        peer.vanish()

    async def three(peer: Peer) -> None:
        assert peer.query["after"] == "9"
        await peer.say(anew, TONE, replace(SUMMARY, seq=2))
        await peer.close()

    async def test() -> None:
        async with gateway(one_after_another(one, two, three)) as url, connect(url) as client:
            events = [event async for event in client]
            assert events == [TONE, partly, replace(TONE, seq=9), anew, TONE, replace(SUMMARY, seq=2)]
            assert client.missed == 7

    run(test())


def test_an_acknowledgement_of_another_epoch_is_not_said() -> None:
    """The numbers mean something else there."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, TONE)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(replace(AGAIN, recovered=False, epoch="another"))
        assert await peer.hear() == End()
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            await until(lambda: client.away)
            await client.ack(1)
            await client.end()

    run(test())


def test_the_newest_acknowledgement_is_said_afterwards() -> None:
    """One said while away is not lost, and an older one not needed."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(AGAIN)
        assert await peer.hear() == Ack(2)
        assert await peer.hear() == End()
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            await until(lambda: client.away)
            await client.ack(1)
            await client.ack(2)
            await client.end()

    run(test())


def test_an_observer_comes_back_as_one() -> None:
    """It has no token, and needs none where the id is the key."""

    async def one(peer: Peer) -> None:
        await peer.say(replace(WELCOME, resume_token=None), TONE)
        peer.vanish()

    async def two(peer: Peer) -> None:
        assert (peer.query["role"], peer.query["after"], peer.negotiated.ticket) == ("observer", "1", None)
        await peer.say(replace(AGAIN, resume_token=None))
        await over(peer)

    async def test() -> None:
        watching = {"session_id": WELCOME.session_id, "role": "observer"}
        async with gateway(one_after_another(one, two)) as url, connect(url, **watching) as client:
            assert [event.type async for event in client] == ["tone", "welcome", "summary"]

    run(test())


def test_a_cancelled_sender_leaves_the_client_usable() -> None:
    """What it had given is sent all the same, once."""
    go = asyncio.Event()

    async def one(peer: Peer) -> None:
        await peer.say(replace(WELCOME, limit=2))
        await go.wait()
        await peer.say(replace(FLOW, limit=100))
        assert await hears(peer, 2) == [b"abcdefgh", End()]
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one)) as url, connect(url) as client:
            sending = asyncio.create_task(client.send(b"abcdef"))
            await until(lambda: client.credit == 0)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            go.set()
            await client.send(b"gh")
            await client.end()

    run(test())


def test_too_many_unanswered_questions_wait() -> None:
    """The client keeps no endless list of what it would have to say again."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        assert len(await hears(peer, 64)) == 64
        await peer.say(Flushed(id=0))
        assert await hears(peer, 2) == [Flush(64), End()]
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one)) as url, connect(url) as client:
            for number in range(65):
                await client.flush(number)
            await client.end()

    run(test())


def test_settings_can_be_changed_while_away() -> None:
    """They are said once there is somebody to hear them."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(AGAIN)
        assert await hears(peer, 2) == [Configure(elcor=True), End()]
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            await until(lambda: client.away)
            await client.configure(elcor=True)
            await client.end()

    run(test())


def test_lossless_asked_for_while_away_holds_at_once() -> None:
    """What is said after it waits for the server, and none of it is lost."""
    there = asyncio.Event()
    pcm = b"".join(bytes([n]) * 32_000 for n in range(8))
    heard: list[bytes] = []

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await there.wait()
        await peer.say(AGAIN)
        assert await peer.hear() == Configure(delivery=Delivery.LOSSLESS)
        await peer.say(Configured.of(SessionConfig(delivery=Delivery.LOSSLESS)))
        message: Audio | ControlMessage = Ping()
        while not isinstance(message, End):
            message = await peer.hear()
            if isinstance(message, Audio):
                heard.append(message.data)
            if isinstance(message, Ping):
                await peer.say(Pong(t=message.t))
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            await until(lambda: client.away)
            await client.configure(delivery="lossless")
            sending = asyncio.create_task(client.send(pcm))
            await until(lambda: client.next_sample == 64_000)
            await asyncio.sleep(0)
            assert not sending.done()
            there.set()
            await sending
            await client.end()
            assert client.lost_samples == 0

    run(test())
    assert b"".join(heard) == pcm


def test_an_owner_that_comes_back_after_the_end_is_no_observer() -> None:
    """It gets no token either, as nobody can come back to what is over; `end` has its summary."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(replace(AGAIN, resume_token=None))
        assert await peer.hear() == End()
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            await until(lambda: client.resumes == 1)
            assert await client.end() == SUMMARY
        takes_over = {"session_id": WELCOME.session_id, "after": 0}
        async with gateway(one_after_another(two)) as url, connect(url, **takes_over) as client:
            assert await client.end() == SUMMARY

    run(test())


def test_an_observer_only_reads() -> None:
    """What only the owner may say is refused at once; showing life is not."""

    async def one(peer: Peer) -> None:
        await peer.say(replace(WELCOME, resume_token=None))
        assert await hears(peer, 2) == [Ping(1), Ack(0)]
        await over(peer)

    async def test() -> None:
        watching = {"session_id": WELCOME.session_id, "role": "observer"}
        async with gateway(one_after_another(one)) as url, connect(url, **watching) as client:
            for attempt in (
                client.send(b""),
                client.send(b"ab"),
                client.configure(hop_ms=500),
                client.flush(),
                client.position(9),
                client.end(),
            ):
                with pytest.raises(ProtocolError, match="an observer only reads") as refused:
                    await attempt
                assert refused.value.code is ErrorCode.READ_ONLY
            await client.ping(1)
            await client.ack(0)
            assert [event.type async for event in client] == ["summary"]

    run(test())
