"""The C floor: it opens, takes frames however they are cut, and hangs up on what it doesn't understand."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from benchmarks import floor, micro_lane
from benchmarks.cpu import cpu_s
from tests.needs import need_command, need_file


@pytest.fixture(scope="module")
def server() -> Iterator["tuple[int, subprocess.Popen[str]]"]:
    """Its port, and its process."""
    need_command("cc")
    core = min(os.sched_getaffinity(0))
    with floor.compiled() as program:
        assert program is not None
        with floor.launched(program, core) as process:
            assert process.stdout is not None
            yield int(process.stdout.readline()), process
            process.terminate()


def opened(port: int) -> socket.socket:
    """A connection after its handshake."""
    made = socket.create_connection(("127.0.0.1", port), timeout=5)
    made.sendall(micro_lane._HANDSHAKE[:20])
    time.sleep(0.02)
    made.sendall(micro_lane._HANDSHAKE[20:])
    assert made.recv(4_096).startswith(b"HTTP/1.1 101 ")
    return made


@pytest.mark.parametrize("size", [1, 7, 1_000, 3_207, 3_208, 5_000, 60_000])
def test_frames_are_taken_however_they_are_cut(
    server: "tuple[int, subprocess.Popen[str]]", size: int
) -> None:
    """A connection stays as long as it sends frames, and ends with one that is none: no byte got lost."""
    frames = micro_lane._FRAME * (2 if size == 1 else 30)
    with opened(server[0]) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(frames), size):
            made.sendall(frames[start : start + size])
        made.settimeout(0.1)
        with pytest.raises(TimeoutError):
            made.recv(1)
        made.settimeout(5)
        made.sendall(b"\x81\x80" + bytes(8))
        assert made.recv(1) == b""


def test_its_work_is_measured_finely(server: "tuple[int, subprocess.Popen[str]]") -> None:
    """A few hundred frames cost less than a tick of 10 ms, and yet are seen."""
    need_file("/proc/self/schedstat")
    port, process = server
    before = cpu_s(process.pid)
    with opened(port) as made:
        for _ in range(100):
            made.sendall(micro_lane._FRAME)
        time.sleep(0.1)
    assert 0 < cpu_s(process.pid) - before < 0.5


def test_without_a_compiler_it_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a note, as the rest can be measured all the same."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with floor.compiled() as program:
        assert program is None
    assert "the floor is left out" in capsys.readouterr().err


def test_a_pass_counts_where_the_sender_kept_its_pace() -> None:
    """What came in bursts is cheaper, and no fair figure; where none kept it, the nearest one is told."""
    cheap, fair, dear = (
        micro_lane._Cost(cpu, 1.0, 0.2, late) for cpu, late in ((1, 0.2), (5, 0.0), (9, 0.01))
    )
    assert micro_lane._best([dear, cheap, fair]) is fair
    assert micro_lane._best([cheap]) is cheap
