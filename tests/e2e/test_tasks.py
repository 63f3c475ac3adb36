"""Background work on real sessions of a real gateway: exports that other readers read, summaries, bounds."""

import asyncio
import csv
import io
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from protocol.client import connect
from protocol.events import Pong, Summary, Task
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import ROOT, GatewayProcess, start_gateway
from tests.e2e.wire import dial, hear, only, run, say, until
from tests.gateway.tasks.export.readers import read_srt, read_vtt
from tests.needs import need_command

SESSIONS = "/api/v1/sessions"
TASKS = "/api/v1/tasks"
GAPS = 800
OVER = ("ready", "failed", "cancelled")


@pytest.fixture(scope="module")
def wordy() -> Iterator[GatewayProcess]:
    """A gateway that transcribes, with small bounds."""
    running = start_gateway(TASK_RESULT_BYTES="65536", TASKS_PER_SESSION="8", TASK_WORKERS="1")
    yield running
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]


@pytest.fixture(scope="module")
def client(wordy: GatewayProcess) -> Iterator[httpx.Client]:
    """A plain HTTP client of it."""
    with httpx.Client(base_url=wordy.url, trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def told(wordy: GatewayProcess, client: httpx.Client) -> str:
    """The id of a session in which a real reader read a sentence."""
    session_id = str(client.post(SESSIONS, json={"delivery": "lossless"}).json()["id"])

    async def main() -> Summary:
        async with asyncio.timeout(60), connect(wordy.ws_url, session_id=session_id) as owner:
            await owner.send(pcm(speech()))
            return await owner.end()

    summary = run(main())
    assert summary.events["tone"] >= 4
    assert summary.events["transcript"] >= 1
    return session_id


def ask(client: httpx.Client, session_id: str, type: str, **options: Any) -> dict[str, Any]:
    """A task, followed to its end."""
    answer = client.post(f"{SESSIONS}/{session_id}/tasks", json={"type": type, "options": options})
    assert answer.status_code == 202, answer.text
    task: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{TASKS}/{task['id']}"
    while task["state"] not in OVER:
        task = client.get(answer.headers["location"]).json()
    return task


def made(client: httpx.Client, session_id: str, type: str, **options: Any) -> httpx.Response:
    """What a task made, which is removed then."""
    task = ask(client, session_id, type, **options)
    assert (task["state"], task["progress"], task["result_available"]) == ("ready", 1.0, True), task
    answer = client.get(f"{TASKS}/{task['id']}/result")
    assert answer.status_code == 200
    assert client.delete(f"{TASKS}/{task['id']}").json()["state"] == "ready"
    assert client.get(f"{TASKS}/{task['id']}").json()["code"] == "task_not_found"
    return answer


def test_every_format_tells_the_same_story(client: httpx.Client, told: str) -> None:
    """Words and tones of a real recording, read back by independent readers out of each file."""
    document = made(client, told, "export").json()
    history = client.get(f"{SESSIONS}/{told}/history").json()["events"]
    kept = [event for event in document["events"] if event["type"] != "task"]
    assert kept == [event for event in history if event["type"] != "task"]
    utterances = [event for event in kept if event["type"] == "transcript"]
    words = " ".join(event["text"] for event in utterances).split()

    lines = made(client, told, "export", format="jsonl").text.splitlines()
    assert [json.loads(line)["type"] for line in lines[:1]] == ["session"]
    events = [json.loads(line) for line in lines[1:]]
    assert [event for event in events if event["type"] != "task"] == kept

    table = made(client, told, "export", format="csv").text
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert [row["text"] for row in rows if row["type"] == "transcript"] == [one["text"] for one in utterances]

    captions = read_vtt(made(client, told, "export", format="vtt", lanes=["transcript"]).content)
    assert " ".join(cue.text for cue in captions.cues).split() == words
    subtitles = read_srt(made(client, told, "export", format="srt", lanes=["transcript"]).content)
    assert " ".join(cue.payload for cue in subtitles).split() == words

    metadata = read_vtt(made(client, told, "export", format="vtt_metadata").content)
    lanes = [json.loads(cue.payload)["lane"] for cue in metadata.cues]
    assert lanes.count("tone") == sum(event["type"] == "tone" for event in kept)

    text = made(client, told, "export", format="txt").text
    assert all(event["text"] in text for event in utterances)
    labels = made(client, told, "export", format="audacity").text.splitlines()
    assert all(float(start) <= float(end) for start, end, _ in (line.split("\t") for line in labels))


def test_the_documented_request_works_as_it_stands(client: httpx.Client, told: str) -> None:
    """The page's `curl` makes a task, with exactly the fields of the page's answer."""
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    fences = dict(re.findall(r"```(sh|json)\n(.*?)```", page, re.DOTALL))
    command = fences["sh"].replace("http://127.0.0.1:8522", str(client.base_url).rstrip("/"))
    need_command("curl")
    ran = subprocess.run(
        ["sh", "-c", command],
        env=os.environ | {"SESSION": told, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    head, _, body = ran.stdout.partition("\n\n")
    assert " 202 " in head.splitlines()[0]
    task, shown = json.loads(body), json.loads(fences["json"])
    assert list(task) == list(shown)
    assert (task["type"], task["options"]) == (shown["type"], shown["options"])
    client.delete(f"{TASKS}/{task['id']}")
    client.delete(f"{TASKS}/{task['id']}")


def test_a_report_is_a_page_of_its_own(client: httpx.Client, told: str) -> None:
    """What was said is in it; it asks for nothing, and comes as a download that nothing in it may act on."""
    answer = made(client, told, "report")
    history = client.get(f"{SESSIONS}/{told}/history").json()["events"]
    words = next(event["text"] for event in history if event["type"] == "transcript").split()
    page = answer.text
    assert page.startswith("<!DOCTYPE html>")
    assert all(word in page for word in words)
    assert told not in page
    assert not re.search(r"<script|https?://|//cdn", page.replace("http://www.w3.org/2000/svg", ""))
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "sandbox" in answer.headers["content-security-policy"]
    drawn = made(client, told, "report", format="svg")
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert ElementTree.fromstring(drawn.content).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_summary_counts_what_was_heard(client: httpx.Client, told: str) -> None:
    """Talk time fits in the session, shares add up, words are those of the transcript."""
    summary = made(client, told, "summary").json()
    assert 0 < sum(one["seconds"] for one in summary["talk_time"]) <= summary["duration_s"]
    assert sum(one["share"] for one in summary["tones"]) == pytest.approx(1.0, abs=0.001)
    assert summary["words"] > 5
    assert summary["longest_silence"]["seconds"] < summary["duration_s"]


def test_a_result_is_a_file_that_no_cache_keeps(client: httpx.Client, told: str) -> None:
    """Its type and name are right, nothing in it may run, and `HEAD` tells the same."""
    task = ask(client, told, "export", format="vtt")
    for answer in (client.get(f"{TASKS}/{task['id']}/result"), client.head(f"{TASKS}/{task['id']}/result")):
        assert answer.headers["content-type"] == "text/vtt; charset=utf-8"
        assert answer.headers["content-disposition"] == f'attachment; filename="undertone-{told[:8]}.vtt"'
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert int(answer.headers["content-length"]) > 100
    client.delete(f"{TASKS}/{task['id']}")


def test_tasks_are_listed_counted_and_told_in_the_log(client: httpx.Client, told: str) -> None:
    """By state; each change is an event after the summary, with the next number."""
    before = client.get(f"{SESSIONS}/{told}/history").json()["events"][-1]["seq"]
    task = ask(client, told, "summary")
    listed = client.get(f"{SESSIONS}/{told}/tasks", params={"state": "ready"}).json()["tasks"]
    assert task in listed
    assert set(task) == {
        *("id", "session_id", "type", "options", "state", "created_at", "updated_at"),
        *("progress", "result_available", "error_message"),
    }
    assert client.get(f"{SESSIONS}/{told}/tasks", params={"state": "queued"}).json() == {"tasks": []}
    page = client.get(f"{SESSIONS}/{told}/history", params={"after": before}).json()["events"]
    assert [(event["seq"], event["type"], event["state"]) for event in page] == [
        (before + 1, "task", "queued"),
        (before + 2, "task", "running"),
        (before + 3, "task", "ready"),
    ]
    assert {event["task_id"] for event in page} == {task["id"]}
    assert client.get(f"{SESSIONS}/{told}/stats").json()["pending_tasks_count"] == 0
    client.delete(f"{TASKS}/{task['id']}")


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 422, "type"),
        ({"type": "dance"}, 422, "type"),
        ({"type": "export", "options": 1}, 422, "options"),
        ({"type": "export", "options": {"format": "mp3"}}, 422, "options.format"),
        ({"type": "export", "options": {"colour": "red"}}, 422, "options.colour"),
        ({"type": "export", "when": "now"}, 422, "when"),
        ([], 400, None),
    ],
)
def test_a_mistake_is_named(
    client: httpx.Client, told: str, body: object, status: int, param: str | None
) -> None:
    """A problem document points at the field, and no task is made."""
    answer = client.post(f"{SESSIONS}/{told}/tasks", json=body)
    assert (answer.status_code, answer.json().get("param")) == (status, param)
    assert client.get(f"{SESSIONS}/{told}/tasks").json() == {"tasks": []}


