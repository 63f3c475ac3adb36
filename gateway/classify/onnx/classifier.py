"""Tone from a local model: any graph that a small TOML file describes.

A batch goes through in worker threads: each window's context is put together, windows without sound or
speech are set aside (they are classified, and there is nothing to tell), and the others are run in rows of
equal length. A row that comes back as no number fails its own window; where a call fails, its rows are tried
one by one, so that only those fail that make it fail. Whatever else goes wrong with a window fails that
window.

What is kept of a session (its context and the course of its dimensions) changes when its window was answered,
and not otherwise.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from gateway.classify.notices import Notices
from gateway.classify.onnx.context import KEY, Context, Contexts, Samples, by_length, extended, own, place
from gateway.classify.onnx.course import Course
from gateway.classify.onnx.errors import ModelError
from gateway.classify.onnx.gate import audible
from gateway.classify.onnx.model import Model, Outputs
from gateway.classify.onnx.spec import GateKind, ModelSpec, Provider
from gateway.classify.onnx.tone import observe
from gateway.classify.port import Answer, ClassifierError, Health, HealthStatus, Observation, Window
from gateway.clock import Clock

log = logging.getLogger(__name__)

Talking = Callable[[Sequence[Window]], Sequence[bool]]
"""Whether somebody speaks, for each window in order. Called in a worker thread."""

_COURSE = "course"


@dataclass(frozen=True, slots=True)
class Deferred:
    """A model that is loaded in the background, for a process that serves already."""

    spec: ModelSpec
    load: Callable[[], Model]
    """Called once, in a worker thread; raises ModelError."""


@dataclass(slots=True)
class _Heard:
    """A window on its way: what was heard, and what there is to say of it."""

    window: Window
    context: Context
    course: Course
    told: list[Observation]


@dataclass(frozen=True, slots=True)
class _Done:
    """A batch that was worked through."""

    answers: list[_Heard | ClassifierError]
    """In the batch's order."""
    ran: int
    """Rows of which the model had something to tell."""
    failure: Exception | None
    """Why it had nothing to tell of another, if there is one."""


