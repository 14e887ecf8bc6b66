"""What has been sent to the device of one source, and which frames of a clip are new to it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamcam.clips import prepare
from streamcam.engines.device.streams import Event
from streamcam.engines.streaming.heat_ring import FrameTimes
from streamcam.engines.streaming.source_state import SourceState
from streamcam.records import Clip, ClipFormat, Frame

NewFrames = tuple[npt.NDArray[np.uint8], FrameTimes]
"""New frames of a source, uint8 [t,3,h,w], and their times."""


def prepare_frames(frames: Sequence[Frame], clip_format: ClipFormat) -> NewFrames:
    """Resize and crop frames as the network takes them."""
    pixels = np.stack([prepare(frame.pixels, clip_format) for frame in frames])
    return pixels, np.array([frame.pts_s for frame in frames])


class SentSource:
    """What has been sent to the device of one source. The state there follows when that is computed.

    Frames of a source, as the network takes them, are of one size, (h, w).
    """

    def __init__(self, state: SourceState, session: int, size: tuple[int, int]) -> None:
        self.state, self.session, self.size = state, session, size
        self.computed: Event | None = None
        """Passes when the batch that was sent last is computed."""
        self._index = -1  # of the newest frame that was sent; −1 before the first

    def continues_with(self, clip: Clip) -> bool:
        """Return whether no frame is missing between the newest one that was sent and the clip."""
        missing = clip.index - self._index - len(clip.frames)
        return self._index < 0 or (clip.index >= self._index and missing <= 0)

    def new_frames(self, clip: Clip) -> int:
        """Return how many frames of the clip have not been sent before: all of them, after a gap."""
        continues = self._index >= 0 and self.continues_with(clip)
        return clip.index - self._index if continues else len(clip.frames)

    def take(self, clip: Clip) -> NewFrames:
        """Return the frames of the clip that have not been sent before, and note that they are sent."""
        first = len(clip.frames) - self.new_frames(clip)
        self._index = clip.index
        return clip.frames[first:], clip.pts_s[first:]
