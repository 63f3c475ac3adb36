"""What a setting may be: each kind reads text and TOML values, checks them, and describes itself.

A kind raises `Refused`, never anything else, so that all that is wrong can be told at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from gateway.config.problems import Refused, did_you_mean, one_of

_AUTO: Final = "auto"


class Kind(Protocol):
    """What values a setting takes."""

    def read(self, text: str) -> Any:
        """The value written as `text`; raises Refused."""
        ...

    def check(self, value: object) -> Any:
        """`value`, out of TOML or code, in its final type; raises Refused."""
        ...

    def write(self, value: Any) -> str:
        """`value` as it would be written in an environment variable."""
        ...

    def describe(self) -> str:
        """The type and the range, for people."""
        ...


@dataclass(frozen=True, slots=True)
class Number:
    """A number within [low, high]."""

    low: float
    high: float
    whole: bool = False
    """Refuse fractions."""

    def read(self, text: str) -> int | float:
        try:
            return self.check(int(text) if self.whole else float(text))
        except ValueError as error:
            raise error if isinstance(error, Refused) else self._refusal() from None

    def check(self, value: object) -> int | float:
        right = type(value) is int or (type(value) is float and not self.whole)
        if not right or not self.low <= value <= self.high:  # type: ignore[operator]
            raise self._refusal()
        return value if self.whole else float(value)  # type: ignore[return-value, arg-type]

    def write(self, value: Any) -> str:
        return f"{value:.15g}"

    def describe(self) -> str:
        noun = "whole number" if self.whole else "number"
        return f"{noun}, {self.write(self.low)} to {self.write(self.high)}"

    def _refusal(self) -> Refused:
        return Refused(f"must be a {self.describe().replace(', ', ' from ', 1)}")


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    def read(self, text: str) -> bool:
        word = text.lower()
        if word in ("true", "1", "yes", "on"):
            return True
        if word in ("false", "0", "no", "off"):
            return False
        raise Refused("must be true or false")

    def check(self, value: object) -> bool:
        if type(value) is not bool:
            raise Refused("must be true or false")
        return value

    def write(self, value: Any) -> str:
        return "true" if value else "false"

    def describe(self) -> str:
        return "true or false"


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a list."""

    of: type[StrEnum]

    def read(self, text: str) -> StrEnum:
        return self.check(text.lower())

    def check(self, value: object) -> StrEnum:
        try:
            return self.of(value)  # type: ignore[arg-type]
        except ValueError:
            words = [one.value for one in self.of]
            raise Refused(f"must be {one_of(words)}", did_you_mean(str(value), words)) from None

    def write(self, value: Any) -> str:
        return str(value)

    def describe(self) -> str:
        return ", ".join(f"`{one.value}`" for one in self.of)


@dataclass(frozen=True, slots=True)
class Text:
    """Text that a function takes and brings into its final form."""

    parse: Callable[[str], Any]
    """Raises Refused."""
    what: str
    """What it is, for people."""

    def read(self, text: str) -> Any:
        return self.parse(text)

    def check(self, value: object) -> Any:
        if not isinstance(value, str):
            raise Refused(f"must be text: {self.what}")
        return self.parse(value)

    def write(self, value: Any) -> str:
        return str(value)

    def describe(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True)
class Many:
    """A list of texts, comma-separated in the environment; stored as a tuple."""

    parse: Callable[[str], Any]
    """Takes one of them; raises Refused. What it returns must survive `parse(str(it))`."""
    what: str
    """What they are, in the plural."""

    def read(self, text: str) -> tuple[Any, ...]:
        return tuple(self.parse(part.strip()) for part in text.split(",") if part.strip())

    def check(self, value: object) -> tuple[Any, ...]:
        if isinstance(value, str):
            return self.read(value)
        if not isinstance(value, list | tuple):
            raise Refused(f"must be a list of {self.what}")
        return tuple(self.parse(str(part)) for part in value)

    def write(self, value: Any) -> str:
        return ",".join(str(one) for one in value)

    def describe(self) -> str:
        return f"{self.what}, comma-separated"


@dataclass(frozen=True, slots=True)
class Maybe:
    """Another kind, or none at all."""

    kind: Kind

    def read(self, text: str) -> Any:
        return None if text.lower() == "none" else self.kind.read(text)

    def check(self, value: object) -> Any:
        return None if value is None else self.kind.check(value)

    def write(self, value: Any) -> str:
        return "none" if value is None else self.kind.write(value)

    def describe(self) -> str:
        return f"{self.kind.describe()}, or `none`"


@dataclass(frozen=True, slots=True)
class Auto:
    """Another kind, or left to the gateway: `auto`, which is None in code."""

    kind: Kind

    def read(self, text: str) -> Any:
        return None if text.lower() == _AUTO else self._checked(self.kind.read, text)

    def check(self, value: object) -> Any:
        return None if value is None or value == _AUTO else self._checked(self.kind.check, value)

    def write(self, value: Any) -> str:
        return _AUTO if value is None else self.kind.write(value)

    def describe(self) -> str:
        return f"{self.kind.describe()}, or `{_AUTO}`"

    def _checked(self, take: Callable[[Any], Any], value: object) -> Any:
        try:
            return take(value)
        except Refused as refused:
            raise Refused(f"{refused.message}, or {_AUTO}", refused.hint) from None
