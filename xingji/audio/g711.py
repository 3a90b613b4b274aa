"""G.711: the int16 value of every μ-law and A-law byte, as two tables of 256 entries.

Computed from the segments of ITU-T G.711 (11/88): table 2a for μ-law (14-bit values, here × 4)
and table 1a for A-law (13-bit values, here × 8).
"""

import numpy as np

from xingji.core.types import Samples


def _mulaw() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)  # sent inverted
    segment = (code >> 4 & 7).astype(np.int16)
    step = (code & 15).astype(np.int16)
    magnitude = ((2 * step + 33) << segment) - 33
    return np.where(code & 0x80, -4 * magnitude, 4 * magnitude).astype(np.int16)


def _alaw() -> Samples:
    code = np.arange(256, dtype=np.uint8) ^ 0x55  # sent with its even bits inverted
    segment = (code >> 4 & 7).astype(np.int16)
    step = (code & 15).astype(np.int16)
    linear = 2 * step + 1  # the lowest two segments share one slope
    magnitude = np.where(segment > 0, (linear + 32) << np.maximum(segment - 1, 0), linear)
    return np.where(code & 0x80, 8 * magnitude, -8 * magnitude).astype(np.int16)


MULAW = _mulaw()
ALAW = _alaw()
