"""One operation of the API: a method of a route, what it takes, what it answers, what it refuses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from gateway.api.described import schema as s
from gateway.api.described.schema import Schema
from gateway.api.problems import PROBLEM_TYPE
from gateway.api.query import WholeNumber

Refusals = Mapping[HTTPStatus, tuple[str, ...]]
"""The problem codes of each status."""

JSON = "application/json"

EVERYWHERE: Refusals = {
    HTTPStatus.FORBIDDEN: ("origin_not_allowed",),
    HTTPStatus.MISDIRECTED_REQUEST: ("unknown_host",),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal",),
}
BODY: Refusals = {
    HTTPStatus.BAD_REQUEST: ("malformed_body",),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("body_too_large",),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("unsupported_media_type",),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("invalid_field",),
}
"""Of an operation that reads a body."""


class Access(StrEnum):
    """Who may use it where keys are on."""

    ANYBODY = "anybody"
    KEY = "key"
    """Whoever has a key."""
    KEY_OR_HASH = "key or hash"
    """The same; a `key_hash` in the body will do."""
    KEY_OR_TICKET = "key or ticket"
    """Whoever has a key, a ticket or a resume token."""
    LEGACY = "legacy"
    """Anybody, where a namespace is named for the older routes; else nobody."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something in the path, the query or the headers."""

    name: str
    schema: Schema
    description: str
    place: str = "query"

    @classmethod
    def of(cls, declared: WholeNumber, description: str) -> "Parameter":
        """The declaration that the route reads by."""
        return cls(
            declared.name,
            {**s.whole(declared.low, declared.high), "default": declared.default},
            description,
        )

    def written(self) -> dict[str, Any]:
        """As a Parameter Object."""
        return {
            "name": self.name,
            "in": self.place,
            "required": self.place == "path",
            "description": self.description,
            "schema": self.schema,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said where it goes well."""

    description: str
    schema: Schema | None = None
    """None where there is no body."""
    media_types: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()

    def written(self) -> dict[str, Any]:
        """As a Response Object."""
        answer: dict[str, Any] = {"description": self.description}
        if self.headers:
            answer["headers"] = {name: {"schema": s.STRING} for name in self.headers}
        if self.schema is not None:
            answer["content"] = {kind: {"schema": self.schema} for kind in self.media_types}
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a route."""

    method: str
    path: str
    name: str
    """The `operationId`."""
    tag: str
    summary: str
    answers: Mapping[HTTPStatus, Answer]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    body_required: bool = False
    refusals: Refusals
    """Beside those of `EVERYWHERE`, of bodies and of access."""
    access: Access = Access.ANYBODY
    deprecated: bool = False

    def written(self, *, keyed: bool) -> dict[str, Any]:
        """As an Operation Object; `keyed` where keys are on."""
        found: dict[str, Any] = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": self._responses(keyed=keyed),
        }
        if self.description:
            found["description"] = self.description
        if self.parameters:
            found["parameters"] = [one.written() for one in self.parameters]
        if self.body is not None:
            found["requestBody"] = {"required": self.body_required, "content": {JSON: {"schema": self.body}}}
        if self.deprecated:
            found["deprecated"] = True
        if keyed:
            found["security"] = _SECURITY[self.access]
        return found

    def _responses(self, *, keyed: bool) -> dict[str, Any]:
        answers = {str(int(status)): answer.written() for status, answer in self.answers.items()}
        refused: dict[HTTPStatus, list[str]] = {}
        for refusals in self._refusals(keyed=keyed):
            for status, codes in refusals.items():
                known = refused.setdefault(status, [])
                known += [code for code in codes if code not in known]
        for status in sorted(refused):
            key = str(int(status))
            answers[key] = _or(answers.get(key), _problem(status, refused[status]))
        return answers

    def _refusals(self, *, keyed: bool) -> Iterator[Refusals]:
        yield EVERYWHERE
        yield self.refusals
        if self.body is not None:
            yield BODY
        if keyed and self.access is not Access.ANYBODY:
            hashed = ("invalid_key_hash",) if self.access is Access.KEY_OR_HASH else ()
            yield {HTTPStatus.UNAUTHORIZED: ("unauthorized", *hashed)}


_SECURITY: Mapping[Access, list[dict[str, list[str]]]] = {
    Access.ANYBODY: [],
    Access.KEY: [{"key": []}],
    Access.KEY_OR_HASH: [{"key": []}, {}],
    Access.KEY_OR_TICKET: [{"key": []}, {"ticket": []}],
    Access.LEGACY: [],
}

_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def _problem(status: HTTPStatus, codes: list[str]) -> dict[str, Any]:
    schema = {"allOf": [s.ref("Problem"), {"properties": {"code": s.one_of(codes)}}]}
    headers: tuple[str, ...] = ()
    if status in _LATER:
        headers = ("retry-after",)
    elif status is HTTPStatus.UNAUTHORIZED:
        headers = ("www-authenticate",)
    return Answer(f"{status.phrase}: {', '.join(codes)}", schema, (PROBLEM_TYPE,), headers).written()


def _or(answer: dict[str, Any] | None, problem: dict[str, Any]) -> dict[str, Any]:
    """A status that may be an answer or a problem is told by the content's type."""
    if answer is None:
        return problem
    return {**answer, "content": {**answer.get("content", {}), **problem["content"]}}
