"""A server that does to a proxy what gateways do only seldom: it fails, drains, and streams by hand."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler


@dataclass
class Upstream:
    """What it heard, and how it behaves."""

    port: int = 0
    breaks: bool = False
    """It takes a request, and ends the connection without an answer."""
    drains: bool = False
    """It refuses everything with 503."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of what came, but for probes."""
    heads: list[dict[str, list[str]]] = field(default_factory=list)
    """Their headers, by name in small letters."""
    read: threading.Event = field(default_factory=threading.Event)
    """Set by a test that has read the first event of `/stream`."""
    left: threading.Event = field(default_factory=threading.Event)
    """Set once the reader of `/stream` is gone."""

    @property
    def address(self) -> str:
        """Where it is, as a proxy is told."""
        return f"127.0.0.1:{self.port}"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Peers may go whenever they like."""


@contextmanager
def upstream(*, breaks: bool = False, drains: bool = False) -> Iterator[Upstream]:
    """One that runs, on a port of its own."""
    told = Upstream(breaks=breaks, drains=drains)
    with _Server(("127.0.0.1", 0), _handler(told)) as server:
        told.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield told
        finally:
            told.read.set()
            server.shutdown()
            thread.join()


def _handler(told: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/readyz":
                self._answer(503 if told.drains else 200)
                return
            self._note()
            if self.path == "/stream":
                self._stream()
            else:
                self._finish()

        def do_POST(self) -> None:
            self._note()
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self._finish()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody asks."""

        def _note(self) -> None:
            told.seen.append((self.command, self.path))
            names = {name.lower() for name in self.headers}
            told.heads.append({name: self.headers.get_all(name, []) for name in names})

        def _finish(self) -> None:
            if told.breaks:
                self.close_connection = True
            else:
                self._answer(503 if told.drains else 200)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def _stream(self) -> None:
            """One event, then another once the first was read; then nothing until the reader goes."""
            self.close_connection = True
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(b"data: 1\n\n")
            told.read.wait(20)
            self.wfile.write(b"data: 2\n\n")
            self.connection.recv(1)
            told.left.set()

    return Handler
