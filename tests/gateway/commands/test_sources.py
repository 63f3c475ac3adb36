"""Files, pipes and microphones as sources of frames, and every way in which they can be wrong."""

import asyncio
import io
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.sources import RawFormat, Source, open_file, open_microphone, open_stdin
from protocol.audio import AudioEncoding, AudioFormat
from tests.gateway.commands.wavs import chunk, fmt, simple, wav

WAV_EXPECTED = RawFormat(AudioFormat(), forced=False)
RAW = RawFormat(AudioFormat(encoding=AudioEncoding.MULAW, sample_rate=8_000), forced=True)


def frames(source: Source) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [frame async for frame in source.frames()]

    return asyncio.run(collect())


def piped(data: bytes) -> BinaryIO:
    """A real pipe that holds `data`, as standard input is."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        end.write(data)
    return os.fdopen(reading, "rb")


def test_file_comes_in_frames_of_100_ms(tmp_path: Path) -> None:
    """A WAV file knows its length and comes in frames of 100 ms, the last one shorter."""
    path = tmp_path / "talk.wav"
    path.write_bytes(simple(bytes(range(256)) * 27, rate=16_000))
    source = open_file(str(path), WAV_EXPECTED)
    assert (source.name, source.total_samples, source.audio) == ("talk.wav", 3_456, AudioFormat())
    got = frames(source)
    assert [len(frame) for frame in got] == [3_200, 3_200, 512]
    assert b"".join(got) == bytes(range(256)) * 27
    source.close()


def test_raw_file_needs_its_format(tmp_path: Path) -> None:
    """A file without a header is played where its format was named, and refused else."""
    path = tmp_path / "talk.ulaw"
    path.write_bytes(bytes(2_000))
    source = open_file(str(path), RAW)
    assert (source.total_samples, source.audio.encoding) == (2_000, AudioEncoding.MULAW)
    assert [len(frame) for frame in frames(source)] == [800, 800, 400]
    source.close()
    with pytest.raises(CommandError, match="not a WAV file") as refused:
        open_file(str(path), WAV_EXPECTED)
    assert "--rate" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"OggS" + bytes(40), "it is Ogg"),
        (b"fLaC" + bytes(40), "it is FLAC"),
        (b"ID3\4" + bytes(40), "it is MP3"),
        (bytes(4) + b"ftypM4A " + bytes(40), "it is MP4"),
        (wav(fmt(0x11, 1, 16_000, 4), chunk(b"data", bytes(8))), "compressed"),
        (wav(fmt(1, 1, 16_000, 16), chunk(b"data", b"")), "no audio"),
    ],
)
def test_unusable_files_are_one_clear_error(tmp_path: Path, content: bytes, told: str) -> None:
    """What can't be played is refused with the file's name, the reason and exit code 2."""
    path = tmp_path / "it.bin"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=told) as refused:
        open_file(str(path), WAV_EXPECTED)
    assert str(path) in refused.value.message
    assert refused.value.code is ExitCode.USAGE


def test_missing_file_and_directory(tmp_path: Path) -> None:
    """The operating system's reason is told for what can't be read."""
    with pytest.raises(CommandError, match="No such file"):
        open_file(str(tmp_path / "none.wav"), WAV_EXPECTED)
    with pytest.raises(CommandError, match="directory"):
        open_file(str(tmp_path), WAV_EXPECTED)


def test_truncation_and_conversion_are_told(tmp_path: Path) -> None:
    """What is changed or missing is told before it starts."""
    path = tmp_path / "cut.wav"
    path.write_bytes(simple(bytes(9_600), rate=96_000)[:-600])
    source = open_file(str(path), WAV_EXPECTED)
    assert "cut short" in source.notes[0]
    assert "resampled to 48,000 Hz" in source.notes[1]
    assert source.total_samples == 2_250
    source.close()


def test_stdin_takes_wav_and_raw() -> None:
    """Standard input is a WAV file where it starts like one, raw PCM in the given format else."""
    for data, expected in ((simple(b"\1\2" * 2_000), AudioFormat()), (b"\1\2" * 2_000, RAW.audio)):
        with piped(data) as stream:
            source = open_stdin(stream, RAW)
            assert source.audio == expected
            assert b"".join(frames(source)) == b"\1\2" * 2_000


def test_stdin_with_nothing_or_a_container() -> None:
    """No audio, or compressed audio, on standard input is an error at once."""
    with piped(b"") as stream, pytest.raises(CommandError, match="no audio on standard input"):
        open_stdin(stream, WAV_EXPECTED)
    with piped(b"OggS" + bytes(40)) as stream, pytest.raises(CommandError, match="is Ogg, not PCM"):
        open_stdin(stream, WAV_EXPECTED)


def test_stdin_of_a_terminal() -> None:
    """Nobody types audio."""

    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    with pytest.raises(CommandError, match="terminal"):
        open_stdin(cast(BinaryIO, Terminal()), WAV_EXPECTED)


def test_slow_pipe_does_not_block_the_loop() -> None:
    """While standard input has nothing, the event loop goes on, and leaving does not wait for it."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb") as end:
        end.write(bytes(3_200))
        end.flush()
        source = open_stdin(stream, WAV_EXPECTED)

        async def one_frame_then_leave() -> int:
            iterator = source.frames()
            first = await anext(iterator)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(iterator)
            return len(first)

        assert asyncio.run(one_frame_then_leave()) == 3_200


