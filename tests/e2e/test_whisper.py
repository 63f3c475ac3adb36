"""A gateway with a (tiny) Whisper model: words arrive, and neither they nor the audio are left anywhere."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import httpx
import numpy as np
import pytest

from gateway.settings import Settings
from protocol.client import connect
from protocol.events import Event, Service, ServiceStatus, Transcript, UnknownEvent
from tests.e2e.audio import pcm, speech, voice
from tests.e2e.conftest import ROOT, GatewayProcess, start_gateway
from tests.e2e.test_disk import (
    CANARY_LETTERS,
    SESSIONS,
    TRACED,
    check,
    children,
    core_limit,
    listen,
    made,
    traced,
)
from tests.e2e.test_voice import adds_up, stream
from tests.e2e.wire import run
from tests.gateway.transcribe.fakes import until
from tests.needs import need_module, need_tracer

Launch = Callable[..., GatewayProcess]
SENTENCE = "please hold the line while i look up your account number and the address"


def whisper(model: Path) -> dict[str, str]:
    """The settings of a gateway with one decoder of `model`, its only child."""
    return {
        "CLASSIFY_WORKER_KIND": "thread",
        "TRANSCRIBER": "whisper",
        "WHISPER_MODEL": str(model),
        "WHISPER_DEVICE": "cpu",
        "TRANSCRIBE_DECODERS": "1",
    }


def test_a_voice_is_transcribed(launch: Launch, tiny_whisper: Path, tmp_path: Path) -> None:
    """Streamed as a recording: finals with words, in the language the session asks for, and all adds up."""
    running = launch(**whisper(tiny_whisper))
    said = np.concatenate((voice("slt", SENTENCE, tmp_path), np.zeros(16_000, np.int16)))
    seen, summary = stream(running, pcm(said), config={"delivery": "lossless", "language": "fr-CA"})
    finals = [event for event in seen if isinstance(event, Transcript) and event.is_final]
    assert any(event.text and event.words for event in finals)
    assert {event.language for event in finals if event.text} == {"fr"}
    for event in finals:
        assert event.start_sample is not None
        assert event.end_sample is not None
        for word in event.words or ():
            assert event.start_sample <= word.start_sample <= word.end_sample <= event.end_sample
    assert adds_up(summary)
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]
    assert not any(event.text in line for event in finals for line in running.log if len(event.text) > 8)


def test_a_worker_that_is_killed_is_told_in_the_session(launch: Launch, tiny_whisper: Path) -> None:
    """In mid-utterance: a warning; the next utterance is decoded, by another process."""
    running = launch(**whisper(tiny_whisper))
    seen: list[Event | UnknownEvent] = []

    async def main() -> None:
        async with connect(running.ws_url) as client:

            async def hear() -> None:
                async for event in client:
                    seen.append(event)  # noqa: PERF401 - they are looked at meanwhile

            hearing = asyncio.create_task(hear())
            await until(lambda: is_ready(running))
            (worker,) = children(running.pid)
            os.kill(worker, signal.SIGSTOP)  # or it might be done before it is killed
            said = pcm(np.concatenate((speech(), np.zeros(16_000, np.int16))))
            for _ in range(2):
                for start in range(0, len(said), 3_200):
                    await client.send(said[start : start + 3_200])
                    await asyncio.sleep(0.05)
                    if start == 3_200 * 30 and worker in children(running.pid):
                        os.kill(worker, signal.SIGKILL)
            await until(lambda: any(isinstance(one, Service) for one in seen))
            await client.end()
            await hearing

    run(main(), 90)
    warnings = [one for one in seen if isinstance(one, Service) and one.status is ServiceStatus.WARNING]
    assert any("decoder ended" in (one.detail or "") for one in warnings)
    told = seen.index(warnings[0])
    assert any(isinstance(one, Transcript) and one.is_final and one.text for one in seen[told:])
    assert running.stop() == 0


def is_ready(gateway: GatewayProcess) -> bool:
    """Whether its transcriber has loaded."""
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        return bool(client.get("/readyz").json()["checks"]["transcriber"] == "ready")


def test_neither_audio_nor_words_reach_a_disk(
    launch: Launch, tiny_whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """strace sees every write of the gateway and its workers, at debug level."""
    need_tracer()
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    running = launch(TRACED, str(tmp_path / "trace"), LOG_LEVEL="debug", **whisper(tiny_whisper))
    audio = pcm(np.concatenate((speech(), np.zeros(16_000, np.int16))))
    with httpx.Client(base_url=running.url, trust_env=False, timeout=30) as client:
        session_id = str(client.post(SESSIONS, json={"delivery": "lossless"}).json()["id"])
        heard = run(listen(running, session_id, audio), 100)
        results = made(client, session_id)
        assert {tuple(core_limit(one)) for one in (running.pid, *children(running.pid))} == {("0", "0")}
        client.delete(f"{SESSIONS}/{session_id}")
    text = " ".join(one.text for one in heard if isinstance(one, Transcript) and one.is_final)
    words = {word for word in re.findall(r"\w+", text) if len(word) >= CANARY_LETTERS}
    assert words, "the canaries are words that were heard"
    assert any(word in results["vtt"] for word in words)
    assert running.stop() == 0
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not {word for word in words if word in "".join(running.log)}
    check(traced(tmp_path / "trace"), text, audio)


def test_without_its_model_the_gateway_doesnt_start(tmp_path: Path) -> None:
    """It says which file is missing, before it listens."""
    with pytest.raises(AssertionError, match=r"UNDERTONE_WHISPER_MODEL[\s\S]*model\.bin can't be read"):
        start_gateway(**whisper(tmp_path))


def test_it_loads_while_the_gateway_serves(launch: Launch, tiny_whisper: Path) -> None:
    """`/readyz` tells how far it is; the metrics count its processes."""
    running = launch(**whisper(tiny_whisper))
    asyncio.run(until(lambda: is_ready(running)))
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        metrics = client.get("/metrics").text
    assert re.search(r'undertone_transcribe_decoders\{state="idle"\} 1\.0', metrics)
    assert json.dumps(SENTENCE) not in metrics


def test_the_command_of_the_page_works(launch: Launch, tmp_path: Path) -> None:
    """The lines of the page, run as they stand in a folder beside a clone; its settings are all of them."""
    need_module("faster_whisper")
    page = (ROOT / "docs" / "classifiers" / "whisper.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- run -->\n```sh\n(.*?)```", page, re.DOTALL)
    assert block is not None
    make, check_line, serve = block.group(1).splitlines()
    here = f"{sys.executable} -m gateway"
    for line in (make, check_line):
        command = line.replace("python ", f"{sys.executable} ").replace("undertone check", f"{here} check")
        ran = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
    assert serve == check_line.replace("check-config", "serve")
    settings = dict(re.findall(r"UNDERTONE_(\w+)=(\S+)", serve))
    running = launch(**{**settings, "WHISPER_MODEL": str(tmp_path / settings["WHISPER_MODEL"])})
    seen, _ = stream(running, pcm(speech()), config={"delivery": "lossless"})
    assert any(isinstance(event, Transcript) and event.is_final and event.text for event in seen)
    told = {f"UNDERTONE_{one.name.upper()}" for one in fields(Settings) if one.name.startswith("whisper_")}
    assert told <= set(re.findall(r"`(UNDERTONE_\w+)`", page))
