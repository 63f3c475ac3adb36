"""A frame costs what it costs: counted in instructions, which don't depend on what else the machine does."""

from benchmarks.instructions import BASELINE, MOST, WIRE, per_frame
from tests.needs import need_command


def test_a_frame_takes_no_more_instructions_than_it_should() -> None:
    """From the parser's buffer to the session's ring, a window each second included."""
    need_command("valgrind")
    assert per_frame(WIRE) / per_frame(BASELINE) <= MOST
