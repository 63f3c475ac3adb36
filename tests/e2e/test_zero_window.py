"""HTTP peers that shut their receive window: the kernel gives them up, as nobody above it would.

No keepalive watches over a response. WebSockets of that kind are in `test_chaos_deaf.py`.
"""

import asyncio
import socket
import time
from collections.abc import Callable

from tests.chaos.footprint import footprint
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import run

GONE_S = 30
WINDOW_BYTES = 2_048
PEERS = 3
PAGES = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 600


def deaf(running: GatewayProcess) -> socket.socket:
    """One that takes in hardly anything, asks for page after page, and never reads."""
    host, _, port = running.url.removeprefix("http://").partition(":")
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)
    peer.connect((host, int(port)))
    peer.send(PAGES)
    return peer


def test_who_never_reads_a_page_is_gone_soon(launch: Callable[..., GatewayProcess]) -> None:
    """The responses are stuck on their way, and half a minute later the descriptors are free again."""
    running = launch(TRANSCRIBER="none", CLASSIFY_WORKER_KIND="thread")  # processes come with descriptors

    async def main() -> None:
        before = footprint(running.pid).descriptors
        peers = [deaf(running) for _ in range(PEERS)]
        started = time.monotonic()
        await asyncio.sleep(2)
        assert footprint(running.pid).descriptors == before + PEERS
        while footprint(running.pid).descriptors > before:
            assert time.monotonic() - started < GONE_S
            await asyncio.sleep(0.5)
        print(f"gone after {time.monotonic() - started:.1f} s")
        for peer in peers:
            peer.close()

    run(main(), GONE_S + 10)
