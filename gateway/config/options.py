"""Settings as dataclass fields: read from the environment and TOML, checked one by one and together."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.kinds import Kind
from gateway.config.problems import HIDDEN, Problem, Refused, did_you_mean, shown, whole

PREFIX = "UNDERTONE_"
CONFIG = f"{PREFIX}CONFIG"
"""Names the TOML file; the only variable with the prefix that is not a setting."""


@dataclass(frozen=True, slots=True)
class Option:
    """What is known of a setting beside its name and its default."""

    kind: Kind
    help: str
    group: str
    unit: str = ""
    alias: str | None = None
    """Another environment variable that is read where the proper one is not set."""
    secret: bool = False
    """Its value is never shown."""
    default_text: str = ""
    """How the default is told where it depends on the machine."""

    def show(self, value: object) -> str:
        """`value` fit for people and logs."""
        return HIDDEN if self.secret else whole(value)


def setting(default: Any, kind: Kind, group: str, help: str, **more: Any) -> Any:
    """A dataclass field that is a setting; a callable default is called when the settings are made."""
    metadata = {"option": Option(kind, help, group, **more)}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def option_of(one: Field[Any]) -> Option:
    """What was declared with `setting`."""
    found: Option = one.metadata["option"]
    return found


def default_of(one: Field[Any]) -> Any:
    """The default, made now where it depends on the machine."""
    if one.default_factory is not MISSING:
        return one.default_factory()
    return one.default


def variable(name: str) -> str:
    """The environment variable of field `name`."""
    return PREFIX + name.upper()


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold between settings that are each in range."""

    names: tuple[str, ...]
    """The settings concerned; the first is the one to blame."""
    holds: Callable[..., bool]
    """Takes their values in that order."""
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Given:
    """A value and what its owner calls it."""

    name: str
    value: object
    as_text: bool = False
    """It comes from the environment, where everything is text."""


@dataclass(frozen=True, slots=True)
class Schema:
    """All settings there are, and the rules between them."""

    fields: Mapping[str, Field[Any]]
    rules: Sequence[Rule] = ()

    @property
    def options(self) -> dict[str, Option]:
        """What was declared, by name of the field."""
        return {name: option_of(one) for name, one in self.fields.items()}

    def from_environ(self, environ: Mapping[str, str]) -> tuple[dict[str, Given], list[Problem]]:
        """What the environment sets, and its names that nobody knows."""
        names = {variable(name): name for name in self.fields}
        given: dict[str, Given] = {}
        problems: list[Problem] = []
        for name, option in self.options.items():
            if option.alias and environ.get(option.alias, "").strip():
                given[name] = Given(option.alias, environ[option.alias].strip(), as_text=True)
        for key in sorted(environ):
            text = environ[key].strip()
            if not key.startswith(PREFIX) or key == CONFIG or not text:
                continue
            if key in names:
                given[names[key]] = Given(key, text, as_text=True)
            else:
                # The value stays unseen: a misspelt name may well be that of a secret.
                problems.append(Problem(key, None, "is not a setting", _hint_for_unknown(key, names)))
        return given, problems

    def from_toml(self, path: Path) -> tuple[dict[str, Given], list[Problem]]:
        """What the file sets, and its keys that nobody knows."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return {}, [Problem(str(path), None, f"can't be read: {reason}", f"check --config and {CONFIG}")]
        except ValueError as error:
            return {}, [Problem(str(path), None, f"is not valid TOML: {shown(error)}")]
        given: dict[str, Given] = {}
        problems: list[Problem] = []
        for key, value in content.items():
            told = f"{shown(key)} in {path}"
            if key in self.fields:
                given[key] = Given(told, value)
            else:
                problems.append(Problem(told, None, "is not a setting", did_you_mean(key, self.fields)))
        return given, problems

    def settle(self, given: Mapping[str, Given]) -> tuple[dict[str, Any], list[Problem]]:
        """The values in their final types, defaults included, and all that is wrong with them.

        A rule is tested only where each setting it concerns is right by itself.
        """
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, option in self.options.items():
            found = given.get(name)
            try:
                values[name] = default_of(self.fields[name]) if found is None else _read(option, found)
            except Refused as refused:
                assert found is not None
                value = shown(option.show(found.value))
                problems.append(Problem(found.name, value, refused.message, refused.hint))
        problems.extend(
            self._broken(rule, given, values)
            for rule in self.rules
            if all(name in values for name in rule.names)
            and not rule.holds(*(values[name] for name in rule.names))
        )
        return values, problems

    def _broken(self, rule: Rule, given: Mapping[str, Given], values: Mapping[str, Any]) -> Problem:
        blamed = rule.names[0]
        option = self.options[blamed]
        told = given[blamed].name if blamed in given else variable(blamed)
        return Problem(told, shown(option.show(option.kind.write(values[blamed]))), rule.message, rule.hint)


_KUBERNETES = re.compile(PREFIX + r"(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP))")
_KUBERNETES_HINT = "Kubernetes adds it for a service called undertone: set enableServiceLinks: false"


def _hint_for_unknown(key: str, names: Mapping[str, str]) -> str:
    return _KUBERNETES_HINT if _KUBERNETES.match(key) else did_you_mean(key, names, prefix=PREFIX)


def _read(option: Option, found: Given) -> Any:
    if not found.as_text:
        return option.kind.check(found.value)
    text = str(found.value)
    if text.startswith("tcp://"):
        raise Refused("is an address", _KUBERNETES_HINT)
    return option.kind.read(text)
