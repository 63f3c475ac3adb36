"""What listens to whom: the whole gateway in one process, in virtual time, with the test's own backends."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from starlette.applications import Starlette

from gateway import app
from gateway.api.context import Gateway
from gateway.api.routes import build
from gateway.classify.notices import Notices
from gateway.classify.orchestrator.classifier import OrchestratedClassifier
from gateway.classify.port import (
    Answer,
    Health,
    HealthStatus,
    ToneObservation,
    TranscriptObservation,
    Window,
    hears_words,
)
from gateway.classify.remote.access import Access
from gateway.clock import SystemClock
from gateway.live.bulletin import QUIET_S, SLICE
from gateway.sessions.keys import Choice, Keyring
from gateway.settings import ClassifierKind, Settings, SettingsError, TranscriberKind
from gateway.stores.keyfile import save
from gateway.telemetry.metrics import Telemetry
from gateway.transcribe.port import Emit, Transcriber, TranscriptStream, Warn
from protocol.events import DurableEvent, Service, Summary, Tone, Transcript, Welcome
from tests import virtual_time
from tests.gateway.classify.remote import kit
from tests.gateway.inprocess import Peer, until
from tests.orchestrators.process import orchestrator
from tests.sidecars.hostile import hostile
from tests.virtual_time import VirtualLoop

SECOND = bytes(32_000)
WELL = Health(HealthStatus.READY)
GONE = Health(HealthStatus.ERROR, "the sidecar can't be reached")


@dataclass(eq=False)
class Parrot:
    """A classifier that says its name, as a tone and in words."""

    name: str
    hears_words: bool = False
    notices: Notices = field(default_factory=Notices)
    now: Health = WELL
    forgotten: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def start(self) -> None: ...

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        if self.gate is not None:
            await self.gate.wait()
        tone = ToneObservation(label=self.name, confidence=0.9)
        return [[tone, TranscriptObservation(text=f"said to {self.name}")] for _ in batch]

    def forget(self, session: str) -> None:
        self.forgotten.append(session)

    def health(self) -> Health:
        return self.now

    async def aclose(self) -> None: ...


@dataclass(eq=False)
class Stenographer:
    """A transcriber that counts its streams, and hears nothing."""

    opened: int = 0
    patient: bool = False
    pending_from16k: int | None = None

    def __post_init__(self) -> None:
        self.on_settled: Callable[[], None] = lambda: None

    def open(self, *, emit: Emit, warn: Warn, language: str | None) -> TranscriptStream:
        self.opened += 1
        return self

    def feed(self, samples: Any, start16k: int) -> None: ...

    async def flush(self) -> None: ...

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def health(self) -> Health:
        return WELL

    def decoders(self) -> Mapping[str, int]:
        return {}

    def utterances(self) -> Mapping[str, int]:
        return {}


@dataclass
class Running:
    """A gateway, what it was made of, and its peers."""

    app: Starlette
    gateway: Gateway
    ears: dict[str, Parrot]
    scribe: Stenographer
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def connect(self, bearer: str | None = None) -> Peer:
        peer = Peer(bearer=bearer)
        peer.inbox.put_nowait({"type": "websocket.connect"})
        serve: Any = self.app(peer.scope(), peer.inbox.get, peer.send)  # type: ignore[arg-type]
        self.tasks.append(asyncio.ensure_future(serve))
        await until(lambda: bool(peer.said))
        return peer

    def metrics(self) -> list[str]:
        return self.gateway.telemetry.render().decode().splitlines()


async def hear(peer: Peer, seconds: int = 1) -> list[DurableEvent]:
    """So much audio, and all that is said by the time it is classified."""
    for _ in range(seconds):
        peer.lane.sink(SECOND)
        await asyncio.sleep(1)
    return list(peer.durable)


async def end(peer: Peer) -> Summary:
    peer.lane.sink('{"type": "end"}')
    await asyncio.sleep(1)
    last = peer.durable[-1]
    assert isinstance(last, Summary)
    return last


def run(scenario: Callable[[Running], Awaitable[None]], **settings: Any) -> None:
    """Play a scenario with a gateway of its own; `remote` hears words, the others don't."""

    async def steps(loop: VirtualLoop) -> None:
        gateways: list[Gateway] = []
        ears: dict[str, Parrot] = {}
        scribe = Stenographer()

        def classifier(kind: ClassifierKind, *_: object) -> Parrot:
            ears[kind] = Parrot(kind.value, hears_words=kind is ClassifierKind.REMOTE)
            return ears[kind]

        def transcriber(kind: TranscriberKind, *_: object) -> Transcriber:
            return scribe

        def built(gateway: Gateway, *given: Any) -> Starlette:
            gateways.append(gateway)
            return build(gateway, *given)

        fakes: dict[str, Any] = {"make_classifier": classifier, "make_transcriber": transcriber}
        with patch.multiple(app, SystemClock=lambda: loop, build=built, **fakes):
            given = {"classifier_url": "http://127.0.0.1:9", "classifier": "acoustic", **settings}
            made = app.create_app(Settings(**given))
        async with made.router.lifespan_context(made), asyncio.timeout(3_600):
            running = Running(made, gateways[0], ears, scribe)
            await scenario(running)
            for task in running.tasks:
                task.cancel()
            await asyncio.gather(*running.tasks, return_exceptions=True)

    virtual_time.run(steps)


