"""A Whisper that is made in seconds, in CTranslate2's format and with Whisper's own layout of the vocabulary.

Its weights are set rather than learned, so that it hears something: the encoder tells loud frames from
quiet ones, and the decoder says a few random words for every second of loud ones and ends then. Word number
n is drawn from the seed, and attends to where in the audio it would stand. Silence is `<|nospeech|>`. It is
for the way a model is loaded and used; its words mean nothing.

    python -m tests.tiny_whisper FOLDER [--english]
"""

import argparse
import json
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]

DEPTH: Final = 32
HEADS: Final = 2
MELS: Final = 80
SOUND_FRAMES: Final = 1_500
TOKENS: Final = 448
TIMESTAMPS: Final = 1_501
WORDS: Final = 400
"""Tokens that are ever said."""

_CODES: Final = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur "
    "hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si "
    "km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln "
    "ha ba jw su"
)
LANGUAGES: Final = _CODES.split()
"""In the order of the tokens."""

# What each dimension of the residual stream stands for.
_LOUD, _HIGH, _LOW, _COS, _SIN, _END, _NONE, _ZERO = range(8)
_FIRST_WORD_DIM: Final = 8
_FRAMES_A_WORD: Final = 15
"""Encoder frames of 20 ms."""
_OMEGA: Final = np.pi / 400
"""Radians per encoder frame of the clock by which words find their place."""
_LOUD_FROM: Final = 0.02
"""Mean log-mel value of a loud frame; padding is 0, in the feature extractor's scale."""


def make(folder: Path, *, english: bool = False, language: str = "de", seed: int = 0) -> Path:
    """Write the model into `folder`, which is made; it detects `language`, whoever speaks.

    Args:
        english: an English-only model, which has one token fewer and no languages to tell apart.
    """
    from ctranslate2.specs import WhisperSpec

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    tokens = _tokens(random, english=english)
    spec = WhisperSpec(1, HEADS, 1, HEADS)
    _encoder(spec.encoder)
    _decoder(spec.decoder, tokens, random, language)
    spec.register_vocabulary(tokens)
    first = tokens.index("<|en|>")
    spec.config.lang_ids = list(range(first, first + len(LANGUAGES)))
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [tokens.index("Ġ"), tokens.index("<|endoftext|>")]
    spec.config.alignment_heads = [(0, 1)]
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    _tokenizer(tokens, folder / "tokenizer.json")
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": MELS}))
    return folder


def _tokens(random: np.random.Generator, *, english: bool) -> list[str]:
    """Bytes, words that nobody says, Whisper's special tokens, and timestamps: 51,865, or one fewer."""
    from tokenizers.pre_tokenizers import ByteLevel

    text = sorted(ByteLevel.alphabet())
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    drawn: dict[str, None] = {}
    while len(drawn) < 50_256 - len(text):
        drawn["Ġ" + "".join(random.choice(syllables, int(random.integers(2, 5))))] = None
    special = ["endoftext", "startoftranscript", *LANGUAGES, "translate", "transcribe"]
    special += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    times = [f"{number * 0.02:.2f}" for number in range(TIMESTAMPS)]
    unused = [] if english else [""]  # by this one CTranslate2 knows a multilingual model
    return [*text, *drawn, *unused, *(f"<|{name}|>" for name in (*special, *times))]


def _tokenizer(tokens: list[str], path: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    end = tokens.index("<|endoftext|>")
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens[:end])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in tokens[end:]])
    tokenizer.save(str(path))


def _zeros(*shape: int) -> Weights:
    return np.zeros(shape, np.float32)


def _norm(spec: object) -> None:
    spec.gamma, spec.beta = np.ones(DEPTH, np.float32), _zeros(DEPTH)  # type: ignore[attr-defined]


def _linear(spec: object, weight: Weights) -> None:
    spec.weight, spec.bias = weight, _zeros(len(weight))  # type: ignore[attr-defined]


def _idle_layer(layer: object) -> None:
    """A layer whose self-attention and feed-forward parts add nothing."""
    attention, ffn = layer.self_attention, layer.ffn  # type: ignore[attr-defined]
    for part in (attention, ffn):
        _norm(part.layer_norm)
    _linear(attention.linear[0], _zeros(3 * DEPTH, DEPTH))
    _linear(attention.linear[1], _zeros(DEPTH, DEPTH))
    _linear(ffn.linear_0, _zeros(4, DEPTH))
    _linear(ffn.linear_1, _zeros(DEPTH, 4))


