"""The live terminal view: a `Picture` drawn as lines of text that fit the window, 80×24 and up.

Calm on purpose: every line keeps its place, nothing blinks or scrolls by itself, and nothing is told by
colour alone (each tone has its letter, each state its word).
"""

import textwrap
from collections.abc import Sequence

from rich.text import Text

from gateway.commands.picture import Line, Notice, Picture
from gateway.commands.words import (
    QUEUE_WORDS,
    Glyphs,
    audio_words,
    bar,
    clean,
    clock,
    humanised,
    queue_words,
    shift_glyph,
    speaker_words,
)
from protocol import events as ev

HEAD = 13
"""Lines above the transcript, the blank one between them not counted"""
MIN_WIDTH = 40
MAX_WIDTH = 110
_LABEL = 10
"""Columns of the labels at the left"""
_BAR = 10
_MIN_PROGRESS = 8
"""Columns; a shorter bar of progress tells nothing"""
_REMARKS = 2
"""Lines of remarks at the end"""
_STALE_S = 4.0
"""Seconds of audio; an older tone is drawn dim, with its age"""
_STYLES = {
    "calm": "cyan",
    "neutral": "white",
    "animated": "yellow",
    "tense": "magenta",
    "subdued": "blue",
}
_LEGEND = {**QUEUE_WORDS, "hold_music": "music"}
_OTHERS = ("green", "bright_cyan", "bright_magenta", "bright_yellow", "bright_blue", "bright_green")


