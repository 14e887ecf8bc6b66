"""Operations on streams of slices: each buffers the slices of its inputs that later outputs still need.

The arithmetic of time, for a layer with kernel size k, stride s, padding p and dilation d, and x(i) its input slice i:

    extent  e = (k − 1)·d + 1                    input slices from the first to the last that one output sees
    output j sees x(j·s − p) … x(j·s − p + e − 1)
    n inputs give max(0, ⌊(p + n − e) / s⌋ + 1) outputs, and ⌊(2p + n − e) / s⌋ + 1 once the video has ended

A convolution is the case for which PyTorch's documentation derives this:
https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv3d.html
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from streamcam.engines.streaming.span import Span, TemporalKernel


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of the slices that an operation gives."""

    span: Span
    dilation: int = 1
    """Steps between two slices that a later kernel looks at; more than 1 where strides have become dilations."""


Layer = Callable[..., Tensor]
"""Computes output slices from the slices of each input. It does not pad them along time: that is done before."""

BufferKey = tuple[int, int]
"""Names a buffer: the number of an operation, and that of the value whose slices it holds for this operation."""


class Buffers(Protocol):
    """The buffered slices of a batch of streams."""

    def read(self, key: BufferKey, count: int) -> Tensor:
        """Return the slices that were written last, float [N,K,count,h,w]."""
        ...

    def write(self, key: BufferKey, slices: Tensor) -> None:
        """Store a copy of slices, float [N,K,count,h,w]."""
        ...


@dataclass(frozen=True, slots=True)
class TemporalOp:
    """An operation on streams of slices, which buffers its inputs until no later output sees them.

    How many slices come and are buffered follows from the number of frames, and is never read from a tensor. So a CUDA
    graph can hold all of it.

    `counts[v]` is how many slices value v has had since the video's beginning. Value 0 is the frames, and value i the
    output of operation i, from 1.
    """

    number: int
    """The number of this operation, and of the value that it gives."""
    inputs: tuple[int, ...]
    """The numbers of the values that it takes."""
    layer: Layer
    kernel: TemporalKernel = field(default_factory=TemporalKernel)
    """What it sees of each of its inputs."""
    fill: float = 0.0
    """The value of padding: 0, or −∞ for a maximum."""

    def completed(self, counts: Sequence[int], *, ended: bool = False) -> int:
        """Return how many output slices there are after so many input slices.

        `ended`: the video has ended, so the padding behind its last slice counts.
        """
        available = min(counts[i] for i in self.inputs)
        if available == 0:
            return 0
        padded = self.kernel.padding + available + (self.kernel.padding if ended else 0)
        return max(0, (padded - self.kernel.extent) // self.kernel.stride + 1)

    def buffered(self, counts: Sequence[int]) -> dict[BufferKey, int]:
        """Return how many slices of each input are buffered, padding included.

        They are the padding at the front and all slices that have come, less `stride` for each output that has been
        computed. Inputs of branches may have come unequally far.
        """
        dropped = counts[self.number] * self.kernel.stride
        return {(self.number, i): self.kernel.front + counts[i] - dropped if counts[i] else 0 for i in self.inputs}

    def run(
        self,
        values: Sequence[Tensor | None],
        before: Sequence[int],
        after: Sequence[int],
        buffers: Buffers,
        *,
        ended: bool,
    ) -> Tensor | None:
        """Compute the output slices that new input slices complete, and update the buffers.

        Args:
            values: the new slices of each value, float [N,K,t,h,w], or None where there are none.
            before: `counts` without the new slices.
            after: `counts` with the new slices, for the outputs too.
            buffers: those of the batch's streams.
            ended: the video has ended. Buffers are not updated then.

        Returns:
            float [N,K',t',h',w'], or None if no output is complete.
        """
        count = after[self.number] - before[self.number]
        if count == 0 and (ended or all(values[i] is None for i in self.inputs)):
            return None
        queues: dict[BufferKey, Tensor] = {}
        for key, buffered in self.buffered(before).items():
            new, begins = values[key[1]], before[key[1]] == 0
            pieces = [buffers.read(key, buffered)] if buffered else []
            pieces += [] if new is None else [new]
            if pieces:
                pieces = self._padded(pieces, begins=begins, ended=ended)
                # `read` may return a view of the buffer that `write` changes below, so the queue has to be a copy.
                queues[key] = torch.cat(pieces, dim=2) if buffered or len(pieces) > 1 else pieces[0]
        outputs = self.layer(*(self.visible(queue, count) for queue in queues.values())) if count else None
        if not ended:
            remaining = self.buffered(after)
            for key, queue in queues.items():
                if remaining[key]:
                    buffers.write(key, queue[:, :, -remaining[key] :])
        return outputs

    def visible(self, queue: Tensor, count: int) -> Tensor:
        """Return the slices of a queue that the next `count` outputs see: one branch may be ahead of another.

        Where they end is written as a distance from the queue's end. That distance stays the same when more whole
        strides of slices come, so an exported network is not tied to one number of frames.
        """
        end = self.kernel.lead + (count - 1) * self.kernel.stride + self.kernel.extent
        return queue[:, :, self.kernel.lead : (end - queue.shape[2]) or None]

    def _padded(self, pieces: list[Tensor], *, begins: bool, ended: bool) -> list[Tensor]:
        """Add padding to the slices of an input, where a video begins or ends."""
        front, back = (self.kernel.front if begins else 0), (self.kernel.padding if ended else 0)
        return [*self._padding(pieces[0], front), *pieces, *self._padding(pieces[0], back)]

    def _padding(self, like: Tensor, count: int) -> list[Tensor]:
        return [like.new_full((*like.shape[:2], count, *like.shape[3:]), self.fill)] if count else []


def crop(skip: int, hold: int, before: Value) -> tuple[Layer, TemporalKernel, Value]:
    """Return an operation for `x[:, :, skip:-hold]`, which drops slices at a video's start and end.

    A stream does not know which slices are its last, so the last `hold` are always held back. That makes it a kernel of
    `skip + hold + 1` slices that passes on the one behind the first `skip`.
    """
    skip, hold = skip * before.dilation, hold * before.dilation
    shift = skip * before.span.stride
    span = replace(before.span, first=before.span.first + shift, last=before.span.last + shift)
    return lambda x: x[:, :, skip : -hold or None], TemporalKernel(skip + hold + 1), replace(before, span=span)
