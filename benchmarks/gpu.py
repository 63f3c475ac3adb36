"""What a wav2vec2-large-sized network costs on this machine: windows a second, and the sessions that makes.

    python3 -m benchmarks.gpu                          # 24 layers, 4 s of context, batches of 1, 8, 32, 128
    python3 -m benchmarks.gpu --half                   # in 16 bits
    python3 -m benchmarks.gpu --engine onnx            # through the gateway's own loader of ONNX models
    python3 -m benchmarks.gpu --write DIR              # only write the model, for UNDERTONE_ONNX_MODEL_FILE

Weights are random: the time a network takes doesn't depend on what it learnt. Stands alone: numpy, and
PyTorch or (onnx and onnxruntime); no network, and nothing of the gateway but the loader that `--engine onnx`
measures. Two things are measured, each from samples in host memory to numbers in host memory:

* one call after another, for each batch: windows a second, median and 99th percentile of a call;
* live sessions: windows arrive evenly, one a second for each session, and are gathered as the gateway's
  scheduler does (10 ms, at most `--gather` in a call). The most sessions whose 99th percentile from arrival
  to answer stays within `--within`.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.gpu_shape import Shape
from benchmarks.rows import Row, table

RATE = 16_000
LINGER_S = 0.010
WARM_UPS = 3
LEAST_CALLS = 5
SHARES = (0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.35, 0.2, 0.1, 0.05)
"""Parts of the best throughput that are tried as a load, in order."""


class Engine(Protocol):
    """What runs the network."""

    name: str
    place: str
    """What it runs on, for people."""

    def infer(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]: ...


class OnnxEngine:
    """The gateway's own way to run a model."""

    def __init__(self, shape: Shape, context_s: float, folder: Path) -> None:
        import onnxruntime

        from benchmarks.gpu_graph import write
        from gateway.classify.onnx.model import load
        from gateway.classify.onnx.spec import read_spec

        self._model = load(read_spec(write(shape, folder, context_s)), threads=_cores())
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.place = self._model.device.upper()

    def infer(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        return self._model.run(rows)["logits"]


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    try:
        shape = Shape(given.layers, given.hidden, given.heads, given.inner, given.channels, given.half)
        if given.write:
            from benchmarks.gpu_graph import write

            print(write(shape, given.write, given.context))
            return 0
        with tempfile.TemporaryDirectory() as scratch:
            engine = _engine(given, shape, Path(scratch))
            return _report(given, shape, engine)
    except ImportError as error:
        print(f"can't be measured here: {error.name or error} is not installed", file=sys.stderr)
        return 1


def _report(given: argparse.Namespace, shape: Shape, engine: Engine) -> int:
    samples = round(given.context * RATE)
    weights = f"{shape.parameters / 1e6:.0f} M weights of {16 if shape.half else 32} bits"
    print(
        f"{engine.name} on {engine.place}: {shape.layers} layers, {weights}, {given.context:g} s of context"
    )
    calls = {
        batch: each for batch in given.batches if (each := _calls(engine, batch, samples, given.seconds))
    }
    if not calls:
        print("no batch could be run", file=sys.stderr)
        return 1
    rows = [row for batch, times in calls.items() for row in _rows(batch, times, shape, samples)]
    best = max(batch / float(np.mean(times)) for batch, times in calls.items() if batch <= given.gather)
    found: dict[str, Any] = {}
    if given.sessions_s > 0:
        found = _sessions(engine, best, samples, given)
        rows.append(Row("live sessions at hop 1 s", found["sessions"], "sessions"))
        rows.append(Row("of it arrival to answer, p99", found["p99_ms"], "ms"))
    print(table(rows))
    if given.json:
        figures = {
            "engine": engine.name,
            "place": engine.place,
            "parameters": shape.parameters,
            "half": shape.half,
            "context_s": given.context,
            "rows": [{"name": row.name, "value": row.value, "unit": row.unit} for row in rows],
            **found,
        }
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def _calls(engine: Engine, batch: int, samples: int, seconds: float) -> list[float]:
    """Seconds that each of many calls took; none where the batch doesn't fit."""
    rows = _noise(batch, samples)
    try:
        for _ in range(WARM_UPS):
            told = engine.infer(rows)
    except Exception as error:  # out of memory has another class in each library
        print(f"batch {batch} can't be run: {str(error).splitlines()[0][:120]}", file=sys.stderr)
        return []
    if told.shape != (batch, 3) or not np.isfinite(told).all():
        raise SystemExit(f"batch {batch}: the network gives no numbers, so its time means nothing")
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < LEAST_CALLS or time.perf_counter() < until:
        begun = time.perf_counter()
        engine.infer(rows)
        times.append(time.perf_counter() - begun)
    return times


def _rows(batch: int, times: list[float], shape: Shape, samples: int) -> list[Row]:
    rate = batch / float(np.mean(times))
    name = f"batch {batch}"
    return [
        Row(f"{name}, throughput", rate, "windows/s"),
        Row(f"{name}, a call, p50", 1e3 * float(np.percentile(times, 50)), "ms"),
        Row(f"{name}, a call, p99 of {len(times)}", 1e3 * float(np.percentile(times, 99)), "ms"),
        Row(f"{name}, arithmetic", rate * shape.operations(samples) / 1e12, "TFLOP/s"),
    ]


def _sessions(engine: Engine, best: float, samples: int, given: argparse.Namespace) -> dict[str, Any]:
    """The most sessions, of a falling row of loads, that are answered in time; 0 where none are."""
    tried: list[dict[str, float]] = []
    pool = _noise(given.gather, samples)
    for size in range(1, given.gather + 1):  # a size's first call is slow, and no session's fault
        engine.infer(pool[:size])
    for share in SHARES:
        sessions = max(1, int(share * best))
        p99_ms = 1e3 * _loaded(engine, sessions, pool, given)
        tried.append({"sessions": sessions, "p99_ms": p99_ms})
        if p99_ms <= given.within:
            return {**tried[-1], "within_ms": given.within, "gather": given.gather, "tried": tried}
    return {
        "sessions": 0,
        "p99_ms": p99_ms,
        "within_ms": given.within,
        "gather": given.gather,
        "tried": tried,
    }


def _loaded(engine: Engine, sessions: int, pool: npt.NDArray[np.int16], given: argparse.Namespace) -> float:
    """Seconds from arrival to answer, 99th percentile, of a load of so many sessions."""
    count = max(given.gather, round(sessions * given.sessions_s))
    arrivals = np.arange(count) / sessions
    answered = np.zeros(count)
    begun, taken = time.perf_counter(), 0
    while taken < count:
        full = min(taken + given.gather, count) - 1
        wait = min(arrivals[taken] + LINGER_S, arrivals[full]) - (time.perf_counter() - begun)
        if wait > 0:
            time.sleep(wait)
        now = time.perf_counter() - begun
        there = int(np.searchsorted(arrivals, now, side="right"))
        until = max(taken + 1, min(there, taken + given.gather))
        engine.infer(pool[: until - taken])
        answered[taken:until] = time.perf_counter() - begun
        taken = until
        if answered[taken - 1] - arrivals[taken - 1] > 20 * given.within / 1e3:
            return float(answered[taken - 1] - arrivals[taken - 1])  # it only falls further behind
    return float(np.percentile(answered - arrivals, 99))


def _noise(batch: int, samples: int) -> npt.NDArray[np.int16]:
    return np.random.default_rng(0).normal(0.0, 3_000.0, (batch, samples)).astype(np.int16)


def _engine(given: argparse.Namespace, shape: Shape, scratch: Path) -> Engine:
    kind = given.engine or ("torch" if is_installed("torch") else "onnx")
    if kind == "onnx":
        return OnnxEngine(shape, given.context, scratch)
    from benchmarks.gpu_torch import TorchEngine

    return TorchEngine(shape, compiled=given.compile)


def is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _cores() -> int:
    import os

    return max(1, len(os.sched_getaffinity(0)))


def _parser() -> argparse.ArgumentParser:
    usual = Shape()
    parser = argparse.ArgumentParser(
        prog="python3 -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--engine", choices=["torch", "onnx"], help="default: PyTorch where it is installed")
    add("--half", action="store_true", help="weights and arithmetic of 16 bits")
    add("--compile", action="store_true", help="PyTorch only: through torch.compile")
    add("--layers", type=int, default=usual.layers)
    add("--hidden", type=int, default=usual.hidden)
    add("--heads", type=int, default=usual.heads)
    add("--inner", type=int, default=usual.inner)
    add("--channels", type=int, default=usual.channels)
    add("--context", type=float, default=4.0, metavar="S", help="seconds that the network hears at once")
    add("--batches", type=_numbers, default=[1, 8, 32, 128], metavar="N,N,…")
    add("--seconds", type=float, default=5.0, metavar="S", help="for each batch")
    add("--gather", type=int, default=32, metavar="N", help="most windows in one call of the live load")
    add("--within", type=float, default=250.0, metavar="MS", help="what the live load's p99 must keep to")
    add("--sessions-s", type=float, default=5.0, metavar="S", help="seconds of each live load; 0: none")
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    add("--write", type=Path, metavar="DIR", help="write the model and its description there, and end")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
