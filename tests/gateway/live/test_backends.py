"""Which classifiers and transcribers there are: shared, made when chosen, closed when nobody needs them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from gateway.classify.notices import Notices
from gateway.classify.port import Answer, Classifier, ClassifierError, Health, HealthStatus, Window
from gateway.classify.scheduler import Scheduler
from gateway.clock import SystemClock
from gateway.live.backends import Backend, Backends, Chosen, Part
from gateway.transcribe.port import Emit, Transcriber, TranscriptStream, Warn
from tests.gateway.inprocess import settle

DEFAULT = Chosen("acoustic", "auto")


class Hearing:
    """A classifier that remembers its life."""

    def __init__(self, name: str, hears_words: bool) -> None:
        self.name = name
        self.hears_words = hears_words
        self.notices = Notices()
        self.life: list[str] = []
        self.now = Health(HealthStatus.READY)
        self.start_error: Exception | None = None

    async def start(self) -> None:
        self.life.append("start")
        if self.start_error is not None:
            raise self.start_error

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        return [[] for _ in batch]

    def forget(self, session: str) -> None:
        self.life.append(f"forget {session}")

    def health(self) -> Health:
        return self.now

    async def aclose(self) -> None:
        self.life.append("close")


class Writing:
    """A transcriber that remembers its life."""

    def __init__(self) -> None:
        self.life: list[str] = []

    def open(self, *, emit: Emit, warn: Warn, language: str | None) -> TranscriptStream:
        raise AssertionError

    async def start(self) -> None:
        self.life.append("start")

    async def aclose(self) -> None:
        self.life.append("close")

    def health(self) -> Health:
        return Health(HealthStatus.READY)

    def decoders(self) -> Mapping[str, int]:
        return {"ready": 1}

    def utterances(self) -> Mapping[str, int]:
        return {"decoded": 5}


class Makers:
    """Makes these, and remembers them."""

    def __init__(self) -> None:
        self.ears: list[Hearing] = []
        self.scribes: list[Writing] = []
        self.refuses: set[str] = set()
        self.unstartable: set[str] = set()

    def classifier(self, kind: str) -> Classifier:
        if kind in self.refuses:
            raise ValueError("there is no model")
        ear = Hearing(kind, hears_words=kind == "remote")
        if kind in self.unstartable:
            ear.start_error = ValueError("it does not load")
        self.ears.append(ear)
        return ear

    def scheduler(self, kind: str, classifier: Classifier) -> Scheduler:
        return Scheduler(classifier, SystemClock())

    def transcriber(self, kind: str) -> Transcriber:
        if kind in self.refuses:
            raise ValueError("it is not installed")
        self.scribes.append(Writing())
        return self.scribes[-1]

    def embedded(self) -> str:
        return "pocketsphinx"


class Node:
    """Backends, and what namespaces chose."""

    def __init__(self, **chosen: Chosen) -> None:
        self.makers = Makers()
        self.chosen: dict[str | None, Chosen] = dict(chosen.items())
        self.parts: list[Part] = []
        self.backends = Backends(
            self.makers,
            lambda namespace: self.chosen.get(namespace, DEFAULT),
            lambda: (DEFAULT, *self.chosen.values()),
            self.parts.append,
        )


def run(scenario: Callable[[Node], Awaitable[None]], **chosen: Chosen) -> None:
    async def main() -> None:
        node = Node(**chosen)
        await node.backends.start()
        try:
            await scenario(node)
        finally:
            await node.backends.aclose()

    asyncio.run(main())


def shown(backend: Backend) -> tuple[str, str | None, bool]:
    return backend.ear.kind, backend.scribe.kind if backend.scribe else None, backend.own_words


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (Chosen("acoustic", "auto"), ("acoustic", "pocketsphinx", False)),
        (Chosen("acoustic", "none"), ("acoustic", None, False)),
        (Chosen("acoustic", "whisper"), ("acoustic", "whisper", False)),
        (Chosen("remote", "auto"), ("remote", None, True)),
        (Chosen("remote", "none"), ("remote", None, False)),
        (Chosen("remote", "pocketsphinx"), ("remote", "pocketsphinx", False)),
    ],
)
def test_words_come_from_one_place_at_most(chosen: Chosen, expected: tuple[str, str | None, bool]) -> None:
    """The classifier's own only where `auto` finds that it hears any; what is named takes their place."""

    async def scenario(node: Node) -> None:
        assert shown(node.backends.enter("its")) == expected

    run(scenario, its=chosen)


def test_who_chose_the_same_shares_it() -> None:
    """One classifier and one transcriber of a kind, whoever has them."""

    async def scenario(node: Node) -> None:
        one, two, three = (node.backends.enter(name) for name in ("a", "b", None))
        assert one.ear is two.ear
        assert one.ear is not three.ear
        assert two.scribe is three.scribe
        assert [ear.name for ear in node.makers.ears] == ["acoustic", "remote"]
        assert len(node.makers.scribes) == 1
        assert (two.ear.holders, three.ear.holders) == (2, 1)

    run(scenario, a=Chosen("remote", "none"), b=Chosen("remote", "pocketsphinx"))


