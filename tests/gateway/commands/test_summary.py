"""The closing block: counts that add up, or a loud word where they don't."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.picture import Picture
from gateway.commands.summary import adds_up, closing_lines, percentile
from gateway.commands.words import UNICODE
from protocol import events as ev
from tests.gateway.commands.made import RATE, at, flow, service, summary, tone, welcome


def told(*arguments: float, **more: float) -> str:
    return closing(summary(*arguments, **more))  # type: ignore[arg-type]


def closing(*events: ev.Event, width: int | None = None, watching: bool = False) -> str:
    picture = Picture(name="x")
    picture.begin(welcome(), watching=watching)
    for event in events:
        picture.apply(event)
    return "\n".join(line.plain for line in closing_lines(picture, [0.1, 0.2, 0.4], UNICODE, width))


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


def test_missing_words_are_said_at_the_end() -> None:
    """A warning that words are missing is in the summary too, each reason once."""
    late, busy = service("too late"), service("no decoder is free")
    text = closing(late, busy, late, summary(3))
    assert text.splitlines()[-1] == "   Words missing in places: too late; no decoder is free"
    assert "Words missing" not in told(3)


@pytest.mark.parametrize("width", [40, 60])
def test_lines_break_between_words(width: int) -> None:
    """In a narrow window lines end between words, under their own column, and no figure is taken apart."""
    made = summary(4_000.3, gap_s=1.3, client_gap=RATE)
    wide, narrow = closing(made), closing(made, service("no decoder is free for now"), width=width)
    lines = narrow.splitlines()
    assert max(len(line) for line in lines) <= width
    assert set(wide.split()) <= set(narrow.split())
    assert all(line.startswith(" " * 3) for line in lines[1:])


def test_how_the_connection_fared_is_told() -> None:
    """Where anything happened to it; also where no summary came."""
    picture = Picture(name="x")
    picture.begin(welcome(), watching=False)
    for event in (flow(1), summary(3)):
        picture.apply(event)
        text = "\n".join(line.plain for line in closing_lines(picture, [], UNICODE, None, "cut twice"))
        assert "   Connection  cut twice" in text.splitlines()
    assert "Connection" not in told(3)


def test_without_a_summary_the_last_report_is_told() -> None:
    """When the session breaks off, what was received and settled by then is told."""
    text = closing(flow(12.3), at(ev.Gap, 2, 3, reason=ev.GapReason.OVERLOAD))
    assert text.startswith(" So far\n   Received    0:12.3    196,800 samples")
    assert "   Settled     0:00.0    0 samples" in text
    assert "   Gaps        0:01.0    16,000 samples" in text
    assert closing() == ""


def test_an_observer_knows_the_last_event() -> None:
    """Who only watched gets no reports, and is told how far the events went."""
    assert "   Last event  at 0:05.0" in closing(tone(4, "Calm"), watching=True)
