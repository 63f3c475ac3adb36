"""Languages by Whisper's codes and by BCP 47 tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcribe.whisper.languages import LANGUAGES, bcp47, whisper_code
from tests.needs import need_module


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("EN_us", "en"),
        ("eng", "en"),
        ("nb-NO", "no"),
        ("nn", "nn"),
        ("iw", "he"),
        ("jv", "jw"),
        ("zh-Hant-TW", "zh"),
        ("zh-HK", "yue"),
        ("yue", "yue"),
        ("cmn-Hans", "zh"),
        ("fil-PH", "tl"),
        ("xx", None),
        ("", None),
        ("-", None),
    ],
)
def test_a_tag_is_a_code_or_none(tag: str, code: str | None) -> None:
    """Regions and scripts don't matter, older and longer subtags are understood, others are told apart."""
    assert whisper_code(tag) == code


def test_a_model_without_cantonese_takes_it_for_chinese() -> None:
    """Only the youngest models have a code of its own for it."""
    older = LANGUAGES - {"yue"}
    assert whisper_code("zh-HK", older) == "zh"
    assert whisper_code("yue", older) is None


@given(st.sampled_from(sorted(LANGUAGES)))
def test_every_code_has_a_tag_that_leads_back(code: str) -> None:
    """What is detected can be asked for."""
    assert whisper_code(bcp47(code)) == code


def test_javanese_has_its_tag() -> None:
    """The one code of Whisper's that is no BCP 47 tag."""
    assert bcp47("jw") == "jv"


def test_the_codes_are_those_of_the_library() -> None:
    """None is missing, none made up."""
    need_module("faster_whisper")
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert set(_LANGUAGE_CODES) == LANGUAGES
