"""Scripts of the page's tests are run as one names them, and a failure is told."""

import pytest

from scripts import web
from tests.needs import need_node


def test_the_first_failure_is_the_answer() -> None:
    """What comes after it is not run."""
    need_node()
    assert web.main(["no-such-script", "lint"]) != 0


def test_without_node_it_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the machine's nor the environment's: the exit status is 1 and the script is named."""
    monkeypatch.setattr(web, "node", lambda: None)
    assert web.main(["lint"]) == 1
    assert "scripts/web.sh" in capsys.readouterr().err
