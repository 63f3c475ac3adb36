"""The opening handshake: section 4.2, and what HTTP/1.1 asks of any request."""

from dataclasses import dataclass

import pytest

from tests.chaos.frames import Op, binary, close, frame, ping, text
from tests.chaos.raw import ACCEPT, KEY, Answer, Changes, RawPeer, upgrade
from tests.conformance.deviations import violation
from tests.conformance.served import Lane, Served, asks, audio


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, as it differs from a good one."""

    name: str
    changes: Changes
    target: str = "/ws/voice"
    first: str = "GET {} HTTP/1.1"

    def bytes(self) -> bytes:
        """On the wire."""
        return upgrade(self.target, self.changes, self.first)


GOOD = (
    Ask("plain", {}),
    Ask(
        "names in lower case",
        {"Upgrade": None, "upgrade": "websocket", "Connection": None, "connection": "Upgrade"},
    ),
    Ask("upgrade in odd case", {"Upgrade": "WebSocket"}),
    Ask("connection in odd case", {"Connection": "uPgRaDe"}),
    Ask("connection among others", {"Connection": "keep-alive, Upgrade"}),
    Ask("connection among others without a blank", {"Connection": "Upgrade,keep-alive"}),
    Ask("connection twice", {"Connection": ("keep-alive", "Upgrade")}),
    Ask("a blank around values", {"Upgrade": " websocket ", "Connection": "\tUpgrade  "}),
    Ask("headers nobody knows", {"X-Odd": "1", "Cookie": "a=b; c=d"}),
    Ask("an empty body announced", {"Content-Length": "0"}),
    Ask("an IPv6 host", {"Host": "[::1]:8522"}),
)
BAD = (
    Ask("no upgrade", {"Upgrade": None}),
    Ask("another upgrade", {"Upgrade": "h2c"}),
    Ask("no connection", {"Connection": None}),
    Ask("another connection", {"Connection": "keep-alive"}),
    Ask("no key", {"Sec-WebSocket-Key": None}),
    Ask("an empty key", {"Sec-WebSocket-Key": ""}),
    Ask("a short key", {"Sec-WebSocket-Key": "c2hvcnQ="}),
    Ask("a long key", {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAA="}),
    Ask("a key that is not base64", {"Sec-WebSocket-Key": "*" * 24}),
    Ask("two keys", {"Sec-WebSocket-Key": (KEY, KEY)}),
    Ask("two versions", {"Sec-WebSocket-Version": ("13", "13")}),
    Ask("no host", {"Host": None}),
    Ask("two hosts", {"Host": ("127.0.0.1", "127.0.0.1")}),
    Ask("another method", {}, first="POST {} HTTP/1.1"),
    Ask("a method that nobody knows", {}, first="WEBSOCKET {} HTTP/1.1"),
    Ask("HTTP/1.0", {}, first="GET {} HTTP/1.0"),
    Ask("HTTP/0.9", {}, first="GET {}"),
    Ask("a version of HTTP that there is not", {}, first="GET {} HTTP/9.9"),
    Ask("not HTTP", {}, first="\x16\x03\x01\x02\x00\x01"),
    Ask("another path", {}, target="/ws/other"),
    # RFC 9112 section 3.2.2 would have it taken; uvicorn, below both lanes, takes it for a path.
    Ask("the target in full", {}, first="GET http://127.0.0.1{} HTTP/1.1"),
    Ask("a foreign origin", {"Origin": "https://elsewhere.example"}),
    Ask("a name without a value", {"Connection": "Upgrade\r\nNonsense"}),
    Ask("a line feed in a value", {"X-Odd": "a\nb"}),
    Ask("a NUL in a value", {"X-Odd": "a\0b"}),
    Ask("two lengths of a body", {"Content-Length": ("1", "2")}),
)
TAKES = {
    Lane.FAST: frozenset[str](),
    Lane.PORTABLE: frozenset({"HTTP/1.0", "a version of HTTP that there is not"}),
    Lane.HYPERCORN: frozenset({"another upgrade", "an empty key", "a version of HTTP that there is not"}),
}
"""Stock uvicorn does not look at the version, Hypercorn not at one beyond 1.1, nor at the key; and it speaks
`h2c`."""


@pytest.mark.parametrize("ask", GOOD, ids=lambda ask: ask.name)
@pytest.mark.parametrize("chopped", [False, True], ids=["at once", "chopped"])
def test_a_good_request_opens(served: Served, ask: Ask, chopped: bool) -> None:
    """101 with the key's answer, whatever the case and order of its headers; then messages go both ways."""
    with RawPeer(served.port) as peer:
        request = ask.bytes()
        peer.send(*(request[n : n + 1] for n in range(len(request))) if chopped else (request,))
        answer = peer.handshake()
        assert answer.status == 101
        assert answer.all("sec-websocket-accept") == [ACCEPT]
        assert [value.lower() for value in answer.all("upgrade")] == ["websocket"]
        assert [value.lower() for value in answer.all("connection")] == ["upgrade"]
        assert not answer.all("sec-websocket-extensions")
        assert peer.event()["type"] == "welcome"
        peer.control(type="ping", t="open")
        assert peer.until("pong")["t"] == "open"
        peer.send(close())
        assert peer.ending()[1] == 1000


