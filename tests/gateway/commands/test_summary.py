"""The closing block: counts that add up, or a loud word where they don't."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.summary import adds_up, percentile, summary_lines
from gateway.commands.words import UNICODE
from protocol.audio import AudioFormat
from tests.gateway.commands.made import RATE, summary


def told(*arguments: float, **more: float) -> str:
    made = summary(*arguments, **more)  # type: ignore[arg-type]
    return "\n".join(line.plain for line in summary_lines(made, AudioFormat(), [0.1, 0.2, 0.4], UNICODE))


def test_counts_are_shown_to_add_up() -> None:
    """Classified and gaps make the audio, to the sample."""
    text = told(25.3, gap_s=1.3)
    assert "Audio       0:25.3    404,800 samples" in text
    assert "✓ classified + gaps = audio: 384,000 + 20,800 = 404,800" in text
    assert "Events      12 tone, 3 queue" in text
    assert "Speakers    Speaker A, Speaker B" in text
    assert "Delay       median 200 ms, p95 400 ms after the audio" in text


def test_counts_that_don_t_add_up_are_said_so() -> None:
    """A missing sample is not glossed over."""
    assert adds_up(summary(2))
    assert not adds_up(summary(2, lost=1))
    assert "please report this" in told(2, lost=1)


def test_audio_never_sent_is_told_apart() -> None:
    """Of the gaps, what the client never sent is named."""
    assert "(16,000 of them never sent)" in told(3, gap_s=1, client_gap=RATE)


@given(st.lists(st.floats(0, 10), min_size=1), st.floats(0.01, 1))
def test_percentile_is_the_nearest_rank(values: list[float], share: float) -> None:
    """At least that share of the values is at or below the percentile, and it is one of them."""
    got = percentile(values, share)
    assert got in values
    assert sum(one <= got for one in values) >= share * len(values) - 1e-9


def test_percentile_of_a_hundred() -> None:
    """The 95th percentile of 1 to 100 is 95."""
    assert percentile([float(one) for one in range(1, 101)], 0.95) == pytest.approx(95)
