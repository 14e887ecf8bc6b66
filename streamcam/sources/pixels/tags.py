"""What a decoded frame says of its colours and orientation, and what is assumed where it says nothing."""

from typing import Any

import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame

from streamcam.sources.pixels import colour
from streamcam.sources.pixels.orientation import UPRIGHT, Orientation, orientation_of


def _unknown_type(cls: type[Type], value: object) -> Any:
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return member


# PyAV 19 does this itself. In older versions, one type of side data that PyAV does not know, such as EXIF, raised an
# error for all the side data of a frame.
if "_missing_" not in vars(Type):
    Type._missing_ = classmethod(_unknown_type)  # type: ignore[method-assign,assignment]


def matrix_in(decoded: VideoFrame) -> int:
    """Return the matrix to convert a frame by: one of `colour.LUMA_WEIGHTS`, GBR, or YCgCo."""
    width, height, layout = decoded.width, decoded.height, decoded.format
    matrix = colour.matrix_for(int(decoded.colorspace), int(decoded.color_primaries), width, height)
    # GBR cannot be true of RGB pixels, nor of planes with halved chroma.
    if matrix == colour.GBR and (layout.is_rgb or layout.chroma_width(width) < width):
        return colour.usual_matrix(width, height)
    return matrix


def has_full_range(decoded: VideoFrame) -> bool:
    """Whether a frame's values go from 0 to the largest, and not from 16 to 235 (of 8 bits)."""
    tag, layout = int(decoded.color_range), decoded.format
    if tag in (colour.LIMITED, colour.FULL):
        return tag == colour.FULL
    # Grey without a tag has full range. Grey of H.264 and the like has a tag: FFmpeg sets it to limited.
    return layout.is_rgb or layout.has_palette or layout.name.startswith(("yuvj", "gray", "ya"))


def has_alpha(decoded: VideoFrame) -> bool:
    """Whether parts of a frame may be transparent."""
    return decoded.format.has_palette or any(component.is_alpha for component in decoded.format.components)


def orientation_in(decoded: VideoFrame) -> Orientation:
    """Return how to set a frame upright, as the container, its EXIF or the codec says."""
    # PyAV's `decoded.side_data` would refer back to the frame, and keep it in memory.
    side_data_of: Any = SideDataContainer
    matrix = side_data_of(decoded).get(Type.DISPLAYMATRIX)
    return UPRIGHT if matrix is None else orientation_of(np.frombuffer(matrix, np.int32).tolist())
