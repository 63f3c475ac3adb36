"""Where `undertone stream` gets its audio: a file, standard input or a microphone, as frames of PCM."""

import asyncio
import contextlib
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from gateway.commands.convert import Converter
from gateway.commands.exits import CommandError
from gateway.commands.invocation import install, undertone
from gateway.commands.wav import MAGIC_BYTES, WavError, WavReader, is_wav
from protocol.audio import AudioFormat

FRAME_MS = 100
_AHEAD = 20
"""Frames; a reading thread is at most this far ahead of what is sent, then it waits"""
_CONTAINERS = {
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"ID3": "MP3",
    b"\x1a\x45\xdf\xa3": "WebM/Matroska",
    b"FORM": "AIFF",
    b"caff": "CAF",
}


@dataclass(slots=True)
class Source:
    """Audio on its way in. `frames()` may be iterated once."""

    name: str
    audio: AudioFormat
    total_samples: int | None
    """Sample indices in all; None where only the end will tell"""
    blocks: Iterator[bytes]
    """PCM in `audio`, in blocks of about `FRAME_MS`"""
    blocking: bool = False
    """Whether reading may wait for somebody else, so that it needs a thread"""
    notes: list[str] = field(default_factory=list)
    """Things worth telling before it starts"""
    late_notes: list[str] = field(default_factory=list)
    """Things found out while playing"""
    close: Callable[[], None] = lambda: None

    async def frames(self) -> AsyncIterator[bytes]:
        """The audio in order, in blocks of about `FRAME_MS`; never blocks the event loop for long.

        Raises CommandError where reading fails midway.
        """
        try:
            if self.blocking:
                async for block in _threaded(self.blocks):
                    yield block
            else:
                for block in self.blocks:
                    yield block
        except OSError as error:
            raise CommandError(f"cannot read {self.name}: {error.strerror or error}") from None


@dataclass(frozen=True, slots=True)
class RawFormat:
    """How to read audio that has no header; None of it given means: expect a WAV header."""

    audio: AudioFormat
    forced: bool
    """The user named a rate, channels or encoding"""


def open_file(path: str, raw: RawFormat) -> Source:
    """A WAV file, or headerless PCM where the user gave its format. Raises CommandError."""
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 -- the source outlives this function and closes it
        size = _regular_size(stream)
        magic = stream.read(MAGIC_BYTES)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}") from None
    name = Path(path).name
    try:
        source = _wav_source(name, stream, magic, size) if is_wav(magic) else None
        if source is None:
            _refuse_headerless(path, magic, raw)
            source = _raw_source(name, stream, magic, raw.audio, size)
    except (CommandError, WavError) as error:
        stream.close()
        if isinstance(error, CommandError):
            raise
        raise CommandError(f"cannot play {path}: {error}", hint=_convert_hint()) from None
    source.blocking = size is None
    return source


def open_stdin(stream: BinaryIO, raw: RawFormat) -> Source:
    """Standard input: a WAV file where it starts with a WAV header, else raw PCM. Raises CommandError."""
    if stream.isatty():
        raise CommandError("standard input is a terminal; pipe audio into it", hint=_convert_hint())
    magic = stream.read(MAGIC_BYTES)
    if not magic:
        raise CommandError("there is no audio on standard input")
    try:
        if is_wav(magic):
            source = _wav_source("standard input", stream, magic, None)
        else:
            container = container_name(magic)
            if container and not raw.forced:
                raise CommandError(f"standard input is {container}, not PCM", hint=_convert_hint())
            source = _raw_source("standard input", stream, magic, raw.audio, None)
    except WavError as error:
        raise CommandError(f"cannot play standard input: {error}", hint=_convert_hint()) from None
    source.blocking = True
    return source


def open_microphone(audio: AudioFormat, *, backend: Any = None) -> Source:
    """The default capture device, by the optional `sounddevice` package. Raises CommandError.

    `backend` stands in for that package in tests.
    """
    module = backend or _import_sounddevice()
    try:
        stream = module.RawInputStream(
            samplerate=audio.sample_rate, channels=audio.channels, dtype="int16", blocksize=0
        )
        stream.start()
    except Exception as error:  # PortAudio's errors have no common base across versions
        raise CommandError(f"no microphone: {_first_line(error)}", hint=_mic_hint()) from None
    late: list[str] = []
    return Source(
        name="microphone",
        audio=audio,
        total_samples=None,
        blocks=_captured(stream, audio.samples_of_ms(FRAME_MS), late),
        blocking=True,
        late_notes=late,
        close=stream.abort,
    )


