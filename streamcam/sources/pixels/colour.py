"""YUV and HDR → RGB: the matrices, ranges and curves of ITU-T H.273 and BT.2100, and what videos without tags mean.

Matrices, transfer characteristics and primaries have H.273's numbers, which FFmpeg uses too.
"""

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.records import Image

GBR, BT709, UNSPECIFIED, BT601, YCGCO, BT2020, DERIVED, DERIVED_CONSTANT = 0, 1, 2, 5, 8, 9, 12, 13
"""Matrices. BT709, BT2020 and UNSPECIFIED have the same numbers among primaries.

DERIVED and DERIVED_CONSTANT (constant luminance) follow from the primaries.
"""
PQ, HLG = 16, 18
"""Transfer characteristics of HDR: SMPTE ST 2084 and ARIB STD-B67. ITU-R BT.2100 defines both."""
LIMITED, FULL = 1, 2
"""Ranges, as FFmpeg numbers them: 16–235 of 0–255 (chroma: 16–240), and 0–255."""

LUMA_WEIGHTS = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    BT601: (0.299, 0.114),
    6: (0.299, 0.114),  # BT.601 of 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    BT2020: (0.2627, 0.0593),
}
"""The matrix → the weights of red and blue in luma, K_R and K_B; green's weight is 1 − K_R − K_B."""
NEAREST_MATRIX = {10: BT2020, 11: BT2020, 14: BT2020, 15: BT2020, 16: YCGCO, 17: YCGCO}
"""What stands in for a matrix that this module cannot invert: BT.2020's constant luminance, ICtCp and their like."""
MATRIX_OF_PRIMARIES = {BT709: BT709, 4: 4, 5: BT709, 6: 7, 7: 7, BT2020: BT2020}
"""Primaries → the matrix that follows from them, or one near it. BT.601's primaries do not give BT.601's matrix."""

