"""The description of the HTTP API: nothing is left out, and it says what the checks do."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Route

from gateway.api.body import BODY_FIELDS, OLD_NAMES, TEXT_FIELDS, new_session_from_body
from gateway.api.described.document import OPERATIONS, document
from gateway.api.described.operation import Access
from gateway.api.described.page import page, policy
from gateway.api.legacy_words import session_config
from gateway.api.notes import CHECKPOINT_FIELDS, TICKET_FIELDS
from gateway.api.tasks import FIELDS as TASK_FIELDS
from gateway.tasks.export.formats import FORMATS
from gateway.tasks.export.lanes import Lane
from gateway.tasks.recipes import recipe
from protocol.control import SessionConfig
from protocol.errors import ProtocolError
from tests.gateway.inprocess import node

SERVER = "https://voice.example"
OPEN = document(SERVER, "1.2.3", keyed=False)
KEYED = document(SERVER, "1.2.3", keyed=True)
METHODS = {"get", "post", "delete"}


def validator(name: str) -> Any:
    """Checks values against a named schema."""
    components = {"components": OPEN["components"]}
    return jsonschema_rs.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **components})


def accepted(read: Callable[[Any], object], value: object) -> bool:
    """Whether the gateway takes it."""
    try:
        read(value)
    except ProtocolError:
        return False
    return True


def test_every_route_is_described() -> None:
    """A new route needs its line in the description, and nothing is described that isn't there."""
    served = {
        (method, route.path)
        for route in node().app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert {(one.method, one.path) for one in OPERATIONS} == served
    assert len(OPERATIONS) == len(served)


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_says_enough(one: Any) -> None:
    """A summary, an answer where it goes well, every parameter of the path, problems with codes."""
    written = KEYED["paths"][one.path][one.method.lower()]
    assert written["summary"]
    assert any(status.startswith("2") for status in written["responses"])
    named = {it["name"] for it in written.get("parameters", ()) if it["in"] == "path"}
    assert named == set(re.findall(r"{(\w+)}", one.path))
    assert all(it["description"] and it["schema"] for it in written.get("parameters", ()))
    for status, answer in written["responses"].items():
        assert answer["description"]
        if status[0] in "45" and "application/problem+json" in answer["content"]:
            schema = answer["content"]["application/problem+json"]["schema"]
            assert schema["allOf"][1]["properties"]["code"]["enum"]


def test_names_are_unique() -> None:
    """Generated clients make a function of each operation."""
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)


def test_references_lead_somewhere_and_schemas_are_schemas() -> None:
    """Each `$ref` names a schema that is there, and each of those is valid JSON Schema 2020-12."""
    schemas = OPEN["components"]["schemas"]
    assert set(references(OPEN)) == {f"#/components/schemas/{name}" for name in schemas}
    for name in schemas:
        assert validator(name)


def references(value: object) -> Iterator[str]:
    """Every `$ref` in there."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_who_is_let_in() -> None:
    """Where keys are on, whatever isn't for anybody names the key; in the open nothing does."""
    for one in OPERATIONS:
        written = KEYED["paths"][one.path][one.method.lower()]
        assert bool(written["security"]) is (one.access not in (Access.ANYBODY, Access.LEGACY))
        assert ("401" in written["responses"]) is (one.access is not Access.ANYBODY)
        assert "security" not in OPEN["paths"][one.path][one.method.lower()]
    assert set(KEYED["components"]["securitySchemes"]) == {"key", "ticket"}
    assert "securitySchemes" not in OPEN["components"]


def test_the_older_routes_are_deprecated() -> None:
    """And only they."""
    for one in OPERATIONS:
        older = one.path.startswith("/session/") or one.path == "/health"
        assert OPEN["paths"][one.path][one.method.lower()].get("deprecated", False) is older


# What may be sent -------------------------------------------------------------------------------------------

JSON = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
EDGES = st.sampled_from(
    [0, 1, 2, 3, 8, 9, 99, 100, 199, 200, 1_000, 5_000, 5_001, 7_999, 8_000, 48_000, 48_001]
)
TEXTS = st.sampled_from(
    ["", "en", "en-GB", "e", "a b", "é", "tab\t", "\u200b", "x" * 128, "x" * 129, "a" * 64]
)
WORDS = st.sampled_from(["pcm_s16le", "lossless", "realtime", "tone", "mulaw"])
LISTS = st.lists(WORDS | JSON, max_size=3)
VALUES = (
    JSON | EDGES | TEXTS | WORDS | LISTS | st.floats(-0.5, 1.5) | st.dictionaries(st.text(), JSON, max_size=2)
)

new_session = validator("NewSession")


def whole_floats(value: object) -> bool:
    """`1.0`, which the body's reader has made 1 before anything looks at it."""
    return isinstance(value, float) and value.is_integer()


