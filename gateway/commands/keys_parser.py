"""The arguments of `undertone keys`."""

import argparse
import math
import re

from gateway.settings import ClassifierKind, TranscriberKind

KEYS_ABOUT = """\
Namespaces are the tenants of a gateway; each has keys, and sees its own
sessions only. They are kept in the file that UNDERTONE_NAMESPACES_FILE names,
or --file. A running gateway takes a change over within a second.

A key is shown once, when it is made, and kept as a hash only."""

_CREATE = """\
Make a key for NAMESPACE, and the namespace and the file where there are none.
Keys that the namespace has stay good."""
_ROTATE = """\
Make a new key for NAMESPACE. Those before it stay good for the overlap only:
time to put the new one where the old one is used."""
_REVOKE = """\
Make a key worthless at once, by its prefix; with --all, every key of the
namespace of that name. Sessions that are open go on to their end: DELETE ends
them."""
_LIST = "Show the namespaces, their limits and their keys, as far as they are no secret."

DEFAULT_OVERLAP_S = 86_400.0
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST_S = 366 * 86_400


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Declare the commands within `undertone keys`."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    for name, told, about in (
        ("create", "make a key, and its namespace where there is none", _CREATE),
        ("rotate", "make a new key, and let those before it expire", _ROTATE),
        ("revoke", "make a key worthless at once", _REVOKE),
        ("list", "show what there is", _LIST),
    ):
        action = actions.add_parser(
            name,
            help=told,
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        action.set_defaults(wrong=action.error)
        _arguments(name, action)
        action.add_argument("--json", action="store_true", help="print JSON")
        action.add_argument(
            "--file", metavar="FILE", help="the file of namespaces (UNDERTONE_NAMESPACES_FILE)"
        )
        action.add_argument("--config", metavar="FILE", help="a TOML file with settings (UNDERTONE_CONFIG)")


def _arguments(name: str, action: argparse.ArgumentParser) -> None:
    if name in ("create", "rotate"):
        action.add_argument(
            "namespace", metavar="NAMESPACE", help="1 to 64 letters, digits, `.`, `_` and `-`"
        )
    if name == "create":
        action.add_argument(
            "--max-sessions", type=_count, metavar="N", help="most sessions of the namespace at once"
        )
        action.add_argument(
            "--max-sessions-per-user",
            type=_count,
            metavar="N",
            help="most sessions at once with the same user_id (UNDERTONE_MAX_SESSIONS_PER_USER)",
        )
        for what, kinds in (("classifier", ClassifierKind), ("transcriber", TranscriberKind)):
            action.add_argument(
                f"--{what}",
                choices=[kind.value for kind in kinds],
                help=f"the {what} of the namespace's sessions (UNDERTONE_{what.upper()})",
            )
    elif name == "rotate":
        action.add_argument(
            "--overlap",
            type=_duration,
            default=DEFAULT_OVERLAP_S,
            metavar="TIME",
            help="how long older keys stay good, such as 30m, 24h or 7d (default 24h)",
        )
    elif name == "revoke":
        action.add_argument("key", metavar="PREFIX", help="what stands before the dot of the key")
        action.add_argument(
            "--all", action="store_true", help="PREFIX is a namespace; revoke every key that it has"
        )


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 1000000")
    return int(text)


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)", text, re.ASCII)
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else math.inf
    if seconds > _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 30m, 24h or 7d, at most 366d")
    return seconds
