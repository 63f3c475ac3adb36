"""A model is looked through before anybody speaks."""

import json
import select
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.transcribe.whisper.languages import LANGUAGES
from gateway.transcribe.whisper.model import ModelUnusable, find, look
from tests.needs import need_module


@pytest.fixture
def copy(tiny_whisper: Path, tmp_path: Path) -> Path:
    """A model to be spoilt."""
    return Path(shutil.copytree(tiny_whisper, tmp_path / "model"))


def test_a_whole_model_is_found(tiny_whisper: Path, tiny_whisper_english: Path) -> None:
    """And what it understands is known without loading it."""
    found = find(str(tiny_whisper))
    assert found.path == tiny_whisper
    assert found.multilingual
    assert found.languages == LANGUAGES - {"yue"}
    english = find(str(tiny_whisper_english))
    assert not english.multilingual
    assert english.languages == {"en"}


def cut_off(model: Path) -> None:
    data = (model / "model.bin").read_bytes()
    (model / "model.bin").write_bytes(data[: len(data) // 2])


def without_its_last_byte(model: Path) -> None:
    (model / "model.bin").write_bytes((model / "model.bin").read_bytes()[:-1])


def of_another_kind(model: Path) -> None:
    data = (model / "model.bin").read_bytes()
    (model / "model.bin").write_bytes(data.replace(b"WhisperSpec", b"WhimperSpec", 1))


def empty(model: Path) -> None:
    (model / "model.bin").write_bytes(b"")


def a_web_page(model: Path) -> None:
    (model / "model.bin").write_text("<!doctype html><title>Not found</title>")


def without(name: str) -> Callable[[Path], None]:
    return lambda model: (model / name).unlink()


def not_json(name: str) -> Callable[[Path], None]:
    def spoil(model: Path) -> None:
        (model / name).write_bytes(b"{\xff")

    return spoil


def array(name: str) -> Callable[[Path], None]:
    def spoil(model: Path) -> None:
        (model / name).write_text("[1]")

    return spoil


def other_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").write_text(json.dumps({"added_tokens": [{"content": "<s>"}, 3]}))


def other_mels(model: Path) -> None:
    (model / "preprocessor_config.json").write_text(json.dumps({"feature_size": 128}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut_off, "cut off"),
        (without_its_last_byte, "cut off"),
        (empty, "cut off"),
        (of_another_kind, "isn't a Whisper model"),
        (a_web_page, "isn't a Whisper model"),
        (without("model.bin"), "model.bin can't be read: No such file"),
        (without("config.json"), "config.json can't be read"),
        (without("tokenizer.json"), "tokenizer.json can't be read"),
        (without("vocabulary.json"), "vocabulary.json can't be read"),
        (not_json("config.json"), "isn't JSON"),
        (array("tokenizer.json"), "isn't a JSON object"),
        (other_tokenizer, "isn't Whisper's"),
        (other_mels, "says 128, but the model hears 80 mel bands"),
    ],
)
def test_a_spoilt_model_is_told_at_start(copy: Path, spoil: Callable[[Path], None], reason: str) -> None:
    """Whatever is wrong with it, and which file it is."""
    spoil(copy)
    with pytest.raises(ModelUnusable, match=reason):
        find(str(copy))


@given(st.binary(max_size=60), st.integers(0, 200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_in_the_weights_is_never_another_error(copy: Path, garbage: bytes, at: int) -> None:
    """The header says how long everything is; whatever it says, it is told, or left to the loader."""
    whole = (copy / "model.bin").read_bytes()
    try:
        (copy / "model.bin").write_bytes(whole[:at] + garbage + whole[at + len(garbage) : 4_096])
        look(copy)
    except ModelUnusable:
        pass
    else:
        assert at == 0, "only the version, which the loader knows, may be another one"
    finally:
        (copy / "model.bin").write_bytes(whole)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "~/nowhere", "~nobody-at-all/x", "a/b/c"])
def test_a_directory_that_isnt_there_is_not_looked_for_on_the_hub(name: str) -> None:
    """A slip in a path isn't told to anybody."""
    with pytest.raises(ModelUnusable, match=r"there is no (home )?directory"):
        find(name)


def test_a_file_is_no_model(tiny_whisper: Path) -> None:
    """People name the weights; the directory is meant."""
    with pytest.raises(ModelUnusable, match="the directory it stands in"):
        find(str(tiny_whisper / "model.bin"))


def test_a_model_of_the_hub_is_taken_from_the_cache_alone(tiny_whisper: Path, tmp_path: Path) -> None:
    """Unless a download is allowed nothing is fetched; a model that was cached before is found."""
    need_module("faster_whisper")
    base = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    with pytest.raises(ModelUnusable, match="UNDERTONE_WHISPER_DOWNLOAD is off"):
        find("small.en", base=base)
    repository = tmp_path / "hub" / "models--Systran--faster-whisper-small.en"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(tiny_whisper, repository / "snapshots" / ("0" * 40))
    assert find("small.en", base=base).path == repository / "snapshots" / ("0" * 40)


@pytest.mark.parametrize("download", [False, True])
def test_the_hub_is_asked_only_where_that_is_allowed(tmp_path: Path, download: bool) -> None:
    """Not even whether there is a newer one."""
    need_module("faster_whisper")
    with socket.create_server(("127.0.0.1", 0)) as hub:
        hub.setblocking(False)
        port = hub.getsockname()[1]
        base = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{port}", "NO_PROXY": "*"}
        asked = threading.Event()

        def answer() -> None:
            while not asked.is_set() and (select.select([hub], [], [], 60)[0]):
                asked.set()
                hub.accept()[0].close()
            hub.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(ModelUnusable, match="isn't here"):
            find("tiny", download=download, base=base)
        assert asked.is_set() is download
        if not download:
            socket.create_connection(("127.0.0.1", port)).close()
        thread.join(10)


def test_nobody_is_told_who_asks(tmp_path: Path) -> None:
    """A token that lies about in the cache stays there."""
    need_module("faster_whisper")
    (tmp_path / "token").write_text("hf_canary")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as hub:
        base = {
            "HF_HOME": str(tmp_path),
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.getsockname()[1]}",
            "NO_PROXY": "*",
        }

        def answer() -> None:
            peer = hub.accept()[0]
            heard.append(peer.recv(65_536))
            peer.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(ModelUnusable, match="isn't here"):
            find("tiny", download=True, base=base)
        thread.join(10)
    assert heard
    assert b"hf_canary" not in heard[0]


def test_a_name_the_hub_cant_have_is_told_with_those_it_has(tmp_path: Path) -> None:
    """A slip in a name of a size."""
    need_module("faster_whisper")
    with pytest.raises(ModelUnusable, match=r"the hub's models are tiny\.en, tiny"):
        find("smal.en", base={"HF_HOME": str(tmp_path)})


def test_a_download_that_fails_is_told(tmp_path: Path) -> None:
    """The hub is out of reach: the error names its kind."""
    need_module("faster_whisper")
    base = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    with pytest.raises(ModelUnusable, match="the model tiny isn't here"):
        find("tiny", download=True, base=base)
