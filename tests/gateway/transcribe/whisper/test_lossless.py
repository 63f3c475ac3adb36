"""A recording is sent as fast as its credit allows, and the voice detector is slower than that."""

import asyncio
import threading
from typing import cast

from gateway.live.registry import Tasks
from gateway.transcribe.port import Emit, Transcriber, Warn
from gateway.transcribe.segmenter import PowerDetector, Samples
from gateway.transcribe.whisper.cutting import SAMPLES_A_ROUND, Cutter
from gateway.transcribe.whisper.stream import Ask, WhisperStream
from protocol.control import Delivery, SessionConfig
from protocol.events import Service, Transcript
from tests.fakes import bench
from tests.gateway.transcribe.fakes import Bench, HandDecoder, sound
from tests.gateway.transcribe.whisper.test_cutting import expected

RECORDING = sound([(1.0, False), (1.0, True)] * 60 + [(1.0, False)])
"""Two minutes: four times what may wait to be cut."""
FRAME = 1_600


class GatedDetector(PowerDetector):
    """A detector that scores as often as the test lets it."""

    def __init__(self, gate: threading.Semaphore) -> None:
        super().__init__()
        self._gate = gate

    def scores(self, frames: Samples) -> list[float]:
        self._gate.acquire()
        return super().scores(frames)


class PromptDecoder(HandDecoder):
    """Understands the same word in everything, as soon as it is asked."""

    def finish(self) -> None:
        super().finish()
        asyncio.get_running_loop().call_soon(self.conclude, "word")


class PromptBench(Bench):
    """A pool of prompt decoders."""

    def _make(self) -> HandDecoder:
        self.decoders.append(PromptDecoder())
        return self.decoders[-1]


class GatedTranscriber:
    """Opens a stream whose bottleneck is its detector."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.cutter = Cutter(lambda: GatedDetector(self.gate))
        self.stream: WhisperStream | None = None
        self._decoders = PromptBench()
        self._decoders.ready()

    def open(self, *, emit: Emit, warn: Warn, language: str | None, flush_s: float = 60) -> WhisperStream:
        self.stream = WhisperStream(
            self._decoders.pool, self.cutter, Ask("en"), emit=emit, warn=warn, flush_s=flush_s
        )
        return self.stream

    def tell(self, progress: asyncio.Event) -> None:
        """Set it, too, when the stream tells of progress."""
        assert self.stream is not None
        told = self.stream.on_settled

        def settled() -> None:
            told()
            progress.set()

        self.stream.on_settled = settled


def test_a_recording_waits_for_the_detector() -> None:
    """Its credit isn't raised past what isn't cut, so nothing is lost, and every utterance has its words."""

    async def main() -> None:
        tasks, engine = Tasks(), GatedTranscriber()
        engine.cutter.start()
        config = SessionConfig(delivery=Delivery.LOSSLESS)
        on = bench(config=config, transcriber=cast(Transcriber, engine), spawn=tasks.spawn)
        progress = asyncio.Event()
        waits = 0
        for at in range(0, len(RECORDING), FRAME):
            assert on.pipeline.credit is not None
            while on.pipeline.credit.limit < at + FRAME:
                waits += 1
                progress.clear()
                engine.gate.release(SAMPLES_A_ROUND // FRAME)
                await progress.wait()
            on.pipeline.feed(RECORDING[at : at + FRAME].tobytes())
            on.scheduler.answer()
            if at == 0:
                engine.tell(progress)
        assert engine.stream is not None
        engine.gate.release(len(RECORDING))
        await engine.stream.flush()
        assert [event.detail for event in on.events if isinstance(event, Service)] == []
        finals = [event for event in on.events if isinstance(event, Transcript) and event.is_final]
        spans = [at for event in finals for at in (event.start_sample, event.end_sample)]
        assert spans == expected(RECORDING)
        assert waits > 0
        assert engine.stream.pending_from16k is None
        await engine.stream.aclose()
        await engine.cutter.aclose()
        await tasks.aclose()

    asyncio.run(main())


def test_a_flush_doesnt_wait_for_the_detector_for_ever() -> None:
    """What isn't cut by then is told to be late, and is pending until the stream is closed."""

    async def main() -> None:
        engine, warnings = GatedTranscriber(), list[str]()
        engine.cutter.start()
        stream = engine.open(emit=lambda _: None, warn=warnings.append, language=None, flush_s=0)
        stream.feed(RECORDING[:FRAME], 16_000)
        await stream.flush()
        assert warnings == ["the last words were not transcribed in time"]
        pending = [stream.pending_from16k]
        await stream.aclose()
        pending.append(stream.pending_from16k)
        assert pending == [16_000, None]
        engine.gate.release()
        await engine.cutter.aclose()

    asyncio.run(main())
