"""Operations on streams of slices: each buffers the slices of its inputs that later outputs still need.

The arithmetic of time, for a layer with kernel size k, stride s, padding p and dilation d, and x(i) its input slice i:

    extent  e = (k − 1)·d + 1                    input slices from the first to the last that one output sees
    output j sees x(j·s − p) … x(j·s − p + e − 1)
    n inputs give max(0, ⌊(p + n − e) / s⌋ + 1) outputs, and ⌊(2p + n − e) / s⌋ + 1 once the video has ended

A convolution is the case for which PyTorch's documentation derives this:
https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv3d.html
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor


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
    kernel: TemporalKernel = TemporalKernel()
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
        outputs = self.layer(*(self._visible(queue, count) for queue in queues.values())) if count else None
        if not ended:
            remaining = self.buffered(after)
            for key, queue in queues.items():
                if remaining[key]:
                    buffers.write(key, queue[:, :, -remaining[key] :])
        return outputs

    def _visible(self, queue: Tensor, count: int) -> Tensor:
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
