"""Namespaces and their keys: who may make sessions, how many, and who may see them.

A key reads `prefix.secret`. The prefix names it and is no secret; the secret is random. A client presents the
whole key, or its `key_hash`, the SHA-256 of the secret. What is kept is the SHA-256 of that in turn, so that
nothing a thief finds in the file opens anything. Random secrets need no salt and no stretching.

All of it is pure: a keyring is a value, and each change makes a new one. Times are wall-clock seconds since
the Unix epoch, since a key outlives the process that looks at it.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256

from gateway.sessions.limits import Limits

MAX_NAMESPACES = 10_000
MAX_KEYS = 8
"""Keys of one namespace, those that are over included; the oldest of these make room for new ones."""

_PREFIX = re.compile(r"ut[a-z2-7]{8}\Z")
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_VERIFIER = re.compile(r"[0-9a-f]{64}\Z")


class KeysError(Exception):
    """A change or a file of keys that can't be; says why in one line."""


class KeyState(StrEnum):
    """What a key is good for now."""

    GOOD = "good"
    ENDING = "ending"
    """Still good, but its successor is there."""
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is kept of a key.

    Raises:
        KeysError: a field that no key can have.
    """

    prefix: str
    """Names the key; no secret."""
    verifier: str = field(repr=False)
    """SHA-256 of the key's `key_hash`, in hexadecimal."""
    created_at: float
    """Seconds since the Unix epoch."""
    expires_at: float | None = None
    """Seconds since the Unix epoch from which it is worth nothing; None where it lasts."""
    revoked_at: float | None = None
    """Seconds since the Unix epoch."""

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.prefix):
            raise KeysError("the prefix of a key must be `ut` and eight characters of a-z and 2-7")
        if not _VERIFIER.match(self.verifier):
            raise KeysError(f"the verifier of key {self.prefix} must be 64 hexadecimal digits")

    def state(self, now: float) -> KeyState:
        """What it is good for at `now`."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is None:
            return KeyState.GOOD
        return KeyState.ENDING if now < self.expires_at else KeyState.EXPIRED

    def good(self, now: float) -> bool:
        """Whether it opens anything at `now`."""
        return self.state(now) in (KeyState.GOOD, KeyState.ENDING)


@dataclass(frozen=True, slots=True)
class Choice:
    """What listens to a tenant's sessions, by the words of the settings; None is what these say."""

    classifier: str | None = None
    transcriber: str | None = None

    def or_else(self, other: "Choice") -> "Choice":
        """What isn't chosen here is as in `other`."""
        return Choice(self.classifier or other.classifier, self.transcriber or other.transcriber)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A tenant.

    Raises:
        KeysError: a name, or a number of keys, that no namespace can have.
    """

    id: str
    keys: tuple[Key, ...] = ()
    """Oldest first."""
    limits: Limits = field(default_factory=Limits)
    choice: Choice = field(default_factory=Choice)

    def __post_init__(self) -> None:
        if not _NAMESPACE.match(self.id):
            raise KeysError("a namespace is named by 1 to 64 letters, digits, `.`, `_` and `-`")
        if len(self.keys) > MAX_KEYS:
            raise KeysError(f"namespace {self.id} has more than {MAX_KEYS} keys")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as its owner gets it, once."""

    namespace_id: str
    prefix: str
    secret: str = field(repr=False)

    @property
    def bearer(self) -> str:
        """What goes into `Authorization: Bearer`."""
        return f"{self.prefix}.{self.secret}"

    @property
    def key_hash(self) -> str:
        """What goes into the field of that name; as good as the key itself."""
        return key_hash(self.secret)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every namespace there is.

    Raises:
        KeysError: too many namespaces, or two keys of one prefix.
    """

    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    choices: frozenset[Choice] = field(init=False, repr=False, compare=False)
    """Every choice that some namespace made."""
    _owners: Mapping[str, tuple[Namespace, Key]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.namespaces) > MAX_NAMESPACES:
            raise KeysError(f"there are more than {MAX_NAMESPACES} namespaces")
        owners: dict[str, tuple[Namespace, Key]] = {}
        for namespace in self.namespaces.values():
            for key in namespace.keys:
                if key.prefix in owners:
                    raise KeysError(f"two keys have the prefix {key.prefix}")
                owners[key.prefix] = (namespace, key)
        object.__setattr__(self, "_owners", owners)
        choices = frozenset(one.choice for one in self.namespaces.values())
        object.__setattr__(self, "choices", choices)

    def by_bearer(self, presented: str, now: float) -> Namespace | None:
        """The namespace that `prefix.secret` opens at `now`. An unknown prefix takes as long as any."""
        prefix, _, secret = presented.partition(".")
        namespace, key = self._owners.get(prefix, (None, _DUMMY))
        right = hmac.compare_digest(verifier(key_hash(secret)), key.verifier)
        return namespace if right and key.good(now) else None

    def by_hash(self, namespace_id: str, presented: str, now: float) -> Namespace | None:
        """The namespace of that name, if `presented` is the `key_hash` of one of its keys.

        However many keys it has, and whether or not there is such a namespace: as many comparisons are made.
        """
        namespace = self.namespaces.get(namespace_id)
        keys = namespace.keys if namespace is not None else ()
        digest = verifier(presented)
        right = False
        for key in (*keys, *[_DUMMY] * (MAX_KEYS - len(keys))):
            right |= hmac.compare_digest(digest, key.verifier) & key.good(now)
        return namespace if right else None

    def choice(self, namespace_id: str | None) -> Choice:
        """What the namespace of that name chose; nothing where there is none."""
        namespace = self.namespaces.get(namespace_id) if namespace_id is not None else None
        return namespace.choice if namespace is not None else _NOTHING

    def with_key(
        self, namespace_id: str, now: float, limits: Limits | None = None, choice: Choice | None = None
    ) -> tuple["Keyring", NewKey]:
        """A new key for a namespace, which is made where there is none; its other keys stay as they are.

        Raises:
            KeysError: no such namespace can be, or it has as many keys as it may.
        """
        namespace = self.namespaces.get(namespace_id) or Namespace(namespace_id)
        made = _new_key(namespace_id, self._owners)
        key = Key(prefix=made.prefix, verifier=verifier(made.key_hash), created_at=now)
        keys = (*_with_room(namespace, now), key)
        limits, choice = limits or namespace.limits, choice or namespace.choice
        return self._with(replace(namespace, keys=keys, limits=limits, choice=choice)), made

    def rotated(self, namespace_id: str, now: float, overlap_s: float) -> tuple["Keyring", NewKey]:
        """A new key for a namespace; those before it are good for `overlap_s` more seconds at most.

        Raises:
            KeysError: there is no such namespace.
        """
        namespace = self._known(namespace_id)
        until = now + overlap_s
        keys = tuple(
            replace(key, expires_at=min(until, key.expires_at or until)) if key.good(now) else key
            for key in namespace.keys
        )
        return self._with(replace(namespace, keys=keys)).with_key(namespace_id, now)

    def revoked(self, prefix: str, now: float) -> "Keyring":
        """Without the key named `prefix`, from now on.

        Raises:
            KeysError: there is no such key.
        """
        if prefix not in self._owners:
            raise KeysError(f"there is no key {prefix}")
        namespace, gone = self._owners[prefix]
        keys = tuple(_revoked(key, now) if key is gone else key for key in namespace.keys)
        return self._with(replace(namespace, keys=keys))

    def without(self, namespace_id: str, now: float) -> "Keyring":
        """The namespace with none of its keys good any more.

        Raises:
            KeysError: there is no such namespace.
        """
        namespace = self._known(namespace_id)
        return self._with(replace(namespace, keys=tuple(_revoked(key, now) for key in namespace.keys)))

    def _known(self, namespace_id: str) -> Namespace:
        try:
            return self.namespaces[namespace_id]
        except KeyError:
            raise KeysError(f"there is no namespace {namespace_id}") from None

    def _with(self, namespace: Namespace) -> "Keyring":
        return Keyring({**self.namespaces, namespace.id: namespace})


def is_key(credential: str) -> bool:
    """Whether a bearer credential is a key rather than a ticket or a resume token, which have no dot."""
    return "." in credential


def key_hash(secret: str) -> str:
    """SHA-256 of a key's secret in hexadecimal: what a client may present instead of the secret."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def verifier(presented: str) -> str:
    """SHA-256 of a presented `key_hash` in hexadecimal: what is kept."""
    return sha256(presented.encode("utf-8", "surrogatepass")).hexdigest()


