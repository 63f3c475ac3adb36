"""A decoder process with a Whisper model: `python -m gateway.transcribe.whisper.worker --model FOLDER`.

What it is told of the audio and the words comes over its pipes; see `gateway.transcribe.worker`.
"""

import argparse
import sys

from gateway.transcribe.whisper.engine import Load, Whisper
from gateway.transcribe.worker import work


def main(arguments: list[str] | None = None) -> int:
    """The process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compute-type", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    load = Load(given.model, given.device, given.compute_type, given.threads)
    return work(lambda: Whisper(load))


if __name__ == "__main__":
    sys.exit(main())