def _encoder(spec: object) -> None:
    """Two convolutions that measure loudness; everything else is the position."""
    first, second = _zeros(DEPTH, MELS, 3), _zeros(DEPTH, DEPTH, 3)
    first[_LOUD, :, 1] = 40.0 / MELS
    second[_LOUD, _LOUD, 1] = 0.2
    bias = _zeros(DEPTH)
    bias[_LOUD] = -40.0 * _LOUD_FROM
    spec.conv1.weight, spec.conv1.bias = first, bias  # type: ignore[attr-defined]
    spec.conv2.weight, spec.conv2.bias = second, _zeros(DEPTH)  # type: ignore[attr-defined]
    angle = np.arange(SOUND_FRAMES) * _OMEGA
    places = _zeros(SOUND_FRAMES, DEPTH)
    places[:, _HIGH], places[:, _LOW] = 10.0, -10.0
    places[:, _COS], places[:, _SIN] = 3 * np.cos(angle), 3 * np.sin(angle)
    spec.position_encodings.encodings = places  # type: ignore[attr-defined]
    _idle_layer(spec.layer[0])  # type: ignore[attr-defined]
    _norm(spec.layer_norm)  # type: ignore[attr-defined]


def _decoder(spec: object, tokens: list[str], random: np.random.Generator, language: str) -> None:
    said = random.standard_normal((len(tokens), DEPTH)).astype(np.float32)
    said[:, :_FIRST_WORD_DIM] = 0
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    script = random.integers(256, 256 + WORDS, TOKENS)
    quiet = np.ones(len(tokens), bool)
    quiet[256 : 256 + WORDS] = False
    tongues = [tokens.index(f"<|{name}|>") for name in LANGUAGES]
    quiet[tongues] = False
    said[quiet] = 0
    end, none = tokens.index("<|endoftext|>"), tokens.index("<|nospeech|>")
    said[end, _END] = said[none, _NONE] = said[tokens.index("<|0.00|>"), _ZERO] = 1
    english = "<|en|>" if len(tokens) == 51_864 else None
    places = 4 * said[script]
    places[0] = 8 * said[tokens.index(english or f"<|{language}|>")]
    places[0, _NONE] = 10.0
    number = np.arange(TOKENS) - (1 if english else 3)
    places[:, _END] = 2.0 * number + 5.0
    places[0, _END] = 0
    places[0 if english else 2, _ZERO] = 4
    angle = np.clip(number, 0, None) * _FRAMES_A_WORD * _OMEGA
    places[:, _COS], places[:, _SIN] = 3 * np.cos(angle), 3 * np.sin(angle)
    layer = spec.layer[0]  # type: ignore[attr-defined]
    _idle_layer(layer)
    _norm(layer.attention.layer_norm)
    half = DEPTH // HEADS
    queries, keys_values, out = _zeros(DEPTH, DEPTH), _zeros(2 * DEPTH, DEPTH), _zeros(DEPTH, DEPTH)
    for index, dim in enumerate((_COS, _SIN)):  # the second head looks where the word would stand
        queries[half + index, dim] = keys_values[half + index, dim] = 8.0
    keys_values[DEPTH, _LOUD] = 1.0  # the first one takes the mean loudness of all frames
    out[_END, 0] = out[_NONE, 0] = -_GAIN
    _linear(layer.attention.linear[0], queries)
    _linear(layer.attention.linear[1], keys_values)
    _linear(layer.attention.linear[2], out)
    _norm(spec.layer_norm)  # type: ignore[attr-defined]
    spec.embeddings.weight = _zeros(len(tokens), DEPTH)  # type: ignore[attr-defined]
    spec.position_encodings.encodings = places  # type: ignore[attr-defined]
    spec.projection.weight = said * 16  # type: ignore[attr-defined]
    spec.scale_embeddings = False  # type: ignore[attr-defined]


_GAIN: Final = 160.0
"""What a second of loud frames, a thirtieth of all, takes off the wish to end."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Makes a tiny Whisper in CTranslate2's format.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--english", action="store_true")
    given = parser.parse_args()
    print(make(given.folder, english=given.english))
