"""`undertone demo`: a gateway inside, a small telephone call streamed into it, and what to try next."""

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from gateway.commands.demo_audio import DemoAudio, build
from gateway.commands.exits import ExitCode
from gateway.commands.invocation import install, undertone
from gateway.commands.outputs import Output
from gateway.commands.picture import Picture
from gateway.commands.sources import FRAME_MS, Source
from gateway.commands.stream import StreamOptions, stream
from gateway.commands.synth import RATE
from protocol.audio import AudioFormat

Gateway = Callable[[], AbstractContextManager[str]]
"""Starts a gateway on a free loopback port and gives its URL; ends it on leaving"""


def next_steps() -> list[str]:
    """What to try now, with commands that work when pasted here."""
    return [
        "Next",
        f"  run the gateway   {undertone('serve')}    (or: make run)",
        f"  your recording    {undertone('stream talk.wav')}",
        f"  your own voice    arecord -f S16_LE -r 16000 | {undertone('stream -')}",
    ]


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
        for line in next_steps():
            tell(line)
    return code


def source_of(audio: DemoAudio) -> Source:
    """The demo's recording as a source for `stream`."""
    return Source(
        name="demo call",
        audio=AudioFormat(sample_rate=RATE),
        total_samples=len(audio.samples),
        blocks=_blocks(audio),
        notes=[]
        if _transcribes()
        else [f"no words: PocketSphinx is missing; in a clone:  {install('embedded')}"],
    )


def _transcribes() -> bool:
    return importlib.util.find_spec("pocketsphinx") is not None


def _blocks(audio: DemoAudio) -> Iterator[bytes]:
    step = RATE * FRAME_MS // 1000
    for start in range(0, len(audio.samples), step):
        yield audio.samples[start : start + step].astype("<i2").tobytes()
