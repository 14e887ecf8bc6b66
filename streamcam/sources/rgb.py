"""A source's decoded pictures → RGB: upright, in the colours that are meant, and with square pixels."""

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
from streamcam.sources import colour
from streamcam.sources.opening import FAILURES, MAX_PIXELS
from streamcam.sources.orientation import upright
from streamcam.sources.tags import has_alpha, has_full_range, matrix_in, orientation_in

MOST_UNEVEN = 4
"""How much wider than high a pixel may be, or higher than wide; what claims more is nonsense."""

ABORTS = frozenset({"yaf32le", "yaf32be"})
"""Formats on which swscale ends the process."""

log = logging.getLogger(__name__)


class ToRgb:
    """Converts one source's pictures. What the source's video does not say, or says wrongly, is told once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.refused: str | None = None
        """Why a picture could not be converted, if ever one could not."""
        self._scaler = VideoReformatter()  # one for all: PyAV keeps some 15 MB for each that lives
        self._stream: VideoStream | None = None
        self._coded_aspect: Any = None
        self._told: set[str] = set()

    def begin(self, stream: VideoStream) -> None:
        """What comes from now on is this stream's."""
        self._stream, self._coded_aspect = stream, stream.codec_context.sample_aspect_ratio

    def end(self) -> None:
        """Nothing more comes of it: its decoder, whose threads live as long as it is known here, may go."""
        self._stream = None

    def image(self, decoded: VideoFrame) -> Image:
        """uint8 [H,W,3], upright; its pixels are as square as they came.

        Raises:
            FFmpegError, OSError, ValueError: it is in a format that FFmpeg does not convert.
        """
        try:
            image = self._converted(decoded)
        except FAILURES:
            self.refused = f"FFmpeg does not convert {decoded.format.name}"
            self._tell(f"its pictures cannot be shown: {self.refused}")
            raise
        return upright(image, orientation_in(decoded))

    def squared(self, picture: Picture, decoded: VideoFrame) -> Picture:
        """An upright picture with square pixels: the longer side of its pixels decides, so that nothing is lost."""
        aspect = self._pixel_aspect()
        height, width = picture.shape[:2]
        if aspect == 1:
            return picture
        if orientation_in(decoded).exchanged:
            aspect = 1 / aspect
        width, height = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
        if width * height > MAX_PIXELS:
            return picture
        if isinstance(picture, np.ndarray):
            return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        return picture.stretched(height, width)

    def _pixel_aspect(self) -> Fraction:
        """A pixel's width over its height: as the container says, until the codec says something new."""
        if self._stream is None:
            return Fraction(1)
        coded = self._stream.codec_context.sample_aspect_ratio
        said = self._stream.sample_aspect_ratio if coded == self._coded_aspect else coded
        aspect = Fraction(said.numerator, said.denominator) if said else Fraction(1)
        if 1 <= MOST_UNEVEN * aspect <= MOST_UNEVEN**2:
            return aspect
        self._tell(f"its pixels are taken for square: it says that they are {aspect.numerator}:{aspect.denominator}")
        return Fraction(1)

    def _converted(self, decoded: VideoFrame) -> Image:
        layout, full_range = decoded.format, has_full_range(decoded)
        if layout.name.startswith("gray") and layout.components[0].bits <= 16 and "f" not in layout.name:
            return _grey(decoded, full_range=full_range)
        transfer, primaries = int(decoded.color_trc), int(decoded.color_primaries)
        is_hdr, matrix = transfer in (colour.PQ, colour.HLG), self._make_plain(decoded)
        if matrix not in colour.LUMA:
            image: npt.NDArray[Any] = self._by_weights(decoded, matrix, full_range=full_range)
        else:
            image = self._scaled(decoded, "rgb48le" if is_hdr else "rgba" if has_alpha(decoded) else "rgb24")
            if not full_range and (layout.is_rgb or layout.name.startswith("ya")):
                image[..., :3] = colour.expanded(8 * image.itemsize, full_range=False)[image[..., :3]]
        if is_hdr:
            return colour.tone_mapped(image, transfer, primaries)
        return image if image.shape[2] == 3 else _over_white(image)

    def _scaled(self, decoded: VideoFrame, layout: str) -> npt.NDArray[Any]:
        if decoded.format.name in ABORTS:
            raise ValueError(decoded.format.name)
        return self._scaler.reformat(decoded, format=layout, threads=1).to_ndarray()

    def _by_weights(self, decoded: VideoFrame, matrix: int, *, full_range: bool) -> Image:
        """By a matrix that swscale has no table for: it brings the planes to one size and to 8 bits."""
        layout = "yuvj444p" if full_range else "yuv444p"
        planes = self._scaled(decoded, layout)
        return np.asarray(cv2.transform(np.dstack([*planes]), colour.weights(matrix, full_range=full_range)), np.uint8)

    def _make_plain(self, decoded: VideoFrame) -> int:
        """Leave no tag on it that swscale would refuse it for; the matrix to convert by."""
        said, matrix = int(decoded.colorspace), matrix_in(decoded)
        derived = said == colour.DERIVED and matrix == int(decoded.color_primaries)
        if said not in (matrix, colour.UNSPECIFIED) and not derived and not decoded.format.is_rgb:
            self._tell(f"its colours are near, not exact: nothing here undoes matrix {said} of ITU-T H.273")
        decoded.colorspace = matrix if matrix in colour.LUMA else colour.BT709
        decoded.color_trc = decoded.color_primaries = colour.UNSPECIFIED
        if int(decoded.color_range) not in (colour.LIMITED, colour.FULL):
            decoded.color_range = 0
        return matrix

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            log.warning("%s: %s", self._name, what)


def _grey(decoded: VideoFrame, *, full_range: bool) -> Image:
    """What has no colour, of 8 to 16 bits, uint8 [H,W,3]; swscale would not expand a limited range."""
    values: npt.NDArray[Any] = decoded.to_ndarray()
    bits = decoded.format.components[0].bits
    if bits > 8 or not full_range:
        values = colour.expanded(bits, full_range=full_range).take(values, mode="clip")
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2RGB), np.uint8)


def _over_white(rgba: Image) -> Image:
    """uint8 [H,W,4] → [H,W,3], on white, as stills are shown."""
    alpha = rgba[..., 3:]
    if (alpha == 255).all():
        return np.ascontiguousarray(rgba[..., :3])
    return np.asarray(
        (rgba[..., :3].astype(np.uint16) * alpha + 255 * (255 - alpha.astype(np.uint16)) + 127) // 255, np.uint8
    )
