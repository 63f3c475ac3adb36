"""What docs/deployment.md says of the store's URL, compared with who reads it."""

import dataclasses
import re

import pytest

from gateway.stores.valkey.url import Kind, Target, parse
from tests.deploy.files import ROOT

TEXT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
PART = TEXT.partition("## The store URL\n")[2].partition("\n## ")[0]
(EXAMPLES,) = re.findall(r"^```\n(.+?)^```", PART, re.MULTILINE | re.DOTALL)
OPTIONS = {
    name: default
    for names, default in re.findall(r"^\| (`.+?`) \| (.+?) \| ", PART, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", names)
}
VALUES = {"prefix": "p", "timeout_s": "1.5", "connections": "3", "cert_file": "a", "key_file": "b"}


@pytest.mark.parametrize("line", EXAMPLES.splitlines())
def test_an_example_is_read(line: str) -> None:
    """As it stands there; and with the other name of the same."""
    url = line.split()[0]
    assert parse(url) == parse(url.replace("valkey", "redis", 1))


def test_every_kind_has_an_example() -> None:
    """With and without TLS, a password and a user."""
    found = [parse(line.split()[0]) for line in EXAMPLES.splitlines()]
    assert {one.kind for one in found} == set(Kind)
    assert {one.tls for one in found} == {True, False}
    logins = {(one.user is not None, one.password is not None) for one in found}
    assert logins == {(False, False), (False, True), (True, True)}


def test_every_option_is_there_with_its_default() -> None:
    """All that can't be said elsewhere in the URL."""
    elsewhere = {"kind", "addresses", "service", "db", "tls", "user", "password"}
    fields = {one.name: one.default for one in dataclasses.fields(Target) if one.name not in elsewhere}
    assert set(OPTIONS) == set(fields)
    for name, default in fields.items():
        said = OPTIONS[name].strip("`")
        if default is None:
            assert said in ("none", "the system's authorities")
        else:
            assert said == (default if isinstance(default, str) else f"{default:g}")
    query = "&".join(f"{name}={VALUES.get(name, 'x')}" for name in OPTIONS)
    assert parse(f"valkeys://host?{query}").connections == 3
