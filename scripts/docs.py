"""Rewrites what is generated in the documentation: `python -m scripts.docs`, or `make docs`.

Whole pages come from declarations in the code. Others are written by hand around the parts that stand between
`<!-- generated: NAME -->` and `<!-- end -->`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import gateway.commands.reference as commands
import gateway.telemetry.reference as metrics
from gateway import settings
from gateway.sessions import lifecycle
from gateway.sidecar import metrics as sidecar
from gateway.tasks import lifecycle as tasks
from gateway.tasks.export import formats, table
from protocol import reference as protocol

ROOT = Path(__file__).parents[1]

Parts = Mapping[str, Callable[[], str]]


def _fence(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def _example(name: str, language: str) -> str:
    return _fence(language, (ROOT / "docs" / "examples" / name).read_text(encoding="utf-8"))


def _formats() -> str:
    rows = (
        f"| `{name}` | `{one.media_type}` | {'yes' if one.takes_lanes else 'no'} |"
        for name, one in formats.FORMATS.items()
    )
    return "\n".join(("| `format` | media type | takes `lanes` |", "|---|---|---|", *rows))


PARTS: Mapping[str, Parts] = {
    "README.md": {
        "browser-client": lambda: _example("client.js", "js"),
        "python-client": lambda: _example("client.py", "python"),
    },
    "docs/clients.md": {"browser-client": lambda: _example("client.js", "js")},
    "docs/tasks.md": {
        "task-lifecycle": lambda: _fence("mermaid", tasks.diagram()),
        "export-formats": _formats,
        "csv-columns": lambda: _fence("text", ",".join(table.COLUMNS)),
    },
    "docs/classifiers/sidecar.md": {
        "sidecar-metrics": sidecar.table,
        "sidecar-example": lambda: _example("sidecar.py", "python"),
    },
    "docs/operations.md": {"session-lifecycle": lambda: _fence("mermaid", lifecycle.diagram())},
    "docs/protocol.md": protocol.PARTS,
}
"""Pages with generated parts, by path; each part by the name in its marker."""

WHOLE: Mapping[str, Callable[[], str]] = {
    "docs/cli.md": commands.reference,
    "docs/metrics.md": metrics.reference,
    "docs/settings.md": settings.reference,
}
"""Pages that are generated from the first line to the last, by path."""


def current(path: str, text: str) -> str:
    """What the page at `path`, which now reads `text`, should say.

    Raises:
        KeyError: the page isn't generated, or has a marker that names no part.
    """
    return WHOLE[path]() if path in WHOLE else protocol.update(text, PARTS[path])


def main() -> None:
    """Bring every page up to date, and name those that weren't."""
    for path in sorted([*PARTS, *WHOLE]):
        page = ROOT / path
        before = page.read_text(encoding="utf-8") if page.exists() else ""
        after = current(path, before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
