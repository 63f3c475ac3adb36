"""A decoder in a process of its own, driven over pipes from the event loop."""

import asyncio
import os
import sys
from asyncio import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from gateway.spawn import environment
from gateway.transcribe import frames
from gateway.transcribe.decoder import Final as FinalResult
from gateway.transcribe.decoder import HeardWord, Owner, Partial
from gateway.transcribe.frames import FrameError, Kind

COMMAND: Final = (sys.executable, "-P", "-m", "gateway.transcribe.worker")
"""`-P`: no file of the working directory may stand in for a module."""

_EXIT_S: Final = 1.0
"""How long a process that has closed its output may take to end."""
_MODEL: Final = "POCKETSPHINX_PATH"
"""The variable that says where PocketSphinx finds its model."""


class DecoderProcess:
    """One process; see `Decoder` for the promises. It is launched once and never again."""

    def __init__(self, command: Sequence[str] = COMMAND, inherits: Sequence[str] = ()) -> None:
        self._command = command
        self._inherits = inherits
        self._task: asyncio.Task[None] | None = None
        self._process: subprocess.Process | None = None
        self._utterance = 0
        self._listening = False
        self._doomed = self._killed = False

    @property
    def pid(self) -> int | None:
        """The process's number once it runs."""
        return self._process.pid if self._process else None

    def launch(self, owner: Owner) -> None:
        """Start the process on the running event loop."""
        self._task = asyncio.create_task(self._run(owner), name="decoder")

    def begin(self, profile: str | None) -> None:
        """Open an utterance."""
        self._utterance += 1
        self._listening = True
        self._send(frames.pack_fields(Kind.BEGIN, utterance=self._utterance, profile=profile))

    def audio(self, pcm: bytes) -> None:
        """Pass samples on; what the pipe doesn't take waits here, at most one utterance."""
        self._send(frames.pack(Kind.AUDIO, pcm))

    def finish(self) -> None:
        """Ask for the final."""
        self._send(frames.pack(Kind.FINISH))

    def drop(self) -> None:
        """Forget the open utterance."""
        self._listening = False
        self._send(frames.pack(Kind.DROP))

    def kill(self) -> None:
        """SIGKILL: the process has nothing to save."""
        self._doomed = True
        if self._process is not None and not self._killed:
            self._killed = True
            with suppress(ProcessLookupError):
                self._process.kill()

    async def aclose(self) -> None:
        """Kill it without a word to its owner."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _send(self, frame: bytes) -> None:
        stdin = self._process.stdin if self._process else None
        if stdin is not None and not stdin.is_closing():
            stdin.write(frame)

    async def _run(self, owner: Owner) -> None:
        try:
            self._process = await subprocess.create_subprocess_exec(
                *self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(os.environ, (_MODEL, *self._inherits)),
                start_new_session=True,
            )
            reason = await self._listen(self._process, owner)
        except (OSError, FrameError) as error:
            reason = str(error)
        finally:
            if self._process is not None:
                await self._reap(self._process)
        owner.on_death(self, reason or f"exit status {self._status()}")

    async def _listen(self, process: subprocess.Process, owner: Owner) -> str:
        """Tell the owner what the process says until it stops; the reason it gave, if any."""
        assert process.stdout is not None
        if self._doomed:
            self.kill()
        reason = ""
        while (frame := await frames.read_from(process.stdout)) is not None:
            kind, payload = frame
            if kind is Kind.FAILED:
                reason = str(frames.fields_of(payload).get("reason"))
            elif kind is Kind.READY:
                owner.on_ready(self)
            elif kind in (Kind.PARTIAL, Kind.FINAL):
                self._result(kind, frames.fields_of(payload), owner)
            else:
                raise FrameError(f"a decoder doesn't say {kind.name}")
        return reason

    def _result(self, kind: Kind, fields: dict[str, Any], owner: Owner) -> None:
        try:
            current = self._listening and fields["utterance"] == self._utterance
            result = _partial(fields) if kind is Kind.PARTIAL else _final(fields)
        except (KeyError, TypeError, ValueError) as error:
            raise FrameError("a result isn't what was agreed") from error
        if not current:
            return
        if isinstance(result, Partial):
            owner.on_partial(self, result)
        else:
            self._listening = False
            owner.on_final(self, result)

    async def _reap(self, process: subprocess.Process) -> None:
        """Empty the pipes and wait, so that neither a process nor a transport is left behind.

        One that ended its output is ending by itself and isn't killed: a signal to a process that has just
        ended would collect its exit status before the event loop can.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        if not process.stdout.at_eof():
            self.kill()
        process.stdin.close()
        with suppress(OSError):
            await process.stdin.wait_closed()
        while await process.stdout.read(65_536):
            pass
        try:
            async with asyncio.timeout(_EXIT_S):
                await process.wait()
        except TimeoutError:
            self.kill()
            await process.wait()

    def _status(self) -> int | None:
        return self._process.returncode if self._process else None


def _partial(fields: dict[str, Any]) -> Partial:
    return Partial(str(fields["text"]), int(fields["samples"]))


def _final(fields: dict[str, Any]) -> FinalResult:
    words = tuple(HeardWord(str(text), int(a), int(b), float(share)) for text, a, b, share in fields["words"])
    confidence = fields.get("confidence")
    return FinalResult(
        words,
        _text(fields["profile"]),
        _text(fields.get("text")),
        _text(fields.get("language")),
        None if confidence is None else float(confidence),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