def test_reading_error_reaches_the_sender() -> None:
    """A disk or device that fails midway is not taken for the end of the audio."""

    def failing() -> Any:
        yield b"ab"
        raise OSError("gone")

    source = Source(name="x", audio=AudioFormat(), total_samples=None, blocks=failing(), blocking=True)
    with pytest.raises(CommandError, match="cannot read x: gone"):
        frames(source)


class FakeDevice:
    """The part of sounddevice that is used, with a device that delivers three blocks."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: dict[str, Any] = {}
        self.blocks = 3

    def RawInputStream(self, **asked: Any) -> "FakeDevice":  # noqa: N802 -- the library's name
        if self.error is not None:
            raise self.error
        self.asked = asked
        return self

    def start(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def read(self, samples: int) -> tuple[bytes, bool]:
        if self.blocks == 0:
            raise OSError("Stream is stopped\nmore")
        self.blocks -= 1
        return bytes(2 * samples), self.blocks == 1


def test_microphone_delivers_frames_and_tells_its_end() -> None:
    """A microphone is read in frames of 100 ms; overflow and unplugging are told."""
    device = FakeDevice()
    source = open_microphone(AudioFormat(sample_rate=48_000), backend=device)
    assert [len(frame) for frame in frames(source)] == [9_600] * 3
    assert device.asked["samplerate"] == 48_000
    assert "some audio is missing" in source.late_notes[0]
    assert source.late_notes[1] == "the microphone stopped: Stream is stopped"


def test_no_microphone_is_one_clear_error() -> None:
    """A machine without a capture device gets one line and a way out."""
    with pytest.raises(CommandError, match="no microphone: Error querying device") as refused:
        open_microphone(AudioFormat(), backend=FakeDevice(ValueError("Error querying device -1\nblah")))
    assert "arecord" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("error", "told"), [(ImportError("x"), "missing"), (OSError("no PortAudio"), "PortAudio")]
)
def test_missing_extra_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    """Without the package, or without the library behind it, `--mic` says what to install."""
    import builtins

    real = builtins.__import__

    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "sounddevice":
            raise error
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(CommandError, match=told) as refused:
        open_microphone(AudioFormat())
    hint = str(refused.value.hint)
    assert "Install it" in hint
    assert "libportaudio2" in hint
    assert ("pip install '.[mic]'" in hint) == isinstance(error, ImportError)
    assert "undertone[" not in hint, "on the public index that is somebody else's package"