def test_what_is_newly_chosen_starts_and_what_is_chosen_no_more_ends_with_its_last_session() -> None:
    """Without a restart; sessions keep what they began with, and windows are dispatched to both."""

    async def scenario(node: Node) -> None:
        node.chosen["acme"] = Chosen("remote", "whisper")
        node.backends.renew()
        await settle()
        remote = node.makers.ears[-1]
        assert (remote.name, remote.life) == ("remote", ["start"])
        assert set(node.backends.dispatchers()) == {"acoustic", "remote"}
        first = node.backends.enter("acme")
        del node.chosen["acme"]
        node.backends.renew()
        second = node.backends.enter("acme")
        await settle()
        assert (first.ear.kind, second.ear.kind) == ("remote", "acoustic")
        assert remote.life == ["start"]
        node.backends.leave(first, "s1")
        await settle()
        assert remote.life == ["start", "forget s1", "close"]
        assert node.makers.scribes[-1].life == ["start", "close"]
        assert set(node.backends.dispatchers()) == {"acoustic"}
        assert node.backends.utterances() == {"decoded": 10}
        node.backends.leave(second, "s2")
        assert node.backends.default.classifier.health() == Health(HealthStatus.READY)

    run(scenario)


def test_chosen_again_it_is_made_anew() -> None:
    """Closed is closed."""

    async def scenario(node: Node) -> None:
        for _ in range(2):
            node.chosen["acme"] = Chosen("remote", "none")
            node.backends.renew()
            node.chosen.clear()
            node.backends.renew()
            await settle()
        assert [ear.life for ear in node.makers.ears[1:]] == [["start", "close"]] * 2

    run(scenario)


def test_a_classifier_that_cannot_be_had_fails_its_own_namespace_only() -> None:
    """Its windows become gaps, its sessions are told, and it is tried again with the next choices."""

    async def scenario(node: Node) -> None:
        node.makers.refuses |= {"onnx", "whisper"}
        node.chosen["acme"] = Chosen("onnx", "whisper")
        node.backends.renew()
        await settle()
        backend = node.backends.enter("acme")
        with pytest.raises(ClassifierError):
            await backend.ear.classifier.classify([])
        assert not backend.ear.answers
        assert node.backends.answers
        assert [dict(part.notices.current) for part in backend.parts] == [
            {"classifier": Health(HealthStatus.ERROR, "could not be started: nothing is heard")},
            {"transcriber": Health(HealthStatus.ERROR, "could not be started: no words")},
        ]
        node.backends.leave(backend, "s")
        node.makers.refuses.clear()
        node.backends.renew()
        await settle()
        assert node.backends.enter("acme").ear.answers

    run(scenario)


def test_one_that_does_not_start_is_told_of_too() -> None:
    """As long as it is chosen it stays, and fails."""

    async def scenario(node: Node) -> None:
        node.makers.unstartable.add("onnx")
        node.chosen["acme"] = Chosen("onnx", "none")
        node.backends.renew()
        await settle()
        backend = node.backends.enter("acme")
        assert not backend.ear.answers
        assert backend.ear.notices.current["classifier"].status is HealthStatus.ERROR
        assert node.backends.answers

    run(scenario)


def test_what_there_is_from_the_start_must_start() -> None:
    """A gateway with a broken model says so at once."""
    makers = Makers()
    makers.refuses.add("acoustic")
    with pytest.raises(ValueError, match="there is no model"):
        Backends(makers, lambda _: DEFAULT, lambda: (DEFAULT,))

    async def start() -> None:
        node = Node(acme=Chosen("onnx", "none"))
        node.makers.ears[-1].start_error = ValueError("it does not load")
        try:
            await node.backends.start()
        finally:
            await node.backends.aclose()

    with pytest.raises(ValueError, match="it does not load"):
        asyncio.run(start())


def test_the_node_answers_while_any_of_its_classifiers_does() -> None:
    """One that has trouble is its sessions' affair."""

    async def scenario(node: Node) -> None:
        acoustic, remote = node.makers.ears
        found = []
        for ear, status in (
            (remote, HealthStatus.ERROR),
            (acoustic, HealthStatus.LOADING),
            (remote, HealthStatus.WARNING),
        ):
            ear.now = Health(status)
            found.append(node.backends.answers)
        assert found == [True, False, True]

    run(scenario, its=Chosen("remote", "auto"))


def test_a_classifier_that_cannot_forget_keeps_nobody() -> None:
    """The session leaves all the same."""

    async def scenario(node: Node) -> None:
        def fail(_: str) -> None:
            raise ValueError("a defect")

        ear: Any = node.makers.ears[0]
        ear.forget = fail
        backend = node.backends.enter(None)
        node.backends.leave(backend, "s")
        assert backend.ear.holders == 0

    run(scenario)
