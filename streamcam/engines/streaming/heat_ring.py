"""The last heat slices of each source, whose mean is the heat of a window, and their times."""

from typing import NamedTuple

import torch
from torch import Tensor

from streamcam.engines.streaming.state_pool import StatePool


class RingWindow(NamedTuple):
    """The last L' slices of N sources, the oldest first."""

    pooled: Tensor
    """The mean of each slice's heat, float32 [N,L',C]."""
    common: Tensor
    """The mean over all classes, float32 [N,L',h,w]."""
    rows: Tensor
    """The sources' rows, int64 [N]."""
    order: Tensor
    """Where the slices lie in these rows, int64 [N,L']."""


class HeatRings:
    """Rings of the last L' heat slices, one for each source, in the rows of a pool.

    Slice number i of a source lies at place i mod L' of its row, over the slice L' before it. A window's mean is summed
    over the ring each time, and never kept up to date by differences. So it is as exact after millions of slices as
    after the first.
    """

    CUBE, POOLED, COMMON = (0, 0), (0, 1), (0, 2)
    """Keys of the pool's tensors: float32 [rows,L',C,h,w], [rows,L',C] and [rows,L',h,w]."""

    def __init__(self, length: int) -> None:
        """Make rings of `length` slices, L'."""
        self.length, self.state_pool = length, StatePool({})

    @property
    def is_empty(self) -> bool:
        """Whether no slice has been added to any ring yet."""
        return not self.state_pool.tensors

    def add(self, rows: Tensor, added: Tensor, cube: Tensor) -> None:
        """Write new slices over the oldest.

        Args:
            rows: the rings of N sources, int64 [N].
            added: how many slices have been added to each before, int64 [N].
            cube: heat slices, float32 [N,t,C,h,w].
        """
        if self.is_empty:
            self._allocate(cube)
        surplus = max(0, cube.shape[1] - self.length)  # of more slices than fit, the last remain
        new, rows = cube[:, surplus:], rows[:, None]
        places = (added[:, None] + surplus + torch.arange(new.shape[1], device=cube.device)) % self.length
        tensors = self.state_pool.tensors
        tensors[self.CUBE][rows, places] = new
        tensors[self.POOLED][rows, places] = new.mean((3, 4))
        tensors[self.COMMON][rows, places] = new.mean(2)

    def window(self, rows: Tensor, added: Tensor) -> RingWindow:
        """Return the slices of rings, int64 [N], to which so many slices have been added, int64 [N]."""
        # The oldest slice lies where the next one will be written.
        order = (added[:, None] + torch.arange(self.length, device=rows.device)) % self.length
        tensors, index = self.state_pool.tensors, (rows[:, None], order)
        return RingWindow(tensors[self.POOLED][index], tensors[self.COMMON][index], rows, order)

    def heat(self, window: RingWindow, chosen: Tensor) -> Tensor:
        """Return the heat of chosen classes, int64 [N,K], in a window: float32 [N,K,L',h,w]."""
        rows, order = window.rows[:, None, None], window.order[:, None]
        return self.state_pool.tensors[self.CUBE][rows, order, chosen[:, :, None]]

    def cubes(self, window: RingWindow) -> Tensor:
        """Return the heat of all classes in a window: float32 [N,C,L',h,w]."""
        return self.state_pool.tensors[self.CUBE][window.rows[:, None], window.order].transpose(1, 2)

    def _allocate(self, cube: Tensor) -> None:
        """Allocate the rings, for heat slices like these."""
        _, _, classes, *size = cube.shape
        shapes = {self.CUBE: (classes, *size), self.POOLED: (classes,), self.COMMON: size}
        self.state_pool.tensors = {
            key: cube.new_zeros(self.state_pool.capacity, self.length, *shape) for key, shape in shapes.items()
        }
