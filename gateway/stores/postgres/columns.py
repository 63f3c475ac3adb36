"""What may stand in a column: text that any client may have chosen, times, whole numbers.

PostgreSQL's text holds no NUL and nothing that isn't UTF-8, and an index no long rows. So text is escaped, by
a mapping under which different texts stay different, and which leaves nearly all of them as they are.
"""

import math
import re
from hashlib import sha256
from typing import Final

MAX_BYTES: Final = 512
"""Of a column's text; of what is longer, a column has the beginning and a digest."""
_LATEST_S: Final = 253_000_000_000.0
"""Seconds since the Unix epoch: in the year 9987, which every driver can show."""
_LARGEST: Final = 2**63 - 1

_escaped = re.compile("[\\\\\x00\n\ud800-\udfff]")
_unescaped = re.compile(r"\\(u[0-9a-f]{4}|.)")


def column(text: str) -> str:
    """`text` as a column has it."""
    safe = _escaped.sub(_escape, text)
    if len(safe) * 4 <= MAX_BYTES or len(safe.encode()) <= MAX_BYTES:
        return safe
    return f"{_escaped.sub(_escape, text[:32])}\\#{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def maybe_column(text: str | None) -> str | None:
    """The same, and None as it is."""
    return None if text is None else column(text)


def original(value: str) -> str:
    """The text of a column; what was too long stays as it is."""
    return _unescaped.sub(_unescape, value) if "\\" in value else value


def seconds(at: float) -> float:
    """Seconds since the Unix epoch, within what a timestamp can say."""
    return min(max(at, 0.0), _LATEST_S) if math.isfinite(at) else 0.0


def whole(number: int) -> int:
    """The nearest number that a bigint can say."""
    return min(max(number, -_LARGEST), _LARGEST)


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    return {"\\": "\\\\", "\0": "\\0", "\n": "\\n"}.get(char) or f"\\u{ord(char):04x}"


def _unescape(found: re.Match[str]) -> str:
    name = found.group(1)
    if len(name) == 5:
        return chr(int(name[1:], 16))
    return {"0": "\0", "n": "\n", "#": "\\#"}.get(name, name)
