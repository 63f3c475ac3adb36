"""What is generated in the documentation is what the code says today."""

import re

import pytest

from scripts import docs


@pytest.mark.parametrize("path", [*docs.PARTS, *docs.WHOLE])
def test_the_committed_page_is_current(path: str) -> None:
    """A change of the code that isn't in the page shows here; `make docs` mends it."""
    text = (docs.ROOT / path).read_text(encoding="utf-8")
    assert docs.current(path, text) == text


@pytest.mark.parametrize("path", docs.PARTS)
def test_every_part_is_on_its_page_once(path: str) -> None:
    """A part whose marker got lost would never be renewed."""
    text = (docs.ROOT / path).read_text(encoding="utf-8")
    assert sorted(re.findall(r"<!-- generated: (.+) -->", text)) == sorted(docs.PARTS[path])
    assert text.count("<!-- end -->") == len(docs.PARTS[path])
