"""`undertone classify` as a process: its answers, its bounds, and how it goes."""

import asyncio
import base64
import json
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.classify.acoustic.classifier import analyse
from gateway.classify.port import Observation, Window
from gateway.classify.sidecar.batch import REQUEST_TYPE, Asked, Told, decode_answer, encode_request
from gateway.classify.sidecar.events import heard
from tests import signals
from tests.acoustic import cut
from tests.e2e.conftest import ROOT
from tests.sidecars.node import ClassifyProcess, start_classify

SECONDS = 8


@pytest.fixture(scope="module")
def sidecar() -> Iterator[ClassifyProcess]:
    """The one that most tests here share."""
    running = start_classify()
    yield running
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]


@pytest.fixture
def launch() -> Iterator[Callable[..., ClassifyProcess]]:
    """Starts sidecars of the test's own, and ends them."""
    started: list[ClassifyProcess] = []

    def start(*arguments: str, **settings: str) -> ClassifyProcess:
        started.append(start_classify(*arguments, **settings))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def talk(seed: int) -> list[Window]:
    """Windows of a session of its own: real speech, at another place for each seed."""
    voice = signals.recording(signals.ASTERISK_SOUNDS / "demo-congrats.wav", 20.0)
    start = 4_000 * (seed % 16)
    return cut(voice[start : start + SECONDS * signals.RATE], {})


def alone(windows: Sequence[Window]) -> list[list[Observation]]:
    """What the embedded classifier says of one session, window after window."""
    state: dict[str, Any] = {}
    told = []
    for window in windows:
        ((observations, state["acoustic"]),) = analyse(
            [Window(window.samples, window.owned, window.end_s, state)]
        )
        told.append(observations)
    return told


def call(window: Window, session: str) -> dict[str, Any]:
    """A call of the single contract."""
    return {
        "audio_chunk": base64.b64encode(window.samples.tobytes()).decode(),
        "timestamp": window.end_s - 1.0,
        "session_id": session,
        "elcor": False,
        "language": None,
        "num_speakers": None,
    }


def same(told: Sequence[Observation], wanted: Sequence[Observation]) -> None:
    """Alike, but for what another batch's padding changes in the last digits."""
    assert [type(one) for one in told] == [type(one) for one in wanted]
    for one, other in zip(told, wanted, strict=True):
        for name in one.__slots__:
            ours, theirs = getattr(one, name), getattr(other, name)
            if isinstance(ours, float):
                assert ours == pytest.approx(theirs, abs=0.01), name
            elif name != "extra":
                assert ours == theirs, name


def test_a_single_window_is_told_as_the_embedded_classifier_tells_it(sidecar: ClassifyProcess) -> None:
    """The same windows, in order: the state is kept between the calls."""

    async def main() -> None:
        windows = talk(0)
        wanted = alone(windows)
        assert any(wanted)
        async with sidecar.client() as client:
            for window, expected in zip(windows, wanted, strict=True):
                answer = await client.post("/classify", json=call(window, "single"))
                events = answer.json()["events"]
                assert {event.pop("session_id") for event in events} <= {"single"}
                for event in events:
                    event.pop("subtext", None)
                same(heard(events).observations, expected)

    asyncio.run(main())


def test_a_batch_is_told_as_the_embedded_classifier_tells_it(sidecar: ClassifyProcess) -> None:
    """32 sessions at once; their states travel there and back."""

    async def main() -> None:
        sessions = [talk(seed) for seed in range(32)]
        wanted = {seed: alone(sessions[seed]) for seed in range(16)}
        states: list[bytes | None] = [None] * 32
        async with sidecar.client() as client:
            for second in range(SECONDS):
                windows = [session[second] for session in sessions]
                batch = [
                    Asked(f"s{n}", one.samples, one.owned, one.end_s, state=states[n])
                    for n, one in enumerate(windows)
                ]
                answer = await client.post(
                    "/v1/classify/batch",
                    content=b"".join(encode_request(batch)),
                    headers={"content-type": REQUEST_TYPE},
                )
                for n, reply in enumerate(decode_answer(answer.content, 32)):
                    assert isinstance(reply, Told)
                    states[n] = reply.state
                    same(heard(reply.events).observations, wanted[n % 16][second])

    asyncio.run(main())


