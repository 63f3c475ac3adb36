"""A model on a server that speaks the Open Inference Protocol v2: Triton, KServe, MLServer and others.

One batch of windows of one length is one call. How the server is, is looked at in the background: while it
can't be reached or its model isn't ready, windows fail at once instead of each waiting for the deadline. So
they do while calls fail (`gateway.classify.breaker`), but for one window a second.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.classify.breaker import Breaker, Permit, State
from gateway.classify.kserve import mapping, samples
from gateway.classify.kserve.agreement import Agreement, DisagreementError, agree
from gateway.classify.kserve.model import GateKind, ModelSpec, Wire
from gateway.classify.kserve.protocol import (
    BINARY_EXTENSION,
    binary_request,
    json_request,
    read_answer,
    read_extensions,
    read_metadata,
)
from gateway.classify.kserve.server import ModelServer, NoAnswerError, Reply, ServerError
from gateway.classify.kserve.tensors import MalformedError
from gateway.classify.notices import Notices
from gateway.classify.port import Answer, ClassifierError, Health, HealthStatus, Window
from gateway.clock import Clock

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
"""Between two looks at a server that is well."""
LOOK_AGAIN_S = 1.0
"""Between two looks at one that is not."""
LOOK_WAIT_S = 1.5
"""How long a server may take to say whether its model is ready."""
MISSES = 2
"""Looks in a row without an answer, and no call answered in between, after which nobody is there."""
COMPLAIN_EVERY_S = 60.0
"""Failures are logged once in this time, and how many there were."""
HERE = 160_000
"""Samples of a call up to which they are made ready on the event loop: it takes less than to ask a thread."""
HERE_BYTES = 8_192
"""Of an answer up to which it is read on the event loop: the worst takes some two milliseconds."""
UNFIT = range(400, 600)
"""Statuses with which servers refuse a request that they can't read."""
LEFT_ALONE = "the model server fails, and is left alone for now"

Talking = Callable[[Sequence[Window]], Sequence[bool]]
"""Whether somebody speaks, for each window in order. Called in a worker thread."""


@dataclass(slots=True)
class _Complaints:
    """Failures since the last word about them."""

    said: float = float("-inf")
    count: int = 0


