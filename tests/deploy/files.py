"""The files of `deploy/`, read as their programs read them, and what they have in common with the gateway."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from gateway.commands.parsers import parse
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
KUBERNETES = DEPLOY / "kubernetes"

Document = dict[str, Any]


def load(path: Path) -> Document:
    """The one document of a file."""
    found: Document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def load_all(path: Path) -> list[Document]:
    """All documents of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def settle(environment: Mapping[str, str], moved: Mapping[str, Path]) -> Settings:
    """The settings of a container whose files are elsewhere here; raises SettingsError.

    Args:
        moved: for the path of a file in a container, where that file is now.
    """
    return Settings.load({name: str(moved.get(value, value)) for name, value in environment.items()})


def command_of(arguments: list[str]) -> str:
    """The command of `undertone` that these arguments are; exits where they are none."""
    name: str = parse(arguments).command
    return name


def seconds(text: str) -> float:
    """A duration as Compose writes it: `30s`, `1m`."""
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def lines(text: str) -> Iterator[str]:
    """What is neither empty nor a comment."""
    return (line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
