"""The gateway under stock uvicorn, as any ASGI server would run it: no lane, no guards of our own.

    python -m tests.conformance.portable --port 0

The limits are uvicorn's own options, with the values that `undertone serve` takes.
"""

import argparse
import os
import socket
import sys

import uvicorn

from gateway.app import create_app
from gateway.settings import Settings
from gateway.telemetry.logging import configure, logging_config

MAX_MESSAGE_BYTES = 4 * 65_536


def main(arguments: list[str]) -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.portable", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    sock = socket.create_server(("127.0.0.1", parser.parse_args(arguments).port))
    settings = Settings.load(os.environ)
    configure(settings.log_level, settings.log_format)
    config = uvicorn.Config(
        create_app(settings),
        http="h11",  # what stock uvicorn takes by itself where httptools is installed bounds no headers
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        log_config=logging_config(settings.log_level, settings.log_format),
        timeout_graceful_shutdown=5,
    )
    print(f"Undertone listens on http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run([sock])


if __name__ == "__main__":
    main(sys.argv[1:])
