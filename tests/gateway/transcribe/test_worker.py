"""What the decoder process does with its frames, without the process."""

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transcribe import frames, worker
from gateway.transcribe.frames import FrameError, Kind
from gateway.transcribe.worker import INTERIM, Result, Worker, spoken


class Parrot:
    """An engine that understands a word per 300 ms, the same one twice in a row."""

    def __init__(self) -> None:
        self.heard = 0
        self.profiles: list[str | None] = []
        self.dropped = 0

    def begin(self, profile: str | None) -> None:
        self.heard = 0
        self.profiles.append(profile)

    def process(self, pcm: bytes) -> None:
        self.heard += len(pcm) // 2

    def text(self) -> str:
        return f"word {self.heard // INTERIM // 2}" if self.heard // INTERIM >= 2 else ""

    def finish(self) -> Result:
        return Result([("done", 0, self.heard, 0.5)], "p")

    def drop(self) -> None:
        self.dropped += 1


class Line:
    """A worker and what it answered."""

    def __init__(self) -> None:
        self.engine = Parrot()
        self.said: list[tuple[Kind, dict[str, Any]]] = []
        self.worker = Worker(self.engine, self._hear)

    def _hear(self, data: bytes) -> None:
        frame = frames.read(io.BytesIO(data).read)
        assert frame is not None
        self.said.append((frame[0], frames.fields_of(frame[1])))

    def begin(self, utterance: int = 1, profile: str | None = None) -> None:
        fields = frames.pack_fields(Kind.BEGIN, utterance=utterance, profile=profile)
        self.worker.handle(Kind.BEGIN, fields[5:])

    def audio(self, samples: int) -> None:
        self.worker.handle(Kind.AUDIO, bytes(2 * samples))


def test_interims_come_every_300_ms_and_only_when_new() -> None:
    """Of six looks two find nothing new and one finds no text at all."""
    line = Line()
    line.begin(7)
    line.audio(6 * INTERIM)
    assert [(kind, fields["samples"]) for kind, fields in line.said] == [
        (Kind.PARTIAL, 2 * INTERIM),
        (Kind.PARTIAL, 4 * INTERIM),
        (Kind.PARTIAL, 6 * INTERIM),
    ]
    assert {fields["utterance"] for _, fields in line.said} == {7}


@given(sizes=st.lists(st.integers(0, 9_000), max_size=12))
@settings(max_examples=50, deadline=None)
def test_the_same_audio_gives_the_same_answers(sizes: list[int]) -> None:
    """However the audio is split into frames, interims and final are the same."""
    split, whole = Line(), Line()
    for line, parts in ((split, sizes), (whole, [sum(sizes)])):
        line.begin()
        for size in parts:
            line.audio(size)
        line.worker.handle(Kind.FINISH, b"")
    assert split.said == whole.said
    assert split.said[-1][1]["words"] == [["done", 0, sum(sizes), 0.5]]


def test_a_dropped_utterance_is_never_answered() -> None:
    """After a drop, audio and finish of the forgotten utterance have no effect; the next begins clean."""
    line = Line()
    line.begin(1)
    line.worker.handle(Kind.DROP, b"")
    line.audio(4 * INTERIM)
    line.worker.handle(Kind.FINISH, b"")
    assert line.said == []
    assert line.engine.dropped == 1
    line.begin(2, "learned")
    line.worker.handle(Kind.FINISH, b"")
    assert line.said[0][1] == {"utterance": 2, "words": [["done", 0, 0, 0.5]], "profile": "p"}
    assert line.engine.profiles == [None, "learned"]


def test_only_what_a_decoder_is_told_is_accepted() -> None:
    """A frame that only decoders send is refused."""
    with pytest.raises(FrameError):
        Line().worker.handle(Kind.READY, b"")


def test_a_model_that_doesnt_load_is_told() -> None:
    """The reason reaches the gateway, and the process ends."""

    def broken() -> Parrot:
        raise RuntimeError("no model")

    said: list[bytes] = []
    worker.serve(lambda _: b"", said.append, broken)
    assert said == [frames.pack_fields(Kind.FAILED, reason="RuntimeError: no model")]


def test_ready_comes_first_and_the_end_of_input_ends_it() -> None:
    """A decoder that loaded says so, and stops with its input."""
    said: list[bytes] = []
    worker.serve(lambda _: b"", said.append, Parrot)
    assert said == [frames.pack(Kind.READY)]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("the(2)", "the"),
        ("The", "the"),
        ("<sil>", ""),
        ("</s>", ""),
        ("[NOISE]", ""),
        ("++UH++", ""),
        ("i'm", "i'm"),
    ],
)
def test_dictionary_entries_are_made_readable(entry: str, text: str) -> None:
    """Alternates lose their number, fillers vanish."""
    assert spoken(entry) == text


class Breaking(Parrot):
    """An engine whose device is out of memory."""

    def finish(self) -> Result:
        raise RuntimeError("out of memory")


def test_an_engine_that_breaks_says_why() -> None:
    """The process ends with the reason: a fresh one has the memory again."""
    said: list[bytes] = []
    begin = frames.pack_fields(Kind.BEGIN, utterance=1, profile=None)
    told = io.BytesIO(begin + frames.pack(Kind.FINISH) + begin)
    worker.serve(told.read, said.append, Breaking)
    assert [Kind(data[4]) for data in said] == [Kind.READY, Kind.FAILED]
    assert frames.fields_of(said[1][5:]) == {"reason": "RuntimeError: out of memory"}


class Whole(Parrot):
    """An engine that tells the text and the language itself."""

    def finish(self) -> Result:
        return Result([("お早う", 0, 160, 0.5)], None, "お早う", "ja", 0.25)


def test_a_final_has_what_its_engine_tells() -> None:
    """The text, the language and the confidence are left out where it doesn't."""
    for engine, also in (
        (Whole(), {"text": "お早う", "language": "ja", "confidence": 0.25}),
        (Parrot(), {}),
    ):
        line = Line()
        line.worker = Worker(engine, line._hear)
        line.begin()
        line.worker.handle(Kind.FINISH, b"")
        ((_, fields),) = line.said
        assert {
            name: value for name, value in fields.items() if name in ("text", "language", "confidence")
        } == also
        assert "profile" in fields
