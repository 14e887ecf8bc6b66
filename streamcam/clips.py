"""Joins frames to clips at the model's frame rate, by timestamp. It uses no threads and no clock."""

from collections import deque
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.records import Clip, ClipFormat, Frame, Image, Picture, Transform

MAX_GAP_S = 0.5
"""A longer pause between two frames starts the window afresh, unless the camera is usually that slow."""

BLOCK_CLIPS = 2
"""Clips that a block of frames has room for.

With two, each frame is written once and copied about once. Larger blocks copy less, which hardly counts beside
resizing, and they hold more memory for each camera."""


def prepare(picture: Picture, clip_format: ClipFormat) -> Image:
    """Resize and crop a picture, uint8 [H,W,3] of any size, to the network's uint8 [3,h,w]."""
    clip_format = clip_format.fitted(*picture.shape[:2])
    (height, width), (h, w) = clip_format.resize, clip_format.crop
    shrinks = picture.shape[0] >= height and picture.shape[1] >= width
    if isinstance(picture, np.ndarray):
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)
    else:
        resized = picture.resized(height, width, area=shrinks)
    top, left = _crop_offset(clip_format)
    return np.ascontiguousarray(resized[top : top + h, left : left + w].transpose(2, 0, 1), dtype=np.uint8)


def transform_of(clip_format: ClipFormat) -> Transform:
    """Give the rectangle of the picture that `prepare` keeps."""
    (height, width), (h, w) = clip_format.resize, clip_format.crop
    top, left = _crop_offset(clip_format)
    return Transform(left / width, top / height, (left + w) / width, (top + h) / height)


def _crop_offset(clip_format: ClipFormat) -> tuple[int, int]:
    (height, width), (h, w) = clip_format.resize, clip_format.crop
    # Rounded as torchvision's CenterCrop does it, with which most networks were trained.
    return round((height - h) / 2), round((width - w) / 2)


class SlidingWindow:
    """A window that slides over one source's frames at the model's rate, and gives a clip every `hop` samples.

    A sample falls every 1/fps seconds from a session's first frame on. It takes the camera frame nearest in time:

        camera, 10 fps   │       │       │       │       │
        samples, 15 fps  ┴────┴────┴────┴────┴────┴────┴──      some frames are taken twice

        camera, 25 fps   │  │  │  │  │  │  │  │  │  │  │        some are not taken
        samples, 15 fps  ┴────┴────┴────┴────┴────┴────┴──

    A sample takes a frame as soon as no later frame can be nearer, judging by the camera's rate. A new session, a jump
    back in time, a change of size or a gap starts the window afresh, so no clip spans one.

    Prepared frames are written one behind the other into a block with room for two clips. A clip is a view of the last
    L of them. When a block is full, a new one begins with copies of the newest L − 1 frames. A block lives as long as
    somebody holds a clip in it, so a clip is never overwritten, however slow its reader.

    With `head_start`, it also gives clips that are not full yet. An engine that computes each frame once wants them:
    otherwise each session would begin with L frames of work at once.
    """

    def __init__(self, clip_format: ClipFormat, *, hop: int = 1, head_start: bool = False) -> None:
        if hop < 1:
            raise ValueError(f"expected hop ≥ 1, got {hop}")
        self.clip_format, self.hop = clip_format, hop
        self.pieces = self.longest = 0
        """How many unbroken stretches the frames formed, and how many samples the longest of them gave."""
        # With a head start, the first full clip still comes at sample L: clips before it are whole hops earlier.
        self._first_due = (clip_format.length - 1) % hop + 1 if head_start else clip_format.length
        self._transform = transform_of(clip_format)
        self._fitted = clip_format
        self._intervals_s: deque[float] = deque(maxlen=9)
        self._previous: Frame | None = None
        self._first_index = self._samples = 0
        self._start_afresh(at_s=0.0)

    def push(self, frame: Frame) -> Clip | None:
        """Add a frame. Return the clip of the newest L samples if it is time for one, that is every `hop` samples."""
        previous = self._previous
        if previous is None or self._breaks(previous, frame):
            self._fitted = self.clip_format.fitted(*frame.picture.shape[:2])  # a stretch has pictures of one size
            self._start_afresh(at_s=frame.pts_s)
            self.pieces += 1
            previous = None
        elif frame.pts_s == previous.pts_s:
            return None
        last = self._take_samples(previous, frame)
        self._previous = frame
        self.longest = max(self.longest, self._samples)
        if last is None or self._samples < self._due:
            return None
        self._due += self.hop * ((self._samples - self._due) // self.hop + 1)
        return self._clip(last)

    def _breaks(self, previous: Frame, frame: Frame) -> bool:
        """Whether `frame` does not follow `previous` in one unbroken stretch of video."""
        if frame.session != previous.session or frame.picture.shape != previous.picture.shape:
            return True
        interval_s = frame.pts_s - previous.pts_s
        usual_s = median(self._intervals_s) if self._intervals_s else 0.0
        if interval_s > 0:
            self._intervals_s.append(interval_s)
        return interval_s < 0 or interval_s > max(MAX_GAP_S, 4 * usual_s)

    def _take_samples(self, previous: Frame | None, frame: Frame) -> Frame | None:
        """Fill every sample that no later frame can be nearer to; return the frame that the last of them took.

        The next frame is expected one interval after this one, so this frame is the nearest one for samples up to half
        an interval later.
        """
        taken = None
        half_interval_s = 0.0 if previous is None else (frame.pts_s - previous.pts_s) / 2
        while (due_s := self._start_s + self._samples / self.clip_format.fps) <= frame.pts_s + half_interval_s:
            previous_is_nearer = previous is not None and due_s - previous.pts_s < frame.pts_s - due_s
            taken = previous if previous_is_nearer and previous is not None else frame
            self._append(taken)
        return taken

    def _append(self, frame: Frame) -> None:
        """Write a prepared frame behind the last one. A frame that is taken twice is prepared once."""
        if self._filled == len(self._block):
            self._begin_next_block()
        i = self._filled
        repeats = self._samples > 0 and self._pts_s[i - 1] == frame.pts_s
        self._block[i] = self._block[i - 1] if repeats else prepare(frame.picture, self._fitted)
        self._pts_s[i] = frame.pts_s
        self._filled += 1
        self._samples += 1

    def _clip(self, last: Frame) -> Clip:
        length = min(self._samples, self.clip_format.length)
        newest = slice(self._filled - length, self._filled)
        return Clip(
            frames=self._block[newest],
            pts_s=self._pts_s[newest],
            index=self._first_index + self._samples - 1,
            last=last,
            transform=self._transform,
            full=length == self.clip_format.length,
        )

    def _start_afresh(self, *, at_s: float) -> None:
        if self._samples:  # a jump by more than L in `Clip.index` says that the clips share no frame
            self._first_index += self._samples + self.clip_format.length
        self._start_s, self._samples, self._due = at_s, 0, self._first_due
        self._block, self._pts_s = self._new_block()
        self._filled = 0

    def _begin_next_block(self) -> None:
        keep = self.clip_format.length - 1
        block, pts_s = self._new_block()
        block[:keep], pts_s[:keep] = self._block[self._filled - keep :], self._pts_s[self._filled - keep :]
        self._block, self._pts_s, self._filled = block, pts_s, keep

    def _new_block(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        size = BLOCK_CLIPS * self.clip_format.length
        return np.empty((size, 3, *self._fitted.crop), np.uint8), np.empty(size)
