"""`undertone serve` with a classifier that is slow, gets stuck or fails.

    python -m tests.chaos.slow_gateway --slow 3 --sessions 30 --port 0
    python -m tests.chaos.slow_gateway --call-s 1.5 --port 0
    python -m tests.chaos.slow_gateway --trouble stuck --at-once --port 0

Everything but the classifier is the real command: arguments that are not known here are those of `serve`.
SIGUSR1 brings the trouble, SIGUSR2 takes it away; each is logged.
"""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from unittest.mock import patch

from starlette.applications import Starlette

from gateway import app, cli
from gateway.classify.acoustic.classifier import AcousticClassifier
from gateway.settings import Settings
from tests.chaos.slow import Cost, SlowClassifier, Trouble

log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serve until told to stop; returns the exit status of `undertone serve`."""
    chosen, options = _parser().parse_known_args(argv)
    create = app.create_app

    def create_slow(settings: Settings) -> Starlette:
        slow = SlowClassifier(AcousticClassifier(workers=settings.side_by_side), _cost(chosen))
        _obey_signals(slow, Trouble(chosen.trouble))
        if chosen.at_once:
            slow.trouble = Trouble(chosen.trouble)
        return create(settings, classifier=slow)

    # The command looks up the application's factory when it serves, and so finds this one.
    with patch.object(app, "create_app", create_slow):
        return cli.main(["serve", *options])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.slow_gateway", description=__doc__)
    parser.add_argument("--call-s", type=float, default=0.0, help="seconds that each call takes")
    parser.add_argument("--slow", type=float, default=0.0, help="how many times too slow for --sessions")
    parser.add_argument("--sessions", type=int, default=1, help="live sessions that --slow is about")
    parser.add_argument("--trouble", choices=list(Trouble), default=Trouble.STUCK, help="what SIGUSR1 brings")
    parser.add_argument("--at-once", action="store_true", help="be in trouble from the start")
    return parser


def _cost(chosen: argparse.Namespace) -> Cost:
    slow = Cost.times_slower(chosen.slow, chosen.sessions)
    return Cost(call_s=chosen.call_s, audio=slow.audio)


def _obey_signals(classifier: SlowClassifier, trouble: Trouble) -> None:
    def switch(number: int, _: object) -> None:
        classifier.trouble = trouble if number == signal.SIGUSR1 else None
        log.warning("the classifier is %s", classifier.trouble or "well")

    signal.signal(signal.SIGUSR1, switch)
    signal.signal(signal.SIGUSR2, switch)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
