"""What is shown of a load run while it lasts."""

import io
from dataclasses import replace

from gateway.commands.load_series import Moment
from gateway.commands.load_stats import Tally
from gateway.commands.load_view import LoadView, line, rows, status
from gateway.commands.procfs import Usage

BEFORE = Moment(4.0, 100, 1_000, 0, 0, 0, 1.0, Usage(10.0, 80 << 20, 1.0, 0))
NOW = Moment(5.0, 200, 1_400, 160, 1, 0, 1.2, Usage(10.5, 96 << 20, 1.1, 0))


def tally() -> Tally:
    """Three seconds of latencies, the last of them still open."""
    made = Tally(sessions=200)
    for at, latency_s in ((1.0, 0.01), (2.0, 0.02), (3.0, 0.5)):
        made.record("tone", latency_s, at)
    return made


def test_a_line_tells_everything() -> None:
    """Live sessions, rates, percentiles, gaps, the server and the tool itself."""
    assert line(status(BEFORE, NOW, tally())) == (
        "time 5 s; live 200 sessions, 1 failed; events 400 a second; latency p50 15 ms, p99 20 ms; "
        "gaps 160 samples; server 60% of a core, 96 MiB; load tool 20% of a core"
    )


def test_latencies_of_a_busy_tool_are_not_shown() -> None:
    """Neither where it uses too much of its core, nor where a frame was late."""
    for now in (replace(NOW, own_cpu_s=1.8), replace(NOW, late_frames=2)):
        assert ("latency", "p50 – ms, p99 – ms") in rows(status(BEFORE, now, tally()))


def test_without_a_terminal_there_is_a_line_every_few_seconds() -> None:
    """Not one a second, which would fill logs."""
    errors = io.StringIO()
    view = LoadView(errors)
    with view.showing():
        for second in range(1, 13):
            view.look(replace(NOW, at_s=float(second)), tally())
    assert [one.split(";")[0] for one in errors.getvalue().splitlines()] == ["time 5 s", "time 10 s"]


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_it_is_drawn_over() -> None:
    """The view stands where it was, and is gone at the end."""
    terminal = Terminal()
    view = LoadView(terminal)
    with view.showing():
        view.look(BEFORE, tally())
        view.look(NOW, tally())
        assert "200 sessions" in terminal.getvalue()
    assert terminal.getvalue().rstrip().endswith("\x1b[2K")
