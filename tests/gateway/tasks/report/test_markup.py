"""Text stays text."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.tasks.report.markup import Markup, clean, element, joined

HOSTILE = st.one_of(
    st.text(st.characters(), max_size=60),
    st.text(st.sampled_from("<>&\"'/=!-[]?`\x00\ud800\u202e\u2066\u2069\ufffe\u2028 abcstyle"), max_size=60),
    st.sampled_from(
        [
            "</p><script>alert(1)</script>",
            "]]></desc><script/>",
            '" onload="alert(1)',
            "' autofocus onfocus='alert(1)",
            "--><img src=x onerror=alert(1)>",
            "</style><style>*{display:none}",
            "</title></svg><a href='javascript:1'>",
            "&lt;script&gt;&#x3c;",
            "\u202eesrever\u2069",
        ]
    ),
)


class Reader(HTMLParser):
    """What a browser's tokenizer would make of it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_decl(self, decl: str) -> None:
        self.others.append(decl)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)


@given(HOSTILE, HOSTILE)
@example("\r\n", "\t")
def test_no_text_leaves_its_element_or_attribute(text: str, value: str) -> None:
    """Whatever is said, both kinds of parser read one element, one attribute and the text itself."""
    written = element("p", text, title=value).text
    written.encode()
    assert re.fullmatch(r'<p title="[^"<>]*">[^<>]*</p>', written)

    root = ElementTree.fromstring(written)
    assert (root.tag, list(root), root.text or "", root.attrib) == (
        "p",
        [],
        clean(text),
        {"title": clean(value)},
    )

    reader = Reader()
    reader.feed(written)
    reader.close()
    assert reader.tags == [("p", {"title": clean(value)})]
    assert ("".join(reader.text), reader.others) == (clean(text), [])


@given(HOSTILE)
def test_clean_text_is_fit_for_any_document(text: str) -> None:
    """Cleaned text has no controls, surrogates or overrides of direction, and is clean."""
    cleaned = clean(text)
    assert cleaned.encode().decode() == cleaned == clean(cleaned)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]", cleaned)


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"])))
def test_what_people_write_is_kept(text: str) -> None:
    """Letters, marks, digits, signs and spaces of any script pass as they are."""
    assert clean(text) == text


def test_attributes_are_named_as_documents_want_them() -> None:
    """Underscores become hyphens, the one that avoids a keyword goes, and None leaves an attribute out."""
    written = element("td", "x", class_="number", aria_label="a", colspan=2, title=None).text
    assert written == '<td class="number" aria-label="a" colspan="2">x</td>'
    assert element("rect", x=1.0, y=2.345, width=0.5).text == '<rect x="1" y="2.35" width="0.5"/>'


def test_markup_is_not_escaped_twice() -> None:
    """What is markup passes; None is nothing."""
    assert joined([Markup("<b></b>"), "<", None]).text == "<b></b>&lt;"
