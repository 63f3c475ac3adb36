"""The engine in this process: the real loading code, the real decoding, a tiny model."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gateway.transcribe.whisper.engine import SHORTEST, Load, Whisper, _credible
from gateway.transcribe.whisper.hints import MAX_PROMPT, Hints
from gateway.transcribe.worker import Result
from tests.gateway.transcribe.fakes import Samples, sound

SPEECH = sound([(3.0, True)])


@pytest.fixture(scope="module")
def engine(tiny_whisper: Path) -> Whisper:
    return Whisper(Load(str(tiny_whisper), "cpu", "float32"))


@pytest.mark.parametrize("score", ["avg_logprob", "no_speech_prob", "compression_ratio"])
def test_what_is_no_number_is_no_word(score: str) -> None:
    """Sums of 16-bit floats may overflow; a comparison with them says nothing."""
    sound_one = {"text": " yes", "avg_logprob": -0.2, "no_speech_prob": 0.1, "compression_ratio": 1.0}
    assert _credible(SimpleNamespace(**sound_one), Hints())
    assert not _credible(SimpleNamespace(**sound_one | {score: float("nan")}), Hints())


def decode(engine: Whisper, samples: Samples, hints: Hints | None = None) -> Result:
    engine.begin(None if hints is None else hints.pack())
    for start in range(0, len(samples), 1_600):
        engine.process(samples[start : start + 1_600].astype("<i2").tobytes())
    return engine.finish()


def test_speech_gives_words_in_order_inside_the_utterance(engine: Whisper) -> None:
    """Each with its place and probability; the text is the words."""
    found = decode(engine, SPEECH)
    assert found.text == " ".join(word for word, *_ in found.words)
    assert len(found.words) >= 4
    places = [at for _, start, end, _ in found.words for at in (start, end)]
    assert places == sorted(places)
    assert places[0] >= 0
    assert places[-1] <= len(SPEECH)
    assert all(0 <= share <= 1 for *_, share in found.words)
    assert found.confidence is not None
    assert 0 < found.confidence <= 1
    assert found.profile is None


def test_the_language_is_detected_and_told_as_a_tag(engine: Whisper) -> None:
    """This model hears German in everything; one that is asked for isn't doubted."""
    assert decode(engine, sound([(1.0, True)])).language == "de"
    assert decode(engine, SPEECH, Hints("jw")).language == "jv"


@pytest.mark.parametrize("level", [0, 1, 8])
def test_silence_makes_no_words(engine: Whisper, level: int) -> None:
    """Digital silence, the last bit's noise and a quiet room are nothing, with hints or without."""
    noise = np.random.default_rng(0).standard_normal(32_000) * level
    for hints in (None, Hints("en"), Hints("en", draft=True), Hints(prompt="takupi")):
        assert decode(engine, noise.astype(np.int16), hints) == Result([])


@pytest.mark.parametrize("samples", [0, 1, SHORTEST - 1])
def test_what_is_too_short_makes_no_words(engine: Whisper, samples: int) -> None:
    """A click isn't decoded at all."""
    assert decode(engine, SPEECH[:samples]) == Result([])


def test_a_draft_has_a_text_and_no_places(engine: Whisper) -> None:
    """It is asked for the text alone."""
    found = decode(engine, SPEECH, Hints("de", draft=True))
    assert found.text
    assert found.words == []


def test_more_speech_gives_more_words(engine: Whisper) -> None:
    """Which is why drafts are revised."""
    counts = [
        len((decode(engine, SPEECH[: seconds * 16_000], Hints("de", draft=True)).text or "").split())
        for seconds in (1, 2, 3)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_nobodys_words_depend_on_who_was_heard_before(engine: Whisper, tiny_whisper: Path) -> None:
    """A fresh engine, and one that has heard others and was interrupted, say the same to the last digit."""
    noise = sound([(2.0, True)], seed=7)
    decode(engine, noise)
    engine.begin(None)
    engine.process(noise.tobytes())
    engine.drop()
    fresh = Whisper(Load(str(tiny_whisper), "cpu", "float32"))
    assert decode(engine, SPEECH) == decode(fresh, SPEECH)


def test_the_longest_prompt_has_room(engine: Whisper) -> None:
    """Whisper takes the last of its tokens, and still has some for the words."""
    assert decode(engine, SPEECH, Hints("de", prompt="ä" * MAX_PROMPT)).text is not None


def test_an_english_only_model_needs_no_language(tiny_whisper_english: Path) -> None:
    """It is told as English."""
    found = decode(Whisper(Load(str(tiny_whisper_english), "cpu", "int8")), SPEECH)
    assert found.language == "en"
    assert found.words
