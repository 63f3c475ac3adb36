"""The process around the server: signals, and how it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from gateway.app import create_app
from gateway.server.entrance import Entrance
from gateway.server.listening import listen
from gateway.server.run import Server
from gateway.settings import Settings


def test_each_signal_is_more_urgent() -> None:
    """The first begins the drain, the second hurries it, the third waits for nobody."""

    async def main() -> None:
        settings = Settings(transcriber="none", log_level="error")  # type: ignore[arg-type]
        listener = listen("127.0.0.1", 0)
        server = Server(create_app(settings), settings, Entrance(listener), None)
        server.handle_exit(signal.SIGTERM, None)
        assert (server.should_exit, server._hurry.is_set(), server.force_exit) == (True, False, False)
        server._loop = asyncio.get_running_loop()
        server.handle_exit(signal.SIGTERM, None)
        await asyncio.sleep(0)
        assert (server._hurry.is_set(), server.force_exit) == (True, False)
        server.handle_exit(signal.SIGINT, None)
        assert server.force_exit
        assert 0 < server.left_s <= settings.drain_grace_s
        listener.close()

    asyncio.run(main())


def in_a_process_of_its_own(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` to its end, which must be soon."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_stuck_thread_does_not_keep_the_process() -> None:
    """A worker that never comes back costs its grace period and the exit status, not the exit."""
    done = in_a_process_of_its_own(
        "import threading; from gateway.server.run import _leave_no_thread_behind as leave\n"
        "threading.Thread(target=threading.Event().wait, name='stuck').start(); leave(0.05)"
    )
    assert done.returncode == 1
    assert "the thread stuck is stuck" in done.stderr


def test_no_matrix_product_has_threads_of_its_own() -> None:
    """Whatever the environment says: OpenBLAS's pool hangs for ever when a decoder is forked beside it."""
    code = "import os, gateway; print(os.environ['OPENBLAS_NUM_THREADS'])"
    assert in_a_process_of_its_own(code, OPENBLAS_NUM_THREADS="4").stdout == "1\n"


def test_a_terminal_that_closes_ends_it_unless_nohup_was_said() -> None:
    """SIGHUP begins the drain, where it isn't ignored from the beginning."""
    code = "import signal; from gateway.server.signals import ending_signals as ending\n"
    asked = "print(signal.SIGHUP in ending())"
    assert in_a_process_of_its_own(code + asked).stdout == "True\n"
    ignored = "signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    assert in_a_process_of_its_own(code + ignored + asked).stdout == "False\n"