def test_absent_tasks_and_sessions_are_the_same_404(client: httpx.Client, told: str) -> None:
    """Whoever guesses learns nothing: a task of a deleted session is as absent as one that never was."""
    session_id = client.post(SESSIONS).json()["id"]
    task = ask(client, session_id, "summary")
    assert client.delete(f"{SESSIONS}/{session_id}").status_code == 200
    for suffix in ("", "/result"):
        gone, never = (client.get(f"{TASKS}/{one}{suffix}") for one in (task["id"], "A" * 22))
        assert (gone.status_code, gone.json()) == (never.status_code, never.json())
        assert gone.json()["code"] == "task_not_found"
    assert client.delete(f"{TASKS}/{task['id']}").status_code == 404
    assert client.get(f"{SESSIONS}/{session_id}/tasks").json()["code"] == "session_not_found"
    assert client.post(f"{SESSIONS}/nobody/tasks", json={"type": "summary"}).status_code == 404
    assert client.get(f"{SESSIONS}/{told}/tasks", params={"state": "odd"}).json()["param"] == "state"


def test_a_session_nobody_came_to_can_be_summed_up(client: httpx.Client) -> None:
    """There is nothing in it, which is what the summary says; its tasks are in no log, as it has none."""
    session_id = client.post(SESSIONS).json()["id"]
    summary = made(client, session_id, "summary").json()
    assert (summary["duration_s"], summary["events"], summary["longest_silence"]) == (0.0, {}, None)
    assert client.get(f"{SESSIONS}/{session_id}/history").json()["events"] == []