@given(st.dictionaries(st.sampled_from(sorted(BODY_FIELDS)), VALUES, max_size=3))
def test_a_new_session_is_described_as_it_is_checked(body: dict[str, Any]) -> None:
    """The schema and the gateway agree on every body but those that contradict themselves."""
    body = {name: int(one) if whole_floats(one) else one for name, one in body.items()}
    described = new_session.is_valid(body)
    if described and contradicts(body):
        described = False
    assert accepted(new_session_from_body, body) is described


def contradicts(body: Mapping[str, Any]) -> bool:
    """A hop over its window, two names of one thing that differ, or one that can't be printed."""
    if any(
        isinstance(body.get(name), str) and not body[name].isprintable()
        for name in (*TEXT_FIELDS, *OLD_NAMES)
    ):
        return True
    window = body.get("window_ms")
    too_far = (body.get("hop_ms") or 0) > (SessionConfig().window_ms if window is None else window)
    return too_far or len({body.get("device_type"), body.get("agent_type")} - {None}) > 1


@pytest.mark.parametrize("described", [OPEN, KEYED], ids=["open", "keyed"])
def test_every_validator_can_read_the_patterns(described: dict[str, Any]) -> None:
    """Python's regular expressions, too, which know no `\\p`."""

    def patterns(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            yield from [one for name, one in node.items() if name == "pattern" and isinstance(one, str)]
            for one in node.values():
                yield from patterns(one)
        elif isinstance(node, list):
            for one in node:
                yield from patterns(one)

    found = list(patterns(described))
    assert found
    for pattern in found:
        re.compile(pattern)


def test_every_setting_has_its_bounds_and_its_default() -> None:
    """Defaults stand in the description as they are in force."""
    properties = OPEN["components"]["schemas"]["NewSession"]["properties"]
    assert set(properties) == BODY_FIELDS
    for name, value in SessionConfig().to_dict().items():
        assert properties[name]["default"] == value


def test_fields_are_those_that_are_read() -> None:
    """Of the smaller bodies, too."""
    schemas = OPEN["components"]["schemas"]
    assert set(schemas["NewCheckpoint"]["properties"]) == set(CHECKPOINT_FIELDS)
    assert set(schemas["NewTicket"]["properties"]) == set(TICKET_FIELDS)
    for one in schemas["NewTask"]["anyOf"]:
        assert set(one["properties"]) == set(TASK_FIELDS)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from([*FORMATS, "html", "svg", "pdf"]) | st.none(),
        "lanes": st.lists(st.sampled_from([*Lane, "moon"]), max_size=6) | st.none(),
        "other": st.none(),
    },
)
new_task = validator("NewTask")


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["export", "report", "summary", "dance"])},
        optional={"options": OPTIONS | st.none()},
    )
)
def test_a_task_is_described_as_it_is_checked(body: dict[str, Any]) -> None:
    """Which options there are, for each type and format."""
    taken = accepted(lambda it: recipe(it["type"], it.get("options")), body)
    assert taken is new_task.is_valid(body)


legacy_start = validator("LegacyStart")


@given(
    st.dictionaries(
        st.sampled_from(["elcor", "window_ms", "transcribe_lang", "num_speakers", "more"]), VALUES, max_size=3
    )
)
def test_an_older_start_is_described_as_it_is_checked(body: dict[str, Any]) -> None:
    """Numbers of any size, other fields, no language."""
    body = {name: int(one) if whole_floats(one) else one for name, one in body.items()}
    assert accepted(session_config, body) is legacy_start.is_valid(body)


# The page ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("described", [OPEN, KEYED], ids=["open", "keyed"])
def test_the_page_tells_all(described: dict[str, Any]) -> None:
    """Every operation, field and schema stands on it, and links lead somewhere."""
    text = page(described)
    root = ElementTree.fromstring(text.partition("\n")[2])
    ids = {it.get("id") for it in root.iter() if it.get("id")}
    assert {one.name for one in OPERATIONS} <= ids
    assert {f"schema-{name}" for name in described["components"]["schemas"]} <= ids
    links = {it.get("href", "") for it in root.iter("a")}
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    assert {link for link in links if not link.startswith("#")} == {"/openapi.json", "/asyncapi.json"}
    words = "".join(root.itertext())
    assert all(one.summary in words for one in OPERATIONS)
    assert all(name in words for name in BODY_FIELDS)
    assert SERVER in words
    assert "`" not in words


def test_nothing_runs_and_nothing_is_loaded() -> None:
    """The one style sheet is known by its hash; there is no script, image or frame."""
    root = ElementTree.fromstring(page(OPEN).partition("\n")[2])
    assert {it.tag for it in root.iter()}.isdisjoint({"script", "img", "link", "iframe", "object", "form"})
    names = {name for it in root.iter() for name in it.attrib}
    assert not [name for name in names if name == "style" or name.startswith("on")]
    (sheet,) = root.iter("style")
    digest = base64.b64encode(hashlib.sha256((sheet.text or "").encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy()
    assert policy().startswith("default-src 'none';")


def test_a_hostile_address_stays_text() -> None:
    """What a proxy says of the address is no markup."""
    text = page(document("https://<b>evil</b>", "1", keyed=False))
    assert "<b>" not in text
