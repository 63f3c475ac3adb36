"""What an utterance's decoder is to know beforehand; goes over the pipe as text."""

import json
from dataclasses import asdict, dataclass
from typing import Final

MAX_PROMPT: Final = 600
"""Characters. Whisper takes 223 tokens, and fewer leave more time for the words."""


@dataclass(frozen=True, slots=True)
class Hints:
    """How an utterance is to be decoded."""

    language: str | None = None
    """One of Whisper's codes; None to have it detected."""
    draft: bool = False
    """The utterance goes on: once, greedily, and without the places of words."""
    prompt: str = ""
    """Names and terms that may be spoken, as a sentence that came before."""

    def pack(self) -> str:
        """As text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def unpack(cls, text: str | None) -> "Hints":
        """What `pack` made; of nothing, no hints.

        Raises:
            ValueError: it isn't that.
        """
        if text is None:
            return cls()
        fields = json.loads(text)
        try:
            hints = cls(**fields)
        except TypeError as error:
            raise ValueError("these are no hints") from error
        language, prompt = hints.language, hints.prompt
        if not (language is None or isinstance(language, str)) or not isinstance(prompt, str):
            raise ValueError("a hint isn't text")
        if type(hints.draft) is not bool or len(prompt) > MAX_PROMPT:
            raise ValueError("a hint is out of bounds")
        return hints