def _convert_hint() -> str:
    return f"Convert it first:  ffmpeg -i INPUT -f wav - | {undertone('stream -')}"


def _mic_hint() -> str:
    pipe = f"arecord -f S16_LE -r 16000 | {undertone('stream -')}"
    return f"Plug one in or check `arecord -l`; or pipe:  {pipe}"


def container_name(magic: bytes) -> str | None:
    """The audio container that `magic` (a stream's first bytes) announces, if it is one we know by name."""
    if magic[4:8] == b"ftyp":
        return "MP4"
    return next((name for mark, name in _CONTAINERS.items() if magic.startswith(mark)), None)


def _refuse_headerless(path: str, magic: bytes, raw: RawFormat) -> None:
    if not magic:
        raise CommandError(f"cannot play {path}: the file is empty")
    if raw.forced:
        return
    container = container_name(magic)
    what = f"it is {container}, not WAV" if container else "this is not a WAV file"
    hint = _convert_hint() if container else "For headerless PCM name its format:  --rate 16000 --channels 1"
    raise CommandError(f"cannot play {path}: {what}", hint=hint)


def _wav_source(name: str, stream: BinaryIO, magic: bytes, size: int | None) -> Source:
    reader = WavReader(stream, magic=magic, available=size)
    converter = Converter(reader.format)
    total = None
    if reader.data_bytes is not None:
        total = converter.samples_out(reader.data_bytes // reader.format.frame_bytes)
    if total == 0:
        raise WavError("it holds no audio")
    notes = [*reader.warnings, *converter.notes]
    late: list[str] = []
    reader.warnings = late
    return Source(
        name=name,
        audio=converter.audio,
        total_samples=total,
        blocks=_converted(reader, converter),
        notes=notes,
        late_notes=late,
        close=stream.close,
    )


def _converted(reader: WavReader, converter: Converter) -> Iterator[bytes]:
    size = max(1, reader.format.sample_rate * FRAME_MS // 1000) * reader.format.frame_bytes
    for block in reader.blocks(size):
        data = converter.convert(block)
        if data:
            yield data
    rest = converter.finish()
    if rest:
        yield rest


def _raw_source(name: str, stream: BinaryIO, start: bytes, audio: AudioFormat, size: int | None) -> Source:
    return Source(
        name=name,
        audio=audio,
        total_samples=None if size is None else audio.samples(size),
        blocks=_raw_blocks(stream, start, audio.bytes(audio.samples_of_ms(FRAME_MS))),
        close=stream.close,
    )


def _raw_blocks(stream: BinaryIO, start: bytes, size: int) -> Iterator[bytes]:
    block = start + stream.read(max(0, size - len(start)))
    while block:
        yield block
        block = stream.read(size)


def _captured(stream: Any, samples: int, late: list[str]) -> Iterator[bytes]:
    overflowed = False
    while True:
        try:
            data, lost = stream.read(samples)
        except Exception as error:  # the device went away, or the stream was aborted
            late.append(f"the microphone stopped: {_first_line(error)}")
            return
        if lost and not overflowed:
            overflowed = True
            late.append("the microphone delivered faster than we could read; some audio is missing")
        yield bytes(data)


def _import_sounddevice() -> Any:
    try:
        import sounddevice  # an extra, and loading it opens the audio system
    except ImportError:
        hint = f"Install it, in a clone of Undertone:  {install('mic')}    (Debian: and libportaudio2)"
        raise CommandError("--mic needs the sounddevice package, which is missing", hint=hint) from None
    except OSError as error:
        hint = "Install it; Debian's package is libportaudio2."
        raise CommandError(f"--mic needs the PortAudio library: {_first_line(error)}", hint=hint) from None
    return sounddevice


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _regular_size(stream: BinaryIO) -> int | None:
    status = os.fstat(stream.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


async def _threaded(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Iterate in a daemon thread, `_AHEAD` blocks ahead at most; a read that never returns stops nobody."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)
    stopped = threading.Event()

    def put(item: bytes | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody listens any more
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        try:
            for block in blocks:
                room.acquire()
                if stopped.is_set():
                    return
                put(block)
        except Exception as error:
            put(error)
        else:
            put(None)

    threading.Thread(target=read, name="undertone-source", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()
