"""Audio and control are one stream: what is said about the audio holds for the very next byte of it."""

import json
from typing import Any

import numpy as np

from tests.chaos.frames import Op, binary, ping, split, text
from tests.conformance.served import VOICE, Served, audio


def _say(kind: str, **fields: object) -> bytes:
    return text(json.dumps({"type": kind, **fields}))


def _account(served: Served, *frames: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The gaps and the summary of a session that got `frames` in one segment; lossless, so that however many
    windows they make, none is shed."""
    peer, _ = served.dial(VOICE + "&delivery=lossless")
    with peer:
        peer.send(b"".join((*frames, _say("end"))))
        gaps = []
        while (event := peer.event())["type"] != "summary":
            if event["type"] == "gap":
                gaps.append(event)
            assert event["type"] != "error", event
        return gaps, event


def _ranges(gaps: list[dict[str, Any]]) -> list[tuple[int, int]]:
    assert {gap["reason"] for gap in gaps} <= {"client"}
    return [(gap["start_sample"], gap["end_sample"]) for gap in gaps]


def test_position_then_audio(served: Served) -> None:
    """The gap ends where the audio begins."""
    gaps, summary = _account(served, _say("position", sample=5_000), binary(audio(700)))
    assert _ranges(gaps) == [(0, 5_000)]
    assert (summary["next_sample"], summary["received_samples"]) == (5_700, 700)


def test_audio_then_position_then_audio(served: Served) -> None:
    """The gap begins where the audio before it ended."""
    gaps, summary = _account(served, binary(audio(300)), _say("position", sample=1_000), binary(audio(700)))
    assert _ranges(gaps) == [(300, 1_000)]
    assert (summary["next_sample"], summary["received_samples"]) == (1_700, 1_000)


def test_position_behind_trims_the_very_next_bytes(served: Served) -> None:
    """400 of the 700 bytes were sent before; over a cut between messages, too."""
    gaps, summary = _account(
        served, binary(audio(1_000)), _say("position", sample=600), binary(audio(300)), binary(audio(400))
    )
    assert gaps == []
    assert summary["received_samples"] == 1_300


def test_a_hundred_alternations_keep_their_order(served: Served) -> None:
    """Each `position` skips ten samples, each message brings a hundred."""
    frames: list[bytes] = []
    for n in range(100):
        frames += [binary(audio(100)), _say("position", sample=110 * (n + 1))]
    gaps, summary = _account(served, *frames)
    assert _ranges(gaps) == [(110 * n + 100, 110 * n + 110) for n in range(100)]
    assert (summary["next_sample"], summary["received_samples"]) == (11_000, 10_000)


def test_order_holds_for_fragments_with_pings_between(served: Served) -> None:
    """A message counts where it ends; pings change nothing."""
    first, second, third = split(Op.BINARY, audio(900), 300)
    say = _say("position", sample=2_000)
    gaps, summary = _account(served, first, ping(b"1"), second, ping(b"2"), third, say, binary(audio(50)))
    assert _ranges(gaps) == [(900, 2_000)]
    assert (summary["next_sample"], summary["received_samples"]) == (2_050, 950)


def _keys(low: float, high: float) -> bytes:
    """Half a second of a telephone key at 8 kHz."""
    at = np.arange(4_000) / 8_000
    wave = np.sin(2 * np.pi * low * at) + np.sin(2 * np.pi * high * at)
    return (8_000 * wave).astype("<i2").tobytes()


def test_flush_takes_what_came_before_it_and_no_more(served: Served) -> None:
    """Two telephone keys within one window's length, a `flush` behind each: each is told before its reply."""
    one, five = _keys(697, 1_209), _keys(770, 1_336)
    peer, _ = served.dial("/ws/voice?features=queue&sample_rate=8000")
    with peer:
        peer.send(b"".join((binary(one), _say("flush", id=1), binary(five), _say("flush", id=2))))
        told: list[tuple[str, object]] = []
        while ("flushed", 2) not in told:
            event = peer.event()
            if event["type"] == "flushed":
                told.append(("flushed", event["id"]))
            elif event["type"] == "queue":
                told.append((event["digits"], event["end_sample"]))
        assert told == [("1", 4_000), ("flushed", 1), ("5", 8_000), ("flushed", 2)]


def test_audio_behind_end_is_not_heard(served: Served) -> None:
    """`end` means the byte before it was the last."""
    peer, _ = served.dial()
    with peer:
        peer.send(b"".join((binary(audio(480)), _say("end"), binary(audio(480)))))
        assert peer.until("summary")["received_samples"] == 480


def test_replies_keep_the_order_of_their_messages(served: Served) -> None:
    """`pong`, `configured` and `error` come as they were asked for."""
    peer, _ = served.dial()
    asked = [_say("ping", t=1), _say("configure", hop_ms=500), _say("dance"), _say("ping", t=2)]
    with peer:
        peer.send(b"".join(asked))
        told = [peer.event() for _ in asked]
        assert [event["type"] for event in told] == ["pong", "configured", "error", "pong"]
