"""Runs scripts of `tests/gateway/web/package.json`: `python -m scripts.web lint types`."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "tests" / "gateway" / "web"


def node() -> str | None:
    """The machine's Node.js, or the one that `scripts/web.sh` brought; None where neither is new enough."""
    for folder in (None, sysconfig.get_path("scripts")):
        found = shutil.which("node", path=folder)
        if found is not None and _major(found) >= oldest():
            return found
    return None


def oldest() -> int:
    """The major version of Node.js that is needed at least, which `package.json` says: `>=20`."""
    wanted: str = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["engines"]["node"]
    return int(wanted.removeprefix(">="))


def environment(node: str) -> dict[str, str]:
    """In which npm and what it starts find that Node.js first."""
    return os.environ | {"PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _major(node: str) -> int:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return int(told.strip().removeprefix("v").partition(".")[0] or 0)


def main(scripts: list[str]) -> int:
    """Run them in turn; the exit status of the first that fails."""
    found = node()
    if found is None or not (FOLDER / "node_modules").is_dir():
        print("there is no Node.js, or none of its packages; scripts/web.sh installs both", file=sys.stderr)
        return 1
    for script in scripts:
        ran = subprocess.run(
            ["npm", "run", "--silent", script], cwd=FOLDER, env=environment(found), check=False
        )
        if ran.returncode != 0:
            return ran.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
