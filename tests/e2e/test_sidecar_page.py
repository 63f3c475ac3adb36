"""docs/classifiers/sidecar.md: what it shows happens, and its sidecar of one's own is one."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from gateway.classify.sidecar.batch import (
    REQUEST_TYPE,
    Asked,
    Told,
    decode_answer,
    decode_request,
    encode_request,
)
from gateway.classify.sidecar.events import heard
from gateway.classify.sidecar.pseudonym import pseudonym
from tests.e2e.conftest import ROOT
from tests.gateway.sidecar.kit import body
from tests.sidecars.node import ClassifyProcess, start_classify

PAGE = (ROOT / "docs" / "classifiers" / "sidecar.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"<!-- executed -->\n```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def sidecar() -> Iterator[ClassifyProcess]:
    """The one of the page."""
    running = start_classify()
    yield running
    assert running.stop() == 0


def test_there_is_something_to_see() -> None:
    """One example for each contract."""
    assert len(SHOWN) == 2


@pytest.mark.parametrize(("code", "printed"), SHOWN, ids=["single", "batch"])
def test_the_examples_print_what_they_say(sidecar: ClassifyProcess, code: str, printed: str) -> None:
    """Pasted as they are, but for the port."""
    code = code.replace("http://127.0.0.1:8523", sidecar.url)
    assert sidecar.url in code
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == (printed, "")


def test_a_session_is_called_as_the_page_says() -> None:
    """Whoever follows it finds the name that the gateway sends."""
    section = PAGE.partition("## What a session is called")[2]
    found = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", section, re.DOTALL)
    assert found is not None
    code, printed = found.groups()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == (printed, "")
    assert printed.strip() == pseudonym("q2tVbZ0mRk6hY1sXo9nEaw")


def test_the_bytes_are_those_of_the_contract() -> None:
    """The dump is a request that we write and read."""
    (dump,) = re.findall(
        r"The smallest request.*?is these (.*?) bytes:\n\n```text\n(.*?)```", PAGE, re.DOTALL
    )
    raw = b"".join(bytes.fromhex(line[:48]) for line in dump[1].splitlines())
    assert len(raw) == int(dump[0])
    assert raw == b"".join(encode_request([Asked("a", np.array([0x1234], np.int16), 1, 0.0)]))
    (asked,) = decode_request(raw)
    assert (asked.session, asked.samples.tolist(), asked.end_s) == ("a", [0x1234], 0.0)


def test_what_health_answers(sidecar: ClassifyProcess) -> None:
    """The one of the page, to the letter."""
    (shown,) = re.findall(r"```json\n(\{\"status.*?)```", PAGE, re.DOTALL)
    assert httpx.get(f"{sidecar.url}/health", trust_env=False).json() == json.loads(shown)


def test_a_sidecar_of_ones_own() -> None:
    """The example answers both contracts in a way that the gateway's side understands."""
    code = (ROOT / "docs" / "examples" / "sidecar.py").read_text(encoding="utf-8")
    code = code.replace(
        '("127.0.0.1", 8523), Sidecar) as server:',
        '("127.0.0.1", 0), Sidecar) as server:\n        print(server.server_port, flush=True)',
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
            offer = client.get("/health").json()["batch"]
            labels = []
            for first in (100, 20_000, 100):
                answer = client.post("/classify", json=body(first, session_id="one"))
                labels += [said.label for said in heard(answer.json()["events"]).observations]  # type: ignore[union-attr]
            assert labels == ["Calm", "Loud", "Loud"]
            state = None
            for first, label in ((100, "Calm"), (20_000, "Loud"), (100, "Loud")):
                windows = [
                    Asked("a", np.full(99, 5, np.int16), 99, 1.0),
                    Asked("b", np.full(50, first, np.int16), 50, 1.0, state=state),
                ]
                answer = client.post(
                    offer["path"],
                    content=b"".join(encode_request(windows)),
                    headers={"content-type": REQUEST_TYPE},
                )
                quiet, told = decode_answer(answer.content, 2)
                assert isinstance(quiet, Told)
                assert isinstance(told, Told)
                assert [event["label"] for event in quiet.events + told.events] == ["Calm", label]
                state = told.state
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
