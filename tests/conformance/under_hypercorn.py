"""The gateway under Hypercorn, another ASGI server than uvicorn: wsproto reads the frames, and a queue of its
own is between them and the application.

    python -m tests.conformance.under_hypercorn --port 0

Its options are its own defaults, but for the largest message, which is that of `undertone serve`.
"""

import argparse
import asyncio
import logging
import os
import socket
import sys

import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config

from gateway.app import create_app
from gateway.settings import Settings
from gateway.telemetry.logging import configure
from tests.conformance.portable import MAX_MESSAGE_BYTES


def main(arguments: list[str]) -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.under_hypercorn", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    sock = socket.create_server(("127.0.0.1", parser.parse_args(arguments).port))
    print(f"Undertone listens on http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
    settings = Settings.load(os.environ)
    configure(settings.log_level, settings.log_format)
    config = Config()
    config.bind = [f"fd://{sock.detach()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.websocket_max_message_size = MAX_MESSAGE_BYTES
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(create_app(settings), config))  # type: ignore[arg-type]  # it has types of its own


if __name__ == "__main__":
    main(sys.argv[1:])
