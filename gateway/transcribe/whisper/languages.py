"""Whisper's language codes and BCP 47 tags."""

from collections.abc import Collection
from typing import Final

_CODES: Final = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw "
    "he hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt "
    "my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl "
    "tr tt uk ur uz vi yi yo yue zh"
)
_OTHERWISE: Final = (
    "jv:jw iw:he in:id ji:yi mo:ro nb:no fil:tl "
    "cmn:zh arb:ar pes:fa prs:fa swh:sw zsm:ms uzn:uz lvs:lv "
    "eng:en deu:de ger:de fra:fr fre:fr spa:es ita:it por:pt nld:nl dut:nl pol:pl rus:ru ukr:uk tur:tr "
    "jpn:ja kor:ko zho:zh chi:zh ara:ar hin:hi swe:sv dan:da fin:fi nor:no"
)
"""Primary subtags that Whisper writes in another way: newer and older ones, and three letters for two."""

LANGUAGES: Final = frozenset(_CODES.split())
"""Codes that Whisper has tokens for; a model may lack the youngest one, `yue`."""
_PRIMARY: Final = {tag: code for tag, _, code in (pair.partition(":") for pair in _OTHERWISE.split())}
_TAGS: Final = {"jw": "jv"}


def whisper_code(tag: str, known: Collection[str] = LANGUAGES) -> str | None:
    """The code among `known` for a BCP 47 tag, or None.

    `de-AT` is `de`, `nb-NO` is `no`, and `zh-HK` is `yue` where that is known.
    """
    primary, *others = tag.replace("_", "-").lower().split("-")
    if primary == "zh" and {"yue", "hk", "mo"} & set(others) and "yue" in known:
        return "yue"
    code = _PRIMARY.get(primary, primary)
    return code if code in known else None


def bcp47(code: str) -> str:
    """The BCP 47 tag of one of Whisper's codes."""
    return _TAGS.get(code, code)
