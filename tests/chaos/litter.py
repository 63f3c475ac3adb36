"""`undertone serve` without a garbage collector, which tells what it would have had to collect.

    python -m tests.chaos.litter --port 0

Arguments are those of `serve`. SIGUSR1 sweeps; SIGUSR2 writes a line of JSON to standard error: `{"litter":
{"gateway.live.session.LiveSession": 2, …}}`, the objects that only referred to one another since.
"""

import gc
import json
import signal
import sys
from collections import Counter
from collections.abc import Sequence

from gateway import cli


def main(argv: Sequence[str]) -> int:
    """Serve until told to stop; returns the exit status of `undertone serve`."""
    gc.disable()
    signal.signal(signal.SIGUSR1, lambda *_: gc.collect())
    signal.signal(signal.SIGUSR2, lambda *_: print(json.dumps({"litter": _litter()}), file=sys.stderr))
    return cli.main(["serve", *argv])


def _litter() -> dict[str, int]:
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    gc.garbage.clear()
    return dict(kinds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
