"""Draws the PNG icons of the page, which look like gateway/web/icon.svg: `python scripts/icons.py`.

Shapes are signed distances (Quilez, "2D distance functions"), which make their own anti-aliasing; the files
follow the W3C specification of PNG, third edition, with a palette.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

WEB = Path(__file__).parent.parent / "gateway" / "web"
GROUND, BARS, WAVE = (0x0D, 0x5C, 0x66), (0xF6, 0xF5, 0xF0), (0x86, 0xD0, 0xD8)
BOX = 512.0
"""Side of the drawing that icon.svg has, in its units."""
HEARD = ((116, 196, 268), (186, 136, 328), (256, 96, 368), (326, 152, 312), (396, 188, 276))
"""Middle, top and bottom of each bar."""
STEPS = 15
"""Shades between two colours."""

Field = npt.NDArray[np.float64]


def main() -> None:
    """Write all three."""
    for name, side, round_, scale in (
        ("icon-192", 192, True, 1.0),
        ("icon-512", 512, True, 1.0),
        ("icon-maskable-512", 512, False, 0.72),  # within the safe zone, a circle of 80 %
    ):
        (WEB / f"{name}.png").write_bytes(png(side, round_=round_, scale=scale))


def png(side: int, *, round_: bool, scale: float) -> bytes:
    """One icon of `side` pixels: with round corners on nothing, or filling its square."""
    at = (np.arange(side) + 0.5) * BOX / side
    x, y = np.meshgrid(at, at)
    pixel = BOX / side
    inner_x, inner_y = (x - BOX / 2) / scale + BOX / 2, (y - BOX / 2) / scale + BOX / 2
    bars = np.min([_capsule(inner_x, inner_y, *bar) for bar in HEARD], axis=0)
    wave = np.abs(inner_y - 416 + 16 * np.cos((inner_x - 96) / 320 * 3 * np.pi)) - 12
    wave = np.maximum(wave, np.abs(inner_x - BOX / 2) - 160)
    shades = np.zeros((side, side), np.uint8)
    for first, field in ((STEPS + 1, bars), (2 * STEPS + 1, wave)):
        part = _cover(field * scale, pixel)
        shades = np.where(part > 0, first + part - 1, shades).astype(np.uint8)
    if round_:
        corner = STEPS - _cover(_square(x, y, 112.0), pixel)
        shades = np.where(corner > 0, corner, shades).astype(np.uint8)
    return _file(side, shades)


def _capsule(x: Field, y: Field, middle: float, top: float, bottom: float) -> Field:
    near = np.clip(y, top + 20, bottom - 20)
    return np.hypot(x - middle, y - near) - 20


def _square(x: Field, y: Field, corner: float) -> Field:
    far_x, far_y = (np.abs(one - BOX / 2) - BOX / 2 + corner for one in (x, y))
    outside = np.hypot(np.maximum(far_x, 0), np.maximum(far_y, 0))
    return outside + np.minimum(np.maximum(far_x, far_y), 0) - corner


def _cover(distance: Field, pixel: float) -> npt.NDArray[np.int64]:
    """How much of each pixel lies inside, 0 to `STEPS`."""
    return np.rint(np.clip(0.5 - distance / pixel, 0, 1) * STEPS).astype(np.int64)


def _file(side: int, shades: npt.NDArray[np.uint8]) -> bytes:
    """The palette has the ground, the ground fading into nothing, then both colours on the ground."""
    palette, alpha = bytearray(GROUND), bytearray([255])
    for step in range(1, STEPS + 1):
        palette += bytes(GROUND)
        alpha.append(255 - 255 * step // STEPS)
    for colour in (BARS, WAVE):
        for step in range(1, STEPS + 1):
            palette += bytes(g + (c - g) * step // STEPS for g, c in zip(GROUND, colour, strict=True))
            alpha.append(255)
    rows = b"".join(b"\0" + row.tobytes() for row in shades)
    head = struct.pack(">IIBBBBB", side, side, 8, 3, 0, 0, 0)
    pixels = zlib.compress(rows, 9)
    parts = (("IHDR", head), ("PLTE", palette), ("tRNS", alpha), ("IDAT", pixels), ("IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name.encode(), bytes(data)) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


if __name__ == "__main__":
    main()
