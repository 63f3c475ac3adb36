"""`undertone load` over real sockets against a stand-in gateway in a thread."""

import dataclasses
import errno
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.commands import load_expect, load_loop, load_report
from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.load import Measured, exit_code, load, speech_like
from gateway.commands.load_options import LoadOptions, session_url
from gateway.commands.load_series import Moment
from gateway.commands.load_stats import Tally
from protocol.audio import AudioFormat
from protocol.errors import ErrorCode, ProtocolError
from tests.gateway.commands.fake import Fake
from tests.gateway.commands.test_demo import started
from tests.gateway.commands.wavs import simple
from tests.needs import need_file


def options(url: str, **given: Any) -> LoadOptions:
    wanted: dict[str, Any] = {
        "sessions": 4, "duration_s": 0.3, "ramp_s": 0.05, "audio": AudioFormat(), "frame_ms": 100
    }  # fmt: skip
    return LoadOptions(url=url, **{**wanted, **given})


def ignored(moment: Moment, tally: Tally) -> None:
    """Nobody looks on."""


def run(fake: Fake, **given: Any) -> Measured:
    fake.hop_ms = 100
    with started(fake) as url:
        return load(options(url, **given), watch=ignored)


def test_every_session_sends_all_and_finishes() -> None:
    """Each session sends its audio at its pace, gets its events, and its summary fits."""
    fake = Fake()
    measured = run(fake)
    tally = measured.tally
    assert (tally.finished, tally.failed, tally.frames) == (4, 0, 12)
    assert tally.events == {"welcome": 4, "tone": 12, "summary": 4}
    assert tally.closes == {1000: 4}
    assert exit_code(measured, []) is ExitCode.OK
    assert len(fake.received) == 12 * 3_200
    latency = tally.latency("tone")
    assert latency is not None
    assert 0 <= latency.p50 < 500


def test_a_session_that_is_refused_is_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And counts once, also where the event loop makes it before it connects."""
    connects = itertools.count()

    async def connected(url: str, made: Callable[[], Any]) -> Any:
        if next(connects):
            made()
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        return await load_loop.connected(url, made)

    monkeypatch.setattr("gateway.commands.load.connected", connected)
    began = time.monotonic()
    tally = run(Fake()).tally
    assert (tally.finished, tally.failed, tally.failures) == (1, 3, {"connection refused": 3})
    assert time.monotonic() - began < 20  # it waits for a summary 30 s at most


def test_gaps_are_counted_by_reason() -> None:
    """What was not analysed is told in samples, by reason, and can be forbidden."""
    measured = run(Fake(gap=True), sessions=1)
    assert measured.tally.gaps == {"overload": 1_600}
    broken = load_expect.broken(measured, load_expect.parse_expectations("gaps=0,failed=0"))
    assert broken == ["expected gaps ≤ 0 samples, got 1,600 samples"]
    assert exit_code(measured, broken) is ExitCode.FAILED


@pytest.mark.parametrize(
    ("fake", "reason"),
    [
        (Fake(vanish_after=3_200), "lost without a summary"),
        (Fake(fail_after=(3_200, ProtocolError(ErrorCode.FLOOD, "x"))), "flood: x"),
        (Fake(refuse=ProtocolError(ErrorCode.OVERLOADED, "x")), "overloaded: x"),
        (Fake(wrong_by=1), "the summary does not add up"),
    ],
)
def test_each_failure_has_its_reason(fake: Fake, reason: str) -> None:
    """A session that is cut, refused or badly accounted for fails the run, and says why."""
    measured = run(fake, sessions=2)
    assert measured.tally.failures == {reason: 2}
    assert exit_code(measured, []) is ExitCode.FAILED


def test_no_gateway_is_one_error() -> None:
    """Without a gateway there is one clear error, not one per session."""
    with pytest.raises(CommandError, match=r"no gateway answers at .*: connection refused") as failed:
        load(options("ws://127.0.0.1:1"), watch=ignored)
    assert failed.value.code is ExitCode.UNREACHABLE


def test_server_process_is_measured() -> None:
    """With a process id, the server's CPU and memory are in the report."""
    need_file("/proc/self/stat")
    measured = run(Fake(), pid=os.getpid())
    lines = "\n".join(load_report.as_lines(measured, []))
    assert "Server CPU" in lines
    assert "KiB per session" in lines
    told = load_report.as_json(measured, [])["server"]
    assert told["rss_kib"] > 1_000
    assert (
        told["cpu_us_per_session_s"] >= 0
    )  # the kernel counts in ticks of 10 ms, which a short run may miss


def test_gone_process_is_one_error() -> None:
    """A wrong process id is told before anything starts."""
    with pytest.raises(CommandError, match="can't be measured"):
        load(options("ws://127.0.0.1:1", pid=2**22 + 1), watch=ignored)


def test_file_and_its_rate_are_used(tmp_path: Path) -> None:
    """A WAV file is sent in its own format, over and over."""
    path = tmp_path / "short.wav"
    path.write_bytes(simple(bytes(range(200)) * 80, rate=8_000))
    fake = Fake()
    measured = run(fake, file=str(path), sessions=1)
    assert measured.audio.sample_rate == 8_000
    assert len(fake.received) == 3 * 1_600
    assert set(fake.received) == set(range(200))


@pytest.mark.parametrize("frame_ms", [33, 1])
def test_frames_must_be_whole_samples(tmp_path: Path, frame_ms: int) -> None:
    """A frame that is no whole number of samples would drift, so it is refused."""
    with pytest.raises(CommandError, match="no whole number of samples"):
        load(
            options("ws://127.0.0.1:1", audio=AudioFormat(sample_rate=11_025), frame_ms=frame_ms),
            watch=ignored,
        )


