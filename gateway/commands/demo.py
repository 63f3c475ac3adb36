"""`undertone demo`: a gateway inside, a small telephone call streamed into it, and what to try next."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from gateway.commands.demo_audio import DemoAudio, build
from gateway.commands.exits import ExitCode
from gateway.commands.outputs import Output
from gateway.commands.picture import Picture
from gateway.commands.sources import FRAME_MS, Source
from gateway.commands.stream import StreamOptions, stream
from gateway.commands.synth import RATE
from protocol.audio import AudioFormat

Gateway = Callable[[], AbstractContextManager[str]]
"""Starts a gateway on a free loopback port and gives its URL; ends it on leaving"""

NEXT = (
    "Next:  undertone serve                     run the gateway (or: make run), then",
    "       undertone stream talk.wav           stream a recording of yours to it, or",
    "       arecord -f S16_LE -r 16000 | undertone stream -       your own voice",
)


def demo(
    gateway: Gateway, picture: Picture, output: Output, *, fast: bool, tell: Callable[[str], None]
) -> ExitCode:
    """Run the demo; `tell` prints a line for people. Raises CommandError."""
    audio = build()
    picture.total_samples = len(audio.samples)
    with gateway() as url:
        options = StreamOptions(url=url, config={"num_speakers": 2}, fast=fast)
        code = asyncio.run(stream(options, source_of(audio), output))
    if code is ExitCode.OK:
        tell("")
        tell(f"Speech: {audio.speech_from}; everything else was synthesised.")
        for line in NEXT:
            tell(line)
    return code


def source_of(audio: DemoAudio) -> Source:
    """The demo's recording as a source for `stream`."""
    return Source(
        name="demo call",
        audio=AudioFormat(sample_rate=RATE),
        total_samples=len(audio.samples),
        blocks=_blocks(audio),
    )


def _blocks(audio: DemoAudio) -> Iterator[bytes]:
    step = RATE * FRAME_MS // 1000
    for start in range(0, len(audio.samples), step):
        yield audio.samples[start : start + step].astype("<i2").tobytes()
