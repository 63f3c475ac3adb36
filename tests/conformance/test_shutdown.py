"""A server that goes away: section 7.4.1, and what a client needs to come back."""

import signal

import pytest

from tests.chaos.frames import Op, binary, close
from tests.chaos.raw import RawPeer
from tests.conformance.served import COMMANDS, VOICE, Lane, audio
from tests.e2e.conftest import start_gateway


@pytest.mark.parametrize("lane", list(Lane))
def test_a_peer_is_told_to_come_back(lane: Lane) -> None:
    """1012, and before it a `drain` with the time to wait; stock uvicorn closes by itself, without a word.
    The gateway logs no failure of its own."""
    gateway = start_gateway(*COMMANDS[lane], TRANSCRIBER="none", CLASSIFY_WORKERS="1")
    told = []
    try:
        with RawPeer.dial(gateway.port, VOICE) as peer:
            peer.send(binary(audio(480)))
            peer.control(type="ping", t="heard")
            peer.until("pong")
            gateway.process.send_signal(signal.SIGTERM)
            while (one := peer.frame()) is not None:
                told.append(one)
                if one.op is Op.CLOSE:
                    peer.send(close(one.code))
    finally:
        status = gateway.stop()
    assert (told[-1].op, told[-1].code) == (Op.CLOSE, 1012)
    assert any(b'"drain"' in one.payload for one in told) == (lane is not Lane.PORTABLE)
    assert status == (-signal.SIGTERM if lane is Lane.PORTABLE else 0)
    assert not [line for line in gateway.log if "Traceback" in line and '"logger":"gateway' in line]