REFERENCE_WHITE = 203.0
"""HDR's diffuse white, in cd/m² (ITU-R BT.2408). It becomes SDR's white."""
PEAK = 1000.0
"""The peak that HDR pictures are taken to be graded for, in cd/m²: HLG's nominal one, and that of most PQ videos."""
HLG_GAMMA = 1.2
"""HLG's system gamma, at a peak of 1000 cd/m²."""
SDR_GAMMA = 2.4
"""The gamma of an SDR display (ITU-R BT.1886)."""
BT2020_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""float64 [3,3]: linear RGB with BT.2020's primaries → with BT.709's (ITU-R BT.2087)."""

BAND_ROWS = 64
"""How many rows are tone-mapped at a time, so that the intermediate values take little memory."""


def usual_matrix(width: int, height: int) -> int:
    """Return the matrix that players assume where a video says none: BT.709 for HD, BT.601 for smaller pictures."""
    return BT709 if width >= 1280 or height > 576 else BT601


def matrix_for(tag: int, primaries: int, width: int, height: int) -> int:
    """Return the matrix to convert by: one of `LUMA_WEIGHTS`, `GBR` or `YCGCO`.

    Args:
        tag: the video's own matrix. Where this module cannot invert it, the nearest one is returned.
        primaries: the video's primaries.
        width: of the pictures, in pixels.
        height: of the pictures, in pixels.
    """
    if tag in (*LUMA_WEIGHTS, GBR, YCGCO):
        return tag
    if tag in (DERIVED, DERIVED_CONSTANT) and primaries in MATRIX_OF_PRIMARIES:
        return MATRIX_OF_PRIMARIES[primaries]
    return NEAREST_MATRIX.get(tag, usual_matrix(width, height))


def yuv_to_rgb_matrix(matrix: int, *, full_range: bool) -> npt.NDArray[np.float64]:
    """Return the float64 [3,4] matrix for which (R, G, B) = matrix · (Y, U, V, 1), all in units of 0–255.

    H.273's equations 20 to 28 (range) and 38 to 58 (matrices) give Y, U and V; here they are solved for R, G and B:

        R = Y + 2 (1 − K_R) V
        B = Y + 2 (1 − K_B) U
        G = (Y − K_R R − K_B B) / (1 − K_R − K_B)

    with Y on 0–1, and U and V on −½ to ½.
    """
    black, luma, chroma = (0.0, 1.0, 1.0) if full_range else (16.0, 255 / 219, 255 / 224)
    zero = np.array([black, 128, 128])
    if matrix == GBR:  # the planes are G, B and R, in this order
        linear, zero = luma * np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.array([black] * 3)
    elif matrix == YCGCO:  # it is made of R, G and B that already have their range, so chroma has no scale of its own
        linear = luma * np.array([[1.0, -1, 1], [1, 1, 0], [1, -1, -1]])
    else:
        red, blue = LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS[BT601])
        v_red, u_blue = 2 * (1 - red), 2 * (1 - blue)
        green = 1 - red - blue
        linear = np.array([[1.0, 0, v_red], [1, -blue * u_blue / green, -red * v_red / green], [1, u_blue, 0]])
        linear *= [luma, chroma, chroma]
    # linear · (yuv − zero) = linear · yuv + (−linear · zero): the last column.
    return np.column_stack([linear, -linear @ zero])


@cache
def range_table(bits: int, *, full_range: bool) -> npt.NDArray[np.uint8]:
    """Return a table uint8 [2**bits]: each value of a grey, or of R, G or B, on a scale of 0–255."""
    values = np.arange(2**bits)
    black, white = (0, 2**bits - 1) if full_range else (16 * 2 ** (bits - 8), 235 * 2 ** (bits - 8))
    return np.asarray(((values - black) * (255 / (white - black))).round().clip(0, 255), np.uint8)


@cache
def light_table(transfer: int) -> npt.NDArray[np.uint16]:
    """Return a table uint16 [65536]: an HDR value of R, G or B → its light, tone-mapped for SDR, whose white is 65535.

    HLG's system gamma is applied to R, G and B each, which is exact for greys. ITU-R BT.2390's curve rolls off the
    highlights, and leaves light below 88 cd/m² as it is.
    """
    values = np.arange(65536) / 65535
    perceived = values if transfer == PQ else _to_pq(PEAK * _from_hlg(values) ** HLG_GAMMA)
    return np.asarray((_from_pq(_rolled_off(perceived)) * (65535 / REFERENCE_WHITE)).round().clip(0, 65535), np.uint16)


@cache
def sdr_table() -> npt.NDArray[np.uint8]:
    """Return a table uint8 [65536]: light, whose white is 65535 → the value that an SDR display needs for it."""
    return np.asarray((255 * (np.arange(65536) / 65535) ** (1 / SDR_GAMMA)).round(), np.uint8)


def tone_map(values: npt.NDArray[Any], transfer: int, primaries: int) -> Image:
    """Map R, G and B of HDR, uint8 or uint16 [H,W,3], to SDR, uint8 [H,W,3].

    Args:
        values: the HDR picture.
        transfer: `PQ` or `HLG`.
        primaries: H.273's number. BT.2020's become BT.709's; others are left as they are.
    """
    lights, sdr, out = light_table(transfer), sdr_table(), np.empty(values.shape, np.uint8)
    if values.dtype == np.uint8:
        lights = lights[::257]  # 255 · 257 = 65535
    for top in range(0, len(values), BAND_ROWS):
        band = lights[values[top : top + BAND_ROWS]]
        if primaries == BT2020:
            band = cv2.transform(band, BT2020_TO_BT709)
        out[top : top + BAND_ROWS] = sdr[band]
    return out


def _rolled_off(perceived: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Map PQ values up to `PEAK` to PQ values up to `REFERENCE_WHITE` (ITU-R BT.2390, section 5.4.1).

    Below the knee nothing changes. Above it, a Hermite spline leads to the white, where its slope is 0.
    """
    peak, white = _to_pq(np.array([PEAK, REFERENCE_WHITE]))
    target = white / peak
    knee = 1.5 * target - 0.5
    value = (perceived / peak).clip(0, 1)
    t = (value - knee).clip(0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * target
    return np.asarray(np.where(value < knee, value, spline) * peak, np.float64)


def _to_pq(luminance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert cd/m² to PQ values 0–1 (ITU-R BT.2100, table 4)."""
    y = (luminance / 10_000) ** (2610 / 16384)
    return np.asarray(((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32), np.float64)


def _from_pq(perceived: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert PQ values 0–1 to cd/m² (ITU-R BT.2100, table 4)."""
    p = perceived ** (32 / 2523)
    linear: npt.NDArray[np.float64] = (p - 3424 / 4096).clip(0) / (2413 / 128 - 2392 / 128 * p)
    return 10_000 * linear ** (16384 / 2610)


def _from_hlg(codes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert HLG values 0–1 to the scene's light, 0–1 (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.asarray(np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12), np.float64)
