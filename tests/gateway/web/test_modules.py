"""The tests of the page's modules and of the JavaScript client, which are in JavaScript themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.api.page import web_files
from scripts import web
from tests.needs import need_node

HERE = Path(__file__).parent
SUITES = sorted(path.name for path in HERE.glob("*.test.js"))
ROOT = HERE.parents[2]


def passes(suite: str, folder: Path) -> None:
    """Node's own test runner finds nothing wrong with a suite of `folder`."""
    node = need_node("fast-check", "@msgpack/msgpack")
    ran = subprocess.run(
        [node, "--test", "--test-reporter=spec", suite],
        cwd=folder,
        env=web.environment(node),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests beside the modules as browsers get them."""
    root = tmp_path_factory.mktemp("served")
    for path, file in web_files().items():
        target = root / "gateway" / "web" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.body)
    shutil.copy(ROOT / "gateway/web/package.json", root / "gateway/web")
    shutil.copytree(ROOT / "tests/vectors", root / "tests/vectors")
    (root / "docs").mkdir()
    shutil.copy(ROOT / "docs/protocol.md", root / "docs")
    folder = root / "tests/gateway/web"
    folder.mkdir(parents=True)
    for source in [*HERE.glob("*.js"), HERE / "package.json"]:
        shutil.copy(source, folder)
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    return folder


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite(suite: str) -> None:
    """What is in the sources does what it should."""
    passes(suite, HERE)


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_against_what_is_served(suite: str, served: Path) -> None:
    """To leave comments and indentation out changes nothing."""
    passes(suite, served)
