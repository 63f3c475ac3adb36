"""Real model servers that were not written here: MLServer knows JSON alone, Triton binary, too."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.classify.kserve.model import (
    ClassesSpec,
    DimensionsSpec,
    EventsSpec,
    GateKind,
    InputSpec,
    ModelSpec,
    SampleType,
    Wire,
    read_spec,
)
from gateway.classify.kserve.protocol import Named
from gateway.classify.port import (
    Answer,
    ClassifierError,
    HealthStatus,
    SpeakerObservation,
    ToneObservation,
    Window,
)
from protocol.client import Client, connect
from protocol.events import Event, Gap, GapReason, Service, Summary, Tone, UnknownEvent
from tests.e2e.conftest import ROOT, GatewayProcess
from tests.gateway.classify.kserve.kit import asking, becomes, labels, run
from tests.peers import Peer, free_port, mlserver, triton
from tests.triton_models import REPOSITORY, deployed

QUIET, LOUD, CONSTANT = 300, 12_000, 0


def window(level: int, samples: int = 16_000) -> Window:
    """A square wave; a constant one for 0, of which there is no level."""
    wave = np.where(np.arange(samples) // 40 % 2, level, -level).astype(np.int16)
    return Window(wave if level else np.full(samples, 5_000, np.int16), samples, 1.0, {})


TONE = ModelSpec(
    at=Named("tone", "1"),
    classes=ClassesSpec("logits", ("Calm", "Tense")),
    dimensions=DimensionsSpec("dimensions"),
)
EVENTS = ModelSpec(at=Named("events"), events=EventsSpec("EVENTS"))


@pytest.fixture(scope="module")
def mlserver_url() -> Iterator[str]:
    """MLServer with the models of `tests/kserve_models`."""
    with mlserver() as peer:
        yield peer.url


@pytest.fixture(scope="module")
def triton_url() -> Iterator[str]:
    """Triton with the repository of `deploy/triton`, and a tiny graph in it."""
    with tempfile.TemporaryDirectory() as folder, triton(deployed(Path(folder))) as peer:
        yield peer.url


def classified(url: str, spec: ModelSpec, *windows: Window) -> list[Answer]:
    """What the server says of the windows."""

    async def main() -> list[Answer]:
        async with asking(url, spec, look_every_s=5) as classifier:
            return await classifier.classify(windows)

    return run(main())


class TestMLServer:
    """JSON alone, floats that are no numbers as null, models described where somebody wrote it down."""

    def test_classes_and_dimensions_of_a_batch(self, mlserver_url: str) -> None:
        """A window without a level fails alone; the file need not say that the model takes floats."""
        answers = classified(mlserver_url, TONE, window(LOUD), window(CONSTANT), window(QUIET))
        assert labels(answers) == ["Tense", None, "Calm"]
        assert isinstance(answers[0], list)
        (tone,) = answers[0]
        assert isinstance(tone, ToneObservation)
        level = 20 * np.log10(LOUD / 32768)
        assert tone.arousal == pytest.approx((level + 60) / 60, abs=1e-6)
        assert tone.dominance == 0.5
        assert tone.confidence == pytest.approx(1 / (1 + np.exp(-2 * (level + 20) / 5)), abs=1e-5)

    def test_binary_is_tried_once_and_json_from_then_on(self, mlserver_url: str) -> None:
        """It refuses the extension with 422; the first batch is answered all the same."""

        async def main() -> None:
            async with asking(mlserver_url, TONE, look_every_s=5) as classifier:
                for _ in range(2):
                    assert labels(await classifier.classify([window(LOUD)])) == ["Tense"]
                    assert classifier._wire is Wire.JSON

        run(main())

    def test_windows_of_many_lengths_and_a_whole_batch(self, mlserver_url: str) -> None:
        """32 windows, a few of them short."""
        windows = [window((QUIET, LOUD)[i % 2], 16_000 if i % 8 else 4_000) for i in range(32)]
        assert labels(classified(mlserver_url, TONE, *windows)) == ["Calm", "Tense"] * 16

    def test_events_of_a_model_of_int16(self, mlserver_url: str) -> None:
        """Each window has its list; the one that can't be read fails alone."""
        answers = classified(mlserver_url, EVENTS, window(LOUD), window(CONSTANT), window(QUIET))
        assert labels(answers) == ["Tense", None, "Calm"]
        assert isinstance(answers[0], list)
        tone, speaker = answers[0]
        assert isinstance(tone, ToneObservation)
        assert tone.extra == {"peak": LOUD}
        assert isinstance(speaker, SpeakerObservation)

    @pytest.mark.parametrize(
        ("spec", "detail"),
        [
            (replace(TONE, at=Named("nobody")), "no such model"),
            (replace(TONE, at=Named("tone", "7")), "no such model"),
            (replace(TONE, classes=ClassesSpec("logits", ("a", "b", "c"))), "not [windows, 3]"),
            (replace(EVENTS, input=InputSpec(type=SampleType.FLOAT32)), "takes INT16"),
        ],
        ids=["no model", "no version", "labels", "samples"],
    )
    def test_another_model_than_the_file_describes(
        self, mlserver_url: str, spec: ModelSpec, detail: str
    ) -> None:
        """Told in the background, before the first window."""

        async def main() -> None:
            async with asking(mlserver_url, spec) as classifier:
                await becomes(classifier, HealthStatus.ERROR, detail)
                (answer,) = await classifier.classify([window(LOUD)])
                assert isinstance(answer, ClassifierError)

        run(main())


