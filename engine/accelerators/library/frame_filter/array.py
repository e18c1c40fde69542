"""The blur in NumPy: two passes over bands of rows small enough for the processor's cache."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

BAND = 1 << 16  # pixels of a band: its 16-bit sums stay in a level-2 cache


def call(inputs: bytes, parameters: Mapping[str, int]) -> bytes:
    """The blurred picture, row by row."""
    width, height = parameters["width"], parameters["height"]
    picture = np.pad(np.frombuffer(inputs, np.uint8).reshape(height, width), 2, mode="edge")
    out = np.empty((height, width), np.uint8)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        band = picture[top : top + rows + 4].astype(np.uint16)
        down = band[:-4] + band[4:] + ((band[1:-3] + band[3:-1]) << 2) + band[2:-2] * np.uint16(6)
        across = down[:, :-4] + down[:, 4:] + ((down[:, 1:-3] + down[:, 3:-1]) << 2) + down[:, 2:-2] * np.uint16(6)
        across += 128
        across >>= 8
        out[top : top + rows] = across
    return out.tobytes()
