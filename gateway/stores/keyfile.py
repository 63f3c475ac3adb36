"""Namespaces and keys in a file, JSON where its name ends in `.json` and TOML elsewhere.

Whoever writes it replaces it as a whole, so that no reader ever sees half of it, and only its owner may read
it, and its group where it could before. A gateway that serves from it looks once in a while whether it was
replaced; what can't be read is told in the log, once, and the last one that could be read stays in force.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from gateway.clock import Clock
from gateway.config.options import PREFIX, variable
from gateway.sessions.keys import Choice, Keyring, KeysError
from gateway.settings import Problem, Settings, SettingsError
from gateway.stores.keytext import read_keyring, written

log = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024 * 1024
LOOK_S = 1.0
"""Seconds between two looks at the file: how long a revoked key may still be good."""

READ_S = 1.0
"""Seconds that anybody waits for the file to be read."""

_Signature: TypeAlias = tuple[int, int, int] | None
"""Modification time, size and inode; None where there is no such file."""


def load(path: Path) -> Keyring:
    """The keyring in the file at `path`.

    Raises:
        KeysError: it can't be read, or isn't one.
    """
    try:
        # Opening a pipe would wait for somebody to write into it.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            _check_regular(path, os.fstat(file.fileno()))
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeysError(f"{path} can't be read: {error.strerror or type(error).__name__}") from None
    if len(data) > MAX_BYTES:
        raise KeysError(f"{path} is over {MAX_BYTES} bytes")
    try:
        text = data.decode()
        given: Any = json.loads(text) if _is_json(path) else tomllib.loads(text)
    except (ValueError, RecursionError):
        # Not what the parser says: it may quote what stands there.
        raise KeysError(f"{path} is not valid {'JSON' if _is_json(path) else 'TOML'}") from None
    try:
        return read_keyring(given)
    except KeysError as error:
        raise KeysError(f"{path}: {error}") from None


def save(path: Path, ring: Keyring) -> None:
    """Put `ring` in the place of the file at `path`, in one step, for its owner's eyes only.

    Where its group may read the file before, it may read the new one: by that a gateway may read what root
    changes. Where `path` is a symbolic link, it stays one, and the file it leads to is replaced.

    Raises:
        KeysError: it can't be written, or couldn't be read again; then the file is as it was.
    """
    data = written(ring, as_json=_is_json(path)).encode()
    if len(data) > MAX_BYTES:
        raise KeysError(f"{path} would be over {MAX_BYTES} bytes")
    try:
        target = path.resolve()
        if target.exists():
            _check_regular(path, target.stat())
        _replace(target, data)
    except OSError as error:
        raise KeysError(f"{path} can't be written: {error.strerror or type(error).__name__}") from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else changes the file meanwhile: whoever comes later waits.

    The lock is the folder's, as the file itself is replaced.

    Raises:
        KeysError: there is no such folder.
    """
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise KeysError(f"{path.parent} can't be used: {error.strerror or type(error).__name__}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _anything(_: Keyring) -> None:
    """Any keyring will do."""


def _nobody() -> None:
    """Wants to know of no change."""


class KeyFile:
    """The keyring that a gateway serves from.

    Args:
        check: raises KeysError where a keyring can't be served from here; called in a thread.

    Raises:
        KeysError: the file can't be used; a gateway doesn't start without knowing whom to let in.
    """

    def __init__(self, path: Path, clock: Clock, check: Callable[[Keyring], None] = _anything) -> None:
        self._path = path
        self._clock = clock
        self._check = check
        self.on_read: Callable[[], None] = _nobody
        """Called on the event loop after a changed file was read."""
        self._seen = _signature(path)
        self._ring = self._load()
        self._look_at = clock.monotonic() + LOOK_S
        self._reading: asyncio.Task[None] | None = None

    @property
    def ring(self) -> Keyring:
        """As it was last read."""
        return self._ring

    async def current(self) -> Keyring:
        """The keyring as the file has it, or had it `LOOK_S` ago.

        A file that was replaced is read in a thread, once, however many wait for it; if that takes long, they
        go on with what was read before.
        """
        now = self._clock.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            signature = _signature(self._path)
            if signature != self._seen and self._reading is None:
                self._seen = signature
                self._reading = asyncio.create_task(self._read(), name="read-keys")
        if self._reading is not None:
            await asyncio.wait((self._reading,), timeout=READ_S)
        return self._ring

    async def _read(self) -> None:
        try:
            self._ring = await asyncio.to_thread(self._load)
            log.info("the keys were read again", extra={"namespaces": len(self._ring.namespaces)})
            self.on_read()
        except KeysError as error:
            log.error("the keys stay as they were: %s", error)
        finally:
            self._reading = None

    def _load(self) -> Keyring:
        ring = load(self._path)
        self._check(ring)
        return ring


def configured_keys(settings: Settings, clock: Clock) -> KeyFile | None:
    """The keyring that the settings name; None in open mode.

    Raises:
        SettingsError: it can't be used, or the namespace of the older routes is none of it.
    """
    path, legacy = settings.namespaces_file, settings.legacy_namespace
    if path is None:
        return None
    try:
        key_file = KeyFile(Path(path), clock, lambda ring: check_choices(ring, settings))
    except KeysError as error:
        hint = "`undertone keys create NAMESPACE` makes one"
        raise SettingsError([Problem(variable("namespaces_file"), path, str(error), hint)]) from None
    if legacy is not None and legacy not in key_file.ring.namespaces:
        raise SettingsError([Problem(variable("legacy_namespace"), legacy, f"is no namespace of {path}")])
    return key_file


def check_choices(ring: Keyring, settings: Settings) -> None:
    """Whether the gateway can serve what each namespace chose.

    Raises:
        KeysError: the settings lack something that a choice needs, and whose choice that is.
    """
    refused = {choice: why for choice in ring.choices if (why := _refusal(choice, settings)) is not None}
    for namespace in ring.namespaces.values():
        if namespace.choice in refused:
            raise KeysError(f"namespace {namespace.id}: {refused[namespace.choice]}")


def _refusal(choice: Choice, settings: Settings) -> str | None:
    given: dict[str, Any] = {"classifier": choice.classifier, "transcriber": choice.transcriber}
    try:
        replace(settings, **{name: value for name, value in given.items() if value is not None})
    except SettingsError as error:
        told = error.problems[0]
        return f"{told.name.removeprefix(PREFIX).lower()} {told.message}"
    return None


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _signature(path: Path) -> _Signature:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _check_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeysError(f"{path} is not a regular file")


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            _keep_readers(path, file.fileno())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _keep_readers(path: Path, handle: int) -> None:
    """What root changes stays readable to the gateway, which runs as somebody else, or in the file's group.

    Nobody else's group gets to read: where the group can't be kept, neither is its permission.
    """
    with contextlib.suppress(OSError):
        before = path.stat()
        if os.geteuid() == 0:
            os.fchown(handle, before.st_uid, before.st_gid)
        if os.fstat(handle).st_gid == before.st_gid:
            os.fchmod(handle, 0o600 | stat.S_IMODE(before.st_mode) & stat.S_IRGRP)
