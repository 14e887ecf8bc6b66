"""Frames, and a source of them, for tests that need no video."""

from collections import Counter
from collections.abc import Iterator
from threading import Event

import numpy as np

from streamcam.records import ClipFormat, Frame, Image, Result

TINY_FORMAT = ClipFormat(length=4, fps=10, resize=(18, 24), crop=(16, 16), mean=(127.0,) * 3, std=(128.0,) * 3)


def make_frame(index: int, *, fps: float = 10.0, source: str = "cam", session: int = 0, captured_ns: int = 0) -> Frame:
    """A small picture whose content is its index."""
    image = np.random.default_rng(index).integers(0, 255, (36, 48, 3), dtype=np.uint8)
    return Frame(image, index, index / fps, captured_ns, source, session=session)


class FakeSource:
    """A source that gives the frames that it was made with."""

    def __init__(self, frames: list[Frame], *, name: str = "cam", live: bool = False, pause_s: float = 0.0) -> None:
        from streamcam.sources.status import SourceStatus  # it imports PyAV, which not every test needs

        self.name, self.live, self.state = name, live, "live"
        self.status = SourceStatus("live")
        self.drops: Counter[str] = Counter()
        self.closed = False
        self._frames, self._pause_s = frames, pause_s

    def frames(self, stop: Event) -> Iterator[Frame]:
        for frame in self._frames:
            if stop.wait(self._pause_s):
                return
            yield frame

    def close(self) -> None:
        self.closed = True


def pixels(result: Result) -> Image:
    return result.frame.pixels
