"""The asyncio client against a real WebSocket server on loopback that speaks the server's end by hand."""

import asyncio
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.http11 import Request

from protocol.audio import AudioEncoding, AudioFormat
from protocol.client import MAX_UNREAD, connect
from protocol.close import CloseCode
from protocol.connection import Audio
from protocol.control import Ack, Configure, ControlMessage, End, Flush, Ping, Position
from protocol.errors import ProtocolError
from protocol.events import Event, Summary, Tone, UnknownEvent
from protocol.states import StateError
from protocol.version import Encoding
from tests.protocol.loopback import FLOW, SUMMARY, TONE, WELCOME, Peer, collect, gateway, run, until
from tests.vectors.messages import EVENTS


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_conversation_from_welcome_to_summary(encoding: Encoding) -> None:
    """Audio and every control message arrive in order; events iterate; `end` gives the summary."""
    heard: list[Audio | ControlMessage] = []

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME)
        while not isinstance(message := await peer.hear(), End):
            heard.append(message)
        await peer.say(TONE, SUMMARY)
        await peer.close()

    async def test() -> None:
        async with gateway(script) as url, connect(url, encoding=encoding) as client:
            assert client.welcome == WELCOME
            await client.send(b"\x01\x02" * 1_600)
            await client.configure(hop_ms=500)
            await client.flush("a")
            await client.ping(1.5)
            await client.ack(0)
            await client.position(3_200)
            assert client.next_sample == 3_200
            assert await client.end() == SUMMARY
            assert [event async for event in client] == [TONE, SUMMARY]
            assert (client.close_code, client.close_reason) == (CloseCode.NORMAL, "")
        assert heard == [
            Audio(b"\x01\x02" * 1_600),
            Configure(hop_ms=500),
            Flush("a"),
            Ping(1.5),
            Ack(0),
            Position(3_200),
        ]

    run(test())


def test_the_opening_says_what_is_wanted() -> None:
    """Format, settings, ticket and key travel in query, subprotocols and header, no secret in the URL."""
    seen: list[Request] = []

    async def script(peer: Peer) -> None:
        seen.append(peer.request)
        assert peer.negotiated.ticket == "t-1"
        await peer.say(WELCOME)
        await peer.close()

    async def test() -> None:
        audio = AudioFormat(AudioEncoding.MULAW, 8_000, 2)
        config = {"elcor": True, "hop_ms": 500, "features": ["tone", "queue"], "language": None}
        async with (
            gateway(script) as url,
            connect(url + "/?x=1", audio=audio, config=config, ticket="t-1", bearer="a.b", role="observer"),
        ):
            pass

    run(test())
    parts = urlsplit(seen[0].path)
    assert parts.path == "/ws/voice"
    assert "t-1" not in parts.query
    assert {name: values[0] for name, values in parse_qs(parts.query).items()} == {
        "x": "1",
        "encoding": "mulaw",
        "sample_rate": "8000",
        "channels": "2",
        "elcor": "true",
        "hop_ms": "500",
        "features": "queue,tone",
        "role": "observer",
    }
    assert seen[0].headers["Authorization"] == "Bearer a.b"
    assert "permessage-deflate" not in seen[0].headers.get("Sec-WebSocket-Extensions", "")


def test_a_resume_asks_for_what_was_missed_and_repeats_nothing() -> None:
    """`after` and `epoch` are asked for; what was seen isn't shown again; the audio goes on where told."""
    seen: list[str] = []

    async def script(peer: Peer) -> None:
        seen.append(peer.request.path)
        await peer.say(replace(WELCOME, next_sample=48_000, recovered=True))
        await peer.say(EVENTS["speaker"], EVENTS["transcript"], SUMMARY)
        await peer.close()

    async def test() -> None:
        async with (
            gateway(script) as url,
            connect(url, session_id="abc", after=4, epoch="e-5f3a") as client,
        ):
            assert client.next_sample == 48_000
            assert [event async for event in client] == [EVENTS["transcript"], SUMMARY]

    run(test())
    assert parse_qs(urlsplit(seen[0]).query) == {"session_id": ["abc"], "after": ["4"], "epoch": ["e-5f3a"]}


def test_long_audio_is_cut_to_messages_the_server_takes() -> None:
    """Any length may be given; the bytes arrive whole and in order, at most a second and 64 KiB a message."""
    pcm = bytes(range(256)) * 1_000
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME)
        while isinstance(message := await peer.hear(), Audio):
            heard.append(message.data)
        await peer.say(SUMMARY)
        await peer.close()

    async def test() -> None:
        async with gateway(script) as url, connect(url) as client:
            await client.send(pcm[:101])
            await client.send(pcm[101:])
            assert client.next_sample == len(pcm) // 2
            await client.end()

    run(test())
    assert b"".join(heard) == pcm
    assert max(map(len, heard)) <= 32_000


