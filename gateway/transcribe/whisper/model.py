"""A Whisper model on this machine: found, and looked through before anybody speaks.

CTranslate2's own loader runs in the worker processes. What it would fail at is told here, at start and in
words: a directory that isn't one, a file that is missing or was cut off, another kind of model.
"""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from gateway.spawn import environment
from gateway.transcribe.port import TranscriberUnavailable
from gateway.transcribe.whisper.languages import LANGUAGES

FETCH: Final = (sys.executable, "-P", "-m", "gateway.transcribe.whisper.fetch")
LOOK_S: Final = 120.0
"""Seconds that looking into the local cache may take: the libraries load slowly from a cold disk."""
FETCH_S: Final = 3_600.0
"""Seconds that a download may take."""

_HUB: Final = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_ENDPOINT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CACHE_HOME",
)
_QUIET: Final = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
"""Who fetches a model needn't say who they are."""
_SPEC: Final = "WhisperSpec"
_VERSIONS: Final = (5, 6)
"""Of the file format; others are left to the loader."""
_MOST_JSON: Final = 64 << 20
_MELS: Final = 80
"""What faster-whisper makes where there is no preprocessor_config.json."""


class ModelUnusable(TranscriberUnavailable):
    """There is no Whisper model where the settings say, or it is no good."""


@dataclass(frozen=True, slots=True)
class WhisperModelFiles:
    """A model that can be loaded."""

    path: Path
    multilingual: bool
    languages: frozenset[str]
    """Whisper's codes; of an English-only model, `en`."""


def find(name: str, *, download: bool = False, base: Mapping[str, str] | None = None) -> WhisperModelFiles:
    """The model in the directory `name`, or of that name on the Hugging Face hub.

    Args:
        download: whether one from the hub may be fetched, where the local cache has none. Blocks meanwhile.
        base: the environment; None for this process's.

    Raises:
        ModelUnusable: there is none, or not one of Whisper.
    """
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise ModelUnusable(f"there is no home directory for {name}") from None
    if path.is_dir():
        return look(path)
    if path.exists():
        raise ModelUnusable(f"{path} is a file; the model is the directory it stands in")
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelUnusable(f"there is no directory {path}")
    return look(_from_hub(name, download=download, base=os.environ if base is None else base))


def look(path: Path) -> WhisperModelFiles:
    """What stands in the directory.

    Raises:
        ModelUnusable: not a whole Whisper model.
    """
    try:
        shapes = _shapes(path / "model.bin")
        _json(path / "config.json")
        tokens = _json(path / "tokenizer.json").get("added_tokens")
        vocabulary = _vocabulary(path)
        _check_mels(path, shapes.get("encoder/conv1/weight", ()))
    except OSError as error:
        raise ModelUnusable(f"{error.filename} can't be read: {error.strerror}") from None
    told = tokens if isinstance(tokens, list) else []
    contents = {str(token.get("content", "")) for token in told if isinstance(token, dict)}
    if "<|startoftranscript|>" not in contents:
        raise ModelUnusable(f"{path / 'tokenizer.json'} isn't Whisper's: it has no <|startoftranscript|>")
    multilingual = "" in vocabulary  # so CTranslate2 tells them apart
    languages = {code for code in LANGUAGES if f"<|{code}|>" in contents} if multilingual else {"en"}
    return WhisperModelFiles(path, multilingual, frozenset(languages))


def _from_hub(name: str, *, download: bool, base: Mapping[str, str]) -> Path:
    """Asked in a process of its own: the libraries for it are large and have no business in the gateway."""
    command = [*FETCH, *(["--download"] if download else []), "--", name]
    try:
        done = subprocess.run(
            command,
            env=environment(base, _HUB) | _QUIET,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=FETCH_S if download else LOOK_S,
            check=False,
        )
        answer = json.loads(done.stdout)
        path, reason = answer.get("path"), answer.get("error", "no reason given")
    except subprocess.TimeoutExpired:
        path, reason = None, "it took too long"
    except (OSError, ValueError, AttributeError) as error:
        path, reason = None, f"the search failed ({type(error).__name__})"
    if path is None:
        raise ModelUnusable(f"the model {name} isn't here: {reason}")
    return Path(path)


def _json(path: Path) -> dict[str, Any]:
    data = _loaded(path)
    if not isinstance(data, dict):
        raise ModelUnusable(f"{path} isn't a JSON object")
    return data


def _loaded(path: Path) -> Any:
    with path.open("rb") as file:
        text = file.read(_MOST_JSON + 1)
    if len(text) > _MOST_JSON:
        raise ModelUnusable(f"{path} is too long")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ModelUnusable(f"{path} isn't JSON") from None


def _vocabulary(path: Path) -> frozenset[str]:
    if (path / "vocabulary.txt").exists():
        return frozenset(
            (path / "vocabulary.txt").read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        )
    words = _loaded(path / "vocabulary.json")
    if not isinstance(words, list):
        raise ModelUnusable(f"{path / 'vocabulary.json'} isn't a JSON array")
    return frozenset(map(str, words))


def _check_mels(path: Path, convolution: tuple[int, ...]) -> None:
    mels = convolution[1] if len(convolution) == 3 else 0
    file = path / "preprocessor_config.json"
    made = _json(file).get("feature_size", _MELS) if file.exists() else _MELS
    if mels and made != mels:
        what = f"says {made}" if file.exists() else "is missing"
        raise ModelUnusable(f"{file} {what}, but the model hears {mels} mel bands")


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the model's variables, read without their values; none of a version not known here."""
    with path.open("rb") as file:
        try:
            (version,) = _unpack(file, "<I")
            if not 1 <= version <= 64 or _string(file) != _SPEC:
                raise ModelUnusable(f"{path} isn't a Whisper model in CTranslate2's format")
            if version not in _VERSIONS:
                return {}
            _revision, count = _unpack(file, "<II")
            shapes = dict(_variable(file) for _ in range(count))
            (aliases,) = _unpack(file, "<I")
            for _ in range(2 * aliases):
                _string(file)
            if file.tell() != os.fstat(file.fileno()).st_size:
                raise struct.error("it goes on behind its end")
        except (struct.error, UnicodeDecodeError):
            raise ModelUnusable(f"{path} isn't a whole Whisper model: it was cut off, or isn't one") from None
    return shapes


def _variable(file: BinaryIO) -> tuple[str, tuple[int, ...]]:
    name = _string(file)
    (rank,) = _unpack(file, "<B")
    shape = _unpack(file, f"<{rank}I")
    _type, size = _unpack(file, "<BI")
    file.seek(size, os.SEEK_CUR)
    return name, shape


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<H")
    data = file.read(length)
    if len(data) < length:
        raise struct.error("a string is cut off")
    return data[:-1].decode()


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