def test_64_callers_at_once(sidecar: ClassifyProcess) -> None:
    """Each gets its own answer, and the classifier is called for many at a time."""

    async def main() -> None:
        windows = [talk(seed)[3] for seed in range(64)]
        wanted = [analyse([Window(one.samples, 16_000, 1.0, {})])[0][0] for one in windows[:16]]
        async with sidecar.client() as client:
            calls = [call(one, f"parallel {n}") | {"timestamp": 0.0} for n, one in enumerate(windows)]
            before = await figures(client)
            answers = await asyncio.gather(*(client.post("/classify", json=one) for one in calls))
            after = await figures(client)
        for n, answer in enumerate(answers):
            assert answer.status_code == 200
            same(heard(answer.json()["events"]).observations, wanted[n % 16])
        batches = after["undertone_sidecar_batch_size_count"] - before["undertone_sidecar_batch_size_count"]
        assert batches < 64
        name = 'undertone_sidecar_windows_total{outcome="classified"}'
        assert after[name] - before[name] == 64

    asyncio.run(main())


async def figures(client: httpx.AsyncClient) -> dict[str, float]:
    """The metrics."""
    text = (await client.get("/metrics")).text
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_who_was_let_in_is_answered_when_it_goes(launch: Callable[..., ClassifyProcess]) -> None:
    """Under load, SIGTERM: each call has an answer or is refused in order, and the exit status is 0."""
    running = launch()
    window = talk(1)[0]
    outcomes: dict[str, int] = {}

    async def caller(client: httpx.AsyncClient, number: int) -> None:
        for turn in range(10_000):
            try:
                answer = await client.post("/classify", json=call(window, f"{number}/{turn}"))
            except httpx.ConnectError:
                outcomes["gone"] = outcomes.get("gone", 0) + 1
                return
            name = str(answer.status_code)
            outcomes[name] = outcomes.get(name, 0) + 1
            if answer.status_code == 503:
                assert answer.json()["code"] == "draining"
                assert "retry-after" in answer.headers
                return

    async def main() -> None:
        async with running.client() as client:
            callers = [asyncio.create_task(caller(client, number)) for number in range(40)]
            while outcomes.get("200", 0) < 100:  # noqa: ASYNC110 (nobody could set an event)
                await asyncio.sleep(0.01)
            running.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*callers)

    asyncio.run(main())
    assert running.end() == 0
    assert set(outcomes) <= {"200", "503", "gone"}, outcomes
    assert outcomes["200"] >= 100
    assert not [line for line in running.log if "Traceback" in line]
    (drained,) = [json.loads(line) for line in running.log if '"drained"' in line]
    assert drained["left"] == 0


@pytest.mark.parametrize("signals_sent", [1, 2])
def test_idle_it_goes_at_once(launch: Callable[..., ClassifyProcess], signals_sent: int) -> None:
    """With connections that ask for nothing, and by either signal."""
    running = launch(DRAIN_GRACE_S="60")
    with socket.create_connection(("127.0.0.1", running.port)):
        for _ in range(signals_sent):
            running.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert running.end() == 0


