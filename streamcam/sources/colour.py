"""Which colours a video's numbers stand for, by ITU-T H.273, and what is taken for granted where a video says nothing.

Matrices, transfers and primaries go by H.273's numbers, as FFmpeg has them.
"""

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.records import Image

GBR, BT709, UNSPECIFIED, BT601, YCGCO, BT2020, DERIVED = 0, 1, 2, 5, 8, 9, 12
"""Matrices. BT.709 and BT.2020 have the same numbers among primaries, and so has what is unspecified."""
PQ, HLG = 16, 18
"""Transfers of HDR: SMPTE ST 2084, and ARIB STD-B67; both are in ITU-R BT.2100."""
LIMITED, FULL = 1, 2
"""Ranges, as FFmpeg numbers them: 16–235 (chroma 16–240) of 0–255, and all of it."""

LUMA = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    BT601: (0.299, 0.114),
    6: (0.299, 0.114),  # the same, of 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    BT2020: (0.2627, 0.0593),
}
"""Shares of red and blue in Y, by the matrix."""
NEAREST = {10: BT2020, 11: BT2020, 14: BT2020, 15: BT2020, 16: YCGCO, 17: YCGCO}
"""What stands in for a matrix that nothing here can undo: BT.2020's constant luminance, ICtCp and their like."""
FOLLOWS = {BT709: BT709, 4: 4, 5: BT709, 6: 7, 7: 7, BT2020: BT2020}
"""The matrix that follows from primaries, or is near to it; those of BT.601 do not give BT.601's matrix."""

REFERENCE_WHITE = 203.0
"""HDR's diffuse white, in cd/m² (ITU-R BT.2408): what becomes SDR's white."""
PEAK = 1000.0
"""What HDR pictures are taken to have been graded for, in cd/m²: HLG's nominal peak, and most of what is in PQ."""
HLG_GAMMA = 1.2
"""Of HLG's system as a whole, at a peak of 1000 cd/m²."""
SDR_GAMMA = 2.4
"""Of an SDR display (ITU-R BT.1886)."""
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""Linear RGB of BT.2020's primaries → of BT.709's (ITU-R BT.2087)."""

BAND = 64
"""Rows that are tone-mapped at a time, so that what lies between takes little memory."""


def usual_matrix(width: int, height: int) -> int:
    """What players take a video for that does not say: HD is BT.709, and what is smaller is BT.601."""
    return BT709 if width >= 1280 or height > 576 else BT601


def matrix_for(said: int, primaries: int, width: int, height: int) -> int:
    """The matrix to convert by, out of `LUMA`, `GBR` and `YCGCO`; the nearest where a video's own is none of them."""
    if said in (*LUMA, GBR, YCGCO):
        return said
    if said in (DERIVED, 13) and primaries in FOLLOWS:
        return FOLLOWS[primaries]
    return NEAREST.get(said, usual_matrix(width, height))


def weights(matrix: int, *, full_range: bool) -> npt.NDArray[np.float64]:
    """float64 [3,4]: R, G, B = weights · (Y, U, V, 1), all in units of 0–255.

    By H.273's equations 20 to 28 (range) and 38 to 58 (matrices), solved for R, G and B.
    """
    black, luma, chroma = (0.0, 1.0, 1.0) if full_range else (16.0, 255 / 219, 255 / 224)
    zero = np.array([black, 128, 128])
    if matrix == GBR:
        turn, zero = luma * np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.array([black] * 3)
    elif matrix == YCGCO:  # of R, G and B that are already in their range: chroma has no scale of its own
        turn = luma * np.array([[1.0, -1, 1], [1, 1, 0], [1, -1, -1]])
    else:
        red, blue = LUMA.get(matrix, LUMA[BT601])
        v_red, u_blue = 2 * (1 - red), 2 * (1 - blue)
        green = 1 - red - blue
        turn = np.array([[1.0, 0, v_red], [1, -blue * u_blue / green, -red * v_red / green], [1, u_blue, 0]])
        turn *= [luma, chroma, chroma]
    return np.column_stack([turn, -turn @ zero])


@cache
def expanded(bits: int, *, full_range: bool) -> npt.NDArray[np.uint8]:
    """uint8 [2**bits]: what each value of a grey, or of R, G or B, is on a scale of 0–255."""
    values = np.arange(2**bits)
    black, white = (0, 2**bits - 1) if full_range else (16 * 2 ** (bits - 8), 235 * 2 ** (bits - 8))
    return np.asarray(((values - black) * (255 / (white - black))).round().clip(0, 255), np.uint8)


@cache
def light(transfer: int) -> npt.NDArray[np.uint16]:
    """uint16 [65536]: the light that an HDR value of R, G or B stands for, tone-mapped for SDR; its white is 65535.

    HLG's system gamma is applied to each colour, which is exact for greys. Highlights are rolled off by ITU-R
    BT.2390's curve: what is darker than 88 cd/m² stays as it is.
    """
    values = np.arange(65536) / 65535
    perceived = values if transfer == PQ else _to_pq(PEAK * _hlg_scene(values) ** HLG_GAMMA)
    return np.asarray((_from_pq(_rolled_off(perceived)) * (65535 / REFERENCE_WHITE)).round().clip(0, 65535), np.uint16)


@cache
def shown() -> npt.NDArray[np.uint8]:
    """uint8 [65536]: SDR's value for a light, whose white is 65535."""
    return np.asarray((255 * (np.arange(65536) / 65535) ** (1 / SDR_GAMMA)).round(), np.uint8)


def tone_mapped(values: npt.NDArray[Any], transfer: int, primaries: int) -> Image:
    """R, G and B of HDR, uint8 or uint16 [H,W,3] → of SDR, uint8 [H,W,3]."""
    lights, values_of, out = light(transfer), shown(), np.empty(values.shape, np.uint8)
    if values.dtype == np.uint8:
        lights = lights[::257]
    for top in range(0, len(values), BAND):
        band = lights[values[top : top + BAND]]
        if primaries == BT2020:
            band = cv2.transform(band, TO_BT709)
        out[top : top + BAND] = values_of[band]
    return out


def _rolled_off(perceived: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """PQ values up to `PEAK` → up to `REFERENCE_WHITE` (ITU-R BT.2390, section 5.4.1)."""
    peak, white = _to_pq(np.array([PEAK, REFERENCE_WHITE]))
    most = white / peak
    knee = 1.5 * most - 0.5
    value = (perceived / peak).clip(0, 1)
    t = (value - knee).clip(0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return np.asarray(np.where(value < knee, value, spline) * peak, np.float64)


def _to_pq(luminance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """cd/m² → 0–1 (ITU-R BT.2100, table 4)."""
    y = (luminance / 10_000) ** (2610 / 16384)
    return np.asarray(((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32), np.float64)


def _from_pq(perceived: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """0–1 → cd/m² (ITU-R BT.2100, table 4)."""
    p = perceived ** (32 / 2523)
    linear: npt.NDArray[np.float64] = (p - 3424 / 4096).clip(0) / (2413 / 128 - 2392 / 128 * p)
    return 10_000 * linear ** (16384 / 2610)


def _hlg_scene(codes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """0–1 → the scene's light, 0–1 (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.asarray(np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12), np.float64)
