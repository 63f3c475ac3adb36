"""`undertone keys`: make, rotate, revoke and list the keys of namespaces.

A new key goes to standard output and nowhere else; it can't be shown again.
"""

import argparse
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TextIO

from gateway.clock import Clock
from gateway.commands.exits import CommandError, ExitCode
from gateway.config.files import data_file
from gateway.config.problems import Refused
from gateway.sessions.keys import Choice, Key, Keyring, KeysError, Namespace, NewKey, iso
from gateway.sessions.limits import Limits
from gateway.settings import Settings, SettingsError, explain


class KeyFiles(Protocol):
    """Where keyrings are kept; all three raise `KeysError`."""

    def load(self, path: Path) -> Keyring:
        """Read one."""
        ...

    def save(self, path: Path, ring: Keyring) -> None:
        """Replace one."""
        ...

    def locked(self, path: Path) -> AbstractContextManager[None]:
        """Keep others from changing it."""
        ...


def run_keys(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    files: KeyFiles,
    clock: Clock,
    out: TextIO,
    errors: TextIO,
) -> ExitCode:
    """Do what `arguments.action` says. Raises CommandError."""
    path = _path(arguments, environ)
    now = clock.time()
    try:
        if arguments.action == "list":
            _show(files.load(path), now, arguments.json, out)
            return ExitCode.OK
        with files.locked(path):
            ring = files.load(path) if path.exists() or arguments.action != "create" else Keyring()
            changed, made = _change(ring, arguments, now)
            files.save(path, changed)
            if made is not None:
                try:
                    _tell(made, arguments.json, out)
                except OSError:  # nobody has seen it, so nobody is to have it
                    files.save(path, ring)
                    raise
    except KeysError as error:
        raise CommandError(str(error)) from None
    if arguments.json:
        return ExitCode.OK
    if made is not None:
        errors.write("Keep it now: it is not shown again. The key goes into `Authorization: Bearer`.\n")
    else:
        errors.write(f"revoked {arguments.key if arguments.all else _prefix(arguments.key)}\n")
    return ExitCode.OK


def _path(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Path:
    if arguments.file is not None:
        try:
            return Path(data_file(arguments.file))
        except Refused as refused:
            raise CommandError(f"--file {refused}", hint=refused.hint) from None
    try:
        settings = Settings.load(environ, arguments.config)
    except SettingsError as error:
        raise CommandError("the settings can't be used:\n" + explain(error.problems)) from None
    if settings.namespaces_file is None:
        raise CommandError(
            "no file of namespaces is named", hint="Set UNDERTONE_NAMESPACES_FILE, or give --file FILE."
        )
    return Path(settings.namespaces_file)


def _change(ring: Keyring, arguments: argparse.Namespace, now: float) -> tuple[Keyring, NewKey | None]:
    if arguments.action == "create":
        before = ring.namespaces.get(arguments.namespace)
        given = Limits(arguments.max_sessions, arguments.max_sessions_per_user)
        limits = given.or_else(before.limits) if before is not None else given
        chosen = Choice(arguments.classifier, arguments.transcriber)
        choice = chosen.or_else(before.choice) if before is not None else chosen
        return ring.with_key(arguments.namespace, now, limits, choice)
    if arguments.action == "rotate":
        return ring.rotated(arguments.namespace, now, arguments.overlap)
    if arguments.all:
        return ring.without(arguments.key, now), None
    # Of a whole key, too: its secret has no business on a command line, so it had better go.
    return ring.revoked(_prefix(arguments.key), now), None


def _prefix(key: str) -> str:
    return key.partition(".")[0]


def _tell(made: NewKey, as_json: bool, out: TextIO) -> None:
    told = {"namespace_id": made.namespace_id, "key": made.bearer, "key_hash": made.key_hash}
    if as_json:
        out.write(json.dumps(told) + "\n")
    else:
        out.write("".join(f"{name:<12}  {value}\n" for name, value in told.items()))
    out.flush()


def _show(ring: Keyring, now: float, as_json: bool, out: TextIO) -> None:
    if as_json:
        shown = [_namespace(one, now) for one in ring.namespaces.values()]
        out.write(json.dumps({"namespaces": shown}, indent=2) + "\n")
        return
    for namespace in ring.namespaces.values():
        out.write(f"{namespace.id}{_limits(namespace.limits)}{_choice(namespace.choice)}\n")
        for key in namespace.keys:
            out.write(f"  {key.prefix}  {_state(key, now)}, made {iso(key.created_at)}\n")


def _namespace(namespace: Namespace, now: float) -> dict[str, Any]:
    return {
        "namespace_id": namespace.id,
        "max_sessions": namespace.limits.max_sessions,
        "max_sessions_per_user": namespace.limits.max_sessions_per_user,
        "classifier": namespace.choice.classifier,
        "transcriber": namespace.choice.transcriber,
        "keys": [
            {
                "prefix": key.prefix,
                "state": key.state(now),
                "created_at": iso(key.created_at),
                "expires_at": iso(key.expires_at) if key.expires_at is not None else None,
            }
            for key in namespace.keys
        ],
    }


def _limits(limits: Limits) -> str:
    given = {"sessions": limits.max_sessions, "sessions a user": limits.max_sessions_per_user}
    told = [f"{count} {what}" for what, count in given.items() if count is not None]
    return f"  (at most {', '.join(told)})" if told else ""


def _choice(choice: Choice) -> str:
    given = {"classifier": choice.classifier, "transcriber": choice.transcriber}
    told = [f"{what} {kind}" for what, kind in given.items() if kind is not None]
    return f"  ({', '.join(told)})" if told else ""


def _state(key: Key, now: float) -> str:
    state = key.state(now)
    return f"{state} {iso(key.expires_at)}" if state == "ending" and key.expires_at is not None else state