def iso(seconds: float) -> str:
    """Seconds since the Unix epoch as people and files have them: `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


_NOTHING = Choice()
_DUMMY = Key(prefix="utaaaaaaaa", verifier=verifier(key_hash(secrets.token_urlsafe(24))), created_at=0.0)
"""What is compared with where there is nothing to compare with; nobody has its secret."""


def _new_key(namespace_id: str, taken: Mapping[str, object]) -> NewKey:
    while True:
        prefix = "ut" + base64.b32encode(secrets.token_bytes(5)).decode().lower()
        if prefix not in taken:
            return NewKey(namespace_id, prefix, secrets.token_urlsafe(24))


def _with_room(namespace: Namespace, now: float) -> tuple[Key, ...]:
    """The namespace's keys with room for one more: of those that are over the oldest go, as far as needed."""
    too_many = len(namespace.keys) + 1 - MAX_KEYS
    if too_many <= 0:
        return namespace.keys
    over = [key for key in namespace.keys if not key.good(now)][:too_many]
    if len(over) < too_many:
        raise KeysError(f"namespace {namespace.id} has {MAX_KEYS} keys that are good; revoke one first")
    return tuple(key for key in namespace.keys if key not in over)


def _revoked(key: Key, now: float) -> Key:
    return key if key.revoked_at is not None else replace(key, revoked_at=now)
