"""What a call is answered: its windows with the states of their sessions, through the desk, to events."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from itertools import count
from typing import Any

import msgpack  # type: ignore[import-untyped]

from gateway.api.problems import Problem
from gateway.classify.port import Answer, ClassifierError, Window
from gateway.classify.sidecar.batch import (
    Asked,
    Failed,
    MalformedBatch,
    Reply,
    Told,
    encode_answer,
)
from gateway.classify.sidecar.events import MAX_EVENTS
from gateway.classify.sidecar.told import Untellable, told
from gateway.sidecar import states
from gateway.sidecar.desk import Desk, Late
from gateway.sidecar.memory import Keeper, Turns
from gateway.sidecar.metrics import Metrics
from gateway.sidecar.single import Call
from gateway.sidecar.states import Found

NAMED, CARRIED, NAMELESS = "s:", "b:", "n:"
"""How sessions of the single and of the batch contract, and windows of no session, are told apart."""


class Service:
    """Both contracts, without HTTP.

    Args:
        name: the classifier's; its states are known by it.
        kept: states of the single contract's sessions.
        known: sessions of the batch contract, whose states travel.
        forget: the classifier's.
    """

    def __init__(
        self,
        name: str,
        desk: Desk,
        kept: Keeper,
        known: Keeper,
        metrics: Metrics,
        forget: Callable[[str], None],
    ) -> None:
        self._name = name
        self._forget = forget
        self._number = count(1)
        self._desk = desk
        self._kept = kept
        self._known = known
        self._metrics = metrics
        self._turns = Turns()

    async def single(self, call: Call) -> list[dict[str, Any]]:
        """The events of one window; the session's state is kept here.

        Raises:
            Problem: 503 where there is no room or no time, 500 where the classifier has no answer.
        """
        with self._desk.admitted(1) as arrived:
            if not call.session_id:
                with self._nameless() as name:
                    return self._events(await self._one(call, {}, len(call.samples), name, arrived))
            name = NAMED + call.session_id
            async with self._turns.of(name):
                state, heard_s = self._restore(self._kept.get(name))
                answer = await self._one(call, state, call.owned(heard_s), name, arrived)
                events = self._events(answer)
                self._keep(name, state, call.end_s)
                return events

    async def batch(self, asked: Sequence[Asked]) -> bytes:
        """The body of the answer to a batch.

        Raises:
            Problem: 503 where there is no room, or no time for any of its windows.
        """
        with self._desk.admitted(len(asked)) as arrived:
            windows = [self._window(one) for one in asked]
            answers = await self._desk.ask(windows, arrived)
        if all(isinstance(answer, Late) for answer in answers):
            raise self._desk.come_later("overloaded", "there was no time for any of the windows")
        replies = [self._reply(window, answer) for window, answer in zip(windows, answers, strict=True)]
        try:
            return encode_answer(replies)
        except MalformedBatch:
            return encode_answer([_fitting(reply) for reply in replies])

    # One window ----------------------------------------------------------------------------------------

    async def _one(self, call: Call, state: dict[str, Any], owned: int, name: str, arrived: float) -> Answer:
        window = Window(call.samples, owned, call.end_s, state, name, call.hints)
        (answer,) = await self._desk.ask([window], arrived)
        return answer

    def _events(self, answer: Answer) -> list[dict[str, Any]]:
        if isinstance(answer, Late):
            raise self._desk.come_later("overloaded", str(answer))
        if isinstance(answer, ClassifierError):
            raise _failed(answer)
        try:
            return [told(observation) for observation in answer]
        except Untellable as error:
            self._metrics.untellable()
            raise _failed(error) from error

    def _restore(self, packed: bytes | None) -> tuple[dict[str, Any], float | None]:
        """A kept session's state, and where the last window ended."""
        if packed is None:
            self._metrics.state(Found.NONE)
            return {}, None
        heard_s, inner = msgpack.unpackb(packed)
        state, found = states.unpack(self._name, inner)
        self._metrics.state(found)
        return state, heard_s

    def _keep(self, name: str, state: dict[str, Any], heard_s: float) -> None:
        packed = states.pack(self._name, state)
        if packed is None:
            self._metrics.state(Found.TOO_LARGE)
        self._kept.put(name, msgpack.packb([heard_s, packed]))

    @contextmanager
    def _nameless(self) -> Iterator[str]:
        """A name for what belongs to no session, so that a model that keeps context by name mixes nothing."""
        name = f"{NAMELESS}{next(self._number)}"
        try:
            yield name
        finally:
            self._forget(name)

    def _window(self, asked: Asked) -> Window:
        state, found = states.unpack(self._name, asked.state)
        self._metrics.state(found)
        name = CARRIED + asked.session if asked.session else f"{NAMELESS}{next(self._number)}"
        self._known.put(name, b"")
        return Window(asked.samples, asked.owned, asked.end_s, state, name, asked.hints)

    def _reply(self, window: Window, answer: Answer) -> Reply:
        if isinstance(answer, ClassifierError):
            return Failed(str(answer))
        if len(answer) > MAX_EVENTS:
            return Failed(f"over {MAX_EVENTS} events of one window")
        try:
            events = [told(observation) for observation in answer]
        except Untellable as error:
            self._metrics.untellable()
            return Failed(str(error))
        packed = states.pack(self._name, window.state)
        if packed is None:
            self._metrics.state(Found.TOO_LARGE)
        return Told(events, packed)


def _failed(error: Exception) -> Problem:
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "classifier_failed", str(error))


def _fitting(reply: Reply) -> Reply:
    """`reply`, or why it can't be told."""
    try:
        encode_answer([reply])
    except MalformedBatch as error:
        return Failed(str(error))
    return reply
