"""What has been sent to the device of one source."""

from collections.abc import Sequence

import numpy as np

from streamcam.clips import prepare
from streamcam.engines.device.streams import Event
from streamcam.engines.streaming.seen_frames import NewFrames, SeenFrames
from streamcam.engines.streaming.source_state import SourceState
from streamcam.records import ClipFormat, Frame


def prepare_frames(frames: Sequence[Frame], clip_format: ClipFormat) -> NewFrames:
    """Resize and crop frames as the network takes them."""
    pixels = np.stack([prepare(frame.pixels, clip_format) for frame in frames])
    return pixels, np.array([frame.pts_s for frame in frames])


class SentSource(SeenFrames):
    """What has been sent to the device of one source. The state there follows when that is computed.

    Frames of a source, as the network takes them, are of one size, (h, w).
    """

    def __init__(self, state: SourceState, session: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.state, self.session, self.size = state, session, size
        self.computed: Event | None = None
        """Passes when the batch that was sent last is computed."""
