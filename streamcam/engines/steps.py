"""Operations on a stream of slices: what each keeps of its inputs, and what it gives when new ones come."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Kept = list[Tensor | None]
"""What one step keeps of its inputs."""

Run = Callable[[list[Tensor | None], Kept, bool], Tensor | None]
"""New slices of each input, what is kept (and changed), whether the video ends → new slices; None stands for none."""


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

    def through(self, window: "Window") -> "Span":
        """What a slice sees behind a layer with such a window."""
        before = window.padding
        first, last = self.first - before * self.stride, self.last + (window.reach - 1 - before) * self.stride
        return Span(first, last, self.stride * window.stride)

    def joined(self, other: "Span") -> "Span":
        """What a slice sees where two branches meet."""
        return Span(min(self.first, other.first), max(self.last, other.last), self.stride)


@dataclass(frozen=True, slots=True)
class Window:
    """How a layer looks at slices in time."""

    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def reach(self) -> int:
        """Slices that one output sees, from the first to the last."""
        return (self.kernel - 1) * self.dilation + 1

    def spread(self, by: int) -> "Window":
        """The same window over slices of which only each `by`-th belongs to what it looks at."""
        return replace(self, dilation=self.dilation * by, padding=self.padding * by)


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of an operation's outcome."""

    span: Span
    spread: int = 1
    """How many slices lie between two that belong together, where strides have become dilations."""


def alone(layer: Callable[[Tensor], Tensor]) -> Run:
    """What looks at each slice alone."""

    def run(inputs: list[Tensor | None], _kept: Kept, _last: bool) -> Tensor | None:
        return None if inputs[0] is None else layer(inputs[0])

    return run


def crop(skip: int, hold: int, before: Value) -> tuple[Run, Value]:
    """`x[:, :, skip:-hold]`: the first slices are passed over, and the last ones held back for ever."""
    skip, hold = skip * before.spread, hold * before.spread
    window = Window(skip + hold + 1, 1, 0, 1)
    shift = skip * before.span.stride
    span = replace(before.span, first=before.span.first + shift, last=before.span.last + shift)
    return Windowed(lambda x: x[:, :, skip : x.shape[2] - hold], window, 0.0), replace(before, span=span)


class Windowed:
    """What looks at several slices: a convolution or pooling."""

    def __init__(self, layer: Callable[[Tensor], Tensor], window: Window, fill: float) -> None:
        self._layer, self._window, self._fill = layer, window, fill
        # A window that steps over slices is given these in front, so that it never has to drop what has not come yet.
        self._lead = max(0, window.stride - window.reach)

    def __call__(self, inputs: list[Tensor | None], kept: Kept, last: bool) -> Tensor | None:
        """Put new slices behind what was kept, and give what can be said of all of these."""
        waiting = self._waiting(inputs[0], kept[0], last=last)
        if waiting is None:
            return None
        window, reach = self._window, self._lead + self._window.reach
        count = max(0, (waiting.shape[2] - reach) // window.stride + 1)
        remember(kept, 0, waiting[:, :, count * window.stride :])
        if count == 0:
            return None
        return self._layer(waiting[:, :, self._lead : (count - 1) * window.stride + reach])

    def _waiting(self, x: Tensor | None, kept: Tensor | None, *, last: bool) -> Tensor | None:
        """All slices that an output may still see, padded at a video's ends; None where there is nothing new."""
        if x is not None:
            before = self._padding(x, self._lead + self._window.padding) if kept is None else kept
            kept = torch.cat([before, x], dim=2)
        if last and kept is not None:
            return torch.cat([kept, self._padding(kept, self._window.padding)], dim=2)
        return None if x is None else kept

    def _padding(self, like: Tensor, count: int) -> Tensor:
        return like.new_full((*like.shape[:2], count, *like.shape[3:]), self._fill)


class Joined:
    """Where branches meet: the one that is ahead waits."""

    def __init__(self, combine: Callable[[list[Tensor]], Tensor]) -> None:
        self._combine = combine

    def __call__(self, inputs: list[Tensor | None], kept: Kept, last: bool) -> Tensor | None:  # noqa: ARG002
        """Give as much as all branches have."""
        queues = [_behind(queue, x) for queue, x in zip(kept, inputs, strict=True)]
        there = [queue for queue in queues if queue is not None]
        count = min(queue.shape[2] for queue in there) if len(there) == len(queues) else 0
        for i, queue in enumerate(queues):
            if queue is not None:
                remember(kept, i, queue[:, :, count:])
        return self._combine([queue[:, :, :count] for queue in there]) if count > 0 else None


def _behind(queue: Tensor | None, x: Tensor | None) -> Tensor | None:
    if queue is None or x is None:
        return x if queue is None else queue
    return torch.cat([queue, x], dim=2)


def remember(kept: Kept, i: int, slices: Tensor) -> None:
    """Keep slices: where as many were kept before, in their place, so that a CUDA graph finds them there again.

    They are copied, so that what is kept does not hold on to all that it was cut from.
    """
    before = kept[i]
    if before is not None and before.shape == slices.shape:
        before.copy_(slices)
    else:
        kept[i] = slices.clone()
