"""The description as a page for people: nothing is loaded, nothing is run."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from gateway.tasks.report.markup import Markup, Node, element

Document = Mapping[str, Any]


def page(document: Document) -> str:
    """The whole page."""
    info = document["info"]
    title = f"{info['title']}: the HTTP API"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        Markup(f"<style>{_sheet()}</style>"),
    )
    tags = [tag["name"] for tag in document["tags"]]
    body = element(
        "body",
        element("a", "Skip to the description", href="#main", class_="skip"),
        element("header", element("h1", title), *_about(document)),
        _contents(tags),
        element(
            "main",
            *[_section(document, tag) for tag in tags],
            _schemas(document["components"]["schemas"]),
            id="main",
            tabindex=-1,
        ),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en").text + "\n"


@cache
def policy() -> str:
    """The page's Content-Security-Policy: its own style sheet, known by its hash, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_sheet().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


@cache
def _sheet() -> str:
    return files(__package__).joinpath("page.css").read_text(encoding="utf-8")


def _about(document: Document) -> Iterator[Node]:
    info = document["info"]
    yield element("p", *_prose(info["description"]))
    server = document["servers"][0]["url"]
    yield element("p", "Version ", info["version"], " at ", element("code", server), ".")
    rest, socket = [element("a", path[1:], href=path) for path in ("/openapi.json", "/asyncapi.json")]
    yield element("p", "For machines: ", rest, ", and ", socket, " of the WebSocket.")


def _contents(tags: list[str]) -> Markup:
    links = [element("li", element("a", tag, href=f"#{_key(tag)}")) for tag in [*tags, "Schemas"]]
    return element("nav", element("ul", *links, role="list"), aria_label="Contents")


def _section(document: Document, tag: str) -> Markup:
    found = [
        _operation(method, path, one)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
        if tag in one["tags"]
    ]
    return element("section", element("h2", tag, id=_key(tag)), *found)


def _operation(method: str, path: str, one: Mapping[str, Any]) -> Markup:
    old = element("span", "deprecated", class_="old") if one.get("deprecated") else None
    heading = element("span", method.upper(), class_=f"method {method}")
    return element(
        "article",
        element("h3", heading, " ", element("code", path), " ", old, id=one["operationId"]),
        element("p", f"{one['summary']}. ", *_prose(one.get("description", ""))),
        _access(one.get("security")),
        *_parameters(one.get("parameters", [])),
        *_body(one.get("requestBody")),
        element("h4", "Answers"),
        element("dl", *[_answer(status, told) for status, told in one["responses"].items()]),
    )


def _access(security: list[dict[str, Any]] | None) -> Markup | None:
    if security is None:
        return None
    ways = [" and ".join(way) or "what the body says" for way in security]
    return element("p", f"Let in by: {' or '.join(ways)}." if ways else "Needs no key.", class_="access")


def _parameters(parameters: list[Mapping[str, Any]]) -> Iterator[Markup]:
    if not parameters:
        return
    yield element("h4", "Parameters")
    yield element(
        "dl",
        *[
            _pair(one["name"], [one["in"], ": ", *_kind(one["schema"])], one["description"])
            for one in parameters
        ],
    )


def _body(body: Mapping[str, Any] | None) -> Iterator[Markup]:
    if body is None:
        return
    ((kind, content),) = body["content"].items()
    yield element("h4", "Body" if body["required"] else "Body, which may be left out")
    yield element("p", element("code", kind), " ", *_kind(content["schema"]))


def _answer(status: str, answer: Mapping[str, Any]) -> Markup:
    told = _prose(answer["description"])
    for kind, content in answer.get("content", {}).items():
        told += [" ", element("code", kind)]
        if "$ref" in content["schema"]:
            told += [" ", *_kind(content["schema"])]
    return _pair(status, told, None)


def _schemas(schemas: Mapping[str, Any]) -> Markup:
    parts = [
        element("article", element("h3", name, id=f"schema-{name}"), *_shape(schema))
        for name, schema in schemas.items()
    ]
    return element("section", element("h2", "Schemas", id="schemas"), *parts)


def _shape(schema: Mapping[str, Any]) -> Iterator[Node]:
    if "description" in schema:
        yield element("p", *_prose(schema["description"]))
    for word, joint in (("allOf", "Also:"), ("anyOf", "Or:")):
        for number, part in enumerate(schema.get(word, [])):
            yield element("p", joint, class_="joint") if number else None
            yield from _shape(part) if "properties" in part else [element("p", *_kind(part))]
    if "properties" in schema:
        yield element("dl", *_fields(schema))


def _fields(schema: Mapping[str, Any]) -> Iterator[Markup]:
    required = schema.get("required", [])
    for name, one in schema["properties"].items():
        needed: list[Node] = ["required: "] if name in required else []
        yield _pair(name, [*needed, *_kind(one)], one.get("description"))


def _pair(name: str, kind: list[Node], description: str | None) -> Markup:
    more = [element("br"), *_prose(description)] if description else []
    return element("div", element("dt", element("code", name)), element("dd", *kind, *more))


def _kind(schema: Mapping[str, Any]) -> list[Node]:
    """What a value may be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [element("a", name, href=f"#schema-{name}")]
    if "anyOf" in schema:
        told: list[Node] = []
        for one in schema["anyOf"]:
            told += [" or " if told else "", *_kind(one)]
        return told
    told = [_type(schema), *_bounds(schema)]
    if "items" in schema:
        told += [" of ", *_kind(schema["items"])]
    if "properties" in schema:
        told += [" with ", ", ".join(schema["properties"])]
    if schema.get("default") is not None:
        told += ["; default ", element("code", json.dumps(schema["default"]))]
    return told


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(one) for one in schema["enum"])
    kind = schema.get("type", "anything")
    return kind if isinstance(kind, str) else " or ".join(kind)


def _bounds(schema: Mapping[str, Any]) -> Iterator[Node]:
    if "minimum" in schema and "maximum" in schema:
        yield f", {schema['minimum']} to {schema['maximum']}"
    elif "minimum" in schema:
        yield f", at least {schema['minimum']}"
    if "maxLength" in schema:
        yield f", at most {schema['maxLength']} characters"
    if "pattern" in schema:
        yield ", like "
        yield element("code", schema["pattern"])


def _prose(text: str) -> list[Node]:
    """Text in which code stands between backticks."""
    return [element("code", part) if at % 2 else part for at, part in enumerate(text.split("`"))]


def _key(tag: str) -> str:
    return tag.lower().replace(" ", "-")
