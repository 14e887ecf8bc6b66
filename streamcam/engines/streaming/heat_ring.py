"""The last heat slices of each source, over which a window is a mean, and when they are."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.engines.streaming.state_pool import StatePool
from streamcam.engines.streaming.temporal_ops import Span


class SliceTimes:
    """When each slice of a source is, by the times of the frames that it sees."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._pts_s: list[float] = []
        self._frames = self._slices = 0

    def take(self, pts_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The times of the next frames, float64 [t] → those of the slices that they complete, as from `next_times`."""
        self._pts_s.extend(pts_s.tolist())
        self._frames += len(pts_s)
        return self.next_times(max(0, (self._frames - 1 - self._span.last) // self._span.stride + 1) - self._slices)

    def next_times(self, count: int) -> npt.NDArray[np.float64]:
        """The times of the next slices, float64 [n,3], in seconds.

        When what each has seen begins, the moment that it speaks of, and when what it has seen ends. Times that no
        later slice asks for are forgotten.
        """
        span, oldest = self._span, self._frames - len(self._pts_s)
        starts = np.arange(self._slices, self._slices + count)[:, None] * span.stride
        frames = starts + np.array([span.first, span.centre, span.last])
        times_s: npt.NDArray[np.float64] = np.interp(frames, np.arange(oldest, self._frames), self._pts_s)
        self._slices += count
        seen_next = span.first + self._slices * span.stride
        del self._pts_s[: min(max(0, seen_next - oldest), len(self._pts_s) - 1)]
        return times_s


class RingWindow(NamedTuple):
    """The last L' slices of some sources, the oldest first."""

    pooled: Tensor
    """float32 [N,L',C]: the mean of each slice's heat."""
    common: Tensor
    """float32 [N,L',h,w]: the mean over all classes."""
    rows: Tensor
    """int64 [N]: where these sources are kept,"""
    order: Tensor
    """int64 [N,L']: and where their slices lie there."""


class HeatRings:
    """The last heat slices of each source, each in a row of a bank.

    Nothing is summed up over time: a window's mean is taken over what is in the ring, so that after millions of slices
    it is as exact as after the first.
    """

    CUBE, POOLED, COMMON = (0, 0), (0, 1), (0, 2)
    """Where in the bank: float32 [rows,L',C,h,w], [rows,L',C] and [rows,L',h,w]."""

    def __init__(self, length: int) -> None:
        self.length, self.state_pool = length, StatePool({})

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been added at all."""
        return not self.state_pool.tensors

    def add(self, rows: Tensor, added: Tensor, cube: Tensor) -> None:
        """Write slices [N,t,C,h,w] over the oldest; `added`, int64 [N], came to these rows before."""
        if self.is_empty:
            self._make(cube)
        surplus = max(0, cube.shape[1] - self.length)
        new, rows = cube[:, surplus:], rows[:, None]
        at = (added[:, None] + surplus + torch.arange(new.shape[1], device=cube.device)) % self.length
        tensors = self.state_pool.tensors
        tensors[self.CUBE][rows, at] = new
        tensors[self.POOLED][rows, at] = new.mean((3, 4))
        tensors[self.COMMON][rows, at] = new.mean(2)

    def window(self, rows: Tensor, added: Tensor) -> RingWindow:
        """The slices of rows [N], to which `added`, int64 [N], have come."""
        order = (added[:, None] + torch.arange(self.length, device=rows.device)) % self.length
        tensors, at = self.state_pool.tensors, (rows[:, None], order)
        return RingWindow(tensors[self.POOLED][at], tensors[self.COMMON][at], rows, order)

    def heat(self, window: RingWindow, chosen: Tensor) -> Tensor:
        """The heat of chosen classes, int64 [N,K], in a window: float32 [N,K,L',h,w]."""
        rows, order = window.rows[:, None, None], window.order[:, None]
        return self.state_pool.tensors[self.CUBE][rows, order, chosen[:, :, None]]

    def _make(self, cube: Tensor) -> None:
        _, _, classes, *size = cube.shape
        shapes = {self.CUBE: (classes, *size), self.POOLED: (classes,), self.COMMON: size}
        self.state_pool.tensors = {
            slot: cube.new_zeros(self.state_pool.capacity, self.length, *shape) for slot, shape in shapes.items()
        }