class TestTriton:
    """The binary extension and dynamic batching, with the repository that we ship."""

    SPEC = replace(read_spec(REPOSITORY.parent / "undertone.toml"), input=InputSpec(gate=GateKind.NONE))

    @pytest.mark.parametrize("wire", list(Wire))
    def test_a_batch_in_binary_and_in_json(self, triton_url: str, wire: Wire) -> None:
        """The graph's logits grow with the class, by the normalised peak: the last label, and how sure."""
        answers = classified(triton_url, replace(self.SPEC, wire=wire), *[window(LOUD)] * 3)
        assert labels(answers) == ["Sad"] * 3
        assert isinstance(answers[0], list)
        (tone,) = answers[0]
        assert isinstance(tone, ToneObservation)
        weights = np.exp([1, 2, 3, 4])
        assert tone.confidence == pytest.approx(weights[3] / weights.sum(), abs=1e-4)

    def test_it_says_that_it_can_do_binary(self, triton_url: str) -> None:
        """Known before the first window: nothing is tried."""

        async def main() -> None:
            async with asking(triton_url, self.SPEC, look_every_s=5) as classifier:
                await becomes(classifier, HealthStatus.READY)
                assert classifier._wire is Wire.BINARY

        run(main())

    def test_many_batches_at_once_keep_their_order(self, triton_url: str) -> None:
        """Triton puts windows of several calls into one batch, and each call has its own back."""

        async def main() -> None:
            async with asking(triton_url, self.SPEC, look_every_s=5) as classifier:
                batches = [
                    [window(LOUD, 8_000 + 160 * (i % 2)) if i % 3 else window(0)] * 8 for i in range(12)
                ]
                all_of_them = await asyncio.gather(*(classifier.classify(batch) for batch in batches))
                for i, answers in enumerate(all_of_them):
                    assert labels(list(answers)) == (["Sad"] if i % 3 else ["Neutral"]) * 8

        run(main())

    def test_a_call_that_it_refuses(self, triton_url: str) -> None:
        """A model that another file describes: told, with the server's own words, and no label."""

        async def main() -> None:
            wrong = replace(self.SPEC, classes=ClassesSpec("logits", ("a", "b")))
            async with asking(triton_url, wrong) as classifier:
                await becomes(classifier, HealthStatus.ERROR, "is [-1, 4], not [windows, 2]")

        run(main())


MODEL_FILE = """
model = "tone"
licence = "none needed"
[input]
gate = "energy"
[classes]
output = "logits"
labels = ["Calm", "Tense"]
[dimensions]
output = "dimensions"
"""


async def play(client: Client, seconds: int, level: int) -> None:
    """Send so much of a square wave."""
    data = window(level).samples.tobytes()
    for _ in range(seconds):
        for at in range(0, len(data), 3_200):
            await client.send(data[at : at + 3_200])


