"""The three ways to show a session: JSON lines, plain lines, the live view."""

import io
import re
from typing import cast

import orjson
import pytest
from rich.console import Console

from gateway.commands.outputs import MAX_HEIGHT, JsonOutput, LiveOutput, Output, PlainOutput, choose_output
from gateway.commands.picture import Picture
from protocol import events as ev
from tests.gateway.commands.made import RATE, at, flow, queue, summary, tone, welcome, words


class Utf8(io.StringIO):
    """A text stream that says what it can carry."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def play(output: Output) -> None:
    """A short session with one of each thing worth showing."""
    output.opened(welcome(), watching=False)
    for event in (
        flow(1),
        at(ev.Speaker, 0, 1, label=ev.SpeakerLabel.HUMAN_SINGLE, speaker_id="Speaker A", confidence=0.4),
        tone(0, "Calm", speaker_id="Speaker A", subtext="Sounds calm."),
        queue(1, 2, "dtmf_tone", digits="42"),
        words(0, 1, "hel", final=False),
        words(0, 1, "hello\x1b[2J there", final=True, who="Speaker A"),
        at(ev.Gap, 2, 3, reason=ev.GapReason.OVERLOAD),
        ev.Error(code="invalid_audio", message="not finite", fatal=False),
        ev.UnknownEvent(type="mood", fields={"seq": 7, "label": "odd"}),
        summary(3, gap_s=1),
    ):
        output.event(event)
    output.sent(3 * RATE)
    output.note("a remark")
    output.finishing()
    output.redraw()
    output.closed([0.1])


def test_json_shows_each_connection_and_no_token() -> None:
    """The welcome of a later connection is an event like any other; how it went is a remark."""
    out, errors = io.BytesIO(), io.StringIO()
    output = JsonOutput(out, errors)
    output.opened(welcome(), watching=False)
    output.event(welcome())
    output.closed([], "cut twice")
    lines = [orjson.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["type"], line["resume_token"]) for line in lines] == [("welcome", None)] * 2
    assert errors.getvalue() == "undertone: cut twice\n"


def test_json_is_one_event_a_line_and_nothing_else() -> None:
    """Each line is an event as on the wire; remarks go to standard error; the token goes nowhere."""
    out, errors = io.BytesIO(), io.StringIO()
    play(JsonOutput(out, errors))
    lines = [orjson.loads(line) for line in out.getvalue().splitlines()]
    assert [line["type"] for line in lines] == [
        "welcome", "flow", "speaker", "tone", "queue", "transcript", "transcript", "gap", "error", "mood",
        "summary",
    ]  # fmt: skip
    assert lines[9] == {"type": "mood", "seq": 7, "label": "odd"}
    assert b"secret-token" not in out.getvalue()
    assert errors.getvalue() == "undertone: a remark\n"


def test_plain_lines_tell_what_matters() -> None:
    """One line for each thing heard, without half-heard words and reports of pressure."""
    out = Utf8()
    play(PlainOutput(Picture(name="talk.wav"), out))
    lines = out.getvalue().splitlines()
    assert lines[:7] == [
        "talk.wav, 16 kHz mono, session 3f2a91bc, streaming",
        "   0:01.0  speaker     Speaker A 0.40",
        "   0:01.0  tone        Calm 0.50, Speaker A — Sounds calm.",
        "   0:02.0  queue       dialling 0.80 42",
        "   0:01.0  transcript  Speaker A: hello [2J there",
        "   0:03.0  gap         1.0 s not analysed (overload)",
        "   0:03.0  error       invalid_audio: not finite",
    ]
    assert "   0:03.0  note        a remark" in lines
    assert any("✓ classified + gaps" in line for line in lines)


def test_plain_lines_survive_a_poor_encoding() -> None:
    """A pipe that can't carry the signs gets others, not an error."""
    out = Utf8("ascii")
    play(PlainOutput(Picture(name="café.wav"), out))
    assert out.getvalue().isascii()
    assert "ok: classified + gaps" in out.getvalue()


def live(height: int = 24) -> tuple[LiveOutput, io.StringIO]:
    out = Utf8()
    console = Console(
        file=out, force_terminal=True, width=80, height=height, color_system=None, legacy_windows=False
    )
    return LiveOutput(Picture(name="talk.wav"), console), out


def test_live_view_ends_with_the_summary() -> None:
    """At the end the last picture, the words and the summary stand below each other."""
    output, out = live()
    play(output)
    last = final(out)
    assert any("talk.wav" in line for line in last)
    assert any("✓ classified + gaps" in line for line in last)
    assert out.getvalue().count("\x1b[?25h") == 1, "the cursor is shown again"


def final(out: io.StringIO) -> list[str]:
    """What stands on the screen after the view has ended."""
    last = out.getvalue().split("\x1b[1A\x1b[2K")[-1]
    return re.sub(r"\x1b\[\?\d+[hl]", "", last).splitlines()


def test_live_view_ends_as_high_as_its_content() -> None:
    """In a tall window no empty rows stay between the picture, the words and the summary."""
    output, out = live(height=40)
    play(output)
    lines = [line.strip() for line in final(out)]
    summary_at = lines.index("Summary")
    assert lines[summary_at - 1] == ""
    assert "hello" in lines[summary_at - 2]
    empty = [index for index, line in enumerate(lines[:-1]) if not line and not lines[index + 1]]
    assert empty == []


def test_a_bare_picture_ends_without_empty_rows() -> None:
    """Rows that nothing came to fill are not left between the picture and the words."""
    output, out = live(height=40)
    output.opened(welcome(), watching=False)
    output.event(words(0, 1, "hello", final=True))
    output.closed([])
    lines = [line.strip() for line in final(out)]
    words_at = lines.index("0:00      hello")
    assert lines[words_at - 1] == ""
    assert lines[words_at - 2] == "0:00", "the axis of the timeline"


