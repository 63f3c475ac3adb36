"""`python -m scripts.cluster` as it is called and broken off."""

import contextlib
import signal
import threading
import time
from pathlib import Path

import pytest

from scripts.cluster import __main__ as command
from scripts.cluster.parts import Part


class Pieces:
    """A cluster whose one part takes no notice of being asked to stop."""

    proxy = None

    def __init__(self, folder: Path, stack: contextlib.ExitStack, _: str | None) -> None:
        self.part = Part("deaf", ("sh", "-c", "trap '' TERM; echo on; exec sleep 60"), folder, self.on)
        self.log = folder / "deaf.log"
        stack.callback(self.part.stop)
        made.append(self)

    def on(self) -> bool:
        """Whether it has begun to be deaf."""
        return self.log.read_text() == "on\n"

    def start(self) -> None:
        """And somebody presses Ctrl-C, twice."""
        self.part.start()
        process = self.part._process
        assert process is not None
        self.process = process
        press()
        time.sleep(60)


made: list[Pieces] = []


def press() -> None:
    """Ctrl-C, now and once more while the parts end."""
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(1.0, signal.pthread_kill, (main, signal.SIGINT)).start()
    signal.pthread_kill(main, signal.SIGINT)


def test_ctrl_c_ends_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own status; a second one waits for no part."""
    monkeypatch.setattr(command, "Cluster", Pieces)
    began = time.monotonic()
    assert command.main(["--short"]) == 130
    assert time.monotonic() - began < 15
    assert made[0].process.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_somebody_has_to_speak(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without sessions nothing would be shown."""
    with pytest.raises(SystemExit) as ended:
        command.main(["--sessions", number])
    assert ended.value.code == 2
    assert "--sessions" in capsys.readouterr().err
