"""A source's decoded frames → pictures: RGB, upright, with square pixels, where they were decoded."""

import logging

from av.codec.hwaccel import HWAccel
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamcam.records import Picture
from streamcam.sources.pixels.decoder import Decoder
from streamcam.sources.pixels.grey import GreyConverter
from streamcam.sources.pixels.orientation import upright
from streamcam.sources.pixels.rgb import RgbConverter
from streamcam.sources.pixels.tags import orientation_in

log = logging.getLogger(__name__)


class FrameConverter:
    """Converts one source's frames: on the GPU where they were decoded there, by levels, or by FFmpeg."""

    def __init__(self, name: str, shown: str, *, decoder: Decoder | None, levels: str | None) -> None:
        """Note how to convert.

        Args:
            name: the source's name, for warnings.
            shown: the source argument as people may see it, for errors.
            decoder: what decodes instead of the CPU.
            levels: for grey of more than 8 bits: `low:high`, `auto` or None.

        Raises:
            StreamcamError: the levels are none of these.
        """
        self._name, self._decoder = name, decoder
        self._grey, self._rgb = GreyConverter(shown, levels), RgbConverter(name)

    @property
    def hwaccel(self) -> HWAccel | None:
        """The hardware with which streams are opened; None for the CPU."""
        return None if self._decoder is None else self._decoder.hwaccel

    @property
    def refused(self) -> str | None:
        """Why a frame could not be converted; None where all could."""
        return self._rgb.refused

    def require_levels_apply(self, layout: VideoFormat | None) -> None:
        """Refuse levels for a video that they cannot apply to: see `GreyConverter.require_grey`."""
        self._grey.require_grey(layout)

    def begin(self, stream: VideoStream) -> None:
        """Note that the next frames are from this stream."""
        self._rgb.begin(stream)

    def end(self) -> None:
        """Forget the stream."""
        self._rgb.end()

    def picture(self, decoded: VideoFrame, time_s: float) -> Picture:
        """Convert a frame; `time_s` is its time in seconds.

        Raises:
            FFmpegError, OSError, ValueError: FFmpeg does not convert the frame's pixel format.
            StreamcamError: levels are given, and the video is in colour or has 8 bits.
        """
        return self._rgb.with_square_pixels(self._upright(decoded, time_s), decoded)

    def _upright(self, decoded: VideoFrame, time_s: float) -> Picture:
        if self._decoder is not None:
            picture = self._decoder.picture(decoded)
            if picture is not None:
                return picture
            # From the first frame on that the decoder does not take, the CPU converts all.
            log.warning("%s is decoded on the CPU: the other decoder does not take it", self._name)
            self._decoder = None
        # Only RgbConverter turns its image upright itself.
        image = self._grey.image(decoded, time_s)
        return self._rgb.image(decoded) if image is None else upright(image, orientation_in(decoded))
