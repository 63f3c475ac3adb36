"""The first signal asks, the second ends; each command exits as shells expect it."""

import asyncio
import os
import signal

import pytest

from gateway.commands.exits import ExitCode
from gateway.commands.interrupt import Interrupt


def sent(*numbers: signal.Signals, gentle: bool = True) -> tuple[Interrupt, bool]:
    """The signals, to this process, while somebody waits; and whether that was ended."""
    made: list[Interrupt] = []

    async def main() -> None:
        interrupt = Interrupt()
        made.append(interrupt)
        interrupt.gentle = gentle
        with interrupt.installed():
            for number in numbers:
                os.kill(os.getpid(), number)
                await asyncio.sleep(0.02)

    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        return made[0], True
    return made[0], False


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_the_first_only_asks(number: signal.Signals, code: ExitCode) -> None:
    """And says how to exit: 128 and the signal's number."""
    interrupt, ended = sent(number)
    assert interrupt.event.is_set()
    assert not ended
    assert interrupt.code is code
    assert code == 128 + number
    assert interrupt.at_s > 0


def test_the_second_ends() -> None:
    """By whatever signal; the exit code stays that of the first."""
    interrupt, ended = sent(signal.SIGTERM, signal.SIGINT)
    assert ended
    assert interrupt.code is ExitCode.TERMINATED


def test_the_first_ends_where_there_is_nothing_to_end_properly() -> None:
    """As before a connection is there."""
    _, ended = sent(signal.SIGINT, gentle=False)
    assert ended


def test_signals_do_what_they_did_afterwards() -> None:
    """Ctrl-C raises KeyboardInterrupt again."""
    sent()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
