"""Nothing of the audio and nothing of the words reaches a disk: strace sees every write.

Exempt is what Python itself keeps of its own modules (`__pycache__`), where the same canaries are looked for.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest

from protocol.client import connect
from protocol.events import Event, Transcript
from tests.chaos.traced import Call, calls, command, touches_a_file
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import run
from tests.needs import need_module, need_tracer

TRACED = "tests.chaos.traced"
SESSIONS = "/api/v1/sessions"
WAIT_S = 20.0
CANARY_LETTERS = 7
"""A shorter word may stand in a log line by chance."""
CANARY_WORDS = 3
"""In a row; fewer may stand in a module by chance."""
CANARY_BYTES = 24
"""Of audio."""
TASKS: Mapping[str, Mapping[str, object]] = {
    "vtt": {"type": "export", "options": {"format": "vtt"}},
    "csv": {"type": "export", "options": {"format": "csv"}},
    "page": {"type": "report"},
    "summary": {"type": "summary"},
}

MISDEEDS = {
    "a file": "open('kept', 'wb').write(b'canary')",
    "an empty file": "open('kept', 'x')",
    "a temporary file": "import tempfile; tempfile.TemporaryFile().write(b'canary')",
    "a file in memory that others see": (
        "import mmap; f = open('here', 'r+b'); mmap.mmap(f.fileno(), 0)[:6] = b'canary'"
    ),
    "a directory": "import os; os.mkdir('kept')",
    "another name": "import os; os.rename('here', 'kept')",
    "by another thread": "import threading; threading.Thread(target=lambda: open('kept', 'x')).start()",
    "by another process": "import subprocess; subprocess.run(['cp', 'here', 'kept'], check=True)",
}


def traced(trace: Path) -> list[Call]:
    """What the trace tells, once its tracer is done with it."""
    until = time.monotonic() + WAIT_S
    text = ""
    while not re.search(r"\+\+\+ (exited|killed).* \+\+\+\n\Z", text):
        assert time.monotonic() < until, text[-500:]
        time.sleep(0.05)
        text = trace.read_text(encoding="ascii")
    return list(calls(text))


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_what_reaches_a_disk_would_show(tmp_path: Path, misdeed: str) -> None:
    """The test below is one that can fail, in each of these ways."""
    tracer = need_tracer()
    (tmp_path / "here").write_bytes(b"before")
    program = [sys.executable, "-c", MISDEEDS[misdeed]]
    subprocess.run(command(tmp_path / "trace", program, tracer), cwd=tmp_path, check=True, timeout=60)
    assert [one for one in traced(tmp_path / "trace") if touches_a_file(one)]


def test_a_program_that_keeps_nothing_shows_nothing(tmp_path: Path) -> None:
    """What goes to a pipe and what is only read is no file that is written."""
    tracer = need_tracer()
    program = [sys.executable, "-c", "import json; print(open('/etc/passwd').read()); open('/dev/null', 'w')"]
    subprocess.run(
        command(tmp_path / "trace", program, tracer), stdout=subprocess.PIPE, check=True, timeout=60
    )
    found = traced(tmp_path / "trace")
    assert any(one.name == "write" and "root" in one.text for one in found)
    assert [one for one in found if touches_a_file(one)] == []


async def listen(gateway: GatewayProcess, session_id: str, audio: bytes) -> list[Event]:
    """Stream `audio` into the session to its end; what was heard."""
    async with connect(gateway.ws_url, session_id=session_id) as client:
        for start in range(0, len(audio), 32_000):
            await client.send(audio[start : start + 32_000])
        await client.end()
        return [event async for event in client if isinstance(event, Event)]


def made(client: httpx.Client, session_id: str) -> dict[str, str]:
    """What each of the tasks makes of the session."""
    results = {}
    for name, wanted in TASKS.items():
        task = client.post(f"{SESSIONS}/{session_id}/tasks", json=dict(wanted)).json()
        until = time.monotonic() + WAIT_S
        while task["state"] in ("queued", "running"):
            assert time.monotonic() < until, task
            time.sleep(0.05)
            task = client.get(f"/api/v1/tasks/{task['id']}").json()
        results[name] = client.get(f"/api/v1/tasks/{task['id']}/result").text
    return results


def children(pid: int) -> list[int]:
    """The processes that a process has started, such as its decoders."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(one) for one in listed.split()]


def core_limit(pid: int) -> list[str]:
    """The soft and the hard limit of a core dump."""
    limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    (line,) = (one for one in limits.splitlines() if one.startswith("Max core file size"))
    return line.split()[4:6]


def test_neither_audio_nor_words_reach_a_disk(
    launch: Callable[..., GatewayProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real speech is streamed, watched, exported, reported and deleted: no file is written meanwhile."""
    need_tracer()
    need_module("pocketsphinx")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    running = launch(TRACED, str(tmp_path / "trace"), TRANSCRIBER="pocketsphinx", LOG_LEVEL="debug")
    audio = pcm(speech())
    with httpx.Client(base_url=running.url, trust_env=False, timeout=30) as client:
        session_id = str(client.post(SESSIONS, json={"delivery": "lossless"}).json()["id"])
        heard = run(listen(running, session_id, audio), 60)
        results = made(client, session_id)
        watched = client.get(f"{SESSIONS}/{session_id}/events").text
        assert {tuple(core_limit(one)) for one in (running.pid, *children(running.pid))} == {("0", "0")}
        client.delete(f"{SESSIONS}/{session_id}")
    text = " ".join(one.text for one in heard if isinstance(one, Transcript) and one.is_final)
    words = {word for word in re.findall(r"\w+", text) if len(word) >= CANARY_LETTERS}
    assert words, "the canaries are words that were heard"
    for told in (watched, results["vtt"], results["csv"], results["page"]):
        assert any(word in told for word in words)
    assert running.stop() == 0
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not {word for word in words if word in "".join(running.log)}
    check(traced(tmp_path / "trace"), text, audio)


def check(found: list[Call], said: str, audio: bytes) -> None:
    """No file was written but Python's own, and there and in the log is nothing that was said."""
    pieces = {
        audio[start : start + CANARY_BYTES].decode("latin-1") for start in range(0, len(audio), CANARY_BYTES)
    }
    loud = {piece for piece in pieces if len(set(piece)) > CANARY_BYTES // 2}
    words = said.split()
    phrases = {" ".join(words[at : at + CANARY_WORDS]) for at in range(len(words) - CANARY_WORDS + 1)}
    assert any(phrase in one.text for one in found for phrase in phrases), "the trace has what was sent"
    touching = [one for one in found if touches_a_file(one)]
    assert [one for one in touching if "__pycache__" not in one.text] == []
    for one in touching:
        assert not [canary for canary in phrases | loud if canary in one.text]
