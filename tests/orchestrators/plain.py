"""A small orchestrator in a process of its own: it hands out the sidecars it was told of, in turn.

    python -m tests.orchestrators.plain URL … [--port N]

Prints its address. `GET /allocations` shows what is held and what came so far; `PUT /answer` has it answer
requests for a sidecar with the given status and body from then on, or as usual where the body is empty.
"""

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/api/services/cf-voice"


class Books:
    """What is held, and what was asked."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.held: dict[str, str] = {}
        self.callers: list[str] = []
        self.made = 0
        self.answer: dict[str, Any] | None = None
        self.lock = threading.Lock()

    def allocate(self, asked: dict[str, Any]) -> tuple[int, Any]:
        with self.lock:
            self.callers.append(str(asked["caller"]))
            if self.answer is not None:
                return self.answer["status"], self.answer["body"]
            assert asked["ttl_s"] > 0
            self.made += 1
            id = f"alloc/{self.made}"
            self.held[id] = self.urls[self.made % len(self.urls)]
            return 200, {"url": self.held[id], "allocation_id": id}

    def release(self, id: str) -> tuple[int, Any]:
        with self.lock:
            return (
                (200, {}) if self.held.pop(id, None) is not None else (404, {"detail": "no such allocation"})
            )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    books: Books

    def do_GET(self) -> None:
        self._answer(200, {"held": self.books.held, "callers": self.books.callers, "made": self.books.made})

    def do_PUT(self) -> None:
        self.books.answer = self._asked() or None
        self._answer(200, {})

    def do_POST(self) -> None:
        assert self.path == f"{PATH}/allocate"
        self._answer(*self.books.allocate(self._asked()))

    def do_DELETE(self) -> None:
        id = self.path.removeprefix(f"{PATH}/allocations/").replace("%2F", "/")
        self._answer(*self.books.release(id))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _asked(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")

    def _answer(self, status: int, body: Any) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    Handler.books = Books(options.urls)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