class KServeClassifier:
    """Asks one model of one server. Implements `gateway.classify.port.Classifier`; keeps no state."""

    name = "kserve"

    def __init__(
        self,
        spec: ModelSpec,
        url: str,
        clock: Clock,
        *,
        trust: ssl.SSLContext | None = None,
        token: str | None = None,
        talking: Talking | None = None,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """Ask the model that `spec` describes at `url`; opens nothing before `start`.

        Args:
            spec: out of the model file.
            url: http, https, or `unix:///path` of a socket.
            clock: its monotonic time.
            trust: whose certificates are good for https; None trusts whom the system trusts.
            token: sent as `Authorization: Bearer`.
            talking: hears whether somebody speaks, where the model file wants its windows gated by that.
            look_every_s: between two looks at a server that is well.
        """
        self._spec = spec
        self._server = ModelServer(url, trust=trust, token=token)
        self._talking = talking if spec.input.gate is GateKind.SPEECH else None
        self._clock = clock
        self._look_every_s = look_every_s
        self._breaker = Breaker()
        self._fails = False
        """Whether it was calls that opened the breaker, and none has been answered since."""
        self._misses = 0
        self._notices = Notices()
        self._seen = Health(HealthStatus.LOADING, "not looked at yet")
        """What the last look showed."""
        self._health = Health(self._seen.status, f"{spec.at.model}: {self._seen.detail}")
        self._agreement: Agreement | None = None
        self._doubted = False
        self._wire = spec.wire
        self._looked = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._complaints = _Complaints()
        self._closed = False

    @property
    def notices(self) -> Notices:
        """How the model is, by its name."""
        return self._notices

    @property
    def hears_words(self) -> bool:
        """Whether its events hold transcripts."""
        return self._spec.events is not None and self._spec.events.words

    async def start(self) -> None:
        """Begin to look at the server, and go on until `aclose`."""
        licence = f" (licence: {self._spec.licence})" if self._spec.licence else ""
        log.info("windows go to the model %s%s", self._spec.at.model, licence)
        self._tell()
        self._watch = asyncio.create_task(self._keep_looking(), name="kserve-watch")

    async def classify(self, batch: Sequence[Window]) -> list[Answer]:
        """Ask the model; a call for each group of windows of one length.

        Raises:
            ClassifierError: it is closed, or can't hear whether somebody speaks. All else that goes wrong is
                the windows' own.
        """
        if self._closed:
            raise ClassifierError("the kserve classifier is closed")
        answers: list[Answer] = [[] for _ in batch]
        asked = await self._to_ask(batch)
        try:
            agreement = await self._agreed() if asked else None
        except ClassifierError as error:
            self._complain(str(error))
            for i in asked:
                answers[i] = error
            return answers
        if agreement is None:
            return answers
        chosen = [batch[i] for i in asked]
        groups = samples.groups(chosen, agreement.input, agreement.batch)
        async with asyncio.TaskGroup() as calls:
            asking = [calls.create_task(self._ask([chosen[n] for n in group], agreement)) for group in groups]
        for group, task in zip(groups, asking, strict=True):
            for n, answer in zip(group, task.result(), strict=True):
                answers[asked[n]] = answer
        return answers

    def forget(self, session: str) -> None:
        """Nothing to do: it keeps nothing by name."""

    def health(self) -> Health:
        """How the model was when it was looked at last."""
        return self._health

    async def aclose(self) -> None:
        """Look no more and close every connection. Safe to call again."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        self._health = Health(HealthStatus.ERROR, "closed")
        await self._server.aclose()

    # Asking -----------------------------------------------------------------------------------------------

    async def _to_ask(self, batch: Sequence[Window]) -> list[int]:
        """Which of the windows the model is to hear."""
        if self._spec.input.gate is GateKind.NONE:
            return list(range(len(batch)))
        if self._talking is None and sum(len(window.samples) for window in batch) <= HERE:
            return self._gated(batch)
        try:
            return await asyncio.to_thread(self._gated, batch)
        except Exception as error:
            log.exception("whether somebody speaks could not be heard in %d windows", len(batch))
            raise ClassifierError(f"the analysis failed: {type(error).__name__}") from error

    def _gated(self, batch: Sequence[Window]) -> list[int]:
        """Those that hold sound and, where that is asked for, a voice."""
        below = self._spec.input.silence_dbfs
        loud = [i for i, window in enumerate(batch) if not samples.is_silent(window, below)]
        if self._talking is None or not loud:
            return loud
        talking = self._talking([batch[i] for i in loud])
        return [i for i, speaks in zip(loud, talking, strict=True) if speaks]

    async def _agreed(self) -> Agreement:
        """What to send, once the server has been looked at for the first time."""
        try:
            async with asyncio.timeout(self._spec.deadline_s):
                await self._looked.wait()
        except TimeoutError:
            raise ClassifierError("the model server has not been reached yet") from None
        if self._agreement is None:
            raise ClassifierError(self._health.detail)
        return self._agreement

    async def _ask(self, windows: list[Window], agreement: Agreement) -> list[Answer]:
        """The model's answer to windows of one length; to the first alone where that is a probe."""
        now = self._clock.monotonic()
        if not self._breaker.admits(now):
            return [ClassifierError(LEFT_ALONE)] * len(windows)
        permit = self._breaker.begin(now)
        risked = windows[:1] if permit.probe else windows
        left: list[Answer] = [ClassifierError(LEFT_ALONE)] * (len(windows) - len(risked))
        return await self._call(risked, agreement, permit) + left

    async def _call(self, windows: list[Window], agreement: Agreement, permit: Permit) -> list[Answer]:
        """The answer to one call. A failure is that of all its windows, whatever it was."""
        try:
            async with asyncio.timeout(self._spec.deadline_s):
                answers = await self._infer(windows, agreement)
        except TimeoutError:
            failure = f"no answer within {self._spec.deadline_s:g} s"
        except (ServerError, MalformedError) as error:
            failure = str(error)
        except BaseException:
            self._breaker.abandoned(permit)
            raise
        else:
            unread = [answer for answer in answers if isinstance(answer, ClassifierError)]
            self._settle(permit, well=len(unread) < len(answers))
            for one in unread:
                self._complain(str(one))
            return answers
        self._settle(permit, well=False)
        self._complain(failure)
        return [ClassifierError(failure)] * len(windows)

    def _settle(self, permit: Permit, *, well: bool) -> None:
        """The call is over."""
        before, now = self._breaker.state, self._clock.monotonic()
        if well:
            self._breaker.succeeded(permit, now)
            self._answered()
        else:
            self._breaker.failed(permit, now)
        if self._breaker.state is not before:
            self._fails = self._breaker.state is State.OPEN
            self._tell()

    async def _infer(self, windows: list[Window], agreement: Agreement) -> list[Answer]:
        if sum(len(window.samples) for window in windows) > HERE:
            rows = await asyncio.to_thread(samples.rows, windows, agreement.input, whole=agreement.whole)
        else:
            rows = samples.rows(windows, agreement.input, whole=agreement.whole)
        outputs, path = self._spec.outputs, f"{self._spec.at.path}/infer"
        wire = self._wire  # another call may find out meanwhile
        limit = mapping.most_bytes(self._spec, len(windows))
        reply: Reply | None = None
        if wire is not Wire.JSON:
            reply = await self._server.post(path, *binary_request(agreement.name, rows, outputs), limit=limit)
        if reply is None or (wire is Wire.AUTO and reply.status in UNFIT):
            parts: list[bytes] = []
            for part in json_request(agreement.name, rows, outputs):
                parts.append(part)
                await asyncio.sleep(0)  # a part is short, all of them are not
            reply = await self._server.post(path, parts, {"content-type": "application/json"}, limit=limit)
            works = Wire.JSON
        else:
            works = Wire.BINARY
        if not reply.ok:
            if 400 <= reply.status < 500:
                self._doubted = True  # perhaps it is another model by now
            raise ServerError(f"the model server refused the windows: {reply.told()}")
        if len(reply.body) > HERE_BYTES:
            answers = await asyncio.to_thread(self._read, reply, len(windows))
        else:
            answers = self._read(reply, len(windows))
        if self._wire is Wire.AUTO:
            self._wire = works
        return answers

    def _read(self, reply: Reply, windows: int) -> list[Answer]:
        """What the model says of so many windows."""
        wanted = mapping.expected(self._spec, windows)
        outputs = read_answer(reply.body, reply.header_length, wanted)
        return mapping.observe(self._spec, outputs, windows)

    # Looking ----------------------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        while True:
            found = await self._looked_at()
            if found is not None:
                self._seen = found
                if found.status is not HealthStatus.READY:
                    self._agreement = None
                self._tell()
            self._looked.set()
            well = found is not None and found.status is HealthStatus.READY
            await asyncio.sleep(self._look_every_s if well else min(LOOK_AGAIN_S, self._look_every_s))

    async def _looked_at(self) -> Health | None:
        """How the model is now; None where there was no answer and that may be chance."""
        try:
            found = await self._look()
        except NoAnswerError as error:
            return self._missed(error)
        except (ServerError, MalformedError, DisagreementError) as error:
            found = Health(HealthStatus.ERROR, str(error))
        except Exception as error:
            log.exception("looking at the model server failed")
            return Health(HealthStatus.ERROR, f"unexpected: {type(error).__name__}")
        self._answered()
        return found

    def _missed(self, error: NoAnswerError) -> Health | None:
        self._misses += 1
        if self._misses >= MISSES:
            self._breaker.trip(self._clock.monotonic())
        elif self._agreement is not None and error.reached:
            return None
        # One that never answered, or whose address nobody listens at, needs no second look.
        return Health(HealthStatus.ERROR, str(error))

    def _answered(self) -> None:
        """Somebody is there: where nobody was, the first probe needs no waiting."""
        if self._misses >= MISSES:
            self._breaker.probe_now(self._clock.monotonic())
        self._misses = 0

    async def _look(self) -> Health:
        """How the model is now; reads what it takes and gives where that isn't known."""
        path = self._spec.at.path
        ready = await self._get(f"{path}/ready", min(LOOK_WAIT_S, self._spec.deadline_s))
        if not ready.ok:
            return await self._unready(path)
        if self._agreement is None or self._doubted:
            self._doubted = False
            described = await self._get(path)
            if not described.ok:
                # Sessions hear of this: the server's own words are for the log alone.
                self._complain(f"the model server doesn't describe the model: {described.told()}")
                raise ServerError(f"the model server doesn't describe the model: status {described.status}")
            agreement = agree(self._spec, read_metadata(described.body))
            self._wire = await self._choose_wire()
            self._agreement = agreement
        return Health(HealthStatus.READY, "ready")

    async def _unready(self, path: str) -> Health:
        """Why the model isn't ready, as far as the server says."""
        server = await self._get("/v2/health/ready")
        if not server.ok:
            return Health(HealthStatus.LOADING, "the model server is starting")
        described = await self._get(path)
        if described.status == 404:
            return Health(HealthStatus.ERROR, "the model server has no such model")
        return Health(HealthStatus.LOADING, "the model is not ready")

    async def _get(self, path: str, wait_s: float | None = None) -> Reply:
        """What the server says of itself; it has `wait_s`, or as long as a call."""
        wait_s = self._spec.deadline_s if wait_s is None else wait_s
        try:
            async with asyncio.timeout(wait_s):
                return await self._server.get(path)
        except TimeoutError:
            raise NoAnswerError(f"no word within {wait_s:g} s", reached=True) from None

    async def _choose_wire(self) -> Wire:
        """Binary where the server says that it can; else the first call tries it, and JSON after it."""
        if self._spec.wire is not Wire.AUTO:
            return self._spec.wire
        told = await self._get("/v2")
        try:
            extensions = read_extensions(told.body) if told.ok else frozenset()
        except MalformedError:
            return Wire.AUTO
        return Wire.BINARY if BINARY_EXTENSION in extensions else Wire.AUTO

    # Telling ----------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """How the model is, where that is news. One that is ready by its own word, and fails, is not."""
        seen = self._seen
        if self._fails and seen.status is HealthStatus.READY:
            seen = Health(HealthStatus.WARNING, "says it is ready, but fails")
        self._health = Health(seen.status, f"{self._spec.at.model}: {seen.detail}")
        self._notices.tell(self._spec.at.model, self._health)

    def _complain(self, failure: str) -> None:
        """Log a failure, at most one in a while."""
        self._complaints.count += 1
        now = self._clock.monotonic()
        if now - self._complaints.said >= COMPLAIN_EVERY_S:
            log.warning("%s (failures since the last word: %d)", failure, self._complaints.count)
            self._complaints = _Complaints(now)