def draw(picture: Picture, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """The view as exactly `height` lines of at most `width` columns, `HEAD` of them without any words."""
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    top = [
        _header(picture, width, glyphs),
        _progress(picture, width, glyphs),
        Text(),
        _tone(picture, width, glyphs),
        _subtext(picture, width, glyphs),
        _speaker(picture, width, glyphs),
        _call(picture, width, glyphs),
        Text(),
        *_timeline(picture, width - _LABEL - 2, glyphs),
        Text(),
    ]
    notices = _notices(picture, width, glyphs)
    room = max(0, height - len(top) - len(notices))
    said = _transcript(picture, width, room)
    lines = [*top, *said, *[Text()] * (room - len(said)), *notices][:height]
    lines += [Text()] * (height - len(lines))
    return [_fitted(line, width) for line in lines]


def fitting(picture: Picture, width: int, limit: int) -> int:
    """The height, `limit` at most, at which everything there is to say has its line."""
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    around = HEAD + 1 + _REMARKS
    return min(limit, around + len(_transcript(picture, width, max(0, limit - around))))


def transcript_lines(picture: Picture, width: int) -> list[Text]:
    """All words that are still known, to be left behind when the view ends."""
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    return [_fitted(row, width) for line in _utterances(picture) for row in _wrapped(line, width)]


def tone_style(label: str, known: Sequence[str]) -> str:
    """The colour of a tone label; labels we don't know take turns, in order of appearance."""
    if label.lower() in _STYLES:
        return _STYLES[label.lower()]
    others = [one for one in known if one.lower() not in _STYLES]
    return _OTHERS[others.index(label) % len(_OTHERS)] if label in others else _OTHERS[0]


def tone_letters(labels: Sequence[str]) -> dict[str, str]:
    """One letter for each tone label: its first one that no earlier label took."""
    letters: dict[str, str] = {}
    for label in labels:
        candidates = [*label.upper(), *"0123456789"]
        free = [one for one in candidates if one.isalnum() and one not in letters.values()]
        letters[label] = free[0] if free else "?"
    return letters


def _header(picture: Picture, width: int, glyphs: Glyphs) -> Text:
    right = Text(picture.phase, style="green" if _running(picture) else "bold")
    left = Text(" undertone", style="bold")
    left.append(f"  {picture.name}", style="not bold")
    room = width - right.cell_len - 3
    left.truncate(room, overflow="ellipsis" if glyphs.more == "…" else "crop")
    details = [audio_words(picture.audio)] if picture.audio is not None else []
    if picture.session_id:
        details.append(f"session {picture.session_id[:8]}")
    left = _with_fields(left, [Text(f" {glyphs.between} {one}", style="not bold") for one in details], room)
    left.append(" " * (width - left.cell_len - right.cell_len - 1))
    return left.append_text(right)


def _progress(picture: Picture, width: int, glyphs: Glyphs) -> Text:
    total = picture.total_s
    right = [_times(picture), *_pressure(picture)]
    if len("   ".join(right)) > width - 2:
        del right[1:-1]  # what matters most is where it stands, and whether it keeps up
    if len("   ".join(right)) > width - 2:
        del right[1:]
    tail = "   ".join(right)
    line = Text(" ")
    room = width - len(tail) - 5
    if total and room >= _MIN_PROGRESS:
        done = round(room * min(1.0, picture.position_s / total))
        line.append(glyphs.done * done, style="cyan")
        line.append(glyphs.todo * (room - done), style="dim")
        line.append("  ")
    line.append(tail)
    if picture.flow is not None and picture.flow.state != "ok" and len(right) > 1:
        line.stylize("bold yellow", len(line) - len(right[-1]))
    return line


def _running(picture: Picture) -> bool:
    return picture.phase in ("streaming", "watching")


def _times(picture: Picture) -> str:
    """Where the audio stands. An observer knows only where it stood at the last event, and is told so."""
    now, total = clock(round(picture.position_s)), picture.total_s
    if picture.watching and picture.summary is None:
        return f"last event at {now}" if picture.any_event else f"joined at {now}, no event yet"
    return now if total is None else f"{now} / {clock(round(total))}"


def _pressure(picture: Picture) -> list[str]:
    flow = picture.flow
    if flow is None:
        return []
    words = [f"lag {flow.lag_ms / 1000:.1f} s"]
    words.append("keeping up" if flow.state == "ok" else str(flow.state))
    return words


def _tone(picture: Picture, width: int, glyphs: Glyphs) -> Text:
    line = _labelled("Tone")
    tone, age = picture.tone, picture.tone_age_s()
    if tone is None or age is None:
        return line.append("nothing said yet", style="dim")
    stale = age > _STALE_S
    style = "dim" if stale else tone_style(tone.label, picture.tone_labels)
    line.append(f"{humanised(tone.label):<12}", style=style if stale else f"bold {style}")
    fields = [_bar(tone.confidence, "dim" if stale else style, glyphs)]
    fields += [Text(f"   {age:.0f} s ago", style="dim")] if stale else _shift(tone, glyphs)
    return _with_fields(line, fields, width)


def _shift(tone: ev.Tone, glyphs: Glyphs) -> list[Text]:
    """Where the tone is going and how far; where it isn't going anywhere there is no far."""
    arrow = shift_glyph(tone.shift_direction, glyphs)
    if not arrow:
        return []
    fields = [Text(f"   {arrow} {tone.shift_direction}")]
    if tone.shift_magnitude is not None and tone.shift_direction is not ev.ShiftDirection.STABLE:
        fields.append(Text(f" ({tone.shift_magnitude:.2f})"))
    return fields


def _subtext(picture: Picture, width: int, glyphs: Glyphs) -> Text:
    line = _labelled("")
    if picture.tone is None or not picture.tone.subtext:
        return line
    words = textwrap.shorten(picture.tone.subtext, max(10, width - _LABEL - 2), placeholder=f" {glyphs.more}")
    stale = (picture.tone_age_s() or 0.0) > _STALE_S
    return line.append(words, style="dim italic" if stale else "italic")


def _speaker(picture: Picture, width: int, glyphs: Glyphs) -> Text:
    line = _labelled("Speaker")
    speaker = picture.speaker
    if speaker is None:
        return line.append("–" if glyphs.more == "…" else "-", style="dim")
    if speaker.label is ev.SpeakerLabel.NO_SPEAKER:
        return line.append(speaker_words(speaker), style="dim")
    line.append(f"{speaker_words(speaker):<12}", style="bold")
    if speaker.confidence is None:
        return line
    return _with_fields(line, [_bar(speaker.confidence, "none", glyphs)], width)


def _call(picture: Picture, width: int, glyphs: Glyphs) -> Text:
    line = _labelled("Call")
    state = picture.queue_now()
    if state is None:
        line.append("talking" if picture.tone is not None else "nothing heard yet", style="dim")
    else:
        line.append(f"{queue_words(state):<12}", style="bold")
        if state.confidence is not None:
            line.append(f"{state.confidence:.2f}")
    label = Text("   digits ", style="dim")
    room = width - line.cell_len - label.cell_len
    if picture.digits and room > len(glyphs.more):
        whole = len(picture.digits) <= room
        last = picture.digits if whole else glyphs.more + picture.digits[len(glyphs.more) - room :]
        line.append_text(label).append(last, style="bold")
    return line


def _bar(share: float, style: str, glyphs: Glyphs) -> Text:
    full, rest = bar(share, _BAR, glyphs)
    return Text().append(full, style=style).append(rest, style="dim").append(f" {share:.2f}")


def _with_fields(line: Text, fields: Sequence[Text], width: int) -> Text:
    """`line` with the first of `fields` that fit whole: half a number is a wrong number."""
    for field in fields:
        if line.cell_len + field.cell_len > width:
            break
        line.append_text(field)
    return line


def _timeline(picture: Picture, columns: int, glyphs: Glyphs) -> list[Text]:
    """Strip, voices, time axis and legend; the newest `columns` seconds."""
    last = max(0, int(picture.position_s))
    first = max(0, last - columns + 1)
    letters = tone_letters(picture.tone_labels)
    strip, voices, axis = _labelled("Timeline"), _labelled(""), _labelled("")
    for second in range(first, last + 1):
        sign, style = _cell(_mark(picture, second), picture, letters, glyphs)
        strip.append(sign, style=style)
        voices.append(picture.voices.get(second, " ")[-1:], style="dim")
    axis.append(_axis(first, last, columns), style="dim")
    return [strip, voices, axis, *_legend(picture, letters, range(first, last + 1), columns, glyphs)]


def _mark(picture: Picture, second: int) -> str:
    """What a second was: as in `Picture.strip`, `nothing`, or `unheard` as long as nobody knows."""
    unheard = picture.seconds(picture.heard) <= second
    return picture.strip.get(second, "unheard" if unheard else "nothing")


def _cell(mark: str, picture: Picture, letters: dict[str, str], glyphs: Glyphs) -> tuple[str, str]:
    if mark in ("nothing", "unheard"):
        return glyphs.dot if mark == "nothing" else " ", "dim"
    kind, _, label = mark.partition(":")
    if kind == "tone":
        return letters.get(label, "?"), f"black on {tone_style(label, picture.tone_labels)}"
    return (glyphs.gap, "bold red") if kind == "gap" else (glyphs.queue.get(label, "?"), "dim")


def _axis(first: int, last: int, columns: int) -> str:
    """Times under every tenth second; a time never runs beyond the strip's columns."""
    axis = ""
    for second in range(-(-first // 10) * 10, max(last, first) + 1, 10):
        word = clock(second)
        if second - first + len(word) <= columns:
            axis = axis.ljust(second - first) + word
    return axis


def _legend(
    picture: Picture, letters: dict[str, str], shown: range, columns: int, glyphs: Glyphs
) -> list[Text]:
    """What the signs on the strip stand for: tones on one line, everything else on the next."""
    marks = {_mark(picture, second) for second in shown}
    tones = [
        Text()
        .append(letter, style=f"black on {tone_style(label, picture.tone_labels)}")
        .append(f" {humanised(label).lower()}  ", style="dim")
        for label, letter in letters.items()
        if f"tone:{label}" in marks
    ]
    others = [
        Text(f"{sign} {_LEGEND.get(label, humanised(label))}  ", style="dim")
        for label, sign in glyphs.queue.items()
        if f"queue:{label}" in marks
    ]
    if "gap" in marks:
        others.append(Text().append(glyphs.gap, style="bold red").append(" not analysed  ", style="dim"))
    if "nothing" in marks:
        others.append(Text(f"{glyphs.dot} nothing said", style="dim"))
    return [_with_fields(_labelled(""), fields, columns + _LABEL + 1) for fields in (tones, others)]


def _utterances(picture: Picture) -> list[Line]:
    return [*picture.lines, *([picture.interim] if picture.interim is not None else [])]


def _transcript(picture: Picture, width: int, room: int) -> list[Text]:
    """The newest lines that fit into `room` rows, the unfinished one last."""
    rows: list[Text] = []
    utterances = _utterances(picture)
    for utterance in reversed(utterances):
        wrapped = _wrapped(utterance, width)
        if len(rows) + len(wrapped) > room:
            break
        rows = wrapped + rows
    if not utterances and room:
        rows = [_labelled("").append("words appear here where the gateway transcribes", style="dim")]
    return rows


def _wrapped(utterance: Line, width: int) -> list[Text]:
    who = f"{utterance.speaker}: " if utterance.speaker else ""
    style = "bold" if utterance.is_final else "dim italic"
    wrapped = textwrap.wrap(who + utterance.text, max(10, width - _LABEL - 2)) or [who]
    first = Text(f" {clock(utterance.at_s):<{_LABEL}}", style="dim")
    rows = [first, *[_labelled("") for _ in wrapped[1:]]]
    for index, (row, text) in enumerate(zip(rows, wrapped, strict=True)):
        name = who if index == 0 and text.startswith(who.strip()) else ""
        row.append(text[: len(name)], style="not dim cyan").append(
            text[len(name) :], style=f"not dim {style}"
        )
    return rows


def _notices(picture: Picture, width: int, glyphs: Glyphs) -> list[Text]:
    """The last two remarks, in rows that are always there, so that nothing jumps when one comes."""
    shown: Sequence[Notice] = list(picture.notices)[-_REMARKS:]
    rows = [Text() for _ in range(_REMARKS - len(shown))]
    if rows and _running(picture):
        rows[-1].append(" Ctrl-C ends it" if not picture.watching else " Ctrl-C stops watching", style="dim")
    for notice in shown:
        sign = "! " if notice.bad else "  "
        text = textwrap.shorten(notice.text, max(10, width - _LABEL - 4), placeholder=f" {glyphs.more}")
        row = Text(f" {clock(notice.at_s):<{_LABEL}}", style="dim")
        rows.append(row.append(sign + text, style="not dim red" if notice.bad else "not dim yellow"))
    return rows


def _labelled(label: str) -> Text:
    return Text(f" {label:<{_LABEL}}", style="").append("")


def _fitted(line: Text, width: int) -> Text:
    # Labels and words come from elsewhere: nothing in them may steer the terminal.
    line.plain = clean(line.plain)
    line.truncate(width, overflow="crop")
    line.no_wrap = True
    return line
