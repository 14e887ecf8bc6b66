"""What networks keep of many videos, in place: each video is a row of shared tensors.

    a slot        [capacity, K, m, h, w]          row 0: camera a      one slot for each queue
    another       [capacity, K', m', h', w']      row 1: camera b      of a network
    …                                             row 2: nobody's

Rows 0 to n − 1 are taken, without a hole. Tensors stay where they are until more videos come than they have rows.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from streamcam.engines.streaming.temporal_ops import Slot


class StreamState:
    """A video that is watched."""

    def __init__(self, row: int) -> None:
        self.row = row
        """Where it is kept; it changes when another stream leaves."""
        self.phase = 0
        """How many frames have come, as far as that makes a difference: streams of one phase can be one batch."""


class StatePool:
    """The rows of all streams of one network, whose pictures are of one size."""

    def __init__(self, lengths: Mapping[Slot, int]) -> None:
        """`lengths`: how many slices each slot has room for."""
        self._lengths = lengths
        self._streams: list[StreamState] = []
        self.capacity = 1
        self.tensors: dict[Slot, Tensor] = {}
        """A slot's is made when the first of its slices comes."""

    @torch.inference_mode()
    def allocate(self) -> StreamState:
        """A new stream. What its row held before is not looked at: at phase 0, nothing is kept."""
        if len(self._streams) == self.capacity:
            self.tensors = {slot: self._grown(old) for slot, old in self.tensors.items()}
            self.capacity *= 2  # only now: there may have been no memory
        stream = StreamState(len(self._streams))
        self._streams.append(stream)
        return stream

    @torch.inference_mode()
    def fork(self, stream: StreamState) -> StreamState:
        """A new stream that is where another one is."""
        new = self.allocate()
        new.phase = stream.phase
        for tensor in self.tensors.values():
            tensor[new.row] = tensor[stream.row]
        return new

    @torch.inference_mode()
    def release(self, stream: StreamState) -> None:
        """A stream ends; the last row moves into its place."""
        last = self._streams.pop()
        if last is not stream:
            for tensor in self.tensors.values():
                tensor[stream.row] = tensor[last.row]
            self._streams[stream.row], last.row = last, stream.row

    def rows_of(self, streams: Sequence[StreamState]) -> "PoolRows":
        """The rows of some streams, in their order."""
        numbers = [stream.row for stream in streams]
        first, count = numbers[0], len(numbers)
        if numbers == list(range(first, first + count)):
            return PoolRows(self, slice(first, first + count))
        device = next((tensor.device for tensor in self.tensors.values()), torch.device("cpu"))
        return PoolRows(self, torch.tensor(numbers).to(device, non_blocking=True))

    def make(self, slot: Slot, like: Tensor) -> None:
        """A slot's tensor, for slices [N,K,t,h,w] like these."""
        size = (self.capacity, like.shape[1], self._lengths[slot], *like.shape[3:])
        self.tensors[slot] = _empty(size, like=like)

    def _grown(self, old: Tensor) -> Tensor:
        new = _empty((2 * self.capacity, *old.shape[1:]), like=old)
        new[: len(old)] = old
        return new


class PoolRows:
    """Some rows of a bank, as the `Memory` of a batch."""

    def __init__(self, state_pool: StatePool, index: slice | Tensor) -> None:
        """`index`: a slice, which is read in place, or numbers int64 [N] on the bank's device, which are gathered."""
        self._state_pool, self._index = state_pool, index

    def read(self, slot: Slot, count: int) -> Tensor:
        """The first slices [N,K,count,h,w] of a slot."""
        return self._state_pool.tensors[slot][:, :, :count][self._index]

    def write(self, slot: Slot, slices: Tensor) -> None:
        """Put slices [N,K,t,h,w] at the beginning of a slot."""
        if slot not in self._state_pool.tensors:
            self._state_pool.make(slot, slices)
        self._state_pool.tensors[slot][:, :, : slices.shape[2]][self._index] = slices


def _empty(size: Sequence[int], *, like: Tensor) -> Tensor:
    """A tensor in the layout of another: time lies outside of channels where the network is channels-last."""
    channels_last = like.is_contiguous(memory_format=torch.channels_last_3d)
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    return torch.empty(*size, dtype=like.dtype, device=like.device, memory_format=layout)
