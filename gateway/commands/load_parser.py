"""The arguments of `undertone load`."""

import argparse
import re

LOAD_ABOUT = """\
Run many sessions at real-time pace against a gateway and report latencies,
gaps and errors, and with --pid what they cost the server. --profile says how:

  hold   start all over --ramp, hold them, let them end
  ramp   start more in --steps, measure each, and say which still met --expect
  soak   sessions end and are replaced all the time; tells how memory grows
  storm  connections are cut over and over, and come back to their sessions

A latency runs from the moment the last sample of a window was due, whether or
not it was sent in time, to the arrival of its event; `calm p99` is the median
of the p99s of each second. Where the tool itself was short of CPU (more than
70 % of its core, or a frame sent more than one frame late), latencies are not
told, and no bound on one holds. Exits with 1 where a session or an observer
failed or --expect is broken, in a ramp by any step.

Ctrl-C (or SIGTERM) ends the run early: sessions are ended, and what was
measured until then is reported, marked as cut short; twice, it ends at once."""

DEFAULT_STEPS, DEFAULT_LIFETIME_S, DEFAULT_CUT_EVERY_S, DEFAULT_OBSERVED = 5, 60.0, (2.0, 6.0), 1


def add_load(parser: argparse.ArgumentParser) -> None:
    """Declare them, but for those that other commands have, too."""
    parser.add_argument(
        "--profile",
        choices=["hold", "ramp", "soak", "storm"],
        default="hold",
        help="the shape of the load (default hold)",
    )
    parser.add_argument(
        "--sessions", type=count, default=10, metavar="N", help="how many at a time (default 10)"
    )
    parser.add_argument(
        "--duration",
        type=seconds,
        default=30.0,
        metavar="S",
        help="seconds of audio each sends; in a ramp and a soak, of the whole run (default 30)",
    )
    parser.add_argument(
        "--ramp",
        type=seconds,
        metavar="S",
        help="seconds over which they start (default: 100 a second, half the duration at most)",
    )
    _add_shape(parser)
    _add_observers(parser)
    parser.add_argument(
        "--rate", type=int, default=16_000, metavar="HZ", help="sample rate of the synthetic speech"
    )
    parser.add_argument(
        "--frame-ms", type=frame_ms, default=100, metavar="MS", help="audio in a message (default 100)"
    )
    parser.add_argument("--file", metavar="WAV", help="send this instead of synthetic speech, over and over")
    parser.add_argument("--pid", type=count, help="the server's process; also report its CPU and memory")
    parser.add_argument(
        "--expect",
        metavar="BOUNDS",
        help="fail where a figure is above its bound, such as p99=250ms,gaps=0; known are p50 p95 p99 p99.9 "
        "max calm_p99 gaps errors failed missed repeated unrecovered cpu rss rss_slope",
    )


def _add_shape(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--steps", type=count, metavar="N", help=f"steps of a ramp up to --sessions (default {DEFAULT_STEPS})"
    )
    parser.add_argument(
        "--lifetime",
        type=seconds,
        metavar="S",
        help=f"mean seconds that a session of a soak lasts (default {DEFAULT_LIFETIME_S:.0f})",
    )
    least, most = DEFAULT_CUT_EVERY_S
    parser.add_argument(
        "--cut-every",
        type=span,
        metavar="A-B",
        help=f"seconds between two cuts of a connection in a storm (default {least:g}-{most:g})",
    )


def _add_observers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--observers",
        type=count,
        metavar="N",
        help="so many sockets that only read on each observed session; its latencies are told apart",
    )
    parser.add_argument(
        "--observed",
        type=count,
        metavar="K",
        help=f"how many sessions are observed, the first that start (default {DEFAULT_OBSERVED})",
    )


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def seconds(text: str) -> float:
    """More than none, a day at most."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def span(text: str) -> tuple[float, float]:
    """`A-B`, or one number for both."""
    match = re.fullmatch(r"([\d.]+)(?:-([\d.]+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of seconds such as 2-6")
    least, most = seconds(match[1]), seconds(match[2] or match[1])
    if least > most:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins")
    return least, most


def frame_ms(text: str) -> int:
    """What the protocol's clients may send in a message."""
    if not text.isdecimal() or not 10 <= int(text) <= 300:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 10 to 300")
    return int(text)
