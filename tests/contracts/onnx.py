"""The ONNX classifier for the suite that every classifier passes: a tiny graph, alone and with the DSP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.classify.acoustic.classifier import AcousticClassifier
from gateway.classify.acoustic.speaking import speaking
from gateway.classify.blend import BlendedClassifier
from gateway.classify.onnx.classifier import OnnxClassifier
from gateway.classify.port import Classifier
from gateway.clock import SystemClock
from tests.gateway.classify.onnx.graphs import CLASSES, Graph, loaded


@asynccontextmanager
async def onnx() -> AsyncIterator[Classifier]:
    """Dimensions, by a graph of any batch and length."""
    async with _started() as made:
        yield made


@asynccontextmanager
async def onnx_in_the_session() -> AsyncIterator[Classifier]:
    """Classes, with the context in the session's state."""
    graph = Graph(gains=[1.0, 2.0, 3.0, 4.0], biases=[1.0, 0.0, 0.0, 0.0])
    async with _started(graph, top='keep = "session"\ngate = "energy"', rest=CLASSES) as made:
        yield made


@asynccontextmanager
async def onnx_and_acoustic() -> AsyncIterator[Classifier]:
    """Tone by the model, the rest by signal processing: what `UNDERTONE_CLASSIFIER=onnx` serves."""
    with TemporaryDirectory() as folder:
        tonal = OnnxClassifier(loaded(Path(folder)), SystemClock(), talking=speaking)
        blend = BlendedClassifier(tonal, AcousticClassifier())
        await blend.start()
        try:
            yield blend
        finally:
            await blend.aclose()


@asynccontextmanager
async def _started(graph: Graph | None = None, **given: str) -> AsyncIterator[Classifier]:
    with TemporaryDirectory() as folder:
        made = OnnxClassifier(loaded(Path(folder), graph, **given), SystemClock(), talking=speaking)
        await made.start()
        try:
            yield made
        finally:
            await made.aclose()


FACTORIES = {
    "onnx": onnx,
    "onnx, kept in the session": onnx_in_the_session,
    "onnx with acoustic": onnx_and_acoustic,
}
"""Name → what makes a started classifier, and ends it."""
