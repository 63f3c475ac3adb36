"""One table of a TOML file, read field by field: what is wrong is told with the field's full name."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from gateway.classify.onnx.errors import ModelError
from gateway.config.problems import did_you_mean, one_of, shown

MAX_TEXT = 200
"""Characters of a name or a note."""
MAX_TEXTS = 1_000

E = TypeVar("E", bound=StrEnum)


class Table:
    """The fields of one table; whoever has taken all that it knows calls `finish`."""

    def __init__(self, name: str, given: Mapping[str, object]) -> None:
        self._name = name
        self._given = given
        self._known: list[str] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Of the fields that were given."""
        return tuple(self._given)

    def finish(self) -> None:
        """Refuse what nobody asked for."""
        for key in self._given:
            if key not in self._known:
                raise ModelError(self._full(shown(key)), "is not a field", did_you_mean(key, self._known))

    def holds_text(self, key: str) -> bool:
        return isinstance(self._given.get(key), str)

    def text(self, key: str, default: str | None = None) -> str:
        """One line."""
        value = self._take(key, default)
        return self._line(key, value)

    def texts(self, key: str, default: tuple[str, ...] | None) -> tuple[str, ...]:
        """A list of lines, at least one, all different."""
        value = self._take(key, default)
        if not isinstance(value, Sequence) or isinstance(value, str) or not 0 < len(value) <= MAX_TEXTS:
            raise ModelError(self._full(key), f"must be a list of 1 to {MAX_TEXTS} texts")
        lines = tuple(self._line(key, one) for one in value)
        if len(set(lines)) < len(lines):
            twice = next(line for line in lines if lines.count(line) > 1)
            raise ModelError(self._full(key), f"names {shown(twice)} twice")
        return lines

    def number(self, key: str, low: float, high: float, default: float) -> float:
        value = self._take(key, default)
        if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]
            raise ModelError(self._full(key), f"must be a number from {low:g} to {high:g}")
        return float(value)  # type: ignore[arg-type]

    def whole(self, key: str, low: int, high: int, default: int | None) -> int | None:
        if key not in self._given:
            self._known.append(key)
            return default
        value = self._take(key)
        if type(value) is not int or not low <= value <= high:
            raise ModelError(self._full(key), f"must be a whole number from {low} to {high}")
        return value

    def pair(self, key: str, default: tuple[float, float]) -> tuple[float, float]:
        """Two numbers of ordinary size."""
        value = self._take(key, default)
        right = isinstance(value, Sequence) and len(value) == 2
        numbers = list(value) if right and isinstance(value, Sequence) else []
        if not numbers or any(type(one) not in (int, float) or not abs(one) <= 1e9 for one in numbers):
            raise ModelError(self._full(key), "must be two numbers, such as [0.0, 1.0]")
        return float(numbers[0]), float(numbers[1])

    def choice(self, key: str, of: type[E], default: E) -> E:
        return self._member(key, of, self._take(key, default))

    def choices(self, key: str, of: type[E], default: tuple[E, ...]) -> tuple[E, ...]:
        return tuple(self._member(key, of, one) for one in self.texts(key, default))

    def table(self, key: str) -> "Table | None":
        """The table inside, where there is one."""
        if key not in self._given:
            self._known.append(key)
            return None
        return self.required(key)

    def required(self, key: str) -> "Table":
        """The table inside."""
        value = self._take(key)
        if not isinstance(value, Mapping):
            raise ModelError(self._full(key), "must be a table")
        return Table(self._full(key), value)

    def _take(self, key: str, default: object = None) -> object:
        self._known.append(key)
        value = self._given.get(key, default)
        if value is None:
            slips = [one for one in self._given if did_you_mean(one, [key])]
            raise ModelError(self._full(key), "is missing", f"{shown(slips[0])} is no field" if slips else "")
        return value

    def _line(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            raise ModelError(self._full(key), "must be text")
        if len(value) > MAX_TEXT or not value.isprintable():
            raise ModelError(self._full(key), f"must be one line of at most {MAX_TEXT} characters")
        if not value and key in self._given:
            raise ModelError(self._full(key), "must not be empty")
        return value

    def _member(self, key: str, of: type[E], value: object) -> E:
        words = [one.value for one in of]
        if value not in words:
            hint = did_you_mean(str(value), words)
            raise ModelError(self._full(key), f"must be {one_of(words)}, not {shown(value)}", hint)
        return of(value)

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key