def test_lossless_send_waits_for_credit() -> None:
    """Not a sample past `limit`; raised, the rest follows."""
    heard = 0
    raised = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal heard
        await peer.say(replace(WELCOME, limit=40_000))
        await raised.wait()
        await peer.say(replace(FLOW, limit=100_000))
        while isinstance(message := await peer.hear(), Audio):
            heard += len(message.data) // 2
        await peer.say(SUMMARY)
        await peer.close()

    async def test() -> None:
        async with gateway(script) as url, connect(url) as client:
            assert client.credit == 40_000
            sending = asyncio.create_task(client.send(bytes(2 * 100_000)))
            await until(lambda: client.credit == 0)
            for _ in range(50):
                await asyncio.sleep(0)
            assert (client.next_sample, sending.done()) == (48_000, False)
            raised.set()
            await sending
            assert client.credit == 0
            await client.end()

    run(test())
    assert heard == 100_000


def test_end_loses_no_event_however_many_wait() -> None:
    """More events than the iterator's bound, none taken before `end`: all are there afterwards, in order."""
    count = MAX_UNREAD + 300

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME)
        await peer.say(*(replace(TONE, seq=seq) for seq in range(1, count + 1)))
        while not isinstance(await peer.hear(), End):
            pass
        await peer.say(replace(SUMMARY, seq=count + 1))
        await peer.close()

    async def test() -> None:
        async with gateway(script) as url, connect(url) as client:
            await client.end()
            seqs = [event.seq async for event in client if isinstance(event, Tone | Summary)]
            assert seqs == list(range(1, count + 2))

    run(test())


def test_unread_events_are_bounded() -> None:
    """A client that doesn't iterate stops reading instead of hoarding, and still leaves at once."""
    sent = MAX_UNREAD + 200

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME)
        await peer.say(*(replace(TONE, seq=seq) for seq in range(1, sent + 1)))
        await peer.socket.wait_closed()

    async def test() -> None:
        async with gateway(script) as url, connect(url) as client:
            await until(lambda: client.connection.last_seq == MAX_UNREAD)
            for _ in range(50):
                await asyncio.sleep(0)
            assert client.connection.last_seq == MAX_UNREAD
            assert await anext(aiter(client)) == TONE
            await until(lambda: client.connection.last_seq == MAX_UNREAD + 1)

    run(test(), 2.5)


def test_one_task_sends_while_another_iterates() -> None:
    """Sending and iterating at once lose nothing, and the iterator ends with the session."""

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME)
        seq = 0
        while isinstance(await peer.hear(), Audio):
            seq += 1
            await peer.say(replace(TONE, seq=seq))
        await peer.say(replace(SUMMARY, seq=seq + 1))
        await peer.close()

    async def test() -> None:
        async with gateway(script) as url, connect(url) as client:
            seen: list[Event | UnknownEvent] = []
            collected = asyncio.create_task(collect(client, seen))
            for _ in range(50):
                await client.send(bytes(3_200))
            await client.end()
            await collected
            assert [event.type for event in seen] == ["tone"] * 50 + ["summary"]

    run(test())


def test_own_mistakes_are_not_the_connections_fault() -> None:
    """Audio after `end` and an invalid setting raise at once and leave the connection alive."""

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME)
        assert await peer.hear() == Ping(1)
        assert await peer.hear() == End()
        await peer.say(SUMMARY)
        await peer.close()

    async def test() -> None:
        async with gateway(script) as url, connect(url) as client:
            with pytest.raises(ProtocolError, match="hop_ms"):
                await client.configure(hop_ms=1)
            await client.ping(1)
            ended = asyncio.create_task(client.end())
            await until(lambda: client.connection.state == "ending")
            with pytest.raises(StateError):
                await client.send(b"\x00\x00")
            await ended

    run(test())


def test_leaving_early_closes_the_socket_and_ends_the_reader() -> None:
    """Leaving the context, also by an exception, closes with 1000 and leaves no task behind."""
    codes: list[int | None] = []

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME)
        await peer.socket.wait_closed()
        codes.append(peer.socket.close_code)

    async def test() -> None:
        async with gateway(script) as url:
            with pytest.raises(KeyError):
                async with connect(url) as client:
                    raise KeyError
            assert client.close_code == 1000
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert not {name for name in names if name.startswith("undertone")}

    run(test())
    assert codes == [1000]


def test_cancelling_a_waiting_iterator_leaves_the_client_usable() -> None:
    """A cancelled wait for an event takes none with it."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME)
        await go.wait()
        await peer.say(TONE, SUMMARY)
        await peer.close()

    async def test() -> None:
        async with gateway(script) as url, connect(url) as client:
            waiting = asyncio.create_task(collect(client, []))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            go.set()
            assert [event async for event in client] == [TONE, SUMMARY]

    run(test())