def tones(events: Sequence[DurableEvent]) -> set[str]:
    return {event.label for event in events if isinstance(event, Tone)}


def words(events: Sequence[DurableEvent]) -> set[str]:
    return {event.text for event in events if isinstance(event, Transcript)}


def services(events: Sequence[DurableEvent]) -> list[tuple[str, str]]:
    return [(event.status.value, event.detail) for event in events if isinstance(event, Service)]


def test_two_namespaces_are_heard_by_different_backends_on_one_gateway(tmp_path: Path) -> None:
    """Tone from one, words from one at most: the sidecar's own, a transcriber's, or none at all."""
    ring, keys = Keyring(), {}
    for name, choice in {
        "plain": Choice(),
        "own": Choice("remote", "auto"),
        "none": Choice("remote", "none"),
        "named": Choice("remote", "pocketsphinx"),
    }.items():
        ring, made = ring.with_key(name, 0.0, None, choice)
        keys[name] = made.bearer
    path = tmp_path / "namespaces.json"
    save(path, ring)

    async def scenario(on: Running) -> None:
        opened = {}
        for name, key in keys.items():
            before = on.scribe.opened
            peer = await on.connect(key)
            events = await hear(peer)
            opened[name] = (tones(events), words(events), on.scribe.opened - before)
            await end(peer)
        assert opened == {
            "plain": ({"acoustic"}, set(), 1),
            "own": ({"remote"}, {"said to remote"}, 0),
            "none": ({"remote"}, set(), 0),
            "named": ({"remote"}, set(), 1),
        }
        await on.gateway.census()
        lines = on.metrics()
        assert 'undertone_classifier_windows_total{classifier="acoustic"} 1.0' in lines
        assert 'undertone_classifier_windows_total{classifier="remote"} 3.0' in lines
        assert 'undertone_classifier_ready{classifier="remote"} 1.0' in lines

    run(scenario, namespaces_file=str(path), transcriber="pocketsphinx")


def test_a_session_is_forgotten_by_its_classifier_when_it_is_over() -> None:
    """Ended, aborted by a `DELETE`, or thrown away; not before the window that is still there is back."""

    async def scenario(on: Running) -> None:
        ear = on.ears["acoustic"]
        ended, aborted = await on.connect(), await on.connect()
        await hear(ended)
        await end(ended)
        assert ear.forgotten == [ended.welcome.session_id]
        ear.gate = asyncio.Event()
        await hear(aborted)
        live = on.gateway.live.get(aborted.welcome.session_id)
        assert live is not None
        await live.abort()
        on.gateway.live.discard(aborted.welcome.session_id)
        await asyncio.sleep(1)
        assert len(ear.forgotten) == 1
        ear.gate.set()
        await asyncio.sleep(1)
        assert ear.forgotten == [ended.welcome.session_id, aborted.welcome.session_id]
        await on.gateway.census()
        assert 'undertone_classifier_sessions{classifier="acoustic"} 0.0' in on.metrics()

    run(scenario, transcriber="none")


