"""What a decoded picture says of its colours and of how it lies, and what holds where it says nothing."""

from typing import Any

import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame

from streamcam.sources import colour
from streamcam.sources.orientation import UPRIGHT, Orientation, orientation_of


def _unknown(kinds: type[Type], value: object) -> Any:
    kind: Any = object.__new__(kinds)
    kind._name_, kind._value_ = f"UNKNOWN_{value}", value
    return kind


if "_missing_" not in vars(Type):
    # As PyAV 19 has it. Before, one kind that PyAV does not know, such as EXIF, hid all that came with a picture.
    Type._missing_ = classmethod(_unknown)  # type: ignore[method-assign,assignment]


def matrix_in(decoded: VideoFrame) -> int:
    """By which it is made RGB: one of `colour.LUMA`, or GBR (of planes that are not halved), or YCgCo."""
    width, height, layout = decoded.width, decoded.height, decoded.format
    matrix = colour.matrix_for(int(decoded.colorspace), int(decoded.color_primaries), width, height)
    if matrix == colour.GBR and (layout.is_rgb or layout.chroma_width(width) < width):
        return colour.usual_matrix(width, height)
    return matrix


def has_full_range(decoded: VideoFrame) -> bool:
    """Whether its values go from 0 to the largest."""
    said, layout = int(decoded.color_range), decoded.format
    if said in (colour.LIMITED, colour.FULL):
        return said == colour.FULL
    # Grey that does not say: of H.264 and its like, FFmpeg says for them that it is limited.
    return layout.is_rgb or layout.has_palette or layout.name.startswith(("yuvj", "gray", "ya"))


def has_alpha(decoded: VideoFrame) -> bool:
    """Whether parts of it may be transparent."""
    return decoded.format.has_palette or any(part.is_alpha for part in decoded.format.components)


def orientation_in(decoded: VideoFrame) -> Orientation:
    """How it is set upright, as the container, its EXIF or the codec says."""
    all_of: Any = SideDataContainer  # PyAV's `decoded.side_data` would refer back to it, and keep it in memory
    matrix = all_of(decoded).get(Type.DISPLAYMATRIX)
    return UPRIGHT if matrix is None else orientation_of(np.frombuffer(matrix, np.int32).tolist())
