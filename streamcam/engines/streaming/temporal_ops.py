"""Operations on a stream of slices: what waits of their inputs, and what they give when more of these come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Span:
    """The frames of a video that a slice sees."""

    first: int = 0
    """The first frame that slice 0 sees; below 0 where it sees padding."""
    last: int = 0
    """The last one."""
    stride: int = 1
    """Frames between two slices."""

    @property
    def receptive_field(self) -> int:
        """R, frames that a slice sees."""
        return self.last - self.first + 1

    @property
    def centre(self) -> float:
        """The frame on which slice 0 is centred."""
        return (self.first + self.last) / 2

    @property
    def lookahead(self) -> float:
        """How many frames after the one on which it is centred a slice has to wait for."""
        return (self.last - self.first) / 2

    def through(self, window: "TemporalKernel") -> "Span":
        """What a slice sees behind a layer with such a window."""
        before = window.padding
        first, last = self.first - before * self.stride, self.last + (window.reach - 1 - before) * self.stride
        return Span(first, last, self.stride * window.stride)

    def joined(self, other: "Span") -> "Span":
        """What a slice sees where two branches meet."""
        return Span(min(self.first, other.first), max(self.last, other.last), self.stride)


@dataclass(frozen=True, slots=True)
class TemporalKernel:
    """How a layer looks at slices in time; as it is, at each alone."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Slices that one output sees, from the first to the last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def lead(self) -> int:
        """Slices before these that it is given and passes over.

        A window that steps over slices has some in front, so that it never has to drop what has not come yet.
        """
        return max(0, self.stride - self.reach)

    @property
    def front(self) -> int:
        """Slices of padding before a video's first."""
        return self.lead + self.padding

    def spread(self, by: int) -> "TemporalKernel":
        """The same window over slices of which only each `by`-th belongs to what it looks at."""
        return replace(self, dilation=self.dilation * by, padding=self.padding * by)


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of an operation's outcome."""

    span: Span
    spread: int = 1
    """How many slices lie between two that belong together, where strides have become dilations."""


Layer = Callable[..., Tensor]
"""Slices of each input → new slices; their padding in time is left to us."""

Slot = tuple[int, int]
"""Where a step's input waits: the numbers of both."""


class Memory(Protocol):
    """What is kept of the streams of a batch."""

    def read(self, slot: Slot, count: int) -> Tensor:
        """What was written last, float [N,K,count,h,w]."""
        ...

    def write(self, slot: Slot, slices: Tensor) -> None:
        """Keep slices [N,K,count,h,w]: a copy of them."""
        ...


@dataclass(frozen=True, slots=True)
class TemporalOp:
    """An operation on streams of slices, whose inputs wait until an outcome has seen them for the last time.

    How many slices come and wait is known from how many frames have come, and never read off a tensor. Lists of counts
    are of slices since a video's beginning, by value: 0 is the frames, i the outcome of step i.
    """

    number: int
    """That of its outcome."""
    inputs: tuple[int, ...]
    """Numbers of the values that it takes."""
    layer: Layer
    window: TemporalKernel = TemporalKernel()
    """How it looks at each of its inputs."""
    fill: float = 0.0
    """What padding is."""

    def completed(self, counts: Sequence[int], *, ended: bool = False) -> int:
        """How many outcomes there are when so many slices have come, and maybe the video has ended."""
        came = min(counts[i] for i in self.inputs)
        there = self.window.front + came + (self.window.padding if ended else 0)
        return max(0, (there - self.window.lead - self.window.reach) // self.window.stride + 1) if came else 0

    def waiting(self, counts: Sequence[int]) -> dict[Slot, int]:
        """How many slices of each input are kept then, padding included."""
        done = counts[self.number] * self.window.stride
        return {(self.number, i): self.window.front + counts[i] - done if counts[i] else 0 for i in self.inputs}

    def run(
        self,
        values: Sequence[Tensor | None],
        before: Sequence[int],
        after: Sequence[int],
        memory: Memory,
        *,
        ended: bool,
    ) -> Tensor | None:
        """The outcomes that new slices bring, None for none; counts are those before and after."""
        count, left = after[self.number] - before[self.number], self.waiting(after)
        if count == 0 and (ended or all(values[i] is None for i in self.inputs)):
            return None
        queues: dict[Slot, Tensor] = {}
        for slot, kept in self.waiting(before).items():
            new, begins = values[slot[1]], before[slot[1]] == 0
            there = [memory.read(slot, kept)] if kept else []
            there += [] if new is None else [new]
            if there:
                parts = self._padded(there, begins=begins, ended=ended)
                # What is kept moves within its place, so that a step works on a copy of it.
                queues[slot] = torch.cat(parts, dim=2) if kept or len(parts) > 1 else parts[0]
        outcomes = self.layer(*(self._next(queue, count) for queue in queues.values())) if count else None
        for slot, queue in queues.items():
            if left[slot] and not ended:
                memory.write(slot, queue[:, :, -left[slot] :])
        return outcomes

    def _next(self, queue: Tensor, count: int) -> Tensor:
        """What the next outcomes see; its end is counted from the queue's, which is as far away for more frames."""
        last = self.window.lead + (count - 1) * self.window.stride + self.window.reach
        return queue[:, :, self.window.lead : (last - queue.shape[2]) or None]

    def _padded(self, parts: list[Tensor], *, begins: bool, ended: bool) -> list[Tensor]:
        """Slices of an input, with padding where a video begins or ends."""
        before, after = (self.window.front if begins else 0), (self.window.padding if ended else 0)
        return [*self._padding(parts[0], before), *parts, *self._padding(parts[0], after)]

    def _padding(self, like: Tensor, count: int) -> list[Tensor]:
        return [like.new_full((*like.shape[:2], count, *like.shape[3:]), self.fill)] if count else []


def crop(skip: int, hold: int, before: Value) -> tuple[Layer, TemporalKernel, Value]:
    """`x[:, :, skip:-hold]`: the first slices are passed over, and the last ones held back for ever."""
    skip, hold = skip * before.spread, hold * before.spread
    shift = skip * before.span.stride
    span = replace(before.span, first=before.span.first + shift, last=before.span.last + shift)
    return lambda x: x[:, :, skip : -hold or None], TemporalKernel(skip + hold + 1), replace(before, span=span)