def test_too_short_a_file(tmp_path: Path) -> None:
    """A file without a single frame can't be sent."""
    path = tmp_path / "tiny.wav"
    path.write_bytes(simple(bytes(200)))
    with pytest.raises(CommandError, match="shorter than one frame"):
        load(options("ws://127.0.0.1:1", file=str(path)), watch=ignored)


def test_report_is_complete_and_json_agrees() -> None:
    """The report names sessions, latencies, gaps, errors and closes; the JSON says the same."""
    measured = run(Fake(), sessions=1)
    lines = load_report.as_lines(measured, ["expected x"])
    for label in (
        "Sessions",
        "Frames",
        "Events",
        "Latency",
        "Gaps",
        "Errors",
        "Closes",
        "Load tool",
        "BROKEN",
    ):
        assert any(line.startswith(label) for line in lines), label
    told = orjson.loads(orjson.dumps(load_report.as_json(measured, [])))
    assert told["finished"] == 1
    assert told["latency_ms"]["tone"]["count"] == 3
    assert told["close_codes"] == {"1000": 1}
    assert told["server"] is None


def busy(measured: Measured, share: float) -> Measured:
    """The same run by a load tool that used so much of its core."""
    step = measured.steps[0]
    last = dataclasses.replace(step.moments[-1], own_cpu_s=step.moments[0].own_cpu_s + share * step.seconds)
    step = dataclasses.replace(step, moments=[step.moments[0], last])
    return dataclasses.replace(measured, steps=[step])


@pytest.mark.parametrize(
    ("share", "late", "reason"),
    [
        (0.9, 0, "it used 90% of its core, more than 70%"),
        (0.1, 3, "3 frames were sent more than one frame late"),
        (0.8, 1, "it used 80% of its core, more than 70% and 1 frame was sent more than one frame late"),
    ],
)
def test_a_load_tool_short_of_cpu_tells_no_latencies(share: float, late: int, reason: str) -> None:
    """It says why, no bound on a latency holds, and what it counted is told all the same."""
    measured = dataclasses.replace(busy(run(Fake(), sessions=1), share), late_frames=late)
    sentence = f"The load tool was short of CPU: {reason}."
    told = load_report.as_json(measured, [])
    assert (told["latency_ms"], told["refused"]) == (None, sentence)
    assert not told["load_tool"]["trusted"]
    assert told["events"]["tone"] == 3
    lines = load_report.as_lines(measured, [])
    assert f"Latency     not told. {sentence}" in lines
    expected = load_expect.parse_expectations("p99=1s,gaps=0")
    assert load_expect.broken(measured, expected) == [
        f"expected p99 ≤ 1000 ms, which can't be judged. {sentence}"
    ]


def test_a_load_tool_at_leisure_tells_latencies() -> None:
    """Up to the limit, latencies are told and judged."""
    measured = dataclasses.replace(busy(run(Fake(), sessions=1), 0.69), late_frames=0)
    told = load_report.as_json(measured, [])
    assert told["refused"] is None
    assert told["latency_ms"]["all"]["p99.9"] >= told["latency_ms"]["all"]["p50"]
    assert not load_expect.broken(measured, load_expect.parse_expectations("p99.9=10s"))


def test_expectations_are_parsed_with_units() -> None:
    """Bounds may carry the unit people would write."""
    parsed = load_expect.parse_expectations("p99=0.25s, gaps=0,rss=1MiB,cpu=900us")
    assert [(one.name, one.limit) for one in parsed] == [
        ("p99", 250.0), ("gaps", 0.0), ("rss", 1_024.0), ("cpu", 900.0)
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "p99", "p99=fast", "p98=1ms", "p99=1KiB", "gaps=-1", "p99=５ms"])
def test_wrong_expectations_name_the_right_ones(text: str) -> None:
    """A bound that is not understood is an error that lists what is."""
    with pytest.raises(CommandError) as failed:
        load_expect.parse_expectations(text)
    assert "calm_p99 (ms)" in str(failed.value.hint)


def test_an_expectation_stands_once() -> None:
    """Or it would be a matter of taste which one is meant."""
    with pytest.raises(CommandError, match="p99 twice"):
        load_expect.parse_expectations("p99=1ms,gaps=0,p99=50s")


def test_unmeasured_expectation_does_not_hold() -> None:
    """A bound on what was not measured is broken, never silently kept."""
    measured = run(Fake(vanish_after=1), sessions=1)
    assert load_expect.broken(measured, load_expect.parse_expectations("p99=1s,rss=1MiB")) == [
        "expected p99 ≤ 1000 ms, but it was not measured",
        "expected rss ≤ 1024 KiB, but it was not measured",
    ]


def test_url_carries_format_and_settings() -> None:
    """Each session is opened with the audio's format and the settings asked for."""
    given = options(
        "http://h:1/ws/voice?x=1", config={"hop_ms": 500, "elcor": True, "features": ["tone", "queue"]}
    )
    url = session_url(given, AudioFormat(sample_rate=8_000))
    assert url.startswith("ws://h:1/ws/voice?x=1&")
    assert "sample_rate=8000" in url
    assert "hop_ms=500&elcor=true&features=tone%2Cqueue" in url


def test_synthetic_speech_has_any_rate() -> None:
    """The synthetic speech is about 20 s long at any rate."""
    assert len(speech_like(8_000)) / 2 / 8_000 == pytest.approx(19.9, abs=0.2)
    assert len(speech_like(44_100)) / 2 / 44_100 == pytest.approx(19.9, abs=0.2)