def test_live_view_is_as_high_as_it_must_be() -> None:
    """While it runs the view grows with what is said, and never shrinks nor outgrows the window."""
    output, out = live(height=40)
    output.opened(welcome(), watching=False)

    def height() -> int:
        frame = out.getvalue().split("\x1b[?2026h")[-1]
        return frame.split("\x1b[2K")[-1].count("\n") + 1

    heights = [height()]
    for second in range(60):
        output.event(words(second, second + 1, f"sentence {second}", final=True))
        output.redraw()
        heights.append(height())
    assert heights[0] < 20
    assert heights == sorted(heights)
    assert heights[-1] == MAX_HEIGHT
    output.closed([])


def test_frames_are_shown_at_once() -> None:
    """Each repaint stands between the marks of synchronized output, and nothing of the words beside them."""
    output, out = live()
    play(output)
    pieces = out.getvalue().split("\x1b[?2026h")
    assert len(pieces) > 2
    assert all(piece.count("\x1b[?2026l") == 1 for piece in pieces[1:])
    assert "\x1b[2K" not in "".join(piece.split("\x1b[?2026l")[1] for piece in pieces[1:])


def test_audio_going_by_is_seldom_a_reason_to_repaint() -> None:
    """Ten seconds of audio without an event, looked at ten times a second, change a clock of seconds."""
    output, out = live()
    output.opened(welcome(), watching=False)
    before = out.getvalue().count("\x1b[?2026h")
    for tenth in range(100):
        output.sent(tenth * RATE // 10)
        output.redraw()
    assert out.getvalue().count("\x1b[?2026h") - before <= 20
    output.closed([])


def test_live_view_leaves_all_words_behind() -> None:
    """When the view ends, everything that was said stands on the screen, not only what fitted last."""
    output, out = live()
    output.opened(welcome(), watching=False)
    for second in range(40):
        output.event(words(second, second + 1, f"sentence number {second}", final=True))
    output.closed([])
    last = [line.strip() for line in final(out)]
    assert all(any(line.endswith(f"sentence number {second}") for line in last) for second in range(40))


def test_live_view_redraws_only_what_changed() -> None:
    """An unchanged picture is not painted again."""
    output, out = live()
    output.opened(welcome(), watching=False)
    painted = len(out.getvalue())
    output.redraw()
    assert len(out.getvalue()) == painted
    output.event(tone(0, "Calm"))
    output.redraw()
    assert len(out.getvalue()) > painted
    output.closed([])


def test_live_view_that_never_opened_leaves_no_trace() -> None:
    """Where no session came about, there is nothing to close."""
    output, out = live()
    output.note("the file is cut short")
    output.closed([])
    assert out.getvalue() == "undertone: the file is cut short\n"


@pytest.mark.parametrize(
    ("terminal", "term", "arguments", "kind"),
    [
        (True, "xterm-256color", {}, LiveOutput),
        (True, "xterm-256color", {"plain": True}, PlainOutput),
        (True, "dumb", {}, PlainOutput),
        (False, "xterm-256color", {}, PlainOutput),
        (True, "xterm-256color", {"json": True}, JsonOutput),
    ],
)
def test_output_follows_the_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str, arguments: dict[str, bool], kind: type
) -> None:
    """The live view needs a capable terminal; else there are plain lines; `--json` always wins."""

    class Stream(io.TextIOWrapper):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.setattr("sys.stdout", Stream(io.BytesIO(), encoding="utf-8"))
    monkeypatch.setenv("TERM", term)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    given = {"json": False, "plain": False, "no_color": False, **arguments}
    assert isinstance(cast(object, choose_output(Picture(name="x"), **given)), kind)


def test_nobody_has_no_score_in_plain_lines() -> None:
    """That nobody speaks is said without a figure."""
    out = Utf8()
    output = PlainOutput(Picture(name="x"), out)
    output.opened(welcome(), watching=False)
    output.event(at(ev.Speaker, 0, 1, label=ev.SpeakerLabel.NO_SPEAKER, speaker_id=None, confidence=0.5))
    assert out.getvalue().splitlines()[-1] == "   0:01.0  speaker     nobody"


def test_a_score_that_nobody_gave_is_left_out_of_plain_lines() -> None:
    """Zero would be a figure, too."""
    out = Utf8()
    output = PlainOutput(Picture(name="x"), out)
    output.opened(welcome(), watching=False)
    single = ev.SpeakerLabel.HUMAN_SINGLE
    output.event(at(ev.Speaker, 0, 1, label=single, speaker_id="Speaker A", confidence=None))
    output.event(at(ev.Queue, 0, 1, label=ev.QueueLabel.DTMF_TONE, confidence=None, digits="5"))
    output.event(at(ev.Scene, 0, 1, label="office", confidence=None))
    told = [line.split("  ")[-1].strip() for line in out.getvalue().splitlines()[-3:]]
    assert told == ["Speaker A", "dialling 5", "office"]


@pytest.mark.parametrize("kind", ["live", "plain"])
def test_what_came_is_told_when_the_session_breaks_off(kind: str) -> None:
    """Without a summary, the last report and the unfinished words are left behind."""
    view, out = live()
    plain_out = Utf8()
    output: Output = view if kind == "live" else PlainOutput(Picture(name="x"), plain_out)
    output.opened(welcome(), watching=False)
    output.event(flow(12.3))
    output.event(words(10, 12, "unfinished bus", final=False))
    output.closed([])
    told = "\n".join(final(out)) if kind == "live" else plain_out.getvalue()
    assert "Received    0:12.3    196,800 samples" in told
    assert kind == "plain" or ("unfinished bus" in told and "stopped" in told)
