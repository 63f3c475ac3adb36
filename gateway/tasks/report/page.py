"""The report as one page that stands by itself: nothing is loaded, nothing is run."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

from gateway.tasks.report import sections
from gateway.tasks.report.drawing import NARROW, WIDE, draw_paced
from gateway.tasks.report.facts import Facts
from gateway.tasks.report.markup import Markup, Node, around, element, joined
from gateway.tasks.report.sentences import HONEST, empty, in_short, notices
from gateway.tasks.report.tables import lasting
from gateway.tasks.report.talk import talk
from gateway.tasks.report.words import count, listed, short
from gateway.tasks.story import Story
from protocol.control import Feature

ID_CHARS = 8
"""Of a session's id, as in logs: where there are no keys, the whole of it is the permission to use it."""
_MOST_MODELS = 5


def page(story: Story) -> Iterator[str | None]:
    """The document in pieces, in the syntax that HTML and XML share; None is a place to pause at."""
    facts = yield from Facts.gather(story)
    parts = list(_parts(facts))
    html, end_html = around("html", lang="en")
    body, end_body = around("body")
    main, end_main = around("main", id="main", tabindex=-1)
    skip = element("a", "Skip to the report", href="#main", class_="skip")
    header = element("header", element("h1", "Conversation report"), _subtitle(facts))
    contents = _contents([(key, heading) for key, heading, _ in parts]) if len(parts) > 1 else None
    yield f"<!DOCTYPE html>\n{html}{_head(story).text}{body}{joined((skip, header, contents)).text}{main}"
    for part in parts:
        yield from _part(*part)
    yield f"{end_main}{element('footer', *_about(story)).text}{end_body}{end_html}\n"


def _head(story: Story) -> Markup:
    sheet = style("page.css", "timeline.css")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(sheet)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("title", f"Conversation report · {_begun(story)}"),
        sheet,
    )


@cache
def style(*names: str) -> Markup:
    """Our own style sheets, in a `style` element."""
    sheets = [files(__package__).joinpath(name).read_text(encoding="utf-8") for name in names]
    return Markup(f"<style>{''.join(sheets)}</style>")


def _policy(sheet: Markup) -> str:
    """Only our style sheet, known by its hash, has any effect; whatever else got in would do nothing."""
    text = sheet.text.removeprefix("<style>").removesuffix("</style>")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _parts(facts: Facts) -> Iterator[tuple[str, str, Iterable[Node]]]:
    nothing = empty(facts)
    told = list(notices(facts))
    yield "short", "In short", _short(facts, nothing)
    if told:
        yield "notes", "Before you read on", [element("ul", *[element("li", one) for one in told])]
    if facts.extent_s > 0:
        if nothing is None:
            yield "timeline", "Timeline", _timeline(facts)
            yield "said", "What was said", talk(facts)
            yield "tone", "How it sounded", _tone(facts)
            yield "speakers", "Who was heard", sections.speakers(facts)
            yield "call", "State of the call", sections.calls(facts)
            around = list(sections.surroundings(facts))
            if around:
                yield "around", "Surroundings", around
            yield "gaps", "What was not analysed", sections.gaps(facts)
            yield "speed", "How quickly it was told", sections.speed(facts)
        yield "totals", "Totals", sections.totals(facts)


def _part(key: str, heading: str, nodes: Iterable[Node]) -> Iterator[str | None]:
    section, end = around("section")
    yield section + element("h2", heading, id=key).text
    for node in nodes:
        yield joined((node,)).text if node is not None else None
    yield end


def _contents(parts: list[tuple[str, str]]) -> Markup:
    links = [element("li", element("a", heading, href=f"#{key}")) for key, heading in parts]
    return element("nav", element("ul", *links, role="list"), aria_label="Contents")


def _subtitle(facts: Facts) -> Markup:
    story = facts.story
    instant = datetime.fromtimestamp(story.created_at, UTC)
    return element(
        "p",
        "Begun ",
        element("time", _begun(story), datetime=instant.isoformat(timespec="seconds")),
        ", ",
        lasting(facts.extent_s) if facts.extent_s > 0 else "without",
        " of audio." if facts.extent_s > 0 else " audio.",
    )


def _begun(story: Story) -> str:
    instant = datetime.fromtimestamp(story.created_at, UTC)
    return f"{instant.day} {instant:%B %Y, %H:%M} UTC"


def _short(facts: Facts, nothing: str | None) -> Iterator[Node]:
    if nothing is not None:
        yield element("p", nothing)
        return
    pairs = [
        element("div", element("dt", key), element("dd", element("bdi", value)))
        for key, value in in_short(facts)
    ]
    yield element("dl", *pairs)
    yield element("p", HONEST, class_="honest")


def _timeline(facts: Facts) -> Iterator[Node]:
    for form, shape in ((WIDE, "wide"), (NARROW, "narrow")):
        drawn, bin_s = yield from draw_paced(facts, form, shape)
        yield element("div", drawn, _binned(bin_s) if bin_s else None, class_=shape)
    yield element("p", "The sections below tell the same in words and tables.")


def _binned(bin_s: float) -> Markup:
    return element(
        "p",
        "There is more than can be drawn, so lanes go in steps of up to ",
        lasting(bin_s),
        ". A step shows the tone that filled most of it, with its mean confidence; in the other lanes it is "
        "as high as the part of it that was filled.",
    )


def _tone(facts: Facts) -> Iterator[Node]:
    yield from sections.tone_shares(facts)
    yield from sections.moments(facts)
    yield from sections.stretches(facts)


def _about(story: Story) -> Iterator[Node]:
    """What the figures come from."""
    config, audio = story.config, story.audio
    models = sorted({short(tone.model) for tone in story.tones if tone.model})
    named = element("bdi", listed(models[:_MOST_MODELS])) if models else None
    wanted = listed([str(one) for one in Feature if one in config.features] or ["nothing"])
    channels = count(audio.channels, "channel")
    yield element("h2", "About this report", id="about")
    yield element(
        "p",
        f"Session {story.session_id[:ID_CHARS]}… ({story.status}). Audio: {audio.sample_rate:,} Hz, ",
        f"{channels}, {audio.encoding}; windows of {config.window_ms:,} ms, one every {config.hop_ms:,} ms. ",
        *(("Tones by ", named, ". ") if named else ()),
        f"Asked for: {wanted}, from a confidence of {config.min_confidence:.2f} on. ",
        f"{count(len(story.events), 'event')} on record. ",
        "Times count from the session’s begin. Made by Undertone.",
    )