async def heard(client: Client, seen: list[Event | UnknownEvent]) -> None:
    async for event in client:
        seen.append(event)  # noqa: PERF401 - others look at them as they come


def adds_up(summary: Summary) -> bool:
    return (
        summary.pending_samples == 0
        and summary.next_sample == summary.classified_samples + summary.gap_samples
        and summary.received_samples == summary.next_sample - summary.client_gap_samples
    )


async def until(ready: Callable[[], bool]) -> None:
    while not ready():  # noqa: ASYNC110 - another process's doing
        await asyncio.sleep(0.05)


def test_a_session_hears_a_model_server(
    launch: Callable[..., GatewayProcess], mlserver_url: str, tmp_path: Path
) -> None:
    """Tones with the model's labels and dimensions, and an account that adds up."""
    file = tmp_path / "model.toml"
    file.write_text(MODEL_FILE, encoding="utf-8")
    gateway = launch(
        CLASSIFIER="kserve", CLASSIFIER_URL=mlserver_url, KSERVE_MODEL_FILE=str(file), TRANSCRIBER="none"
    )
    seen: list[Event | UnknownEvent] = []

    async def main() -> Summary:
        async with connect(gateway.ws_url, config={"delivery": "lossless"}) as client:
            listening = asyncio.create_task(heard(client, seen))
            await play(client, 2, LOUD)
            await play(client, 2, QUIET)
            summary = await client.end()
            await listening
            return summary

    summary = run(main(), 60)
    tones = [event for event in seen if isinstance(event, Tone)]
    assert [tone.label for tone in tones] == ["Tense", "Tense", "Calm", "Calm"]
    assert all(tone.model == "tone" and tone.arousal is not None for tone in tones)
    assert adds_up(summary)
    assert summary.gap_samples == 0


def test_a_model_server_that_dies_and_comes_back(
    launch: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    """Windows meanwhile are declared as gaps; the session goes on, and so do its tones."""
    file, port = tmp_path / "model.toml", free_port()
    file.write_text(MODEL_FILE, encoding="utf-8")
    seen: list[Event | UnknownEvent] = []

    def count(kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in seen)

    async def main(gateway: GatewayProcess, first: Peer) -> Summary:
        async with connect(gateway.ws_url, config={"delivery": "lossless"}) as client:
            listening = asyncio.create_task(heard(client, seen))
            await play(client, 2, LOUD)
            await until(lambda: count(Tone) == 2)
            first.process.kill()
            await play(client, 2, LOUD)
            await until(lambda: count(Gap) >= 1)
            with mlserver(port=port):
                before = count(Tone)
                while count(Tone) == before:
                    await play(client, 1, LOUD)
                    await asyncio.sleep(0.5)
                summary = await client.end()
                await listening
                return summary

    with mlserver(port=port) as first:
        gateway = launch(
            CLASSIFIER="kserve", CLASSIFIER_URL=first.url, KSERVE_MODEL_FILE=str(file), TRANSCRIBER="none"
        )
        summary = run(main(gateway, first), 90)
    gaps = [event for event in seen if isinstance(event, Gap)]
    assert {gap.reason for gap in gaps} == {GapReason.CLASSIFIER}
    assert sum(gap.end_sample - gap.start_sample for gap in gaps) == summary.gap_samples
    assert adds_up(summary)
    assert not [line for line in gateway.log if "Traceback" in line]
    told = [event.detail for event in seen if isinstance(event, Service)]
    assert all("127.0.0.1" not in detail for detail in told)


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_a_wrong_model_file_ends_the_start(tmp_path: Path, command: str) -> None:
    """Everything that is wrong with it, before anything opens."""
    file = tmp_path / "model.toml"
    file.write_text('modle = "x"\n[classes]\noutput = "logits"\nlabels = []\n', encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNDERTONE_")}
    environment |= {
        "UNDERTONE_CLASSIFIER": "kserve",
        "UNDERTONE_CLASSIFIER_URL": "http://127.0.0.1:9",
        "UNDERTONE_KSERVE_MODEL_FILE": str(file),
    }
    done = subprocess.run(
        [sys.executable, "-m", "gateway", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "did you mean model?" in done.stderr
    assert "classes.labels" in done.stderr
    assert "Traceback" not in done.stderr
