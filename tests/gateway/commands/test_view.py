"""The live view as text: what stands where, and that it always fits."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.picture import Picture
from gateway.commands.view import MIN_WIDTH, draw, tone_letters, tone_style
from gateway.commands.words import ASCII, UNICODE, bar, clock, glyphs_for
from protocol import events as ev
from tests.gateway.commands.made import RATE, at, flow, queue, service, tone, welcome, words


def call() -> Picture:
    """A call in the middle of it."""
    made = Picture(name="call.wav", total_samples=30 * RATE)
    made.begin(welcome(), watching=False)
    for event in (
        queue(0, 1, "dtmf_tone", digits="5550142"),
        queue(1, 4, "hold_music"),
        at(ev.Speaker, 4, 5, label=ev.SpeakerLabel.HUMAN_SINGLE, speaker_id="Speaker A", confidence=0.4),
        tone(4, "Calm", speaker_id="Speaker A"),
        tone(
            5,
            "Tense",
            speaker_id="Speaker A",
            shift_direction=ev.ShiftDirection.ESCALATING,
            shift_magnitude=0.31,
            subtext="Sounds tense, and getting more so.",
        ),
        words(4, 5, "thank you for calling", final=True, who="Speaker A"),
        words(5, 6, "really", final=False),
        at(ev.Gap, 6, 7, reason=ev.GapReason.OVERLOAD),
        flow(7.4),
    ):
        made.apply(event)
    return made


def shown(picture: Picture, width: int = 80, height: int = 23) -> list[str]:
    return [line.plain.rstrip() for line in draw(picture, width, height, UNICODE)]


def test_everything_is_in_its_place() -> None:
    """The view of a call, line by line, at 80 columns."""
    lines = shown(call())
    assert lines[0].startswith(" undertone  call.wav · 16 kHz mono · session 3f2a91bc")
    assert lines[0].endswith("streaming")
    assert "0:07 / 0:30   lag 0.3 s   keeping up" in lines[1]
    assert lines[3:7] == [
        " Tone      Tense       █████░░░░░ 0.50   ↗ escalating (0.31)",
        "           Sounds tense, and getting more so.",
        " Speaker   Speaker A   ████░░░░░░ 0.40",
        " Call      talking   digits 5550142",
    ]
    assert lines[8:13] == [
        " Timeline  #♪♪♪CT×",
        "               AA",
        "           0:00",
        "           C calm  T tense",
        "           ♪ music  # dialling  × not analysed",
    ]
    assert lines[14:16] == [
        " 0:04      Speaker A: thank you for calling",
        " 0:05      really",
    ]
    assert lines[-1] == " 0:06        1.0 s not analysed (overload)"


def test_empty_picture_says_what_will_come() -> None:
    """Before anything was heard, the view is there and says so."""
    lines = shown(Picture(name="x"))
    assert lines[0].endswith("connecting")
    assert " Tone      nothing said yet" in lines


def shifting(direction: ev.ShiftDirection) -> Picture:
    made = call()
    made.apply(tone(7, "Tense", shift_direction=direction, shift_magnitude=0.32))
    return made


def test_stable_tone_has_no_figure() -> None:
    """How far a tone moved is told only where it moved."""
    assert shown(shifting(ev.ShiftDirection.STABLE))[3].endswith("0.50   → stable")
    assert shown(shifting(ev.ShiftDirection.DE_ESCALATING))[3].endswith("0.50   ↘ de-escalating (0.32)")


def test_nobody_has_no_score() -> None:
    """How sure it is that nobody speaks is of no use to anybody."""
    made = call()
    made.apply(at(ev.Speaker, 7, 8, label=ev.SpeakerLabel.NO_SPEAKER, speaker_id=None, confidence=0.5))
    assert shown(made)[5] == " Speaker   nobody"


def test_a_score_that_nobody_gave_is_left_out() -> None:
    """No bar, and no figure."""
    made = call()
    single = ev.SpeakerLabel.HUMAN_SINGLE
    made.apply(at(ev.Speaker, 7, 8, label=single, speaker_id="Speaker B", confidence=None))
    made.apply(at(ev.Queue, 7, 8, label=ev.QueueLabel.HOLD_MUSIC, confidence=None))
    assert shown(made)[5] == " Speaker   Speaker B"
    assert shown(made)[6].startswith(" Call      hold music     digits")


def test_silent_seconds_are_in_the_legend() -> None:
    """A dot is a second without anything to say, not one that is still to be heard; the legend has it."""
    made = call()
    assert "nothing said" not in shown(made)[12]
    made.apply(tone(9, "Calm"))
    made.sent = 12 * RATE
    assert shown(made)[8] == " Timeline  #♪♪♪CT×··C"
    assert shown(made)[12].endswith("× not analysed  · nothing said")


@given(
    width=st.integers(MIN_WIDTH, 110),
    seconds=st.integers(0, 20_000),
    digits=st.text("0123456789", max_size=70),
)
def test_figures_are_whole_or_not_there(width: int, seconds: int, digits: str) -> None:
    """However narrow the window, no number, time or id is cut short: fields go as a whole."""
    made = shifting(ev.ShiftDirection.DE_ESCALATING)
    made.apply(queue(8, 9, "dtmf_tone", digits=digits or None))
    made.apply(flow(seconds, state="shedding", lag_ms=12_345))
    made.total_samples = 20_000 * RATE
    whole = set(re.findall(r"\S*\d\S*", "\n".join(shown(made, 110))))
    for row in [0, 1, 3, 5, 6]:
        for figure in re.findall(r"\S*\d\S*", shown(made, width)[row]):
            assert figure in whole or figure.startswith("…"), (row, figure)


def test_narrow_window_keeps_what_matters() -> None:
    """Where the lag finds no room, whether the gateway keeps up still does."""
    made = call()
    made.total_samples = 20_000 * RATE
    made.apply(flow(5_000, state="shedding", lag_ms=12_345))
    assert shown(made, 40)[1] == " 1:23:20 / 5:33:20   shedding"


def test_how_to_end_it_is_said_quietly() -> None:
    """While audio runs, the view says how to end it, above the remarks; afterwards no more."""
    made = call()
    assert shown(made)[-2] == " Ctrl-C ends it"
    made.phase = "finishing"
    assert not any("Ctrl-C" in line for line in shown(made))


def test_an_observer_s_clock_is_the_last_event_s() -> None:
    """Who only watches is told where the last event stood, not shown a clock that stands still."""
    made = Picture(name="live session")
    made.begin(welcome(next_sample=10 * RATE), watching=True)
    assert shown(made)[1] == " joined at 0:10, no event yet"
    made.apply(service("no decoder is free", 14.2))
    assert shown(made)[1] == " last event at 0:14"


def test_old_tone_is_shown_with_its_age() -> None:
    """A tone told long ago is not passed off as the present one."""
    made = call()
    made.apply(flow(16))
    assert " Tone      Tense       █████░░░░░ 0.50   10 s ago" in shown(made)


def test_interim_words_look_unfinished() -> None:
    """Final words are bold, unfinished ones dim."""
    rows = draw(call(), 80, 23, UNICODE)[14:16]
    assert [str(row.spans[-1].style).split()[-1] for row in rows] == ["bold", "italic"]


def test_pressure_is_told_in_words() -> None:
    """Lagging and shedding stand in words, not only in colour."""
    made = call()
    made.apply(flow(8, state="shedding", lag_ms=2_100))
    assert "lag 2.1 s   shedding" in shown(made)[1]


def test_timeline_scrolls_by_seconds() -> None:
    """When the strip is full, the newest seconds are shown, with their times."""
    made = call()
    for second in range(100, 200):
        made.apply(tone(second, "Calm"))
    lines = shown(made)
    assert lines[8].endswith("C" * 67)
    assert len(lines[8]) <= 80
    assert "3:20" not in lines[10][-5:] or len(lines[10]) <= 80
    assert "2:20" in lines[10]


def test_newest_words_stay_when_there_are_many() -> None:
    """The last lines are the ones that fit."""
    made = call()
    for second in range(30):
        made.apply(words(second, second + 1, f"line {second}", final=True))
    lines = shown(made)
    assert any("line 29" in line for line in lines)
    assert not any(line.split("      ")[-1] == "line 2" for line in lines)


@given(
    width=st.integers(1, 250),
    height=st.integers(1, 80),
    text=st.text(max_size=200),
    label=st.text(min_size=1, max_size=40),
    ascii_only=st.booleans(),
)
def test_it_always_fits(width: int, height: int, text: str, label: str, ascii_only: bool) -> None:
    """Whatever the window and the words, the view is exactly as high as asked, and never too wide."""
    made = call()
    made.apply(tone(8, label, subtext=text or None))
    made.apply(words(8, 9, text, final=True, who=label))
    made.note(text or "x")
    lines = draw(made, width, height, ASCII if ascii_only else UNICODE)
    assert len(lines) == height
    assert all(line.cell_len <= max(width, MIN_WIDTH) for line in lines)
    assert all(line.plain.isprintable() for line in lines)


def test_letters_are_unique() -> None:
    """Labels that begin alike get different letters."""
    assert tone_letters(["Calm", "Cold", "Cl"]) == {"Calm": "C", "Cold": "O", "Cl": "L"}
    assert tone_letters(["!"])["!"] == "0"


def test_unknown_labels_get_a_colour_each() -> None:
    """Labels of other classifiers take turns in the other colours; known ones keep theirs."""
    known = ["Calm", "wistful", "dry"]
    assert tone_style("Calm", known) == "cyan"
    assert tone_style("wistful", known) != tone_style("dry", known)


def test_signs_follow_the_terminal() -> None:
    """A terminal that can't show the signs gets plain ones."""
    assert glyphs_for("utf-8") is UNICODE
    assert glyphs_for("latin-1") is ASCII
    assert glyphs_for(None) is ASCII
    plain = "".join(line.plain for line in draw(call(), 80, 23, ASCII))
    assert plain.isascii()


@pytest.mark.parametrize(
    ("seconds", "tenths", "text"),
    [(0, False, "0:00"), (65.9, False, "1:05"), (59.96, True, "1:00.0"), (3_723.4, True, "1:02:03.4")],
)
def test_times_read_like_a_clock(seconds: float, tenths: bool, text: str) -> None:
    """Times are minutes and seconds, with hours where there are any, rounded only once."""
    assert clock(seconds, tenths=tenths) == text


@given(st.floats(-1, 2), st.integers(0, 50))
def test_bars_are_always_full_length(share: float, width: int) -> None:
    """A bar's two parts always make its width."""
    full, rest = bar(share, width, UNICODE)
    assert len(full + rest) == width
