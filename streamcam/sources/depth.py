"""Grey pictures of more than 8 bits: their own values, and what becomes of them."""

import logging

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from streamcam.errors import StreamcamError
from streamcam.records import Image
from streamcam.sources.levels import Grader, Values
from streamcam.sources.once import say_once

log = logging.getLogger(__name__)

BYTE_BITS, VALUE_BITS = 8, 16


def grey_bits(layout: VideoFormat) -> int:
    """How many bits a grey value has, 9 to 16; 0 where it is 8, a fraction, or in colour."""
    if not layout.name.startswith(("gray", "ya")):
        return 0
    bits = layout.components[0].bits
    return bits if BYTE_BITS < bits <= VALUE_BITS and "f" not in layout.name else 0


def grey_values(picture: VideoFrame) -> Values:
    """The values as the camera gave them, uint16 [H,W]; transparency is left out."""
    plane, step = picture.planes[0], len(picture.format.components)
    order = ">u2" if picture.format.name.endswith("be") else "<u2"
    rows = np.frombuffer(memoryview(plane), order).reshape(-1, plane.line_size // 2)
    return np.asarray(rows[: picture.height, : picture.width * step : step], np.uint16)


class Depth:
    """What one source's grey becomes."""

    def __init__(self, shown: str, levels: str | None) -> None:
        """Take `low:high`, `auto` or none.

        Raises:
            StreamcamError: it is nothing of these.
        """
        self._shown = shown
        self._grader = None if levels is None else Grader(levels)

    def require(self, layout: VideoFormat | None) -> None:
        """Find out before the first picture that there is nothing to grade.

        Raises:
            StreamcamError: levels are given, and the pictures are in colour or have 8 bits.
        """
        if self._grader is not None and layout is not None and not grey_bits(layout):
            raise StreamcamError(
                f"--levels is for grey video of more than 8 bits; {self._shown} is {layout.name}: leave it out there"
            )

    def image(self, picture: VideoFrame, time_s: float) -> Image | None:
        """By levels, uint8 [H,W,3], not turned yet; None where FFmpeg may convert it.

        Raises:
            StreamcamError: as `require`.
        """
        self.require(picture.format)
        bits = grey_bits(picture.format)
        if self._grader is not None:
            return self._grader.image(grey_values(picture), time_s)
        if bits:
            say_once(
                log, f"of {bits} bits of grey 8 are kept: --levels low:high, or auto, of run and explain says which"
            )
        return None
