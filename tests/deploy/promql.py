"""PromQL as Prometheus' own tool reads it, and the names in it."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import yaml

from gateway.telemetry.metrics import FAMILIES
from tests.needs import need_command

_OF_THE_CLIENT = frozenset(
    {
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
    }
)
"""Names that prometheus-client's own collector gives."""
_OF_PROMETHEUS = frozenset({"up"})
_HISTOGRAM = ("_bucket", "_sum", "_count")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_OF_TARGETS = frozenset({"job", "instance", "le"})


def known() -> dict[str, frozenset[str]]:
    """Every name that can be asked for, with the labels that it has by itself."""
    found = {name: frozenset[str]() for name in _OF_THE_CLIENT | _OF_PROMETHEUS}
    for family in FAMILIES:
        forms = [
            family.shown_name + suffix for suffix in (_HISTOGRAM if family.kind == "histogram" else ("",))
        ]
        found |= dict.fromkeys(forms, frozenset(family.label.split()))
    return found


def problems(expression: str) -> list[str]:
    """Metrics in `expression` that there are not, and labels that they don't have."""
    names = known()
    made_up = set(re.findall(r"\b(?:undertone|process)_\w+", expression)) - set(names)
    found = [f"there is no {name}" for name in sorted(made_up)]
    for name, inside in _SELECTOR.findall(expression):
        labels = {label for label, _ in _MATCHER.findall(inside)}
        wrong = labels - names.get(name, frozenset()) - _OF_TARGETS
        found += [f"{name} has no label {label}" for label in sorted(wrong)]
    return found


def check(expressions: Iterable[str], scratch: Path) -> str:
    """What `promtool check rules` has against them; empty where it takes them all.

    What only Grafana knows is replaced: `$__rate_interval` by five minutes, variables by names.
    """
    plain = [one.replace("$__rate_interval", "5m").replace("$", "") for one in expressions]
    rules = [{"record": f"one:{number}", "expr": one} for number, one in enumerate(plain)]
    file = scratch / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    command = [need_command("promtool"), "check", "rules", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if checked.returncode == 0 else checked.stdout + checked.stderr
