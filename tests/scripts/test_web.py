"""Scripts of the page's tests are run as one names them, and a failure is told."""

import json
from pathlib import Path

import pytest

from scripts import web
from tests.needs import need_node


def test_the_first_failure_is_the_answer() -> None:
    """What comes after it is not run."""
    need_node()
    assert web.main(["no-such-script", "lint"]) != 0


def test_an_older_node_than_the_package_asks_for_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it asks for stands in `package.json` alone."""
    need_node()
    for wanted, found in ((">=1", True), (">=9000", False)):
        (tmp_path / "package.json").write_text(json.dumps({"engines": {"node": wanted}}))
        monkeypatch.setattr(web, "FOLDER", tmp_path)
        assert (web.node() is not None) is found


def test_without_node_it_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the machine's nor the environment's: the exit status is 1 and the script is named."""
    monkeypatch.setattr(web, "node", lambda: None)
    assert web.main(["lint"]) == 1
    assert "scripts/web.sh" in capsys.readouterr().err
