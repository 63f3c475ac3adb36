"""Sockets are bound before anything starts, and what can't be bound is said in one line."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.server.run import CannotListen, listen


def test_a_taken_port_is_said() -> None:
    """The second gateway on one port learns why it can't start."""
    with contextlib.closing(listen("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"can't listen on 127\.0\.0\.1 port {port}: Address already"):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_said() -> None:
    """TEST-NET-1 (RFC 5737) is nobody's."""
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_ipv6_works() -> None:
    """The loopback address of the other family."""
    try:
        sock = listen("::1", 0)
    except CannotListen as error:
        if "Cannot assign" in str(error) or "not supported" in str(error):
            pytest.skip("this machine has no IPv6 loopback")
        raise
    with contextlib.closing(sock):
        assert sock.getsockname()[0] == "::1"


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