def test_where_nothing_is_wrong_nothing_is_told() -> None:
    """A part that is ready, or becomes so unheard of, is no news."""

    async def scenario(on: Running) -> None:
        on.ears["acoustic"].notices.tell("model", WELL)
        peer = await on.connect()
        await hear(peer)
        await end(peer)
        assert [event.type for event in peer.durable] == ["tone", "summary"]

    run(scenario, transcriber="none")


def test_a_session_is_told_of_what_is_not_ready_right_after_its_welcome_and_of_every_change() -> None:
    """Flapping parts are told as they are at last; everybody hears the same, those that come later too."""

    async def scenario(on: Running) -> None:
        notices = on.ears["acoustic"].notices
        notices.tell("model", Health(HealthStatus.LOADING))
        early = await on.connect()
        await asyncio.sleep(1)
        assert [type(said) for said in early.said] == [Welcome, Service]
        assert services(early.durable) == [("loading", "model is loading")]
        await asyncio.sleep(QUIET_S)
        for _ in range(50):
            notices.tell("model", GONE)
            notices.tell("model", WELL)
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 * QUIET_S)
        assert services(early.durable)[1:] == [("ready", "model is ready")]
        notices.tell("model", GONE)
        late = await on.connect()
        await asyncio.sleep(2 * QUIET_S)
        assert services(early.durable)[-1] == services(late.durable)[-1] == ("error", GONE.detail)
        assert len(services(late.durable)) == 1
        await end(late)
        notices.tell("model", WELL)
        await asyncio.sleep(QUIET_S)
        assert isinstance(late.durable[-1], Summary)
        assert services(early.durable)[-1] == ("ready", "model is ready")
        assert 'undertone_service_notices_total{status="ready"} 2.0' in on.metrics()

    run(scenario, transcriber="none")


def test_the_node_is_ready_while_any_backend_answers(tmp_path: Path) -> None:
    """Who has one that doesn't is told in the session; the checks say which one it is."""
    ring, _ = Keyring().with_key("theirs", 0.0, None, Choice("remote", "none"))
    path = tmp_path / "namespaces.json"
    save(path, ring)

    async def scenario(on: Running) -> None:
        on.ears["remote"].now = GONE
        readiness = on.gateway.readiness()
        assert readiness.ready
        assert readiness.checks["classifier"] == "acoustic"
        assert readiness.checks["classifier:remote"] == GONE.detail
        assert readiness.checks["scheduler:remote"] == "ok"
        on.ears["acoustic"].now = Health(HealthStatus.LOADING)
        assert not on.gateway.readiness().ready
        on.ears["remote"].now = WELL
        assert on.gateway.readiness().ready

    run(scenario, namespaces_file=str(path), transcriber="none")


def test_one_backend_that_is_late_refuses_its_own_new_sessions_only(tmp_path: Path) -> None:
    """The others' go on to come in."""
    ring, late = Keyring().with_key("late", 0.0, None, Choice("remote", "none"))
    ring, prompt = ring.with_key("prompt", 0.0)
    path = tmp_path / "namespaces.json"
    save(path, ring)

    async def scenario(on: Running) -> None:
        talker = await on.connect(late.bearer)
        on.ears["remote"].gate = asyncio.Event()
        await hear(talker, 9)
        assert on.gateway.lateness() == 0.0
        assert (await on.connect(late.bearer)).errors == ["overloaded"]
        assert (await on.connect(prompt.bearer)).errors == []

    run(scenario, namespaces_file=str(path), transcriber="none", classify_timeout_s=60.0)


def test_a_thousand_sessions_hear_of_a_part_in_short_turns() -> None:
    """Each once, and the event loop has its turn in between."""

    async def scenario(on: Running) -> None:
        peers = [await on.connect() for _ in range(1_000)]
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        on.ears["acoustic"].notices.tell("model", GONE)
        await until(lambda: bool(services(peers[-1].durable)))
        counting.cancel()
        assert turns >= 1_000 / SLICE
        await asyncio.sleep(1)
        assert all(services(peer.durable) == [("error", GONE.detail)] for peer in peers)

    run(scenario, transcriber="none")


