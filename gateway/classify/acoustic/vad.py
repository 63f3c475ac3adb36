"""Voice activity: which frames belong to somebody speaking."""

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


def speech(level_db: Float, f0_hz: Float, flux: Float, flatness: Float, valid: Bool) -> Bool:
    voiced = f0_hz > 0
    kernel = 15
    total = np.cumsum(np.pad(voiced.astype(np.int32), ((0, 0), (kernel // 2 + 1, kernel // 2))), axis=1)
    near = total[:, kernel:] - total[:, :-kernel] > 2
    out: Bool = near & valid
    return out
