"""A worker process: `python -m gateway.classify.acoustic.worker FD` classifies what stands in the slab FD.

It is told what to do, and answers, over the socket that is its standard input; see `wire`. It ends when
that socket does, which is when the gateway closes it, or is gone. `gateway.spawn` says how it behaves.
"""

import socket
import sys
from contextlib import suppress
from typing import Any

from gateway.classify.acoustic import trial, wire
from gateway.classify.acoustic.classifier import each
from gateway.classify.acoustic.slab import Slab
from gateway.classify.acoustic.wire import Kind, WireError
from gateway.spawn import settle_in


class Worker:
    """Does what it is told, one thing after the other."""

    def __init__(self, slab: Slab) -> None:
        self._slab = slab

    def handle(self, kind: Kind, content: Any) -> bytes:
        """The answer to one message.

        Raises:
            WireError: a worker isn't told that.
        """
        if kind is Kind.CLASSIFY:
            return wire.answers(each(wire.windows(content, self._slab.views)))
        if kind is Kind.TRY:
            return wire.message(Kind.COSTS, trial.costs(content))
        raise WireError(f"a worker isn't told {kind.name}")


def serve(channel: socket.socket, slab: Slab) -> None:
    """Say that all is there, and work until the other side ends."""
    worker = Worker(slab)
    channel.sendall(wire.message(Kind.READY))
    with channel.makefile("rb") as told:
        while len(head := told.read(wire.HEAD)) == wire.HEAD:
            length = wire.length_of(head)
            packed = told.read(length)
            if len(packed) < length:
                return
            channel.sendall(worker.handle(*wire.parsed(packed)))


def main(arguments: list[str]) -> int:
    """Be a worker; 0 when the gateway ended it, or went away."""
    settle_in()
    with suppress(ConnectionError), socket.socket(fileno=0) as channel:
        serve(channel, Slab(int(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
