"""Decoder processes: real ones, with the real model."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import ANY

import pytest

import gateway
from gateway.spawn import environment
from gateway.transcribe import frames
from gateway.transcribe.decoder import Decoder, Final, Partial
from gateway.transcribe.frames import Kind
from gateway.transcribe.process import COMMAND, DecoderProcess, _final
from tests.gateway.transcribe.recordings import go_forward
from tests.needs import need_module

ROOT = Path(gateway.__file__).parent.parent
READY = "import sys; sys.stdout.buffer.write(bytes([0, 0, 0, 0, 16])); sys.stdout.flush()"


class Notes:
    """An owner that notes what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[str | Partial | Final] = []
        self.news = asyncio.Event()

    def _note(self, what: str | Partial | Final) -> None:
        self.told.append(what)
        self.news.set()

    def on_ready(self, decoder: Decoder) -> None:
        self._note("ready")

    def on_partial(self, decoder: Decoder, partial: Partial) -> None:
        self._note(partial)

    def on_final(self, decoder: Decoder, final: Final) -> None:
        self._note(final)

    def on_death(self, decoder: Decoder, reason: str) -> None:
        self._note(f"died: {reason}")

    async def until(self, done: Callable[[], bool]) -> None:
        """Return when `done` holds; it is looked at after each note."""
        async with asyncio.timeout(30):
            while not done():
                self.news.clear()
                await self.news.wait()

    def is_dead(self) -> bool:
        """Whether the last thing told is a death."""
        return bool(self.told) and str(self.told[-1]).startswith("died")

    async def count(self, number: int) -> None:
        """Return when that many things were told."""
        await self.until(lambda: len(self.told) >= number)


async def told_by(command: Sequence[str], number: int) -> list[str | Partial | Final]:
    """The first things that a process of this command makes its owner hear."""
    notes, decoder = Notes(), DecoderProcess(command)
    decoder.launch(notes)
    try:
        await notes.count(number)
    finally:
        await decoder.aclose()
    return notes.told


def python(code: str) -> list[str]:
    """A command that runs `code`."""
    return [sys.executable, "-c", code]


def test_an_utterance_goes_in_and_words_come_out() -> None:
    """The real process understands a real recording, and a dropped utterance before it is never answered."""
    need_module("pocketsphinx")
    pcm = go_forward().tobytes()

    async def main() -> None:
        notes, decoder = Notes(), DecoderProcess()
        decoder.launch(notes)
        await notes.count(1)
        decoder.begin(None)
        decoder.audio(pcm)
        decoder.drop()
        decoder.begin(None)
        decoder.audio(pcm)
        decoder.finish()
        await notes.until(lambda: isinstance(notes.told[-1], Final))
        finals = [what for what in notes.told if isinstance(what, Final)]
        assert notes.told[0] == "ready"
        assert [word.text for word in finals[0].words] == ["go", "forward", "ten", ANY]
        assert finals[0].profile
        assert 7_000 <= finals[0].words[0].start <= 8_000
        first = next(what for what in notes.told if isinstance(what, Partial))
        assert first.samples < len(pcm) // 4
        await decoder.aclose()
        assert notes.told.count("ready") == len(finals) == 1
        assert decoder.pid is not None
        assert gone(decoder.pid)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "died: exit status 3"),
        ("import os, time; os.close(1); time.sleep(60)", "died: exit status -9"),
        ("print('hello, world')", "died: a frame of"),
        ("import os; os.write(1, bytes([9, 0]))", "died: the stream ends inside a frame"),
        ("import os; os.write(1, bytes([2, 0, 0, 0, 17]) + b'{}')", "died: a result isn't what was agreed"),
        ("import os; os.write(1, bytes([0, 0, 0, 0, 1]))", "died: a decoder doesn't say BEGIN"),
        ('import os; os.write(1, bytes([15, 0, 0, 0, 19]) + b\'{"reason":"no"}\')', "died: no"),
    ],
)
def test_a_broken_process_is_one_death(code: str, reason: str) -> None:
    """Whatever a process does wrong, its owner hears of one death with the reason."""
    (told,) = asyncio.run(told_by(python(code), 1))
    assert isinstance(told, str)
    assert told.startswith(reason)


