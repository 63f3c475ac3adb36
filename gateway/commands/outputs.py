"""The three ways a running session is shown: a live view, plain lines, or one JSON event a line.

All three are driven by the same calls: `opened` first, then any of `event`, `sent` and `note`, and in the end
`closed`, once, whatever happened.
"""

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol, TextIO

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gateway.commands.picture import Picture
from gateway.commands.summary import closing_lines
from gateway.commands.view import HEAD, draw, fitting, transcript_lines
from gateway.commands.words import (
    Glyphs,
    audio_words,
    clean,
    clock,
    glyphs_for,
    humanised,
    queue_words,
    shift_glyph,
    speaker_words,
)
from protocol import events as ev
from protocol.codec import encode_event
from protocol.version import Encoding

AnyEvent = ev.Event | ev.UnknownEvent

REDRAWS_S = 5
"""Redraws a second, at most"""
MAX_HEIGHT = 30
_FRAME_BEGINS, _FRAME_ENDS = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized output (DEC private mode 2026): the terminal shows a frame at once, or ignores this"""


class Output(Protocol):
    """Where a session is shown."""

    def opened(self, welcome: ev.Welcome, *, watching: bool) -> None:
        """The session is open."""
        ...

    def event(self, event: AnyEvent) -> None:
        """An event came; `welcome` only where the connection is another one."""
        ...

    def sent(self, sample: int) -> None:
        """Audio up to this sample index is sent."""
        ...

    def note(self, text: str) -> None:
        """Something about the source or the connection, for people."""
        ...

    def finishing(self) -> None:
        """All audio is sent; the last events are awaited."""
        ...

    def redraw(self) -> None:
        """Bring what is on the screen up to date."""
        ...

    def closed(self, delays_s: Sequence[float], connection: str = "") -> None:
        """Nothing comes any more; tell the summary, where there was one, and how the connection fared."""
        ...


class JsonOutput:
    """One event a line on `stream`, as JSON on the wire; remarks go to `errors`."""

    def __init__(self, stream: BinaryIO, errors: TextIO) -> None:
        self._stream = stream
        self._errors = errors

    def opened(self, welcome: ev.Welcome, *, watching: bool) -> None:
        self.event(welcome)

    def event(self, event: AnyEvent) -> None:
        if isinstance(event, ev.Welcome):
            # The token is a credential, and these lines tend to end up in files.
            event = dataclasses.replace(event, resume_token=None)
        if isinstance(event, ev.UnknownEvent):
            line = _unknown_json(event)
        else:
            line = encode_event(event, Encoding.JSON)
        self._stream.write(line + b"\n")
        self._stream.flush()

    def sent(self, sample: int) -> None:
        pass

    def note(self, text: str) -> None:
        self._errors.write(f"undertone: {text}\n")

    def finishing(self) -> None:
        pass

    def redraw(self) -> None:
        pass

    def closed(self, delays_s: Sequence[float], connection: str = "") -> None:
        if connection:
            self.note(connection)


class PlainOutput:
    """One line for each thing worth knowing; for pipes, logs, screen readers and simple terminals."""

    def __init__(self, picture: Picture, stream: TextIO, glyphs: Glyphs | None = None) -> None:
        self._picture = picture
        self._stream = stream
        self._glyphs = glyphs or glyphs_for(stream.encoding)

    def opened(self, welcome: ev.Welcome, *, watching: bool) -> None:
        self._picture.begin(welcome, watching=watching)
        words = audio_words(welcome.audio)
        self._write(f"{self._picture.name}, {words}, session {welcome.session_id[:8]}, {self._picture.phase}")

    def event(self, event: AnyEvent) -> None:
        self._picture.apply(event)
        told = self._told(event)
        if told is not None:
            at = event.timestamp if isinstance(event, ev.DurableEvent) else self._picture.position_s
            kind = "gap" if isinstance(event, ev.Gap) else event.type
            self._write(f"{clock(at, tenths=True):>9}  {kind:<10}  {told}")

    def sent(self, sample: int) -> None:
        self._picture.sent = max(self._picture.sent, sample)

    def note(self, text: str) -> None:
        self._write(f"{clock(self._picture.position_s, tenths=True):>9}  {'note':<10}  {text}")

    def finishing(self) -> None:
        pass

    def redraw(self) -> None:
        pass

    def closed(self, delays_s: Sequence[float], connection: str = "") -> None:
        width = shutil.get_terminal_size().columns if self._stream.isatty() else None
        for line in closing_lines(self._picture, delays_s, self._glyphs, width, connection):
            self._write(line.plain)

    def _told(self, event: AnyEvent) -> str | None:
        """What to say about an event; None where it isn't worth a line (pressure, half-heard words)."""
        match event:
            case ev.Tone():
                return self._tone(event)
            case ev.Speaker():
                return _speaker(event)
            case ev.Queue():
                return f"{_sure(queue_words(event), event.confidence)} {event.digits or ''}".rstrip()
            case ev.Transcript(is_final=True) if event.text.strip():
                who = f"{event.speaker_id}: " if event.speaker_id else ""
                return who + " ".join(event.text.split())
            case ev.Gap() | ev.Error() | ev.Drain():
                return self._picture.notices[-1].text
            case ev.Service():
                return f"{event.status}: {event.detail}"
            case ev.Environ() | ev.Scene() | ev.Accent():
                return _sure(humanised(event.label), event.confidence)
            case _:
                return None

    def _tone(self, event: ev.Tone) -> str:
        arrow = shift_glyph(event.shift_direction, self._glyphs)
        words = [event.label, f"{event.confidence:.2f}", f"{arrow} {event.shift_direction}" if arrow else ""]
        told = " ".join(word for word in words if word)
        who = f", {event.speaker_id}" if event.speaker_id else ""
        return f"{told}{who}" + (f" {self._glyphs.dash} {event.subtext}" if event.subtext else "")

    def _write(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(clean(line).encode(encoding, "replace").decode(encoding) + "\n")
        self._stream.flush()


class LiveOutput:
    """The live view of `gateway.commands.view`, redrawn in place."""

    def __init__(self, picture: Picture, console: Console) -> None:
        self._picture = picture
        self._console = console
        self._glyphs = glyphs_for(console.encoding)
        self._live = Live(
            console=console, auto_refresh=False, vertical_overflow="crop", redirect_stderr=False
        )
        self._shown: list[Text] | None = None
        self._height = 0

    def opened(self, welcome: ev.Welcome, *, watching: bool) -> None:
        self._picture.begin(welcome, watching=watching)
        self._live.start()
        self.redraw()

    def event(self, event: AnyEvent) -> None:
        self._picture.apply(event)

    def sent(self, sample: int) -> None:
        self._picture.sent = max(self._picture.sent, sample)

    def note(self, text: str) -> None:
        if self._live.is_started:
            self._picture.note(text)
        else:
            self._console.print(f"undertone: {text}", style="yellow", highlight=False, soft_wrap=True)

    def finishing(self) -> None:
        self._picture.phase = "finishing"

    def redraw(self) -> None:
        if self._live.is_started:
            # As high as its content, but never lower than before: nothing jumps.
            width, limit = self._console.width, min(self._console.height - 1, MAX_HEIGHT)
            self._height = min(limit, max(self._height, fitting(self._picture, width, limit)))
            self._show(draw(self._picture, width, self._height, self._glyphs))

    def closed(self, delays_s: Sequence[float], connection: str = "") -> None:
        if not self._live.is_started:
            return
        picture, width = self._picture, self._console.width
        if picture.phase != "done":
            picture.phase = "stopped"
        # What stays on the screen is a record: the last picture, all words, and the summary.
        last = draw(picture, width, min(HEAD, self._console.height - 1), self._glyphs)
        while last and not last[-1].plain.strip():
            last.pop()
        self._show(last)
        with self._frame():
            self._live.stop()
        closing = closing_lines(picture, delays_s, self._glyphs, width, connection)
        for block in (transcript_lines(picture, width), closing):
            for line in [Text(), *block] if block else []:
                self._console.print(line, soft_wrap=True)

    def _show(self, lines: list[Text]) -> None:
        if lines != self._shown:
            self._shown = lines
            with self._frame():
                self._live.update(Group(*lines), refresh=True)

    @contextlib.contextmanager
    def _frame(self) -> Iterator[None]:
        self._console.file.write(_FRAME_BEGINS)
        try:
            yield
        finally:
            self._console.file.write(_FRAME_ENDS)
            self._console.file.flush()


def _speaker(event: ev.Speaker) -> str:
    who = speaker_words(event)
    return who if event.label is ev.SpeakerLabel.NO_SPEAKER else _sure(who, event.confidence)


def _sure(words: str, confidence: float | None) -> str:
    """With how sure it is, where that was told."""
    return words if confidence is None else f"{words} {confidence:.2f}"


def choose_output(picture: Picture, *, json: bool, plain: bool, no_color: bool) -> Output:
    """JSON where asked for; the live view where standard output is a capable terminal; plain lines else."""
    if json:
        return JsonOutput(sys.stdout.buffer, sys.stderr)
    console = Console(no_color=True if no_color else None, highlight=False)
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainOutput(picture, sys.stdout)
    return LiveOutput(picture, console)


def _unknown_json(event: ev.UnknownEvent) -> bytes:
    return orjson.dumps({"type": event.type, **event.fields})
