"""Look at a clip: its size, its frame rate, and small pictures of its first, middle and last frame."""

from contextlib import closing, suppress
from dataclasses import dataclass
from threading import Event

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.records import Image
from streamcam.sources.base import open_source
from streamcam.sources.video import VideoSource
from streamcam.train.data.annotations import LabelledClip

GREY_SIDE, COLOUR_SIDE = 16, 32
"""Pixels. The grey pictures are small, so that a copy of less quality looks the same."""

END_S = 0.5
"""The last frame is looked for in the last half second. The time of a file's end is not exact."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipSample:
    """What a look at a clip has shown."""

    clip: LabelledClip
    width: int
    """Pixels of the upright picture, as is the height."""
    height: int
    fps: float
    grey: npt.NDArray[np.uint8]
    """uint8 [3,16,16]: the first, the middle and the last frame."""
    middle: Image
    """uint8 [32,32,3], RGB: the middle frame, without its aspect."""


def sample_clip(clip: LabelledClip) -> tuple[ClipSample, Image]:
    """Decode the first, the middle and the last frame of a clip.

    Returns:
        The sample, and the whole middle frame, uint8 [H,W,3].

    Raises:
        StreamcamError: its first or its middle frame cannot be decoded.
    """
    middle_s = (clip.start_s + clip.end_s) / 2
    with closing(_open(clip, clip.start_s)) as source:
        first, fps = next(source.frames(Event())).pixels, source.fps
    with closing(_open(clip, middle_s)) as source:
        middle = next(source.frames(Event())).pixels
    last = _last_frame(clip, max(middle_s, clip.end_s - END_S), middle)
    grey = np.stack([cv2.cvtColor(_small(image, GREY_SIDE), cv2.COLOR_RGB2GRAY) for image in (first, middle, last)])
    height, width = first.shape[:2]
    return ClipSample(clip, width, height, fps, grey.astype(np.uint8), _small(middle, COLOUR_SIDE)), middle


def _open(clip: LabelledClip, start_s: float) -> VideoSource:
    return open_source(f"file://{clip.path}", paced=False, start_s=start_s, end_s=clip.end_s)


def _last_frame(clip: LabelledClip, start_s: float, default: Image) -> Image:
    """Return the last frame that begins at `start_s` or later; the default where none does."""
    last = default
    with closing(_open(clip, start_s)) as source, suppress(StreamcamError):
        for frame in source.frames(Event()):
            last = frame.pixels
    return last


def _small(image: Image, side: int) -> Image:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
