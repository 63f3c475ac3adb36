"""What people write into the settings of a speech recogniser."""

from enum import StrEnum
from typing import Final

from gateway.config.problems import Refused

MAX_PROMPT: Final = 600
"""Characters of a hint at what may be spoken."""


class WhisperDevice(StrEnum):
    AUTO = "auto"
    """CUDA where there is such a device."""
    CPU = "cpu"
    CUDA = "cuda"


class WhisperComputeType(StrEnum):
    """As CTranslate2 names them."""

    AUTO = "auto"
    """The fastest that the device knows."""
    DEFAULT = "default"
    """What the model was converted to."""
    INT8 = "int8"
    INT8_FLOAT32 = "int8_float32"
    INT8_FLOAT16 = "int8_float16"
    INT8_BFLOAT16 = "int8_bfloat16"
    INT16 = "int16"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"

    @property
    def on_cpu(self) -> bool:
        """Whether every processor has it."""
        return "float16" not in self


def speech_model(text: str) -> str:
    """A directory, or a name that the hub may know; raises Refused."""
    if not text.isprintable() or text.startswith("-") or any(part in text for part in ("://", "*", "?")):
        raise Refused("must be a directory, or the name of a model on the hub")
    return text


def speech_prompt(text: str) -> str:
    """A hint at what may be spoken; raises Refused."""
    if len(text) > MAX_PROMPT or not text.isprintable() or not any(map(str.isalnum, text)):
        raise Refused(f"must be one line of words, of at most {MAX_PROMPT} characters")
    return text
