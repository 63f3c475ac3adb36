"""Takes the pictures of the live page that the README shows: `python -m scripts.screenshots`.

A real gateway hears a talk that is put together here: a reader, another voice, music on hold.
"""

import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import soxr

from tests.e2e.audio import HOLD_MUSIC, LIBRIVOX, pcm, recording, voice
from tests.e2e.browser import browser
from tests.e2e.conftest import start_gateway
from tests.e2e.page import LivePage, live_page

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
RATE: Final = 16_000
SPEAKS: Final = "/^(Sounds|Might)/.test(document.querySelector('#subtext').innerText)"
LINES: Final = (
    "Good morning, and thank you for calling. How can I help you today?",
    "I am sorry to hear that. Let me put you on hold for a moment, please.",
)


def talk(folder: Path) -> Path:
    """About 50 seconds, 16 kHz."""
    reader = [recording(LIBRIVOX.format(name))[1] for name in ("0870", "0880")]
    clerk = [voice("rms", line, folder) for line in LINES]
    rate, music = recording(HOLD_MUSIC)
    held = soxr.resample(music[20 * rate : 29 * rate], rate, RATE).astype(np.int16)
    pause = np.zeros(RATE // 2, np.int16)
    parts = [clerk[0], pause, reader[0], pause, clerk[1], pause, held, pause, reader[1]]
    path = folder / "talk.wav"
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE)
        target.writeframes(pcm(np.concatenate(parts)))
    return path


@contextmanager
def speaking() -> Iterator[LivePage]:
    """The page of a gateway that hears it."""
    gateway = start_gateway()
    try:
        with tempfile.TemporaryDirectory() as folder, browser(talk(Path(folder))) as chromium:
            page = live_page(chromium, gateway.url)
            page.tab.size(1_180, 1_000)
            page.open().start()
            yield page
    finally:
        gateway.stop()


def main() -> None:
    """Light and dark as on a desk, and as on a phone."""
    with speaking() as page:
        time.sleep(45)
        for name, scheme, (width, height) in (
            ("page-light", "light", (1_180, 1_000)),
            ("page-dark", "dark", (1_180, 1_000)),
            ("page-phone", "light", (360, 780)),
        ):
            page.tab.size(width, height)
            page.tab.prefer(color_scheme=scheme)
            page.tab.console("scrollTo(0, 0)")
            time.sleep(1)  # colours take a moment
            page.tab.until(SPEAKS, 60)
            page.tab.screenshot(IMAGES / f"{name}.png")
        page.stop()


if __name__ == "__main__":
    main()
