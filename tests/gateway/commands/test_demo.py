"""`undertone demo` against a stand-in gateway: the recording arrives whole, and the next steps are told."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from gateway.commands import demo as module
from gateway.commands.demo import demo, next_steps, source_of
from gateway.commands.demo_audio import DemoAudio, build
from gateway.commands.exits import ExitCode
from gateway.commands.picture import Picture
from tests.gateway.commands.fake import Fake, fake_gateway
from tests.gateway.commands.test_stream import Seen, frames_of


@contextmanager
def started(fake: Fake) -> Iterator[str]:
    """The stand-in on a thread of its own, as the real gateway runs in the demo."""
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with fake_gateway(fake):
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(5)
    try:
        yield fake.url
    finally:
        over.set()
        thread.join(5)


def test_demo_streams_the_recording_and_says_what_next() -> None:
    """All of the call arrives, its length is known from the start, and then the user is told what to try."""
    fake, picture, told = Fake(), Picture(name="demo call"), list[str]()
    code = demo(lambda: started(fake), picture, Seen(), fast=True, tell=told.append)
    samples = build().samples
    assert code is ExitCode.OK
    assert bytes(fake.received) == samples.astype("<i2").tobytes()
    assert picture.total_samples == len(samples)
    assert told[-len(next_steps()) :] == next_steps()
    assert fake.query["num_speakers"] == "2"


def test_source_is_the_recording_in_frames() -> None:
    """The recording is cut into frames of 100 ms without losing a sample."""
    audio = DemoAudio(samples=np.arange(4_000, dtype=np.int16), speech_from="x")
    got = frames_of(source_of(audio))
    assert [len(frame) for frame in got] == [3_200, 3_200, 1_600]
    assert b"".join(got) == audio.samples.astype("<i2").tobytes()


@pytest.mark.parametrize("there", [True, False])
def test_missing_words_are_explained(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """Where nothing can transcribe, the demo says so before it starts, and how to get it."""
    monkeypatch.setattr(module, "_transcribes", lambda: there)
    audio = DemoAudio(samples=np.zeros(10, dtype=np.int16), speech_from="x")
    notes = source_of(audio).notes
    assert len(notes) == (0 if there else 1)
    assert there or "pip install '.[embedded]'" in notes[0]


def test_next_steps_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step names the command by which this installation is found."""
    monkeypatch.setattr(module, "undertone", lambda arguments: f"here/undertone {arguments}")
    steps = next_steps()
    assert all("here/undertone" in step for step in steps[1:])
