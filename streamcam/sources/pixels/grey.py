"""Grey video of more than 8 bits: which pictures are such, what their values are, and how they become 8 bits."""

import logging

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from streamcam.errors import StreamcamError
from streamcam.records import Image
from streamcam.sources.log_once import warn_once
from streamcam.sources.pixels.levels import GreyValues, LevelMapper

log = logging.getLogger(__name__)

MIN_BITS, MAX_BITS = 9, 16


def grey_bits(layout: VideoFormat) -> int:
    """Return how many bits a grey value has, 9 to 16; 0 for a layout of 8 bits, of floats, or in colour.

    Args:
        layout: FFmpeg's pixel format. Its names of grey begin with `gray`, and with `ya` where there is alpha.
    """
    if not layout.name.startswith(("gray", "ya")) or "f" in layout.name:
        return 0
    bits = layout.components[0].bits
    return bits if MIN_BITS <= bits <= MAX_BITS else 0


def grey_values(decoded: VideoFrame) -> GreyValues:
    """Return a frame's values as the camera gave them, uint16 [H,W]; alpha is left out."""
    plane, step = decoded.planes[0], len(decoded.format.components)
    byte_order = ">u2" if decoded.format.name.endswith("be") else "<u2"
    # FFmpeg pads each row of a plane to line_size bytes.
    rows = np.frombuffer(memoryview(plane), byte_order).reshape(-1, plane.line_size // 2)
    return np.asarray(rows[: decoded.height, : decoded.width * step : step], np.uint16)


class GreyConverter:
    """Maps one source's grey of more than 8 bits, where `--levels` is given; warns once where it is not."""

    def __init__(self, shown: str, levels: str | None) -> None:
        """Take the source's name for people, and levels: `low:high`, `auto` or None.

        Raises:
            StreamcamError: the levels are none of these.
        """
        self._shown = shown
        self._mapper = None if levels is None else LevelMapper(levels)

    def require_grey(self, layout: VideoFormat | None) -> None:
        """Refuse levels for a video that they cannot apply to; a layout that is not known yet passes.

        Raises:
            StreamcamError: levels are given, and the video is in colour or has 8 bits.
        """
        if self._mapper is not None and layout is not None and not grey_bits(layout):
            raise StreamcamError(
                f"--levels is for grey video of more than 8 bits; {self._shown} is {layout.name}: leave it out there"
            )

    def image(self, decoded: VideoFrame, time_s: float) -> Image | None:
        """Map a frame by its levels; return None where no levels are given, so FFmpeg converts it.

        Returns:
            uint8 [H,W,3], as it was coded: not turned upright yet.

        Raises:
            StreamcamError: as `require_grey`.
        """
        self.require_grey(decoded.format)
        bits = grey_bits(decoded.format)
        if self._mapper is not None:
            return self._mapper.image(grey_values(decoded), time_s)
        if bits:
            warn_once(
                log,
                f"only 8 of {bits} bits of grey are kept: run and explain take --levels LOW:HIGH, or auto, to choose",
            )
        return None
