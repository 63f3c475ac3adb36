# mypy: ignore-errors
"""A model for MLServer that answers with events as a sidecar has them. Runs in MLServer's own environment."""

import json

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


def events(window: np.ndarray) -> str:
    """A tone and who speaks; nothing that can be read for a window without any change in it."""
    peak = int(np.abs(window.astype(np.int32)).max())
    if window.min() == window.max():
        return "[{"
    return json.dumps(
        [
            {
                "event_type": "tone",
                "label": "Tense" if peak > 8000 else "Calm",
                "confidence": 0.7,
                "peak": peak,
            },
            {"event_type": "speaker", "label": "human_single", "speaker_id": "Speaker A", "confidence": 0.9},
        ]
    )


class Events(MLModel):
    """An `EVENTS` tensor."""

    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        audio = NumpyCodec.decode_input(payload.inputs[0])
        told = StringCodec.encode_output("EVENTS", [events(window) for window in audio], use_bytes=False)
        return InferenceResponse(model_name=self.name, outputs=[told])
