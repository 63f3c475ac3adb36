"""Several processes under one supervisor, with small programs in place of gateways."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.server.listening import CannotListen, bound, listen, share

ROOT = Path(__file__).parents[3]

SUPERVISED = """
    import os, sys
    from gateway.server.listening import share
    from gateway.server.supervisor import Port, Supervisor
    from gateway.telemetry.logging import configure

    configure("info", "text", None)
    port = Port(share("127.0.0.1", 0))
    def ready():
        print("ready", port.sock.getsockname()[1], flush=True)
    command = (sys.executable, "-P", "-c", sys.argv[2])
    count = int(sys.argv[1])
    sys.exit(Supervisor(count, port, (), os.environ, "n", ready, grace_s=600, command=command).run())
"""
"""The supervisor, in a process of its own as it changes what signals do."""

MEMBER = """
    import os, signal, sys
    from gateway.server.member import parse_member
    member = parse_member(sys.argv[2])
    entrance = member.entrance()
    name = os.environ["UNDERTONE_NODE_NAME"]
    def told(*words):
        # one write: print() makes several where Python is told not to buffer, and three share the pipe
        os.write(1, f"{name} {os.getpid()} {' '.join(words)}\\n".encode())
    {body}
"""
SERVING = """
    def end(number, _):
        told("hears", signal.Signals(number).name)
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    import socket
    with socket.socket() as early:
        waits = early.connect_ex(entrance.listener.getsockname()) == 0
    told("is reached" if waits else "is not reached")
    entrance.listener.listen()
    told("serves", os.environ.get("UNDERTONE_STORE_REQUIRED", "-"))
    member.announce()
    entrance.listener.settimeout(0.05)  # a signal just before accept() would wait for a connection
    while True:
        try:
            sock, _ = entrance.listener.accept()
        except TimeoutError:
            continue
        sock.sendall(name.encode())
        sock.close()
"""
PATIENCE_S = 30.0


class Group:
    """A supervisor, and what it and its processes say."""

    def __init__(self, count: int, body: str) -> None:
        member = textwrap.dedent(MEMBER).replace("{body}", textwrap.dedent(body))
        command = [sys.executable, "-c", textwrap.dedent(SUPERVISED), str(count), member]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        )
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def until(self, pattern: str, count: int = 1) -> list[str]:
        """The lines that match, once there are so many."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = [line for line in tuple(self.lines) if re.search(pattern, line)]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, "\n".join([pattern, *self.lines])
            time.sleep(0.02)

    def pids(self) -> list[int]:
        """Of those that have served, in that order."""
        return [int(line.split()[1]) for line in self.lines if " serves " in line]

    def ended(self) -> int:
        """Its exit status; it has to end by itself."""
        status = self.process.wait(PATIENCE_S)
        self._reading.join(PATIENCE_S)
        return status

    def close(self) -> None:
        """Whatever becomes of the test."""
        if self.process.poll() is None:
            self.process.kill()
            for pid in self.pids():  # one that takes no notice of signals would keep our pipe open
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._reading.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def supervise() -> Iterator[Callable[[int, str], Group]]:
    """Starts groups, and ends them."""
    started: list[Group] = []

    def start(count: int, body: str) -> Group:
        started.append(Group(count, body))
        return started[-1]

    yield start
    for group in started:
        group.close()


def answers(port: int) -> str:
    """Which process answers there."""
    with socket.create_connection(("127.0.0.1", port), 10) as asked:
        return asked.recv(64).decode()


def test_all_serve_one_port_and_are_told_of_once(supervise: Callable[[int, str], Group]) -> None:
    """Connections reach every one of them; a signal reaches each once, and all ends with 0."""
    group = supervise(3, SERVING)
    (ready,) = group.until("^ready")
    port = int(ready.split()[1])
    assert group.until("n-1 .*is reached")
    assert {answers(port) for _ in range(100)} == {"n-1", "n-2", "n-3"}
    group.process.send_signal(signal.SIGINT)
    assert group.ended() == 0
    assert len(group.until("hears SIGINT", 3)) == 3
    assert len([line for line in group.lines if line.startswith("ready")]) == 1


def test_one_that_was_killed_is_replaced(supervise: Callable[[int, str], Group]) -> None:
    """The others serve meanwhile. The new one doesn't insist on its store, which may be away just now."""
    group = supervise(2, SERVING)
    port = int(group.until("^ready")[0].split()[1])
    os.kill(group.pids()[0], signal.SIGKILL)
    group.until("a process has ended; starting another.*SIGKILL")
    assert answers(port) in ("n-1", "n-2")
    assert group.until("n-1 .*serves", 2)[1].endswith("false")
    group.process.terminate()
    assert group.ended() == 0


