"""The page about local models: its command works as it stands, and its descriptions are valid."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.classify.activation import Activation
from gateway.classify.onnx.model import load
from gateway.classify.onnx.spec import Normalize, parse_spec
from protocol.events import Tone
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import ROOT, GatewayProcess
from tests.e2e.test_onnx import told
from tests.gateway.classify.onnx.graphs import Graph, write

PAGE = (ROOT / "docs" / "classifiers" / "onnx.md").read_text(encoding="utf-8")
DESCRIPTIONS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_the_command_works(launch: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """The lines of the page, run in an empty folder but for the package that is installed already."""
    block = re.search(r"<!-- run -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    install, make, check, serve = block.group(1).splitlines()
    assert install == "pip install onnx"
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    here = f"{sys.executable} -m gateway"
    for line in (make, check):
        command = line.replace("python ", f"{sys.executable} ").replace("undertone check", f"{here} check")
        ran = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
    assert serve == check.replace("check-config", "serve")
    settings = dict(re.findall(r"UNDERTONE_(\w+)=(\S+)", serve))
    settings["ONNX_MODEL_FILE"] = str(tmp_path / settings["ONNX_MODEL_FILE"])
    gateway = launch(**settings, TRANSCRIBER="none")
    tones = [event for event in told(gateway, pcm(speech())) if isinstance(event, Tone)]
    assert tones
    assert {(tone.model, tone.valence) for tone in tones} == {("tiny", 0.5)}


@pytest.mark.parametrize("text", DESCRIPTIONS, ids=["audeering", "superb"])
def test_the_descriptions_fit_graphs_of_their_shape(text: str, tmp_path: Path) -> None:
    """Each loads a generated graph with the inputs and outputs that the real model has."""
    given = tomllib.loads(text)
    width = 3 if "dimensions" in given else 4
    graph = Graph(gains=[1.0] * width, biases=[0.0] * width, input=given["input"]["name"])
    write(graph, tmp_path / "model.onnx")
    spec = parse_spec(given, tmp_path / "model.toml")
    assert load(spec).most == 32
    assert spec.licence
    if spec.classes is not None:
        assert (spec.classes.activation, spec.input.normalize) == (
            Activation.SOFTMAX,
            Normalize.ZERO_MEAN_UNIT_VARIANCE,
        )


def test_the_table_has_every_field() -> None:
    """What the page lists is what the code takes, and the other way round."""
    code = (ROOT / "gateway" / "classify" / "onnx" / "spec.py").read_text(encoding="utf-8")
    taken = set(re.findall(r'(?:text|texts|number|whole|pair|choice|choices)\(\s*"(\w+)"', code))
    listed = {name.rpartition(".")[2] for name in re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE)}
    assert taken - {"label", "affect"} == listed - {"CLASS"}
