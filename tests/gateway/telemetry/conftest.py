"""What tests of logging share."""

import copy
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts logging back as it was."""
    root = logging.getLogger()
    names = ("uvicorn", "websockets", "httpx", "httpcore", "asyncio", "tests.canary")
    before = (root.level, list(root.handlers))
    loggers = {name: copy.copy(logging.getLogger(name).__dict__) for name in names}
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, state in loggers.items():
        logging.getLogger(name).__dict__.update(state)
    logging.captureWarnings(False)
