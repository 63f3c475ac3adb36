"""The tables of deviations speak of cases that there are."""

from tests.conformance import test_closing, test_fragments, test_frames, test_pings, test_utf8
from tests.conformance.deviations import HYPERCORN, UVICORN

CASES = [
    case for module in (test_closing, test_fragments, test_frames, test_pings) for case in module.CASES
] + [*test_utf8.CASES, *test_utf8.FAIL_FAST]


def test_each_deviation_is_of_a_case() -> None:
    """Or it would stand there after its case was renamed."""
    assert UVICORN.keys() | HYPERCORN.keys() <= {case.name for case in CASES}


def test_each_case_has_a_name_of_its_own() -> None:
    """The tables go by names."""
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
