"""A keyring as text, and back: strictly, since a misspelt name must not open or shut anything unnoticed."""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from gateway.config.problems import one_of
from gateway.sessions.keys import Choice, Key, Keyring, KeysError, Namespace, iso
from gateway.sessions.limits import Limits
from gateway.settings import ClassifierKind, TranscriberKind

_LIMITS = ("max_sessions", "max_sessions_per_user")
_TIMES = ("created_at", "expires_at", "revoked_at")
_KEY = frozenset(("prefix", "verifier", *_TIMES))
_CHOICES: Mapping[str, type[StrEnum]] = {"classifier": ClassifierKind, "transcriber": TranscriberKind}
_NAMESPACE = frozenset(("keys", *_LIMITS, *_CHOICES))
_MOST = 1_000_000

_HEAD = """\
# Namespaces and their keys, written by `undertone keys`. A verifier is no key: it opens nothing.
"""


def read_keyring(given: Any) -> Keyring:
    """The keyring that parsed TOML or JSON tells of.

    Raises:
        KeysError: it tells of none, and why not.
    """
    whole = _table("the file", given, frozenset(("namespaces",)))
    namespaces = _table("namespaces", whole.get("namespaces", {}))
    return Keyring({name: _namespace(name, one) for name, one in namespaces.items()})


def written(ring: Keyring, *, as_json: bool) -> str:
    """`ring` as text; times to the second."""
    data = {"namespaces": {one.id: _namespace_data(one) for one in ring.namespaces.values()}}
    if as_json:
        return json.dumps(data, indent=2) + "\n"
    lines = [_HEAD]
    for name, namespace in data["namespaces"].items():
        keys = namespace.pop("keys")
        lines += ["", f'[namespaces."{name}"]', *_pairs(namespace)]
        for key in keys:
            lines += ["", f'[[namespaces."{name}".keys]]', *_pairs(key)]
    return "\n".join(lines) + "\n"


def _namespace(name: str, given: Any) -> Namespace:
    table = _table(f"namespace {name[:64]!r}", given, _NAMESPACE)
    keys = table.get("keys", [])
    if not isinstance(keys, list):
        raise KeysError(f"the keys of namespace {name[:64]!r} must be a list")
    limits = Limits(**{limit: _count(limit, table.get(limit)) for limit in _LIMITS})
    choice = Choice(**{what: _chosen(what, kinds, table.get(what)) for what, kinds in _CHOICES.items()})
    return Namespace(name, tuple(_key(one) for one in keys), limits, choice)


def _key(given: Any) -> Key:
    table = _table("a key", given, _KEY)
    for name in ("prefix", "verifier"):
        if not isinstance(table.get(name), str):
            raise KeysError(f"a key must have a {name}, as text")
    times = {name: _time(name, table.get(name)) for name in _TIMES}
    created_at = times.pop("created_at") or 0.0
    return Key(prefix=table["prefix"], verifier=table["verifier"], created_at=created_at, **times)


def _table(what: str, given: Any, known: frozenset[str] | None = None) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise KeysError(f"{what} must be a table")
    unknown = sorted(set(given) - known) if known is not None else []
    if unknown:
        raise KeysError(f"{what} has a field that nobody knows: {unknown[0][:64]!r}")
    return given


def _count(name: str, given: Any) -> int | None:
    if given is None:
        return None
    if type(given) is not int or not 1 <= given <= _MOST:
        raise KeysError(f"{name} must be a whole number from 1 to {_MOST}")
    return given


def _chosen(what: str, kinds: type[StrEnum], given: Any) -> str | None:
    if given is None:
        return None
    known = [kind.value for kind in kinds]
    if given not in known:
        raise KeysError(f"{what} must be {one_of(known)}")
    return str(given)


def _time(name: str, given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            given = None
    if not isinstance(given, datetime) or given.tzinfo is None:
        raise KeysError(f"{name} must be a time such as 2026-01-31T12:00:00Z")
    try:
        return given.timestamp()
    except (OverflowError, ValueError):
        raise KeysError(f"{name} is not a time of ours") from None


def _namespace_data(namespace: Namespace) -> dict[str, Any]:
    limits = {name: getattr(namespace.limits, name) for name in _LIMITS}
    choice = {what: getattr(namespace.choice, what) for what in _CHOICES}
    return {**_given(limits), **_given(choice), "keys": [_key_data(key) for key in namespace.keys]}


def _key_data(key: Key) -> dict[str, Any]:
    times = {name: getattr(key, name) for name in _TIMES}
    told = {name: iso(math.floor(at)) for name, at in _given(times).items()}
    return {"prefix": key.prefix, "verifier": key.verifier, **told}


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _pairs(values: Mapping[str, Any]) -> Iterable[str]:
    """TOML's numbers and plain text are written as JSON's."""
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]
