"""The measures of a wav2vec 2.0 network (Baevski et al. 2020), and how much of what that is."""

from dataclasses import dataclass

CONV = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
"""Kernel and stride of each layer of the front end: 320 samples (20 ms) a step, 400 heard by each."""
POSITION_KERNEL, POSITION_GROUPS = 128, 16
OUTPUTS = 3


@dataclass(frozen=True)
class Shape:
    """By default that of wav2vec2-large."""

    layers: int = 24
    hidden: int = 1024
    heads: int = 16
    inner: int = 4096
    channels: int = 512
    """Of the front end."""
    half: bool = False
    """Whether weights and arithmetic have 16 bits."""

    def steps(self, samples: int) -> int:
        """Steps of the transformer for so many samples."""
        for kernel, stride in CONV:
            samples = (samples - kernel) // stride + 1
        return samples

    @property
    def parameters(self) -> int:
        """How many weights there are."""
        front, before = 0, 1
        for kernel, _ in CONV:
            front += before * self.channels * kernel + 3 * self.channels
            before = self.channels
        hidden = self.hidden
        projection = 2 * self.channels + self.channels * hidden + hidden
        position = hidden // POSITION_GROUPS * hidden * POSITION_KERNEL + hidden
        block = 4 * (hidden * hidden + hidden) + 2 * hidden * self.inner + self.inner + hidden + 4 * hidden
        head = hidden * hidden + hidden + hidden * OUTPUTS + OUTPUTS
        return front + projection + position + self.layers * block + 2 * hidden + head

    def operations(self, samples: int) -> float:
        """Multiplications and additions for one row of so many samples."""
        total, before, length = 0.0, 1, samples
        for kernel, stride in CONV:
            length = (length - kernel) // stride + 1
            total += 2.0 * length * before * self.channels * kernel
            before = self.channels
        hidden = self.hidden
        total += (
            2.0 * length * (self.channels * hidden + hidden * hidden // POSITION_GROUPS * POSITION_KERNEL)
        )
        block = 4 * hidden * hidden + 2 * hidden * self.inner + 2 * length * hidden
        return total + 2.0 * length * self.layers * block
