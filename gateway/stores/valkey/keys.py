"""Names of keys. What came from outside gets into none of them as it is."""

import re
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Final

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NOBODY: Final = b"-"


def safe(identity: str) -> bool:
    """Whether it may be part of a key: ids are base64url, digests hexadecimal. Nothing else was ever kept."""
    return _ID.fullmatch(identity) is not None


def digest(text: str | None) -> bytes:
    """Stands for any text in a key, and for no text at all: 22 characters of base64url, or `-`.

    Namespaces and users may be called anything, and users' names have no business in a list of keys.
    """
    if text is None:
        return _NOBODY
    hashed = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return urlsafe_b64encode(hashed).rstrip(b"=")


class Keys:
    """The keys below one prefix. What stands in braces decides which node of a cluster has it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode() + b":"
        self.index = self._prefix + b"{all}:sessions"
        """Every session, in the order of creation."""
        self.grants = self._prefix + b"{tickets}:grants"
        self.issued = self._prefix + b"{tickets}:issued"
        self.expiring = self._prefix + b"{tickets}:expiring"
        self.by_session = self._prefix + b"{tickets}:by-session"
        self.time = self._prefix + b"{nodes}:time"
        self.alive = self._prefix + b"{nodes}:alive"
        self.leader = self._prefix + b"{nodes}:leader"
        self.about = self._prefix + b"{nodes}:about"

    def document(self, session_id: str) -> bytes:
        """A session's document."""
        return self._session(session_id, b"doc")

    def stream(self, session_id: str) -> tuple[bytes, bytes, bytes]:
        """A stream's events, what is known about it, and its record."""
        return (
            self._session(session_id, b"log"),
            self._session(session_id, b"meta"),
            self._session(session_id, b"record"),
        )

    def tasks(self, session_id: str) -> bytes:
        """The tickets of a session's tasks."""
        return self._session(session_id, b"tasks")

    def task_sign(self, task_id: str) -> bytes:
        """Which session a task is of."""
        return b"%s{k:%s}:session" % (self._prefix, task_id.encode())

    def tenant_index(self, namespace: bytes) -> bytes:
        """A namespace's sessions, in the order of creation; `namespace` is its digest."""
        return self._tenant(namespace, b"sessions")

    def counted(self, namespace: bytes, user: bytes) -> bytes:
        """The sessions of one user that count."""
        return self._tenant(namespace, b"user:" + user)

    def everybody(self, namespace: bytes) -> bytes:
        """The sessions of all users that count."""
        return self._tenant(namespace, b"everybody")

    def mailbox(self, node_id: str) -> bytes:
        """What a node is to be told."""
        return self._prefix + b"{nodes}:lost:" + node_id.encode()

    def _session(self, session_id: str, what: bytes) -> bytes:
        return b"%s{s:%s}:%s" % (self._prefix, session_id.encode(), what)

    def _tenant(self, namespace: bytes, what: bytes) -> bytes:
        return b"%s{t:%s}:%s" % (self._prefix, namespace, what)