@pytest.mark.parametrize("ask", BAD, ids=lambda ask: ask.name)
def test_a_bad_request_is_answered_with_its_fault(served: Served, ask: Ask) -> None:
    """A status from 400 to 499 (505 for another HTTP), and then nothing: no frame, no silence."""
    with RawPeer(served.port) as peer:
        if ask.name in TAKES[served.lane]:
            peer.send(ask.bytes())
            assert peer.socket.recv(4_096).split()[1] in (b"101", b"200")  # what follows may be HTTP/2
            return
        peer.send(ask.bytes(), ping())
        assert peer.handshake().status in (*range(400, 500), 505)


@pytest.mark.parametrize("version", [None, "", "0", "8", "12", "14", "thirteen"])
def test_another_version_is_told_which_would_do(served: Served, version: str | None) -> None:
    """426 with `Sec-WebSocket-Version: 13` (section 4.4); others say 400."""
    answer = _answer(served, Ask("version", {"Sec-WebSocket-Version": version}))
    if served.lane is Lane.FAST:
        assert answer.status == 426
        assert answer.all("sec-websocket-version") == ["13"]
        assert answer.all("upgrade") == ["websocket"]
    else:
        assert answer.status == 400


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=10, x-webkit-deflate-frame",
        "permessage-bzip2",
    ],
)
def test_compression_is_declined(served: Served, offer: str) -> None:
    """By not answering the offer (RFC 7692 section 5.1); RSV1 stays a violation. Hypercorn takes it."""
    with RawPeer(served.port) as peer:
        peer.send(upgrade(changes={"Sec-WebSocket-Extensions": offer}))
        if served.lane is Lane.HYPERCORN and "permessage-deflate" in offer:
            assert b"sec-websocket-extensions: permessage-deflate" in peer.socket.recv(4_096)
            return
        answer = peer.handshake()
        assert answer.status == 101
        assert not answer.all("sec-websocket-extensions")
        peer.send(frame(Op.TEXT, rsv=0b100))
        assert peer.ending()[1] == violation(served.lane)


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        ("undertone.v1.json", "undertone.v1.json"),
        ("undertone.v1.msgpack", "undertone.v1.msgpack"),
        ("other, undertone.v1.json", "undertone.v1.json"),
        ("undertone.v1.json, undertone.v1.msgpack", "undertone.v1.json"),
        ("undertone.v1.msgpack,undertone.v1.json", "undertone.v1.msgpack"),
        (("other", "undertone.v1.json"), "undertone.v1.json"),
        (None, None),
        ("other", None),
        ("UNDERTONE.V1.JSON", None),
    ],
)
def test_the_first_known_subprotocol_is_chosen(
    served: Served, offer: str | tuple[str, ...] | None, chosen: str | None
) -> None:
    """Never one that was not offered (section 4.2.2)."""
    answer = _answer(served, Ask("subprotocol", {"Sec-WebSocket-Protocol": offer}))
    assert answer.status == 101
    assert answer.all("sec-websocket-protocol") == ([chosen] if chosen else [])


def test_frames_right_behind_the_request_are_heard(served: Served) -> None:
    """A client that knows the answer may not wait for it; stock uvicorn drops what came in one segment, and
    Hypercorn refuses the whole."""
    behind = (text(asks("early")), binary(audio(64)), ping(b"early"))
    with RawPeer(served.port) as peer:
        peer.send(upgrade() + b"".join(behind))
        if served.lane is Lane.HYPERCORN:
            assert peer.handshake().status == 400
            return
        assert peer.handshake().status == 101
        assert peer.event()["type"] == "welcome"
        if served.lane is Lane.FAST:
            assert peer.until("pong")["t"] == "early"
        peer.control(type="end")
        heard = peer.until("summary")["received_samples"]
        assert heard == (32 if served.lane is Lane.FAST else 0)


def test_a_violation_right_behind_the_request_is_one(served: Served) -> None:
    """It is looked at once the WebSocket is open: 1002, after the 101. Stock uvicorn never sees it, and
    Hypercorn refuses the whole."""
    with RawPeer(served.port) as peer:
        peer.send(upgrade() + frame(0x3))
        if served.lane is Lane.HYPERCORN:
            assert peer.handshake().status == 400
            return
        assert peer.handshake().status == 101
        if served.lane is Lane.PORTABLE:
            assert peer.event()["type"] == "welcome"
            peer.send(close())
        assert peer.ending()[1] == (1002 if served.lane is Lane.FAST else 1000)


def _answer(served: Served, ask: Ask) -> Answer:
    with RawPeer(served.port) as peer:
        peer.send(ask.bytes())
        return peer.handshake()