class OnnxClassifier:
    """Tone by a local ONNX model. Implements `gateway.classify.port.Classifier`.

    Args:
        talking: hears whether somebody speaks, where the model's file wants its windows gated by that.
        workers: threads; each works through one batch at a time.
    """

    name = "onnx"

    def __init__(
        self, model: Model | Deferred, clock: Clock, *, talking: Talking | None = None, workers: int = 1
    ) -> None:
        self._spec = model.spec
        self._deferred = model if isinstance(model, Deferred) else None
        self._model = None if isinstance(model, Deferred) else model
        self._talking = talking if model.spec.gate is GateKind.SPEECH else None
        self._contexts: Contexts = place(model.spec.keep, clock)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="onnx")
        self._most = model.spec.batch if self._model is None else self._model.most
        self._notices = Notices()
        self._health = Health(HealthStatus.LOADING, "not started")
        self._well = Health(HealthStatus.READY)
        self._preparing: asyncio.Task[None] | None = None
        self._logged: set[type[Exception]] = set()
        self._closed = False

    @property
    def notices(self) -> Notices:
        """How the model is: the part `onnx`."""
        return self._notices

    async def start(self) -> None:
        """A model that was loaded before is ready, on a CPU. What takes longer goes on in the background."""
        if self._model is not None and self._model.device is Provider.CPU:
            self._get_well(self._model)
            self._tell(self._well)
        else:
            self._preparing = asyncio.create_task(self._prepare(), name="onnx-prepare")

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        """The tone of windows of different sessions; nothing where nobody speaks.

        Raises:
            ClassifierError: the model isn't loaded yet, or the classifier is closed.
        """
        if self._closed:
            raise ClassifierError("the onnx classifier is closed")
        if not batch:
            return []
        if self._model is None:
            raise ClassifierError("the model isn't loaded")
        before = [self._contexts.get(window) for window in batch]
        loop = asyncio.get_running_loop()
        work = partial(self._work, self._model, list(batch), before)
        try:
            done = await loop.run_in_executor(self._pool, work)
        except Exception as error:
            raise self._unforeseen(error) from error
        self._note(done)
        return [self._settled(one) for one in done.answers]

    def forget(self, session: str) -> None:
        """Let its context go."""
        self._contexts.forget(session)

    def health(self) -> Health:
        """Whether it can answer now."""
        return self._health

    async def aclose(self) -> None:
        """Take no more batches; the threads end with those under way. Safe to call again."""
        self._closed = True
        self._health = Health(HealthStatus.ERROR, "closed")
        if self._preparing is not None:
            self._preparing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._preparing
            self._preparing = None
        self._pool.shutdown(wait=False, cancel_futures=True)

    # On the event loop ---------------------------------------------------------------------------------

    def _settled(self, one: _Heard | ClassifierError) -> Answer:
        """Keep what a window leaves behind, and answer for it."""
        if isinstance(one, ClassifierError):
            return one
        window = one.window
        self._contexts.put(window, one.context)
        if one.told:
            window.state[KEY] = {**own(window.state), _COURSE: one.course.pack()}
        return one.told

    def _note(self, done: _Done) -> None:
        """A model that answers nothing any more is told of once, and again when it is back."""
        if done.ran:
            if self._health.status is HealthStatus.ERROR and not self._closed:
                self._tell(self._well)
        elif done.failure is not None:
            said = _sentence(done.failure)
            if self._health.status is not HealthStatus.ERROR:
                log.error("%s", said, exc_info=done.failure)
            self._tell(Health(HealthStatus.ERROR, said))

    def _tell(self, health: Health) -> None:
        if not self._closed:
            self._health = health
            self._notices.tell(self.name, health)

    def _get_well(self, model: Model) -> None:
        """What is told while all is well."""
        spec = self._spec
        detail = f"{spec.name} on {model.device}" + (f" ({spec.licence})" if spec.licence else "")
        self._well = Health(HealthStatus.READY, detail)
        if Provider.CUDA in spec.providers and model.device is Provider.CPU:
            self._well = Health(HealthStatus.WARNING, f"{spec.name} on the CPU: CUDA can't be used here")

    async def _prepare(self) -> None:
        """Load the model where that wasn't done yet, and warm up a GPU: its first calls take seconds."""
        self._tell(Health(HealthStatus.LOADING, f"{self._spec.name} is being loaded"))
        try:
            model = await self._loaded()
        except Exception as error:
            # People who listen needn't know where files lie: that is for the log.
            log.error("the model can't be used: %s", error, exc_info=not isinstance(error, ModelError))
            self._tell(Health(HealthStatus.ERROR, f"{self._spec.name} can't be used"))
            return
        self._get_well(model)
        if model.device is Provider.CPU or await self._warm_up(model):
            self._tell(self._well)

    async def _loaded(self) -> Model:
        if self._model is None:
            assert self._deferred is not None
            loop = asyncio.get_running_loop()
            self._model = await loop.run_in_executor(self._pool, self._deferred.load)
            self._most = self._model.most
        return self._model

    async def _warm_up(self, model: Model) -> bool:
        """Run the largest batch once; a GPU too small for it takes smaller ones from then on.

        Returns whether it can be run at all.
        """
        spec, size = self._spec, self._most
        loop = asyncio.get_running_loop()
        while True:
            try:
                rows = np.zeros((size, spec.context_samples), np.int16)
                await loop.run_in_executor(self._pool, model.run, rows)
                break
            except Exception as error:
                log.warning("the model can't take %d windows at once: %s", size, type(error).__name__)
                if size == 1:
                    self._tell(Health(HealthStatus.ERROR, f"the model fails: {type(error).__name__}"))
                    return False
                size //= 2
        if size < self._most:
            said = f"{spec.name} takes {size} windows at once, not {self._most}: less of the device is used"
            self._well = Health(HealthStatus.WARNING, said)
            self._most = size
        return True

    # In a worker thread --------------------------------------------------------------------------------

    def _work(self, model: Model, batch: list[Window], before: list[Context | None]) -> _Done:
        answers: list[_Heard | ClassifierError] = [
            self._hear(window, context) for window, context in zip(batch, before, strict=True)
        ]
        asked = self._to_ask([one for one in answers if isinstance(one, _Heard)])
        results, failure = self._run(model, [one.context for one in asked])
        outcome = dict(zip(map(id, asked), results, strict=True))
        ran = 0
        for i, one in enumerate(answers):
            if isinstance(one, _Heard) and id(one) in outcome:
                answers[i] = said = self._say(one, outcome[id(one)])
                ran += isinstance(said, _Heard)
                if isinstance(said, ClassifierError):
                    failure = failure or said
        return _Done(answers, ran, failure)

    def _hear(self, window: Window, before: Context | None) -> _Heard | ClassifierError:
        try:
            course = Course.unpack(own(window.state).get(_COURSE))
            return _Heard(window, extended(before, window, self._spec.context_samples), course, [])
        except Exception as error:
            return self._unforeseen(error)

    def _to_ask(self, heard: list[_Heard]) -> list[_Heard]:
        """Those that the model is to hear: somebody speaks, and the context is long enough."""
        least = self._spec.least_samples
        loud = [one for one in heard if len(one.context.samples) >= least and audible(one.window.samples)]
        if self._talking is None or not loud:
            return loud
        talking = self._talking([one.window for one in loud])
        return [one for one, speaks in zip(loud, talking, strict=True) if speaks]

    def _run(
        self, model: Model, contexts: list[Context]
    ) -> tuple[list[Outputs | ClassifierError], Exception | None]:
        """The model's outputs for each context, shape (1, width), or why there are none."""
        results: dict[int, Outputs | ClassifierError] = {}
        failure: Exception | None = None
        samples = [context.samples for context in contexts]
        for group in by_length(samples, self._most):
            try:
                results.update(zip(group, _call(model, [samples[i] for i in group]), strict=True))
            except Exception as error:
                failure = error
                for i in group:
                    results[i] = _alone(model, samples[i], error if len(group) == 1 else None)
        return [results[i] for i in range(len(contexts))], failure

    def _say(self, one: _Heard, outputs: Outputs | ClassifierError) -> _Heard | ClassifierError:
        if isinstance(outputs, ClassifierError):
            return outputs
        try:
            numbers = {name: value[0] for name, value in outputs.items()}
            heard = len(one.context.samples)
            one.told.append(observe(self._spec, numbers, one.course, one.window, heard))
        except ClassifierError as error:
            return error
        except Exception as error:
            return self._unforeseen(error)
        return one

    def _unforeseen(self, error: Exception) -> ClassifierError:
        """What is told of an error that nobody thought of. The log has each kind of it once."""
        if type(error) not in self._logged:
            self._logged.add(type(error))
            log.error("the analysis failed", exc_info=error)
        return ClassifierError(f"the analysis failed: {type(error).__name__}")


def _call(model: Model, rows: list[Samples]) -> list[Outputs | ClassifierError]:
    outputs = model.run(np.stack(rows))
    return [{name: value[i : i + 1] for name, value in outputs.items()} for i in range(len(rows))]


def _alone(model: Model, row: Samples, error: Exception | None) -> Outputs | ClassifierError:
    """A row of a call that failed, by itself; `error` is what came of it, where it was by itself."""
    if error is None:
        try:
            return _call(model, [row])[0]
        except Exception as again:
            error = again
    return ClassifierError(_sentence(error))


def _sentence(error: Exception) -> str:
    """What is told of a failure."""
    return str(error) if isinstance(error, ClassifierError) else f"the model fails: {type(error).__name__}"
