"""A decoder process: `python -m gateway.transcribe.worker` reads frames on stdin and answers on stdout.

A process of its own, because PocketSphinx holds the interpreter's lock while it decodes; other engines use
`work` to be one, too. Its life hangs on its standard input alone: it ends when that does, also when the
gateway was killed, and lets pass the signals that a terminal or service manager sends to every process of a
service, because a gateway that drains still wants the last words. It gives way to the gateway's own threads,
is the first to go where memory runs out, and leaves no core file: its memory is somebody's voice.

Finals come from the first pass of PocketSphinx. Its second one (`fwdflat`) made the last word wait ten
times longer, and got more words wrong on LibriVox readings and about as many on flite voices.
"""

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from gateway.spawn import settle_in
from gateway.transcribe import frames
from gateway.transcribe.frames import FrameError, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERIM: Final = 4_800
"""Samples between interim results: 300 ms of audio, so that the same audio gives the same interims."""

_FRAME: Final = 160
"""Samples a frame of the decoder: 10 ms."""
_ALTERNATE: Final = re.compile(r"\(\d+\)$")
_UNSPOKEN: Final = ("<", "[", "+")
"""How `<sil>`, `[NOISE]` and `++UH++` begin."""

Word = tuple[str, int, int, float]
"""Text, first sample, one past the last, posterior probability."""


class Result(NamedTuple):
    """What was understood of an utterance; see `gateway.transcribe.decoder.Final`."""

    words: list[Word]
    profile: str | None = None
    text: str | None = None
    language: str | None = None
    confidence: float | None = None


def spoken(word: str) -> str:
    """A dictionary entry as people read it, or nothing for a filler: `the(2)` is `the`, `<sil>` is ``."""
    return "" if word.startswith(_UNSPOKEN) else _ALTERNATE.sub("", word).lower()


class Engine(Protocol):
    """A speech decoder, one utterance at a time."""

    def begin(self, profile: str | None) -> None: ...

    def process(self, pcm: bytes) -> None: ...

    def text(self) -> str:
        """What is understood so far."""
        ...

    def finish(self) -> Result:
        """All that was understood."""
        ...

    def drop(self) -> None: ...


class PocketSphinx:
    """PocketSphinx 5 with its own US-English model.

    The profile is the cepstral mean, which the decoder adapts to whoever is speaking. It belongs to the
    stream, not to the decoder: nobody's result depends on who was heard before. A stream's first utterance
    has none, so it is decoded once more when it is complete, normalised by its own mean (on LibriVox the
    word error rate fell from .35 to .23).

    A word's confidence is its posterior probability in the lattice. It tells right words from wrong ones
    only in part (area under the ROC curve .75 on LibriVox, .83 on flite) and is no calibrated probability.
    """

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder: Any = Decoder(samprate=16_000, fwdflat=False, loglevel="FATAL")
        self._neutral: str = self._decoder.get_cmn()
        self._whole: bytearray | None = None
        self._open = False

    def begin(self, profile: str | None) -> None:
        self.drop()
        self._decoder.reinit_feat()  # what it has adapted to but the mean: or the one before would be heard
        self._decoder.set_cmn(profile or self._neutral)
        self._whole = None if profile else bytearray()
        self._decoder.start_utt()
        self._open = True

    def process(self, pcm: bytes) -> None:
        if pcm:
            self._decoder.process_raw(pcm, False, False)
        if self._whole is not None:
            self._whole += pcm

    def text(self) -> str:
        hypothesis = self._decoder.hyp()
        return _text(hypothesis.hypstr.split()) if hypothesis else ""

    def finish(self) -> Result:
        self.drop()
        if self._whole:
            self._decoder.start_utt()
            self._decoder.process_raw(bytes(self._whole), False, True)
            self._decoder.end_utt()
        words = self._words()
        return Result(words, self._decoder.get_cmn(True) if words else None)

    def drop(self) -> None:
        if self._open:
            self._open = False
            self._decoder.end_utt()

    def _words(self) -> list[Word]:
        segments = self._decoder.seg() if self._decoder.hyp() else ()
        return [
            (text, segment.start_frame * _FRAME, (segment.end_frame + 1) * _FRAME, _share(segment.prob))
            for segment in segments or ()
            if (text := spoken(segment.word))
        ]


def _text(words: "Iterable[str]") -> str:
    return " ".join(filter(None, map(spoken, words)))


def _share(probability: float) -> float:
    """Within 0..1: a table of logarithms rounds to a little past 1."""
    return round(min(1.0, max(0.0, probability)), 3)


class Worker:
    """Does what the frames say."""

    def __init__(self, engine: Engine, send: Callable[[bytes], None]) -> None:
        self._engine = engine
        self._send = send
        self._utterance: int | None = None
        self._samples = self._looked = 0
        self._text = ""

    def handle(self, kind: Kind, payload: bytes) -> None:
        """Act on one frame; answers go to `send`. Raises FrameError for what only a decoder says."""
        if kind is Kind.BEGIN:
            self._begin(frames.fields_of(payload))
        elif kind is Kind.AUDIO:
            self._audio(payload)
        elif kind is Kind.FINISH:
            self._finish()
        elif kind is Kind.DROP:
            self._utterance = None
            self._engine.drop()
        else:
            raise FrameError(f"a decoder isn't told {kind.name}")

    def _begin(self, fields: dict[str, Any]) -> None:
        self._utterance = fields["utterance"]
        self._samples = self._looked = 0
        self._text = ""
        self._engine.begin(fields["profile"])

    def _audio(self, pcm: bytes) -> None:
        """Decode in steps of the interim interval, whatever the frames' sizes."""
        while pcm and self._utterance is not None:
            step = 2 * (self._looked + INTERIM - self._samples)
            self._engine.process(pcm[:step])
            self._samples += len(pcm[:step]) // 2
            pcm = pcm[step:]
            if self._samples == self._looked + INTERIM:
                self._look()

    def _look(self) -> None:
        self._looked = self._samples
        text = self._engine.text()
        if text and text != self._text:
            self._text = text
            fields = {"utterance": self._utterance, "text": text, "samples": self._samples}
            self._send(frames.pack_fields(Kind.PARTIAL, **fields))

    def _finish(self) -> None:
        if self._utterance is not None:
            result = self._engine.finish()
            utterance, self._utterance = self._utterance, None
            told = {name: value for name, value in result._asdict().items() if value is not None}
            self._send(frames.pack_fields(Kind.FINAL, utterance=utterance, **{"profile": None} | told))


def serve(take: Callable[[int], bytes], send: Callable[[bytes], None], engine: Callable[[], Engine]) -> None:
    """Load, say so, and work until the input ends."""
    try:
        worker = Worker(engine(), send)
    except Exception as error:
        send(frames.pack_fields(Kind.FAILED, reason=f"{type(error).__name__}: {error}"[:200]))
        return
    send(frames.pack(Kind.READY))
    while (frame := frames.read(take)) is not None:
        try:
            worker.handle(*frame)
        except RuntimeError as error:  # what the engines raise: of memory and devices, not of words
            send(frames.pack_fields(Kind.FAILED, reason=f"{type(error).__name__}: {error}"[:200]))
            return


def work(engine: Callable[[], Engine]) -> int:
    """Be a decoder process; 0 when its input ended, or the gateway went away meanwhile."""
    settle_in()
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def send(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[out.write(view) :]

    with suppress(BrokenPipeError, FrameError):
        serve(sys.stdin.buffer.read, send, engine)
    return 0


if __name__ == "__main__":
    sys.exit(work(PocketSphinx))
