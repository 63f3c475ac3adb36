"""From parsed arguments to a command's own options, and from there to its run.

Heavy imports wait until a command needs them, so that `--help` and mistakes are answered at once.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.invocation import undertone
from protocol.audio import AudioEncoding, AudioFormat
from protocol.control import SessionConfig
from protocol.errors import ProtocolError

if TYPE_CHECKING:
    from gateway.commands.demo import Gateway
    from gateway.commands.outputs import Output
    from gateway.commands.picture import Picture
    from gateway.commands.sources import Source

_MAX_CREDENTIAL = 512
"""Characters"""
_SETTINGS = ("elcor", "hop_ms", "window_ms", "language", "num_speakers", "min_confidence")


def run_stream(arguments: argparse.Namespace) -> ExitCode:
    """`undertone stream`."""
    from gateway.commands.picture import Picture
    from gateway.commands.stream import StreamOptions, stream

    _check_stream(arguments)
    options = StreamOptions(
        url=arguments.url,
        config=session_config(arguments),
        session_id=arguments.observe or arguments.session_id,
        observe=arguments.observe is not None,
        fast=arguments.fast,
        lossless=arguments.lossless,
        chaos_s=arguments.chaos,
        chaos_seed=arguments.chaos_seed,
        bearer=_bearer(arguments.key_file),
    )
    source = _source(arguments)
    name = source.name if source is not None else "live session"
    picture = Picture(name=name, total_samples=source.total_samples if source is not None else None)
    return asyncio.run(stream(options, source, _output(arguments, picture)))


def run_demo(arguments: argparse.Namespace, gateway: "Gateway") -> ExitCode:
    """`undertone demo`, with a gateway from outside."""
    from gateway.commands.demo import demo
    from gateway.commands.picture import Picture

    picture = Picture(name="demo call")
    tell = sys.stderr if arguments.json else sys.stdout
    return demo(
        gateway,
        picture,
        _output(arguments, picture),
        fast=arguments.fast,
        tell=lambda line: _print(line, tell),
    )


def run_load(arguments: argparse.Namespace) -> ExitCode:
    """`undertone load`."""
    from gateway.commands.load_command import run

    audio, bearer = _audio(rate=arguments.rate), _bearer(arguments.key_file)
    return run(arguments, audio, session_config(arguments), bearer)


def session_config(arguments: argparse.Namespace) -> dict[str, Any]:
    """The session's settings that were given, checked. Raises CommandError."""
    given = {name: getattr(arguments, name) for name in _SETTINGS if getattr(arguments, name) is not None}
    if arguments.features is not None:
        given["features"] = [one.strip() for one in arguments.features.split(",") if one.strip()]
    try:
        SessionConfig.from_mapping(given)
    except ProtocolError as error:
        raise _wrong_option(error) from None
    return given


def _bearer(path: str | None) -> str | None:
    """The credential in a file: on a command line every other user of the machine could read it."""
    if path is None:
        return None
    try:
        text = Path(path).read_text(encoding="ascii").strip()
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not 0 < len(text) <= _MAX_CREDENTIAL or " " in text:
        raise CommandError(f"{path} holds no key", hint="It is one line, prefix.secret, as it was shown.")
    return text


def _check_stream(arguments: argparse.Namespace) -> None:
    sources = sum([arguments.file is not None, arguments.mic, arguments.observe is not None])
    if sources != 1:
        message = "name one source of audio: FILE, -, --mic or --observe" if sources else "nothing to stream"
        raise CommandError(message, hint=f"Try:  {undertone('stream talk.wav')}     or  {undertone('demo')}")
    settings = arguments.fast or arguments.lossless or session_config(arguments)
    if arguments.observe is not None and (settings or arguments.session_id):
        message = "--observe only watches: --fast, --lossless, --session-id and settings don't go with it"
        raise CommandError(message)
    if arguments.session_id is not None and settings:
        raise CommandError(
            "--session-id attaches to a session that has its settings already",
            hint="Give --fast, --lossless and settings when the session is opened.",
        )
    if arguments.fast and arguments.mic:
        raise CommandError("--fast does not go with --mic: a microphone has its own pace")


def _source(arguments: argparse.Namespace) -> "Source | None":
    from gateway.commands import sources

    if arguments.observe is not None:
        return None
    audio = _audio(arguments.rate, arguments.channels, arguments.encoding)
    if arguments.mic:
        if audio.encoding is not AudioEncoding.PCM_S16LE:
            raise CommandError("--encoding does not go with --mic")
        return sources.open_microphone(audio)
    forced = any(one is not None for one in (arguments.rate, arguments.channels, arguments.encoding))
    raw = sources.RawFormat(audio, forced=forced)
    if arguments.file == "-":
        if sys.stdin is None:
            raise CommandError("standard input is closed; pipe audio into it")
        return sources.open_stdin(sys.stdin.buffer, raw)
    return sources.open_file(arguments.file, raw)


def _audio(rate: int | None = None, channels: int | None = None, encoding: str | None = None) -> AudioFormat:
    given = {"sample_rate": rate, "channels": channels, "encoding": encoding}
    try:
        return AudioFormat.from_mapping(given)
    except ProtocolError as error:
        raise _wrong_option(error) from None


def _wrong_option(error: ProtocolError) -> CommandError:
    names = {"sample_rate": "--rate"}
    option = names.get(error.param or "", "--" + (error.param or "").replace("_", "-"))
    return CommandError(f"{option} {error.message}")


def _output(arguments: argparse.Namespace, picture: "Picture") -> "Output":
    from gateway.commands.outputs import choose_output

    return choose_output(picture, json=arguments.json, plain=arguments.plain, no_color=arguments.no_color)


def _print(line: str, stream: Any = None) -> None:
    out = stream or sys.stdout
    encoding = out.encoding or "utf-8"
    out.write(line.encode(encoding, "replace").decode(encoding) + "\n")
