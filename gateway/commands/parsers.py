"""The command line, declared: `undertone --help` and docs/cli.md both come from here."""

import argparse
from collections.abc import Sequence

from gateway import build
from gateway.commands.classify import CLASSIFY_ABOUT, add_classify
from gateway.commands.exits import MEANINGS
from gateway.commands.keys_parser import KEYS_ABOUT, add_keys
from gateway.commands.link import DEFAULT_URL
from gateway.commands.load_parser import LOAD_ABOUT, add_load, seconds
from gateway.commands.upkeep_parser import ERASE_ABOUT, MIGRATE_ABOUT, add_erase
from gateway.server.member import parse_member
from protocol.audio import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, AudioEncoding
from protocol.control import MAX_SPEAKERS, MAX_WINDOW_MS, MIN_HOP_MS, MIN_WINDOW_MS, Feature

ABOUT = """\
Undertone listens to speech and says, while it is spoken, HOW it is said: the
tone and where it is going, who speaks, the words, and what state a phone call
is in. Audio goes in over one WebSocket, events come out. Everything runs on
your own machine, and audio is never written to a disk."""

EXAMPLES = """\
  # See what it does, in half a minute
  undertone demo
  # Run the gateway on http://127.0.0.1:8522
  undertone serve
  # Stream a recording to it and watch; the same, live from a microphone
  undertone stream talk.wav
  arecord -f S16_LE -r 16000 | undertone stream -
  # Analyse a file as fast as possible, for a program to read
  undertone stream talk.wav --fast --json > events.jsonl
  # Does this machine carry 100 sessions?
  undertone load --sessions 100 --duration 30 --expect p99=250ms,gaps=0"""

_CHAOS_S = 3.0
_RATES = f"{MIN_SAMPLE_RATE // 1000} to {MAX_SAMPLE_RATE // 1000} kHz"
_STREAM_ABOUT = f"""\
Stream audio to a gateway and show what it hears.

FILE is a WAV file: 8, 16, 24 or 32-bit, float, or G.711, of any rate and
number of channels. `-` reads standard input: a WAV file, or raw PCM in the
format of --rate, --channels and --encoding. A FILE without a header is raw PCM
where one of these three is given.

Rates from {_RATES} are sent as they are; others are resampled first.
24 and 32-bit samples are sent as 16-bit ones, which is what the gateway
analyses; floats are sent as floats.

Audio is sent in real time, as a microphone would, unless --fast is given. In a
terminal a live view is drawn; elsewhere, or with --plain, there is one line for
each thing heard. Ctrl-C ends the session properly; twice, at once.

Where the connection is lost, it is taken up again, and the audio goes on where
the gateway lost it; --chaos shows that."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, parsed; exits with a usage message where they are wrong."""
    arguments, unknown = build_parser().parse_known_args(_joined(argv))
    # argparse would show the usage of `undertone` here, which says nothing about the command's own.
    wrong = arguments.wrong
    del arguments.wrong
    if unknown:
        wrong(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


def _joined(argv: Sequence[str]) -> list[str]:
    """What argparse would misread, with `=` between option and value.

    Session ids may begin with a dash, which it takes for an option; and what follows `--chaos`, whose number
    may be left out, it takes for that number.
    """
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in ("--observe", "--session-id"):
            joined[-1] += f"={word}"
        elif joined and joined[-1] == "--chaos" and not word[:1].isdigit():
            joined[-1:] = [f"--chaos={_CHAOS_S}", word]
        else:
            joined.append(word)
    return joined


def build_parser() -> argparse.ArgumentParser:
    """All of the command line; `command` of the result names what was asked for."""
    parser = _parser(argparse.ArgumentParser, "undertone", ABOUT, epilog=_epilog())
    parser.add_argument("--version", action="version", version=f"undertone {build.told()}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, told, about, add in (
        ("serve", "run the gateway", "Run the gateway until Ctrl-C. Settings: docs/settings.md.", _serve),
        ("stream", "stream audio to a gateway and watch", _STREAM_ABOUT, _stream),
        ("demo", "see what it does: a gateway and a sample call, in half a minute", _DEMO_ABOUT, _demo),
        ("load", "measure how many sessions a gateway carries", LOAD_ABOUT, _load),
        ("classify", "run a classifier for gateways on other machines", CLASSIFY_ABOUT, _classify),
        ("keys", "say who may use a gateway: namespaces and their keys", KEYS_ABOUT, add_keys),
        ("migrate", "bring the database up to date", MIGRATE_ABOUT, _config),
        ("erase", "delete all that is kept of a tenant or a user", ERASE_ABOUT, _erase),
        ("check-config", "say what is wrong with the settings, or show them", _CHECK_ABOUT, _check),
    ):
        command = _parser(commands.add_parser, name, about, help=told)
        command.set_defaults(wrong=command.error)
        add(command)
    return parser


_DEMO_ABOUT = """\
Start a gateway inside, stream a sample telephone call into it and show what it
hears: dialling, ringing, music on hold, then two voices."""

_CHECK_ABOUT = """\
Check the settings as `serve` would read them. Prints each problem and what to
do about it, or, where there is none, the settings in force."""


def _parser(make, name: str, about: str, **more: str) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    parser: argparse.ArgumentParser = make(
        name,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **more,
    )
    return parser


def _epilog() -> str:
    codes = "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())
    return f"examples:\n{EXAMPLES}\n\nexit codes:\n{codes}\n\n`undertone COMMAND --help` tells more."


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (UNDERTONE_HOST)")
    parser.add_argument("--port", help="port to listen on, 0 for any free one (UNDERTONE_PORT)")
    parser.add_argument(
        "--processes",
        metavar="N",
        help="run N processes on the one port, each a node of its own; needs a store that they share "
        "(UNDERTONE_PROCESSES)",
    )
    parser.add_argument("--member", type=parse_member, help=argparse.SUPPRESS)
    parser.add_argument(
        "--handover",
        metavar="PATH",
        help="take over the listening socket of the gateway that runs with the same PATH, which then sends "
        "its sessions away and ends, and let the next one do the same; nobody is refused on the way "
        "(UNDERTONE_HANDOVER)",
    )
    _config(parser)


def _classify(parser: argparse.ArgumentParser) -> None:
    add_classify(parser)
    _config(parser)


def _erase(parser: argparse.ArgumentParser) -> None:
    add_erase(parser)
    _config(parser)


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--connect",
        action="store_true",
        help="also connect to the stores as `serve` would, which brings the database up to date",
    )
    _config(parser)


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="a TOML file with settings (UNDERTONE_CONFIG)")


