"""Heat slices as they come, and the ring of the last of them, over which a window is a mean."""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.engines.steps import Span


@dataclass(frozen=True, slots=True)
class Slices:
    """The next n heat slices of one source."""

    cube: Tensor
    """float32 [n,C,h,w], logit units, of all classes; on the device."""
    times_s: npt.NDArray[np.float64]
    """float64 [n,3]: when what each has seen begins, the moment that it speaks of, and when what it has seen ends."""


class Calendar:
    """When each slice of a source is, by the times of the frames that it sees."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._pts_s: list[float] = []
        self._frames = self._slices = 0

    def take(self, pts_s: npt.NDArray[np.float64]) -> None:
        """The times of the next frames."""
        self._pts_s.extend(pts_s.tolist())
        self._frames += len(pts_s)

    def date(self, count: int) -> npt.NDArray[np.float64]:
        """`Slices.times_s` of the next slices; times that no later slice asks for are forgotten."""
        span, oldest = self._span, self._frames - len(self._pts_s)
        starts = np.arange(self._slices, self._slices + count)[:, None] * span.stride
        frames = starts + np.array([span.first, span.centre, span.last])
        times_s: npt.NDArray[np.float64] = np.interp(frames, np.arange(oldest, self._frames), self._pts_s)
        self._slices += count
        seen_next = span.first + self._slices * span.stride
        del self._pts_s[: min(max(0, seen_next - oldest), len(self._pts_s) - 1)]
        return times_s


class Ring:
    """The last heat slices of a source.

    Nothing is summed up over time: a window's mean is taken over what is in the ring, so that after millions of slices
    it is as exact as after the first.
    """

    def __init__(self, length: int) -> None:
        self._length, self._added = length, 0
        self._times_s: deque[npt.NDArray[np.float64]] = deque(maxlen=length)

    def add(self, slices: Slices) -> None:
        """Write slices over the oldest."""
        new = slices.cube
        if self._added == 0:
            self.cube = new.new_empty(self._length, *new.shape[1:])
            self.pooled = new.new_empty(self._length, new.shape[1])
            self.common = new.new_empty(self._length, *new.shape[2:])
        self._times_s.extend(slices.times_s)
        self._added += len(new)
        new = new[-self._length :]
        at = (torch.arange(len(new), device=new.device) + self._added - len(new)) % self._length
        self.cube[at], self.pooled[at], self.common[at] = new, new.mean((2, 3)), new.mean(1)

    @property
    def is_full(self) -> bool:
        """Whether there are enough slices for a window."""
        return self._added >= self._length

    def order(self) -> Tensor:
        """int64 [L']: where the slices lie in the ring, the oldest first."""
        return (torch.arange(self._length, device=self.cube.device) + self._added) % self._length

    def times_s(self) -> npt.NDArray[np.float64]:
        """`Slices.times_s` of all, the oldest first."""
        return np.stack(self._times_s)
