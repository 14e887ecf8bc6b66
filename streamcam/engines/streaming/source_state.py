"""The state of one source, and the windows that a batch of sources gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from torch import Tensor

from streamcam.engines.streaming.span import SliceTimes, Times
from streamcam.engines.streaming.state_pool import StreamState

RESULTS = 4
"""Tensors of each group in `ReadyWindows`."""


@dataclass(eq=False, slots=True)
class SourceState:
    """The state of one source, from its first frame on."""

    slice_times: SliceTimes
    ring_length: int
    """How many slices make up a window."""
    times_s: Times = field(default_factory=lambda: np.empty((0, 3)))
    """Times of the slices in its ring."""
    added: int = 0
    """Slices that have been added to its ring."""
    network_state: StreamState | None = None
    """Its row in the network's pool, from its first frames on."""
    ring_state: StreamState | None = None
    """Its row in the heat rings, from its first frames on."""
    after_gap: bool = False
    """Whether frames are missing before its first, and its ring has not been full since."""

    @property
    def is_full(self) -> bool:
        """Whether there are enough slices for a window."""
        return len(self.times_s) == self.ring_length

    def add(self, times_s: Times) -> None:
        """Note that slices of these times are added to its ring."""
        self.times_s = np.concatenate((self.times_s, times_s))[-self.ring_length :]
        self.added += len(times_s)


class ReadyWindow(NamedTuple):
    """The window of a source whose ring is full."""

    batch_index: int
    """Which source of the batch it is."""
    group_row: int
    """Its row in the results of its group."""
    times_s: Times
    """Times of its slices."""


@dataclass
class ReadyWindows:
    """The windows of the sources of a batch. Sources are in groups, each computed as one."""

    results: list[Tensor] = field(default_factory=list)
    """`RESULTS` tensors of each group, one after the other.

    Of n sources, these are logits [n,C], chosen classes [n,K], their heat [n,K,L',h,w], and the mean of the heat over
    all classes [n,L',h,w].
    """
    windows: list[list[ReadyWindow]] = field(default_factory=list)
    """The windows of each group. A source whose ring is not full has results, but no window."""

    def add(self, group: Sequence[int], states: Sequence[SourceState], results: Sequence[Tensor]) -> None:
        """Add the results of a group: the numbers of its sources in the batch, and their states."""
        self.results += results
        rows = enumerate(zip(group, states, strict=True))
        self.windows.append([ReadyWindow(i, row, state.times_s) for row, (i, state) in rows if state.is_full])