def test_a_live_session_is_told_as_far_as_it_is(wordy: GatewayProcess, client: httpx.Client) -> None:
    """Its owner hears of the task among the other events, and goes on; a result over the bound fails."""
    session_id = client.post(SESSIONS).json()["id"]

    async def main() -> None:
        async with dial(wordy, {"session_id": session_id}) as owner:
            for sample in range(10, GAPS * 10 + 1, 10):
                await say(owner, "position", sample=sample)
                if sample % 500 == 0:
                    await say(owner, "ping")
                    await until(owner, Pong)
            big = await asyncio.to_thread(ask, client, session_id, "export")
            assert (big["state"], big["result_available"]) == ("failed", False)
            assert big["error_message"] == "the result is over 65536 bytes"
            heard = [only([await hear(owner)], Task) for _ in range(3)]
            assert [event.state for event in heard] == ["queued", "running", "failed"]
            refused = await asyncio.to_thread(client.get, f"{TASKS}/{big['id']}/result")
            assert (refused.status_code, refused.json()["code"]) == (409, "task_not_ready")
            summary = (await asyncio.to_thread(made, client, session_id, "summary")).json()
            assert (summary["status"], summary["events"]["gap"]) == ("live", GAPS)

    run(main())


def test_the_ninth_task_of_a_session_is_refused(client: httpx.Client) -> None:
    """Typed, with a time to come back; a task that is removed makes room, a cancelled one by itself."""
    session_id = client.post(SESSIONS).json()["id"]
    tasks = [ask(client, session_id, "summary") for _ in range(8)]
    refused = client.post(f"{SESSIONS}/{session_id}/tasks", json={"type": "summary"})
    assert (refused.status_code, refused.json()["code"]) == (429, "task_limit")
    assert int(refused.headers["retry-after"]) >= 1
    client.delete(f"{TASKS}/{tasks[0]['id']}")
    ask(client, session_id, "summary")
    metrics = client.get("/metrics").text
    assert 'undertone_refusals_total{code="task_limit"}' in metrics
    assert 'undertone_tasks_ended_total{outcome="ready"}' in metrics
    assert client.delete(f"{SESSIONS}/{session_id}").status_code == 200


def test_nothing_of_a_task_is_logged(
    wordy: GatewayProcess, client: httpx.Client, told: str, launch: Callable[..., GatewayProcess]
) -> None:
    """No words, no ids of tasks; and a gateway that stops with work in hand stops at once and cleanly."""
    words = made(client, told, "export", format="txt", lanes=["transcript"]).text.splitlines()[-1][17:]
    task = ask(client, told, "summary")
    logged = "".join(wordy.log)
    assert words not in logged
    assert task["id"] not in logged
    other = launch(TRANSCRIBER="none")
    session_id = httpx.post(f"{other.url}{SESSIONS}", trust_env=False).json()["id"]
    for _ in range(8):
        body = {"type": "export"}
        httpx.post(f"{other.url}{SESSIONS}/{session_id}/tasks", json=body, trust_env=False)
    assert other.stop() == 0
    assert not [line for line in other.log if "Traceback" in line]
