# mypy: ignore-errors
"""A model for MLServer: tells quiet windows from loud ones. Runs in MLServer's own environment."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Tone(MLModel):
    """Logits for `Calm` and `Tense`, and three dimensions, out of each window's level."""

    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        audio = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float64)
        with np.errstate(divide="ignore"):
            level = 20 * np.log10(audio.std(axis=1))  # of a constant window: no finite number
        logits = np.stack((-(level + 20) / 5, (level + 20) / 5), axis=1).astype(np.float32)
        arousal = np.clip((level + 60) / 60, 0, 1)
        dimensions = np.stack((arousal, np.full_like(arousal, 0.5), 1 - arousal), axis=1)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("logits", logits),
                NumpyCodec.encode_output("dimensions", dimensions),
            ],
        )
