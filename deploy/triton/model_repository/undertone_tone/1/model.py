"""Runs a speech-emotion model in ONNX for Triton's Python backend: int16 windows in, logits out.

Put the graph beside this file as `model.onnx`: one input of shape [windows, samples], float32 at 16 kHz from
-1 to 1, and an output [windows, classes]. The backend's Python needs numpy and onnxruntime (for a GPU:
onnxruntime-gpu).
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

NORMALIZE = ("none", "zero-mean-unit-variance")
VARIANCE_FLOOR = 1e-7


def providers(args):
    """Where the graph runs: on the GPU that Triton gave to this instance, else on the CPU.

    Nothing else that onnxruntime may bring is taken: TensorRT would build an engine for each new shape.
    """
    on_gpu = args.get("model_instance_kind", "").endswith("GPU")
    if on_gpu and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        gpu = {"device_id": args["model_instance_device_id"]}
        return [("CUDAExecutionProvider", gpu), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


class TritonPythonModel:
    """One instance of the model."""

    def initialize(self, args):
        """Load the graph and compare it with the configuration; what doesn't fit is told here, once."""
        config = json.loads(args["model_config"])
        given = {key: one["string_value"] for key, one in config.get("parameters", {}).items()}
        self.normalize = given.get("normalize") or "none"
        if self.normalize not in NORMALIZE:
            raise pb_utils.TritonModelException(f"normalize must be one of {', '.join(NORMALIZE)}")
        folder = Path(args["model_repository"]) / args["model_version"]
        file = folder / (given.get("onnx_file") or "model.onnx")
        if not file.is_file():
            raise pb_utils.TritonModelException(f"there is no model at {file}: put the ONNX graph there")
        self.session = onnxruntime.InferenceSession(str(file), providers=providers(args))
        inputs = {one.name: one for one in self.session.get_inputs()}
        outputs = {one.name: one for one in self.session.get_outputs()}
        self.input = given.get("onnx_input") or next(iter(inputs))
        self.output = given.get("onnx_output") or next(iter(outputs))
        if self.input not in inputs or len(inputs) != 1:
            raise pb_utils.TritonModelException(f"the graph's inputs are {sorted(inputs)}, and one is wanted")
        if self.output not in outputs:
            raise pb_utils.TritonModelException(f"the graph's outputs are {sorted(outputs)}")
        told = pb_utils.get_output_config_by_name(config, "logits")
        width = outputs[self.output].shape[-1]
        if isinstance(width, int) and width != told["dims"][-1]:
            raise pb_utils.TritonModelException(
                f"the graph has {width} classes, config.pbtxt {told['dims'][-1]}"
            )

    def execute(self, requests):
        """One run of the graph for all requests of a batch: Triton puts together those of one shape."""
        given = [pb_utils.get_input_tensor_by_name(one, "AUDIO").as_numpy() for one in requests]
        try:
            logits = self.session.run([self.output], {self.input: self.samples(np.concatenate(given))})[0]
        except Exception as error:
            failed = pb_utils.TritonError(f"the model failed: {type(error).__name__}")
            return [pb_utils.InferenceResponse(output_tensors=[], error=failed) for _ in requests]
        ends = np.cumsum([len(one) for one in given])[:-1]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("logits", np.ascontiguousarray(part, np.float32))])
            for part in np.split(logits, ends)
        ]

    def samples(self, windows):
        """Int16 windows as the graph wants them."""
        audio = windows.astype(np.float32) / np.float32(32768)
        if self.normalize == "zero-mean-unit-variance":
            audio -= audio.mean(axis=1, keepdims=True)
            audio /= np.sqrt(audio.var(axis=1, keepdims=True) + VARIANCE_FLOOR)
        return audio
