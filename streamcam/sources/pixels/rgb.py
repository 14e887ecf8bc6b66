"""A source's decoded frames → RGB: upright, in the right colours, and with square pixels."""

import logging
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from streamcam.records import Image, Picture
from streamcam.sources.opening import FAILURES, MAX_PIXELS
from streamcam.sources.pixels import colour
from streamcam.sources.pixels.orientation import upright
from streamcam.sources.pixels.tags import has_alpha, has_full_range, matrix_in, orientation_in

MAX_ASPECT = 4
"""How many times wider than high a pixel may be, or higher than wide; a larger ratio is a mistake in the file."""

CRASHES_SWSCALE = frozenset({"yaf32le", "yaf32be"})
"""Pixel formats on which FFmpeg's swscale aborts the process."""

log = logging.getLogger(__name__)


class RgbConverter:
    """Converts one source's frames on the CPU. It warns once of each thing that the video says wrongly."""

    def __init__(self, name: str) -> None:
        """Take the source's name, for warnings."""
        self._name = name
        self.refused: str | None = None
        """Why a frame could not be converted; None where all could."""
        self._scaler = VideoReformatter()  # one for all frames: PyAV keeps some 15 MB for each that lives
        self._stream: VideoStream | None = None
        self._first_coded_aspect: Any = None
        self._logged: set[str] = set()

    def begin(self, stream: VideoStream) -> None:
        """Note that the next frames are from this stream."""
        self._stream, self._first_coded_aspect = stream, stream.codec_context.sample_aspect_ratio

    def end(self) -> None:
        """Forget the stream. Its decoder's threads live as long as anything refers to it."""
        self._stream = None

    def image(self, decoded: VideoFrame) -> Image:
        """Convert a frame to RGB, uint8 [H,W,3], upright; its pixels are as square or oblong as they were.

        Raises:
            FFmpegError, OSError, ValueError: FFmpeg does not convert the frame's pixel format.
        """
        try:
            image = self._convert(decoded)
        except FAILURES:
            self.refused = f"FFmpeg does not convert {decoded.format.name}"
            self._warn_once(f"its pictures cannot be shown: {self.refused}")
            raise
        return upright(image, orientation_in(decoded))

    def with_square_pixels(self, picture: Picture, decoded: VideoFrame) -> Picture:
        """Stretch an upright picture along its pixels' shorter side, so that they are square and no detail is lost.

        A picture that would be larger than `MAX_PIXELS` stays as it is.

        Args:
            picture: an upright RGB picture, on the CPU or on a GPU.
            decoded: the frame that it was made from.
        """
        aspect = self._pixel_aspect()
        if aspect == 1:
            return picture
        if orientation_in(decoded).transposed:
            aspect = 1 / aspect
        height, width = picture.shape[:2]
        width, height = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
        if width * height > MAX_PIXELS:
            return picture
        if isinstance(picture, np.ndarray):
            return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        return picture.stretched(height, width)

    def _pixel_aspect(self) -> Fraction:
        """Return a pixel's width over its height (SAR): the container's, until the codec says something new."""
        if self._stream is None:
            return Fraction(1)
        coded = self._stream.codec_context.sample_aspect_ratio
        ratio = self._stream.sample_aspect_ratio if coded == self._first_coded_aspect else coded
        aspect = Fraction(ratio.numerator, ratio.denominator) if ratio else Fraction(1)
        if 1 <= MAX_ASPECT * aspect <= MAX_ASPECT**2:
            return aspect
        self._warn_once(
            f"its pixels are taken for square: it says that they are {aspect.numerator}:{aspect.denominator}"
        )
        return Fraction(1)

    def _convert(self, decoded: VideoFrame) -> Image:
        layout, full_range = decoded.format, has_full_range(decoded)
        if layout.name.startswith("gray") and layout.components[0].bits <= 16 and "f" not in layout.name:
            return _grey_to_rgb(decoded, full_range=full_range)
        # Read the tags first: _prepare_tags changes them.
        transfer, primaries = int(decoded.color_trc), int(decoded.color_primaries)
        is_hdr, matrix = transfer in (colour.PQ, colour.HLG), self._prepare_tags(decoded)
        if matrix not in colour.LUMA_WEIGHTS:
            image: npt.NDArray[Any] = self._by_matrix(decoded, matrix, full_range=full_range)
        else:
            image = self._by_swscale(decoded, "rgb48le" if is_hdr else "rgba" if has_alpha(decoded) else "rgb24")
            # swscale expands the limited range of YUV alone.
            if not full_range and (layout.is_rgb or layout.name.startswith("ya")):
                image[..., :3] = colour.range_table(8 * image.itemsize, full_range=False)[image[..., :3]]
        if is_hdr:
            return colour.tone_map(image, transfer, primaries)
        return image if image.shape[2] == 3 else _over_white(image)

    def _by_swscale(self, decoded: VideoFrame, layout: str) -> npt.NDArray[Any]:
        if decoded.format.name in CRASHES_SWSCALE:
            raise ValueError(decoded.format.name)
        return self._scaler.reformat(decoded, format=layout, threads=1).to_ndarray()

    def _by_matrix(self, decoded: VideoFrame, matrix: int, *, full_range: bool) -> Image:
        """Convert by a matrix that swscale has no table for; swscale brings the planes to one size and to 8 bits."""
        layout = "yuvj444p" if full_range else "yuv444p"
        planes = self._by_swscale(decoded, layout)
        to_rgb = colour.yuv_to_rgb_matrix(matrix, full_range=full_range)
        return np.asarray(cv2.transform(np.dstack([*planes]), to_rgb), np.uint8)

    def _prepare_tags(self, decoded: VideoFrame) -> int:
        """Replace the tags for which swscale would refuse a frame; return the matrix to convert by."""
        tag, matrix = int(decoded.colorspace), matrix_in(decoded)
        is_derived = tag == colour.DERIVED and matrix == int(decoded.color_primaries)
        if tag not in (matrix, colour.UNSPECIFIED) and not is_derived and not decoded.format.is_rgb:
            self._warn_once(f"its colours are approximate: matrix {tag} of ITU-T H.273 is not supported")
        decoded.colorspace = matrix if matrix in colour.LUMA_WEIGHTS else colour.BT709
        decoded.color_trc = decoded.color_primaries = colour.UNSPECIFIED
        if int(decoded.color_range) not in (colour.LIMITED, colour.FULL):
            decoded.color_range = 0
        return matrix

    def _warn_once(self, message: str) -> None:
        if message not in self._logged:
            self._logged.add(message)
            log.warning("%s: %s", self._name, message)


def _grey_to_rgb(decoded: VideoFrame, *, full_range: bool) -> Image:
    """Convert grey of 8 to 16 bits to uint8 [H,W,3]; swscale would not expand a limited range."""
    values: npt.NDArray[Any] = decoded.to_ndarray()
    bits = decoded.format.components[0].bits
    if bits > 8 or not full_range:
        values = colour.range_table(bits, full_range=full_range).take(values, mode="clip")
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2RGB), np.uint8)


def _over_white(rgba: Image) -> Image:
    """Blend uint8 [H,W,4] over white → [H,W,3], as stills are shown."""
    alpha = rgba[..., 3:]
    if (alpha == 255).all():
        return np.ascontiguousarray(rgba[..., :3])
    return np.asarray(
        (rgba[..., :3].astype(np.uint16) * alpha + 255 * (255 - alpha.astype(np.uint16)) + 127) // 255, np.uint8
    )
