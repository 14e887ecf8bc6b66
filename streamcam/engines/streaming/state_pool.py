"""The state of many video streams in a few tensors: each stream has a row in all of them.

    one buffer        [capacity, K, m, h, w]          row 0: camera a      one tensor for each
    another           [capacity, K', m', h', w']      row 1: camera b      buffer of a network
    …                                                 row 2: free

Rows 0 to n − 1 are in use, without a gap. Tensors stay at their addresses until there are more streams than rows.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from streamcam.engines.streaming.temporal_ops import BufferKey


class StreamState:
    """The state of one video stream: a row of a pool, and how far the stream has come."""

    def __init__(self, row: int) -> None:
        self.row = row
        """The stream's row in its pool. It changes when another stream is released."""
        self.phase = 0
        """How many frames have come, as `StreamNetwork` counts them."""


class StatePool:
    """The rows of all streams of one network. Their frames are of one size."""

    def __init__(self, lengths: Mapping[BufferKey, int]) -> None:
        """Make an empty pool. `lengths`: how many slices each buffer has room for."""
        self._lengths = lengths
        self._streams: list[StreamState] = []  # the stream of each row
        self.capacity = 1
        """How many rows there are."""
        self.tensors: dict[BufferKey, Tensor] = {}
        """The buffers, each made when its first slices are written."""

    @torch.inference_mode()
    def allocate(self) -> StreamState:
        """Take a row for a new stream. Slices of an earlier stream may be in it: at phase 0, no buffer is read."""
        if len(self._streams) == self.capacity:
            self.tensors = {key: self._grown(old) for key, old in self.tensors.items()}
            self.capacity *= 2  # only now, since `_grown` raises where there is no memory
        stream = StreamState(len(self._streams))
        self._streams.append(stream)
        return stream

    @torch.inference_mode()
    def fork(self, stream: StreamState) -> StreamState:
        """Take a row for a copy of a stream."""
        copy = self.allocate()
        copy.phase = stream.phase
        for tensor in self.tensors.values():
            tensor[copy.row] = tensor[stream.row]
        return copy

    @torch.inference_mode()
    def release(self, stream: StreamState) -> None:
        """Free a stream's row. The last row moves there, so that no gap is left."""
        last = self._streams.pop()
        if last is not stream:
            for tensor in self.tensors.values():
                tensor[stream.row] = tensor[last.row]
            self._streams[stream.row], last.row = last, stream.row

    def rows_of(self, streams: Sequence[StreamState]) -> "PoolRows":
        """Return the rows of some streams, in their order."""
        rows = [stream.row for stream in streams]
        first, count = rows[0], len(rows)
        if rows == list(range(first, first + count)):
            return PoolRows(self, slice(first, first + count))
        device = next((tensor.device for tensor in self.tensors.values()), torch.device("cpu"))
        return PoolRows(self, torch.tensor(rows).to(device, non_blocking=True))

    def make_buffer(self, key: BufferKey, like: Tensor) -> None:
        """Make the tensor of a buffer, for slices [N,K,t,h,w] like these."""
        size = (self.capacity, like.shape[1], self._lengths[key], *like.shape[3:])
        self.tensors[key] = _empty(size, like=like)

    def _grown(self, old: Tensor) -> Tensor:
        """Copy a buffer's tensor into one with twice as many rows."""
        new = _empty((2 * self.capacity, *old.shape[1:]), like=old)
        new[: len(old)] = old
        return new


class PoolRows:
    """Some rows of a pool, as the `Buffers` of a batch."""

    def __init__(self, state_pool: StatePool, index: slice | Tensor) -> None:
        """Choose rows.

        Args:
            state_pool: the pool.
            index: a slice, which is read without a copy, or numbers of rows, int64 [N] on the pool's device, which are
                gathered.
        """
        self._state_pool, self._index = state_pool, index

    def read(self, key: BufferKey, count: int) -> Tensor:
        """Return the first slices of a buffer, [N,K,count,h,w]."""
        return self._state_pool.tensors[key][:, :, :count][self._index]

    def write(self, key: BufferKey, slices: Tensor) -> None:
        """Copy slices [N,K,t,h,w] to the beginning of a buffer."""
        if key not in self._state_pool.tensors:
            self._state_pool.make_buffer(key, slices)
        self._state_pool.tensors[key][:, :, : slices.shape[2]][self._index] = slices


def _empty(size: Sequence[int], *, like: Tensor) -> Tensor:
    """Allocate a tensor in the memory layout of another one."""
    channels_last = like.is_contiguous(memory_format=torch.channels_last_3d)
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    return torch.empty(*size, dtype=like.dtype, device=like.device, memory_format=layout)
