"""The session as a value."""

import re

from gateway.sessions.model import TERMINAL, Status, new_session_id
from tests.gateway.sessions.kit import in_status, session


def test_ids_are_128_random_bits_that_fit_a_url() -> None:
    """22 characters of base64url hold 128 bits, and none of 1,000 repeats."""
    ids = {new_session_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", one) for one in ids)


def test_only_the_terminal_statuses_are_over() -> None:
    """A session is over exactly when closed, expired or failed."""
    assert {status for status in Status if in_status(status).over} == TERMINAL
    assert {"closed", "expired", "failed"} == TERMINAL


def test_no_representation_shows_a_resume_hash() -> None:
    """A session in a log line or a traceback gives no hash away."""
    shown = repr(session(resume_hash="secret-1", previous_resume_hash="secret-2"))
    assert "secret" not in shown


def test_the_truncated_id_has_eight_characters() -> None:
    """Logs and statistics never show a whole id."""
    one = session()
    assert one.id.startswith(one.truncated_id)
    assert len(one.truncated_id) == 8


def test_counts_are_zero_before_the_summary_and_the_summary_s_after() -> None:
    """The same names are there at any time, and nothing but counts is."""
    before = session().counts
    after = session(summary={"next_sample": 5, "speakers": ("Speaker A",), "message_count": 2}).counts
    assert before.keys() == after.keys()
    assert set(before.values()) == {0}
    assert (after["next_sample"], after["message_count"], after["gap_samples"]) == (5, 2, 0)
    assert "speakers" not in after