@pytest.mark.parametrize(
    ("given", "name", "hears"),
    [
        ({}, "acoustic", False),
        ({"classifier_url": "http://127.0.0.1:9"}, "remote", True),
        ({"orch_url": "http://127.0.0.1:9"}, "orchestrated", True),
        ({"orch_url": "http://127.0.0.1:9", "classifier_url": "http://127.0.0.1:9"}, "remote", True),
        ({"orch_url": "http://127.0.0.1:9", "classifier": "acoustic"}, "acoustic", False),
    ],
)
def test_the_settings_say_what_listens(given: dict[str, Any], name: str, hears: bool) -> None:
    """A sidecar of our own before an allocated one, either before the embedded one; sidecars hear words."""

    async def main() -> None:
        settings = Settings(**given)
        made = app.make_classifier(settings.classifier, settings, SystemClock(), Telemetry(), Access())
        assert (made.name, hears_words(made)) == (name, hears)
        await made.aclose()

    asyncio.run(main())


SIDECARS = [
    {"classifier_url": "https://127.0.0.1:9"},
    {"orch_url": "http://127.0.0.1:9"},
    {"orch_url": "https://127.0.0.1:9"},
]


@pytest.mark.parametrize("given", SIDECARS)
def test_whom_to_trust_is_read_once_and_before_anybody_chooses(tmp_path: Path, given: dict[str, Any]) -> None:
    """A namespace may choose sidecars on a running node, on the event loop: nothing is read there."""
    ring, _ = Keyring().with_key("plain", 0.0)
    path = tmp_path / "namespaces.toml"
    save(path, ring)
    settings = Settings(classifier=ClassifierKind.ACOUSTIC, namespaces_file=str(path), **given)

    async def main() -> None:
        for kind in (ClassifierKind.REMOTE, ClassifierKind.REMOTE):
            made = app.make_classifier(kind, settings, SystemClock(), Telemetry(), access)
            if isinstance(made, OrchestratedClassifier):
                await made.start()
            await made.aclose()

    with patch.object(ssl, "create_default_context", wraps=ssl.create_default_context) as read:
        access = app.make_access(settings)
        assert access.trust is not None
        assert read.call_count == 1
        asyncio.run(main())
        assert read.call_count == 1


@pytest.mark.parametrize("chosen", [True, False])
def test_files_that_can_not_be_read_are_told_where_they_may_be_needed(tmp_path: Path, chosen: bool) -> None:
    """A namespace may choose sidecars later; where nobody can, nothing is read."""
    path = tmp_path / "namespaces.toml"
    save(path, Keyring().with_key("plain", 0.0)[0])
    settings = Settings(
        classifier=ClassifierKind.ACOUSTIC,
        namespaces_file=str(path) if chosen else None,
        orch_url="https://127.0.0.1:9",
        classifier_ca_file=str(tmp_path / "missing.pem"),
    )
    if not chosen:
        assert app.make_access(settings) == Access()
        return
    with pytest.raises(SettingsError, match="UNDERTONE_CLASSIFIER_CA_FILE"):
        app.create_app(settings)


@pytest.mark.parametrize(("granted", "sent"), [("of-the-grant", "of-the-grant"), (None, "of-the-settings")])
def test_an_allocated_sidecar_sees_the_token_that_came_with_it(
    tmp_path: Path, granted: str | None, sent: str
) -> None:
    """That of the settings where none came."""
    token = tmp_path / "token"
    token.write_text("of-the-settings")

    async def main() -> None:
        with orchestrator("http://127.0.0.1:9") as theirs:
            async with hostile(offers_batch=True) as sidecar:
                theirs.answer(200, {"url": sidecar.url, "allocation_id": "1", "token": granted})
                settings = Settings(orch_url=theirs.url, classifier_token_file=str(token))
                access = app.make_access(settings)
                made = app.make_classifier(
                    ClassifierKind.REMOTE, settings, SystemClock(), Telemetry(), access
                )
                await made.start()
                await kit.until(lambda: made.health().status is HealthStatus.READY)
                await made.classify(kit.windows(1))
                await made.aclose()
                assert [call.headers["authorization"] for call in sidecar.calls] == [f"Bearer {sent}"]

    asyncio.run(main())