def test_a_unix_socket(launch: Callable[..., ClassifyProcess], tmp_path: Path) -> None:
    """For its owner only; what a killed one left is replaced, and afterwards there is nothing."""
    path = tmp_path / "sidecar"
    killed = launch("--uds", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    killed.process.kill()
    killed.process.wait()
    running = launch("--uds", str(path))
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(transport=transport, base_url="http://sidecar", timeout=30) as client:
        answer = client.post("/classify", json=call(talk(2)[0], "unix"))
        assert answer.json()["events"]
        second = refused("--uds", str(path))
        assert second.returncode == 2
        assert "somebody does" in second.stderr
        assert client.get("/readyz").status_code == 200
    assert running.stop() == 0
    assert not path.exists()


def refused(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `undertone classify` to its end, which must be soon."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", "classify", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--host", "0.0.0.0"), "UNDERTONE_SIDECAR_TOKEN_FILE"),
        (("--classifier", "magic"), "acoustic"),
        (("--workers", "0"), "UNDERTONE_CLASSIFY_WORKERS"),
        (("--port", "eighty"), "UNDERTONE_SIDECAR_PORT"),
        (("--token-file", "/nowhere/token"), "No such file"),
        (("--uds", "/nowhere/socket"), "No such file"),
    ],
)
def test_settings_that_can_not_be_are_explained(arguments: tuple[str, ...], told: str) -> None:
    """Before anything is opened."""
    done = refused(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_clear_line(sidecar: ClassifyProcess) -> None:
    """And what to do about it."""
    done = refused("--port", str(sidecar.port))
    assert done.returncode == 2
    assert "Address already in use" in done.stderr


def test_a_token_is_asked_for(launch: Callable[..., ClassifyProcess], tmp_path: Path) -> None:
    """By its file's content, which no log has."""
    token = "0123456789abcdef0123456789abcdef"
    (tmp_path / "token").write_text(token)
    running = launch("--port", "0", "--token-file", str(tmp_path / "token"))
    window = call(talk(0)[0], "x")
    with httpx.Client(base_url=running.url, trust_env=False, timeout=30) as client:
        assert client.post("/classify", json=window).status_code == 401
        client.headers["authorization"] = f"Bearer {token}"
        assert client.post("/classify", json=window).status_code == 200
    assert running.stop() == 0
    assert token not in "\n".join(running.log)


def test_it_leaves_no_core_dump(sidecar: ClassifyProcess) -> None:
    """That would put audio on a disk."""
    limits = resource.prlimit(sidecar.process.pid, resource.RLIMIT_CORE)
    assert limits == (0, 0)


# Hostile bodies ------------------------------------------------------------------------------------------


def spoken(port: int, *pieces: bytes, patience_s: float = 20.0) -> bytes:
    """All that is answered to `pieces` on a connection of their own."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as sock:
        answer = b""
        try:
            for piece in pieces:
                sock.sendall(piece)
            while piece := sock.recv(65_536):
                answer += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def head(path: str, *fields: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {REQUEST_TYPE}", *fields, "", ""]
    return "\r\n".join(lines).encode()


BATCH = "/v1/classify/batch"
HOSTILE = {
    "said to be huge": (head(BATCH, "Content-Length: 99999999999", "Connection: close"), b" 413 "),
    "a length that is none": (head(BATCH, "Content-Length: -5"), b" 400 "),
    "two lengths": (head(BATCH, "Content-Length: 5", "Transfer-Encoding: chunked"), b" 400 "),
    "crumbs": (head(BATCH, "Transfer-Encoding: chunked") + b"1\r\nx\r\n" * 5_000, b" 413 "),
    "chunks without end": (
        head(BATCH, "Transfer-Encoding: chunked") + (b"10000\r\n" + bytes(65_536) + b"\r\n") * 300,
        b" 413 ",
    ),
    "a bad chunk": (head(BATCH, "Transfer-Encoding: chunked") + b"zz\r\n", b" 400 "),
}


@pytest.mark.parametrize(("sent", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_refused(sidecar: ClassifyProcess, sent: bytes, told: bytes) -> None:
    """In order, and the others go on."""
    answer = spoken(sidecar.port, sent)
    assert told in answer.partition(b"\r\n")[0] + b" ", answer[:200]
    assert httpx.get(f"{sidecar.url}/readyz", trust_env=False).status_code == 200


def test_a_slow_body_is_cut_off(sidecar: ClassifyProcess) -> None:
    """It has ten seconds; what it had sent is let go, and others are served meanwhile."""
    with socket.create_connection(("127.0.0.1", sidecar.port), timeout=30) as sock:
        sock.sendall(head(BATCH, "Content-Length: 1000000") + bytes(100_000))
        with httpx.Client(base_url=sidecar.url, trust_env=False, timeout=30) as client:
            assert client.post("/classify", json=call(talk(0)[0], "meanwhile")).status_code == 200
            assert "undertone_sidecar_body_bytes 100000.0" in client.get("/metrics").text
            answer = sock.recv(65_536)
            assert b" 408 " in answer
            assert "undertone_sidecar_body_bytes 0.0" in client.get("/metrics").text


def test_who_leaves_in_the_middle_leaves_nothing(sidecar: ClassifyProcess) -> None:
    """Half a body, or a whole one whose answer nobody waits for."""
    body = b"".join(encode_request([Asked(f"gone {n}", talk(0)[0].samples, 16_000, 1.0) for n in range(8)]))
    for part in (body[:100_000], body):
        with socket.create_connection(("127.0.0.1", sidecar.port)) as sock:
            sock.sendall(head(BATCH, f"Content-Length: {len(body)}") + part)

    async def settled() -> dict[str, float]:
        async with sidecar.client() as client:
            for _ in range(200):
                found = await figures(client)
                if not found["undertone_sidecar_held_windows"] and not found["undertone_sidecar_body_bytes"]:
                    return found
                await asyncio.sleep(0.02)
        return found

    found = asyncio.run(settled())
    assert (found["undertone_sidecar_held_windows"], found["undertone_sidecar_body_bytes"]) == (0, 0)


def test_odd_audio_is_classified(sidecar: ClassifyProcess) -> None:
    """One sample, silence, clipping, 30 s: an answer each."""

    async def main() -> None:
        loud = np.where(np.arange(16_000) % 2, 32_767, -32_768).astype(np.int16)
        async with sidecar.client() as client:
            for samples in (np.zeros(1, np.int16), np.zeros(16_000, np.int16), loud, np.tile(loud, 30)):
                window = Window(samples, len(samples), len(samples) / 16_000, {})
                answer = await client.post("/classify", json=call(window, "odd") | {"timestamp": 0.0})
                assert answer.status_code == 200, answer.text

    asyncio.run(main())