def test_one_that_is_asked_to_end_is_replaced_at_once(supervise: Callable[[int, str], Group]) -> None:
    """So that all can be restarted, one after the other; nothing has gone wrong."""
    group = supervise(2, SERVING)
    group.until("^ready")
    for number in range(2):
        os.kill(group.pids()[number], signal.SIGTERM)
        group.until(" serves ", 3 + number)
    assert not [line for line in group.lines if "has ended" in line]
    group.process.terminate()
    assert group.ended() == 0


def test_what_can_not_start_ends_all(supervise: Callable[[int, str], Group]) -> None:
    """With its exit code, said once, and never again."""
    group = supervise(3, "told('can not'); sys.exit(3)")
    assert group.ended() == 3
    assert len([line for line in group.lines if "can not" in line]) == 1
    assert not [line for line in group.lines if "ready" in line]


def test_ends_in_a_row_end_all(
    supervise: Callable[[int, str], Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends again and again takes the others along, in good order."""
    body = SERVING.replace("while True:", "while name != 'n-2' or os.kill(os.getpid(), 9):")
    monkeypatch.setitem(globals(), "SUPERVISED", SUPERVISED.replace("port =", _AT_ONCE + "port =", 1))
    group = supervise(2, body)
    assert group.ended() == 1
    group.until("again and again")
    group.until("n-1 .*hears SIGTERM")
    assert len([line for line in group.lines if "starting another" in line]) == 5


_AT_ONCE = "import gateway.server.restarts as restarts; restarts.FIRST_S = 0.0\n    "


def test_a_third_signal_waits_for_nobody(supervise: Callable[[int, str], Group]) -> None:
    """Who takes no notice of any is killed."""
    body = SERVING.replace("sys.exit(0)", "pass")
    group = supervise(2, body)
    group.until("^ready")
    for number in range(1, 4):
        group.process.terminate()
        group.until("n-1 .*hears SIGTERM", number)
        group.until("n-2 .*hears SIGTERM", number)
    assert group.ended() == 1
    group.until("killing it", 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_start_that_is_broken_off(supervise: Callable[[int, str], Group], number: signal.Signals) -> None:
    """Those that don't serve yet have nothing to finish: they are gone, without a word and a bad status."""
    group = supervise(2, "told('begins'); import time; time.sleep(60)")
    group.until("begins")
    group.process.send_signal(number)
    assert group.ended() == 0
    assert not [line for line in group.lines if "begins" not in line]


def test_who_serves_too_late_is_told_again(supervise: Callable[[int, str], Group]) -> None:
    """A signal in the middle of a start may be heard by nobody."""
    body = f"""
    import signal, time
    signal.signal(signal.SIGTERM, lambda *_: told("is deaf"))
    told("begins")
    signal.pause()
    {textwrap.indent(textwrap.dedent(SERVING), "    ").strip()}
    """
    group = supervise(2, body)
    group.until("begins")
    group.process.terminate()
    group.until("is deaf")
    group.until("hears SIGTERM")
    assert group.ended() == 0
    assert len([line for line in group.lines if "begins" in line]) == 1


def test_a_terminal_that_closes_ends_all_in_order(supervise: Callable[[int, str], Group]) -> None:
    """It is gone for the supervisor, who tells the others in its own words."""
    group = supervise(2, SERVING)
    group.until("^ready")
    group.process.send_signal(signal.SIGHUP)
    assert group.ended() == 0
    assert len(group.until("hears SIGTERM", 2)) == 2


def test_nobody_outlives_a_killed_supervisor(supervise: Callable[[int, str], Group]) -> None:
    """The kernel tells them."""
    group = supervise(2, SERVING)
    group.until("^ready")
    group.process.kill()
    group.until("hears SIGTERM", 2)


def test_a_shared_address_is_nobody_elses() -> None:
    """Who listens there already is found out, as without sharing, and who comes later is kept away."""
    with (
        contextlib.closing(listen("127.0.0.1", 0)) as taken,
        pytest.raises(CannotListen, match="Address already in use"),
    ):
        share("127.0.0.1", taken.getsockname()[1])
    with contextlib.closing(share("127.0.0.1", 0)) as kept:
        port = kept.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 10)
        with contextlib.closing(bound("127.0.0.1", port)) as more:
            more.listen()
            socket.create_connection(("127.0.0.1", port), 10).close()
            with pytest.raises(CannotListen, match="Address already in use"):
                share("127.0.0.1", port)
            with pytest.raises(CannotListen, match="Address already in use"):
                listen("127.0.0.1", port)
