"""The eight ways in which a picture can lie, and how it is set upright."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streamcam.records import Image


class Orientation(NamedTuple):
    """How a picture is set upright: rows and columns are exchanged first, and then it is mirrored."""

    exchanged: bool = False
    """Whether its rows become columns."""
    upside_down: bool = False
    """Whether rows are then mirrored, top to bottom."""
    mirrored: bool = False
    """Whether columns are then mirrored, left to right."""


UPRIGHT = Orientation()


def orientation_of(matrix: Sequence[int]) -> Orientation:
    """What a display matrix asks for, a, b, u, c, d, v, x, y, w: (column, row) goes to (a·column + c·row, b·… + d·…).

    The nearest of the eight; of a matrix of nothing but zeros, none.
    """
    a, b, _, c, d, *_ = matrix
    exchanged = abs(b) + abs(c) > abs(a) + abs(d)
    return Orientation(exchanged, (b if exchanged else d) < 0, (c if exchanged else a) < 0)


def upright(image: Image, orientation: Orientation) -> Image:
    """uint8 [H,W,3] → the same picture upright, contiguous."""
    if orientation == UPRIGHT:
        return image
    turned = image.swapaxes(0, 1) if orientation.exchanged else image
    rows, columns = (slice(None, None, -1 if flip else 1) for flip in orientation[1:])
    return np.ascontiguousarray(turned[rows, columns])
