"""The eight orientations of a picture (turned by quarters, mirrored), and how it is set upright."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streamcam.records import Image


class Orientation(NamedTuple):
    """How to set a picture upright: exchange rows and columns first, then mirror."""

    transposed: bool = False
    """Whether rows become columns."""
    flipped: bool = False
    """Whether top and bottom are then exchanged."""
    mirrored: bool = False
    """Whether left and right are then exchanged."""


UPRIGHT = Orientation()


def orientation_of(matrix: Sequence[int]) -> Orientation:
    """Return the orientation nearest to a display matrix; `UPRIGHT` for a matrix of zeros.

    Args:
        matrix: nine numbers in the order of ISO/IEC 14496-12: a, b, u, c, d, v, x, y, w. The pixel at (column, row) is
            shown at (a·column + c·row, b·column + d·row), apart from a shift.
    """
    a, b, _, c, d, *_ = matrix
    transposed = abs(b) + abs(c) > abs(a) + abs(d)
    return Orientation(transposed, (b if transposed else d) < 0, (c if transposed else a) < 0)


def upright(image: Image, orientation: Orientation) -> Image:
    """Set a picture upright: uint8 [H,W,3] → [H,W,3] or [W,H,3], contiguous."""
    if orientation == UPRIGHT:
        return image
    turned = image.swapaxes(0, 1) if orientation.transposed else image
    rows = slice(None, None, -1 if orientation.flipped else 1)
    columns = slice(None, None, -1 if orientation.mirrored else 1)
    return np.ascontiguousarray(turned[rows, columns])
