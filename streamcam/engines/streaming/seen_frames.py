"""Which frames of a source's clips are new to an engine that computes each frame once. It needs no torch."""

import numpy as np
import numpy.typing as npt

from streamcam.engines.streaming.span import FrameTimes
from streamcam.records import Clip

NewFrames = tuple[npt.NDArray[np.uint8], FrameTimes]
"""New frames of a source, uint8 [t,3,h,w], and their times."""


class SeenFrames:
    """What an engine has taken of one session of a source."""

    def __init__(self) -> None:
        self._index = -1  # of the newest frame that was taken; −1 before the first

    def continues_with(self, clip: Clip) -> bool:
        """Return whether no frame is missing between the newest one that was taken and the clip."""
        missing = clip.index - self._index - len(clip.frames)
        return self._index < 0 or (clip.index >= self._index and missing <= 0)

    def new_frames(self, clip: Clip) -> int:
        """Return how many frames of the clip have not been taken before: all of them, after a gap."""
        continues = self._index >= 0 and self.continues_with(clip)
        return clip.index - self._index if continues else len(clip.frames)

    def take(self, clip: Clip) -> NewFrames:
        """Return the frames of the clip that have not been taken before, and note that they are."""
        first = len(clip.frames) - self.new_frames(clip)
        self._index = clip.index
        return clip.frames[first:], clip.pts_s[first:]
