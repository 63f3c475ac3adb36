"""A network of wav2vec 2.0's shape in PyTorch with random weights, on a GPU where there is one."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from benchmarks.gpu_shape import CONV, OUTPUTS, POSITION_GROUPS, POSITION_KERNEL, Shape


class TorchEngine:
    """Samples in host memory in, numbers in host memory out: what a sidecar would do with a batch."""

    def __init__(self, shape: Shape, *, compiled: bool) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.name = f"PyTorch {torch.__version__}" + (", compiled" if compiled else "")
        if self.device == "cuda" and not shape.half:
            self.name += ", products in TF32"
        self.place = torch.cuda.get_device_name() if self.device == "cuda" else "CPU"
        torch.manual_seed(0)
        torch.set_float32_matmul_precision("high")
        self._type = torch.float16 if shape.half else torch.float32
        network = _Network(shape).eval().to(self.device, self._type)
        self._network: Any = torch.compile(network, dynamic=False) if compiled else network
        self._compiled = compiled

    def infer(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """Rows of shape (B, T) to numbers of shape (B, 3)."""
        count = len(rows)
        if self._compiled:  # for each size anew: few sizes
            rows = np.concatenate(
                [rows, np.zeros(((1 << (count - 1).bit_length()) - count, rows.shape[1]), np.int16)]
            )
        host = torch.from_numpy(rows)
        if self.device == "cuda":
            host = host.pin_memory()
        with torch.inference_mode():
            signal = host.to(self.device, non_blocking=True).float()
            signal = functional.layer_norm(signal, signal.shape[-1:], eps=1e-7)
            told = self._network(signal.to(self._type))
            found: npt.NDArray[np.float32] = told.float().cpu().numpy()[:count]
        return found


class _Network(nn.Module):  # type: ignore[misc]
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        before = 1
        self.front = nn.ModuleList()
        self.norms = nn.ModuleList()
        for kernel, stride in CONV:
            self.front.append(nn.Conv1d(before, shape.channels, kernel, stride))
            self.norms.append(nn.LayerNorm(shape.channels))
            before = shape.channels
        self.projection = nn.Sequential(nn.LayerNorm(shape.channels), nn.Linear(shape.channels, shape.hidden))
        self.position = nn.Conv1d(
            shape.hidden,
            shape.hidden,
            POSITION_KERNEL,
            padding=POSITION_KERNEL // 2,
            groups=POSITION_GROUPS,
        )
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.last = nn.LayerNorm(shape.hidden)
        self.head = nn.Sequential(
            nn.Linear(shape.hidden, shape.hidden), nn.Tanh(), nn.Linear(shape.hidden, OUTPUTS)
        )

    def forward(self, signal: Any) -> Any:
        seen = signal[:, None, :]
        for conv, norm in zip(self.front, self.norms, strict=True):
            seen = functional.gelu(norm(conv(seen).transpose(1, 2)).transpose(1, 2))
        seen = self.projection(seen.transpose(1, 2))
        seen = seen + functional.gelu(self.position(seen.transpose(1, 2))[:, :, :-1]).transpose(1, 2)
        for block in self.blocks:
            seen = block(seen)
        return self.head(self.last(seen).mean(dim=1))


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.before = nn.LayerNorm(shape.hidden)
        self.split = nn.Linear(shape.hidden, 3 * shape.hidden)
        self.join = nn.Linear(shape.hidden, shape.hidden)
        self.between = nn.LayerNorm(shape.hidden)
        self.inner = nn.Linear(shape.hidden, shape.inner)
        self.outer = nn.Linear(shape.inner, shape.hidden)

    def forward(self, seen: Any) -> Any:
        batch, steps, hidden = seen.shape
        split = self.split(self.before(seen)).view(batch, steps, 3, self.heads, hidden // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        told = functional.scaled_dot_product_attention(query, key, value)
        seen = seen + self.join(told.transpose(1, 2).reshape(batch, steps, hidden))
        return seen + self.outer(functional.gelu(self.inner(self.between(seen))))
