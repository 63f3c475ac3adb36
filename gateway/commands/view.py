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

HEAD = 13
"""Lines above the transcript, the blank one between them not counted"""
MIN_WIDTH = 40
MAX_WIDTH = 110
_LABEL = 10
"""Columns of the labels at the left"""
_BAR = 10
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
        _tone(picture, glyphs),
        _subtext(picture, width),
        _speaker(picture, glyphs),
        _call(picture),
        Text(),
        *_timeline(picture, width - _LABEL - 2, glyphs),
        Text(),
    ]
    notices = _notices(picture, width, glyphs)
    room = height - len(top) - len(notices)
    lines = [*top, *_transcript(picture, width, max(0, room)), *notices][:height]
    lines += [Text()] * (height - len(lines))
    return [_fitted(line, width) for line in lines]


def transcript_lines(picture: Picture, width: int) -> list[Text]:
    """All final words that are still known, to be left behind when the view ends."""
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    return [_fitted(row, width) for line in picture.lines for row in _wrapped(line, width)]


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
    left = Text(" undertone", style="bold")
    details = [picture.name]
    if picture.audio is not None:
        details.append(audio_words(picture.audio))
    if picture.session_id:
        details.append(f"session {picture.session_id[:8]}")
    left.append("  " + f" {glyphs.between} ".join(details), style="not bold")
    left.truncate(width - len(picture.phase) - 3, overflow="ellipsis" if glyphs.more == "…" else "crop")
    left.append(" " * (width - left.cell_len - len(picture.phase) - 1))
    left.append(picture.phase, style="green" if picture.phase in ("streaming", "watching") else "bold")
    return left


def _progress(picture: Picture, width: int, glyphs: Glyphs) -> Text:
    total = picture.total_s
    times = clock(round(picture.position_s)) + (f" / {clock(round(total))}" if total is not None else "")
    right = [times, *_pressure(picture)]
    tail = "   ".join(right)
    line = Text(" ")
    room = width - len(tail) - 5
    if total:
        done = round(room * min(1.0, picture.position_s / total))
        line.append(glyphs.done * done, style="cyan")
        line.append(glyphs.todo * (room - done), style="dim")
        line.append("  ")
    line.append(tail)
    if picture.flow is not None and picture.flow.state != "ok":
        line.stylize("bold yellow", len(line) - len(right[-1]))
    return line


def _pressure(picture: Picture) -> list[str]:
    flow = picture.flow
    if flow is None:
        return []
    words = [f"lag {flow.lag_ms / 1000:.1f} s"]
    words.append("keeping up" if flow.state == "ok" else str(flow.state))
    return words


def _tone(picture: Picture, glyphs: Glyphs) -> Text:
    line = _labelled("Tone")
    tone, age = picture.tone, picture.tone_age_s()
    if tone is None or age is None:
        return line.append("nothing said yet", style="dim")
    stale = age > _STALE_S
    style = "dim" if stale else tone_style(tone.label, picture.tone_labels)
    line.append(f"{humanised(tone.label):<12}", style=style if stale else f"bold {style}")
    _append_bar(line, tone.confidence, "dim" if stale else style, glyphs)
    if stale:
        return line.append(f"   {age:.0f} s ago", style="dim")
    arrow = shift_glyph(tone.shift_direction, glyphs)
    if arrow and tone.shift_direction is not None:
        size = f" {tone.shift_magnitude:.2f}" if tone.shift_magnitude is not None else ""
        line.append(f"   {arrow} {tone.shift_direction}{size}")
    return line


def _subtext(picture: Picture, width: int) -> Text:
    line = _labelled("")
    if picture.tone is None or not picture.tone.subtext:
        return line
    words = textwrap.shorten(picture.tone.subtext, max(10, width - _LABEL - 2), placeholder=" …")
    stale = (picture.tone_age_s() or 0.0) > _STALE_S
    return line.append(words, style="dim italic" if stale else "italic")


def _speaker(picture: Picture, glyphs: Glyphs) -> Text:
    line = _labelled("Speaker")
    speaker = picture.speaker
    if speaker is None:
        return line.append("–" if glyphs.more == "…" else "-", style="dim")
    line.append(f"{speaker_words(speaker):<12}", style="bold")
    return _append_bar(line, speaker.confidence, "none", glyphs)


def _call(picture: Picture) -> Text:
    line = _labelled("Call")
    state = picture.queue_now()
    if state is None:
        line.append("talking" if picture.tone is not None else "nothing heard yet", style="dim")
    else:
        line.append(f"{queue_words(state):<12}", style="bold")
        line.append(f"{state.confidence:.2f}")
    if picture.digits:
        line.append("   digits ", style="dim").append(picture.digits, style="bold")
    return line


def _append_bar(line: Text, share: float, style: str, glyphs: Glyphs) -> Text:
    full, rest = bar(share, _BAR, glyphs)
    line.append(full, style=style).append(rest, style="dim")
    return line.append(f" {share:.2f}")


def _timeline(picture: Picture, columns: int, glyphs: Glyphs) -> list[Text]:
    """Strip, voices, time axis and legend; the newest `columns` seconds."""
    last = max(0, int(picture.position_s))
    first = max(0, last - columns + 1)
    letters = tone_letters(picture.tone_labels)
    strip, voices, axis = _labelled("Timeline"), _labelled(""), _labelled("")
    for second in range(first, last + 1):
        sign, style = _cell(picture.strip.get(second), picture, letters, glyphs)
        strip.append(sign, style=style)
        voices.append(picture.voices.get(second, " ")[-1:], style="dim")
    axis.append(_axis(first, last, columns), style="dim")
    return [strip, voices, axis, *_legend(picture, letters, range(first, last + 1), glyphs)]


def _cell(mark: str | None, picture: Picture, letters: dict[str, str], glyphs: Glyphs) -> tuple[str, str]:
    if mark is None:
        return glyphs.dot, "dim"
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


def _legend(picture: Picture, letters: dict[str, str], shown: range, glyphs: Glyphs) -> list[Text]:
    """What the signs on the strip stand for: tones on one line, everything else on the next."""
    tones, others = _labelled(""), _labelled("")
    marks = {picture.strip[second] for second in shown if second in picture.strip}
    for label, letter in letters.items():
        if f"tone:{label}" in marks:
            tones.append(letter, style=f"black on {tone_style(label, picture.tone_labels)}")
            tones.append(f" {humanised(label).lower()}  ", style="dim")
    for label, sign in glyphs.queue.items():
        if f"queue:{label}" in marks:
            others.append(f"{sign} {_LEGEND.get(label, humanised(label))}  ", style="dim")
    if "gap" in marks:
        others.append(glyphs.gap, style="bold red").append(" not analysed", style="not bold dim")
    return [tones, others]


def _transcript(picture: Picture, width: int, room: int) -> list[Text]:
    """The newest lines that fit into exactly `room` rows, the unfinished one last."""
    rows: list[Text] = []
    utterances = [*picture.lines, *([picture.interim] if picture.interim is not None else [])]
    for utterance in reversed(utterances):
        wrapped = _wrapped(utterance, width)
        if len(rows) + len(wrapped) > room:
            break
        rows = wrapped + rows
    if not utterances and room:
        rows = [_labelled("").append("words appear here where the gateway transcribes", style="dim")]
    return [*rows, *[Text()] * (room - len(rows))]


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
    """The last two remarks; a row that is always there, so that nothing jumps when one comes."""
    shown: Sequence[Notice] = list(picture.notices)[-2:]
    rows = [Text()] * (2 - len(shown))
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
