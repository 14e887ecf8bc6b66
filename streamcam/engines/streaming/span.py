"""Which frames of a video a heat slice sees, and when it comes. It needs NumPy, not torch."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FrameTimes = npt.NDArray[np.float64]
"""Times of frames in seconds, float64 [t]."""

Times = npt.NDArray[np.float64]
"""Times of slices in seconds, float64 [n,3]: of the first frame that each sees, of its centre, of the last frame."""


@dataclass(frozen=True, slots=True)
class Span:
    """The frames of a video that slice 0 of a feature map sees. Slice i sees those `i * stride` frames later."""

    first: int = 0
    """The first frame that slice 0 sees; below 0 where it sees padding."""
    last: int = 0
    """The last frame that slice 0 sees."""
    stride: int = 1
    """Frames between two slices."""
    own: float | None = None
    """The frame that slice 0 speaks of, where that is not the middle one."""

    @property
    def receptive_field(self) -> int:
        """R, the number of frames that a slice sees."""
        return self.last - self.first + 1

    @property
    def centre(self) -> float:
        """The frame on which slice 0 is centred: its own one, or the middle one."""
        return (self.first + self.last) / 2 if self.own is None else self.own

    @property
    def lookahead(self) -> float:
        """Frames from the centre of a slice to the last frame that it sees, for which it has to wait."""
        return self.last - self.centre

    def through(self, kernel: "TemporalKernel") -> "Span":
        """Return what a slice sees behind a layer with this kernel."""
        # Output 0 sees the input slices from −p to e − 1 − p, each of which is `stride` frames after the one before.
        padding = kernel.padding
        first, last = self.first - padding * self.stride, self.last + (kernel.extent - 1 - padding) * self.stride
        return Span(first, last, self.stride * kernel.stride)

    def joined(self, other: "Span") -> "Span":
        """Return what a slice sees where two branches meet."""
        return Span(min(self.first, other.first), max(self.last, other.last), self.stride)


@dataclass(frozen=True, slots=True)
class TemporalKernel:
    """The size, stride, padding and dilation of a layer along time. By default, the layer sees each slice alone."""

    size: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Input slices that one output sees, from the first to the last."""
        return (self.size - 1) * self.dilation + 1

    @property
    def lead(self) -> int:
        """Slices that lie in the buffer before those that the next output sees, and that the output skips.

        If the stride is larger than the extent, `stride - extent` slices lie between what two outputs see. Dropping
        them right after an output would make the buffer begin with the next output's first slice. But they may not have
        come yet. So each output skips as many slices before its own; at the video's start, these are padding. With a
        stride of 3 and an extent of 1:

            buffer       ·  ·  0  1  2  3  4  5  6        output 0 sees slice 0, and skips two of padding
            drops        ·  ·  0                          three, all of which are there
            then         1  2  3  4  5  6                 output 1 sees slice 3, and skips 1 and 2
        """
        return max(0, self.stride - self.extent)

    @property
    def front(self) -> int:
        """Slices of padding before a video's first: the layer's own, and those that `lead` asks for."""
        return self.lead + self.padding

    def dilated(self, by: int) -> "TemporalKernel":
        """Return the same kernel for slices that come `by` times as densely: it looks at every `by`-th."""
        return replace(self, dilation=self.dilation * by, padding=self.padding * by)


class SliceTimes:
    """The times of a source's heat slices, taken from the times of the frames that each slice sees.

    A slice may be centred between two frames, and may see padding. So times between frames are interpolated, and those
    before the first and after the last frame are the first and the last frame's.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._pts_s: list[float] = []  # of the newest frames: those before are not needed any more
        self._frames = self._slices = 0  # how many have come in all

    def add(self, pts_s: FrameTimes) -> Times:
        """Add the times of new frames, and return those of the slices that they complete."""
        self._pts_s.extend(pts_s.tolist())
        self._frames += len(pts_s)
        # Slice i is complete with frame `last + i * stride`.
        complete = max(0, (self._frames - 1 - self._span.last) // self._span.stride + 1)
        return self.next_times(complete - self._slices)

    def next_times(self, count: int) -> Times:
        """Return the times of the next `count` slices. Times of frames that no later slice sees are dropped."""
        span, oldest = self._span, self._frames - len(self._pts_s)
        starts = np.arange(self._slices, self._slices + count)[:, None] * span.stride
        frames = starts + np.array([span.first, span.centre, span.last])
        times_s: Times = np.interp(frames, np.arange(oldest, self._frames), self._pts_s)
        self._slices += count
        first_needed = span.first + self._slices * span.stride
        del self._pts_s[: min(max(0, first_needed - oldest), len(self._pts_s) - 1)]
        return times_s
