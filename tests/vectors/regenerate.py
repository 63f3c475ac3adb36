"""Write the golden vectors anew, after a deliberate change of v1: `python -m tests.vectors.regenerate`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protocol.codec import encode_control, encode_event
from protocol.version import Encoding
from tests.vectors.messages import CONTROLS, EVENTS

HERE = Path(__file__).parent


def event_vectors() -> list[dict[str, Any]]:
    """Name, fields (as any JSON parser sees them), and the exact bytes in both encodings."""
    vectors = []
    for name, event in EVENTS.items():
        text = encode_event(event, Encoding.JSON).decode()
        packed = encode_event(event, Encoding.MSGPACK).hex()
        vectors.append({"name": name, "fields": json.loads(text), "msgpack": packed, "json": text})
    return vectors


def control_vectors() -> list[dict[str, Any]]:
    """Name, fields and the exact JSON text."""
    vectors = []
    for name, message in CONTROLS.items():
        text = encode_control(message)
        vectors.append({"name": name, "fields": json.loads(text), "json": text})
    return vectors


def written(vectors: Sequence[dict[str, Any]]) -> str:
    """A vector file's content."""
    return json.dumps(vectors, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write both files."""
    (HERE / "events.json").write_text(written(event_vectors()), encoding="utf-8")
    (HERE / "controls.json").write_text(written(control_vectors()), encoding="utf-8")


if __name__ == "__main__":
    main()
