"""Parameters of a URL's query, declared once: read by the routes, told by the description of the API."""

from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request

from gateway.api.problems import Problem


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A whole number within [low, high], in decimal digits."""

    name: str
    default: int
    low: int
    high: int

    def read(self, request: Request) -> int:
        """What the request says, or the default.

        Raises:
            Problem: 422 `invalid_field`, naming it.
        """
        text = request.query_params.get(self.name)
        if text is None:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) <= 16 and self.low <= int(text) <= self.high):
            raise bad_query(self.name, f"must be a whole number from {self.low} to {self.high}")
        return int(text)


def bad_query(name: str, why: str) -> Problem:
    """What is wrong with a parameter."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_field", f"{name} {why}", param=name)