def test_a_command_that_doesnt_exist_is_a_death() -> None:
    """A process that can't be started is told like one that ended."""
    (told,) = asyncio.run(told_by(["/nonexistent/python"], 1))
    assert isinstance(told, str)
    assert "No such file" in told


def test_a_killed_process_is_a_death_even_while_it_starts() -> None:
    """A kill is honoured before the process runs and afterwards, and told once."""

    async def main() -> None:
        for wait in (0, 1):
            notes, decoder = Notes(), DecoderProcess(python(f"{READY}; sys.stdin.read()"))
            decoder.launch(notes)
            await notes.count(wait)
            decoder.kill()
            await notes.until(notes.is_dead)
            assert notes.told[-1] == "died: exit status -9"
            assert len(notes.told) <= wait + 1
            decoder.audio(b"ignored")
            await decoder.aclose()

    asyncio.run(main())


def test_an_answer_that_crosses_a_drop_is_ignored() -> None:
    """What a process says of an utterance that was dropped meanwhile reaches nobody."""
    told = len(frames.pack_fields(Kind.BEGIN, utterance=1, profile=None) + frames.pack(Kind.DROP))
    partial = frames.pack_fields(Kind.PARTIAL, utterance=1, text="late", samples=1)
    code = f"{READY}; sys.stdin.buffer.read({told}); sys.stdout.buffer.write({partial!r})"

    async def main() -> None:
        notes, decoder = Notes(), DecoderProcess(python(code))
        decoder.launch(notes)
        await notes.count(1)
        decoder.begin(None)
        decoder.drop()
        await notes.until(notes.is_dead)
        assert notes.told == ["ready", "died: exit status 0"]

    asyncio.run(main())


def test_the_process_outlives_signals_but_not_its_input() -> None:
    """Interrupt and terminate, which a whole service gets, pass by; the end of its input ends it."""
    need_module("pocketsphinx")
    process = subprocess.Popen(
        COMMAND, env=environment(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    with process:
        assert len(process.stdout.read(5)) == 5
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) > os.getpriority(os.PRIO_PROCESS, 0)
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.stdin.close()
        assert process.wait(10) == 0


PARENT = """
import asyncio
from gateway.transcribe.decoder import Owner
from gateway.transcribe.process import DecoderProcess

class Show:
    def on_ready(self, decoder):
        print(decoder.pid, flush=True)

async def main():
    decoder = DecoderProcess()
    decoder.launch(Show())
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_killed_gateway_leaves_no_process_behind() -> None:
    """When the gateway is killed outright, its decoder ends by itself."""
    need_module("pocketsphinx")
    parent = subprocess.Popen(python(PARENT), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    with parent:
        child = int(parent.stdout.readline())
        assert not gone(child)
        ending = os.pidfd_open(child)
        parent.kill()
        parent.wait(10)
    readable, _, _ = select.select([ending], [], [], 10)
    os.close(ending)
    assert readable
    assert gone(child)


def gone(pid: int) -> bool:
    """Whether the process has ended, be it that nobody has collected its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_decoder_sees_no_secrets() -> None:
    """Of the gateway's environment only what an interpreter needs is passed on, and one thread asked for."""
    base = {"PATH": "/bin", "UNDERTONE_DATABASE_URL": "postgres://u:secret@h", "OMP_NUM_THREADS": "8"}
    seen = environment(base)
    assert "secret" not in str(seen)
    assert seen["PATH"] == "/bin"
    assert seen["OMP_NUM_THREADS"] == seen["OPENBLAS_NUM_THREADS"] == "1"
    assert str(ROOT) in seen["PYTHONPATH"].split(os.pathsep)


def test_a_final_may_tell_its_text_and_language() -> None:
    """As the engine says them; without, the words stand for themselves."""
    fields = {"utterance": 0, "words": [["お早う", 0, 160, 0.5]], "profile": None}
    also = {"text": "お早う", "language": "ja", "confidence": 0.25}
    assert _final({**fields, **also}).text == "お早う"
    assert _final({**fields, **also}).language == "ja"
    assert _final({**fields, **also}).confidence == 0.25
    plain = _final(fields)
    assert (plain.text, plain.language, plain.confidence) == (None, None, None)