def _stream(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("audio (one of these)")
    source.add_argument("file", nargs="?", metavar="FILE", help="a WAV file, or - for standard input")
    source.add_argument(
        "--mic", action="store_true", help="the microphone (needs pip install '.[mic]', in a clone)"
    )
    source.add_argument("--observe", metavar="ID", help="send nothing; watch this session")
    _where(parser)
    _raw(parser)
    _settings(parser)
    how = parser.add_argument_group("how")
    how.add_argument("--fast", action="store_true", help="as fast as the gateway allows; nothing is dropped")
    how.add_argument(
        "--lossless", action="store_true", help="in real time, but nothing is dropped; events may come late"
    )
    how.add_argument(
        "--chaos",
        type=seconds,
        nargs="?",
        const=_CHAOS_S,
        metavar="SECONDS",
        help=f"cut the connection on purpose, about every SECONDS (default {_CHAOS_S:.0f}), and come back",
    )
    how.add_argument("--chaos-seed", type=int, help=argparse.SUPPRESS)
    how.add_argument("--session-id", metavar="ID", help="attach to this session instead of opening one")
    _shown(parser)


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fast", action="store_true", help="don't wait for real time")
    _shown(parser)


def _load(parser: argparse.ArgumentParser) -> None:
    add_load(parser)
    _where(parser)
    _settings(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--report", metavar="FILE", help="also write it as a page with plots (HTML)")


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", default=DEFAULT_URL, help=f"the gateway, as host:port, http… or ws… (default {DEFAULT_URL})"
    )
    parser.add_argument(
        "--key-file", metavar="FILE", help="the file with the key, or a ticket, of a gateway that needs one"
    )


def _raw(parser: argparse.ArgumentParser) -> None:
    raw = parser.add_argument_group("format of audio without a header, and of the microphone")
    raw.add_argument("--rate", type=int, metavar="HZ", help="sample rate (default 16000)")
    raw.add_argument("--channels", type=int, metavar="N", help=f"1 to {MAX_CHANNELS} (default 1)")
    raw.add_argument("--encoding", choices=[str(one) for one in AudioEncoding], help="default pcm_s16le")


def _settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings of the session")
    group.add_argument("--elcor", action="store_true", default=None, help="name the tone first, Elcor style")
    group.add_argument(
        "--hop-ms", type=int, metavar="MS", help=f"from one analysis to the next, {MIN_HOP_MS} to --window-ms"
    )
    group.add_argument(
        "--window-ms",
        type=int,
        metavar="MS",
        help=f"audio analysed at once, {MIN_WINDOW_MS} to {MAX_WINDOW_MS}",
    )
    group.add_argument("--language", metavar="TAG", help="what is spoken, such as en or en-GB")
    group.add_argument("--num-speakers", type=int, metavar="N", help=f"how many speak, 1 to {MAX_SPEAKERS}")
    group.add_argument(
        "--min-confidence", type=float, metavar="X", help="leave out what is less sure, 0 to 1 (default 0.1)"
    )
    group.add_argument(
        "--features", metavar="LIST", help=f"only these kinds of events, of {','.join(Feature)}"
    )


def _shown(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is printed")
    group.add_argument("--json", action="store_true", help="one event a line, as JSON, and nothing else")
    group.add_argument("--plain", action="store_true", help="plain lines, also in a terminal")
    group.add_argument("--no-color", action="store_true", help="no colours (NO_COLOR does the same)")
