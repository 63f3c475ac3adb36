"""Which nodes are there, who leads, what time it is, and who lost what."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from gateway.sessions.shared import Beat, Node
from gateway.stores.valkey.connection import ValkeyConnection, request
from gateway.stores.valkey.keys import safe

_LETTERS: Final = b"1000"
"""Sessions that a node which doesn't listen is told of at most; the newest stay."""
_LETTERS_KEPT_MS: Final = b"600000"


class ValkeyNodes:
    """Nodes by id; one is there for `lease_s` seconds of the cluster's time after each beat."""

    def __init__(self, connection: ValkeyConnection, *, lease_s: float = 10.0) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._lease = repr(float(lease_s)).encode()

    async def beat(self, node: Node, estimate: float | None) -> Beat:
        keys = self._keys
        said = orjson.dumps({"name": node.name, "sessions": node.sessions})
        now, alive, leads, lost = await self._connection.call(
            "beat",
            [keys.time, keys.alive, keys.leader, keys.about, self._mailbox(node.id)],
            node.id.encode(),
            said,
            b"" if estimate is None else repr(estimate).encode(),
            self._lease,
        )
        return Beat(
            float(now),
            frozenset(one.decode() for one in alive),
            bool(leads),
            [one.decode() for one in lost],
        )

    async def leave(self, node_id: str) -> None:
        keys = self._keys
        touched = [keys.alive, keys.leader, keys.about, self._mailbox(node_id)]
        await self._connection.call("leave", touched, node_id.encode())

    async def tell_lost(self, losses: Mapping[str, Sequence[str]]) -> None:
        await self._connection.many(
            [
                request(
                    "lost",
                    [self._mailbox(node_id)],
                    _LETTERS,
                    _LETTERS_KEPT_MS,
                    *(one.encode() for one in sessions[-int(_LETTERS) :]),
                )
                for node_id, sessions in losses.items()
                if sessions
            ]
        )

    def _mailbox(self, node_id: str) -> bytes:
        if not safe(node_id):
            raise ValueError("a node's id must be base64url")
        return self._keys.mailbox(node_id)
