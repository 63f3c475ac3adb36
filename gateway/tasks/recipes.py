"""The types of task there are: each reads its options and says what is to be made.

Another type is one more entry of `TYPES`: a function from the options, unread, to a `Recipe`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from gateway.tasks import summarise
from gateway.tasks.export.formats import FORMATS
from gateway.tasks.export.lanes import Lane
from gateway.tasks.model import Recipe
from gateway.tasks.report import report_pieces, write_html, write_svg
from gateway.tasks.story import Story
from protocol import checks
from protocol.errors import invalid_field

Options: TypeAlias = Mapping[str, Any]

EXPORT_OPTIONS = ("format", "lanes")
DEFAULT_EXPORT = "json"
REPORT_OPTIONS = ("format",)
DEFAULT_REPORT = "html"


def recipe(type: object, options: object) -> Recipe:
    """What a client asks for.

    Raises:
        ProtocolError: `invalid_field`, naming `type` or the option, as in `options.format`.
    """
    if not isinstance(type, str) or type not in TYPES:
        raise invalid_field("type", f"type must be one of {', '.join(TYPES)}")
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        raise invalid_field("options", "options must be an object")
    return TYPES[type](options)


def refuse_unknown(options: Options, known: Collection[str]) -> None:
    """A misspelt option must not pass for a default.

    Raises:
        ProtocolError: `invalid_field`, naming the first unknown option.
    """
    for name in options:
        if name not in known:
            told = f"options.{name}"[:64]
            raise invalid_field(told, f"{told} is not a known option")


def one_of(options: Options, name: str, known: Collection[str], default: str) -> str:
    """The option `name`, which is one of `known`.

    Raises:
        ProtocolError: `invalid_field`, naming the option.
    """
    value = options.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in known:
        told = f"options.{name}"
        raise invalid_field(told, f"{told} must be one of {', '.join(known)}")
    return value


def _export(options: Options) -> Recipe:
    refuse_unknown(options, EXPORT_OPTIONS)
    name = one_of(options, "format", FORMATS, DEFAULT_EXPORT)
    chosen = FORMATS[name]
    in_force: dict[str, Any] = {"format": name}
    lanes = chosen.lanes
    if chosen.takes_lanes:
        lanes = _lanes(options.get("lanes"), lanes)
        in_force["lanes"] = [lane for lane in Lane if lane in lanes]
    elif options.get("lanes") is not None:
        raise invalid_field("options.lanes", f"options.lanes has no place with the format {name}")

    def write(story: Story) -> Iterator[bytes]:
        return chosen.write(story, lanes)

    return Recipe("export", MappingProxyType(in_force), write, chosen.media_type, chosen.suffix)


def _lanes(given: object, default: frozenset[Lane]) -> frozenset[Lane]:
    if given is None:
        return default
    if not isinstance(given, list) or not 0 < len(given) <= len(Lane):
        raise invalid_field("options.lanes", f"options.lanes must be a list of {', '.join(Lane)}")
    return frozenset(checks.member("options.lanes", one, Lane) for one in given)


def _summary(options: Options) -> Recipe:
    refuse_unknown(options, ())
    return Recipe("summary", MappingProxyType({}), summarise.write, "application/json", "json")


def _report(options: Options) -> Recipe:
    refuse_unknown(options, REPORT_OPTIONS)
    name = one_of(options, "format", REPORTS, DEFAULT_REPORT)
    write, media_type = REPORTS[name]
    return Recipe("report", MappingProxyType({"format": name}), write, media_type, name, report_pieces)


REPORTS: Mapping[str, tuple[Callable[[Story], Iterator[bytes]], str]] = MappingProxyType(
    {"html": (write_html, "text/html; charset=utf-8"), "svg": (write_svg, "image/svg+xml")}
)

TYPES: Mapping[str, Callable[[Options], Recipe]] = MappingProxyType(
    {"export": _export, "report": _report, "summary": _summary}
)
"""By name."""
