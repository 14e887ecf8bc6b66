"""Queues of work on a device: copies to it, computing, copies from it.

Each queue does its work in order, and the three run side by side:

    COPY_IN   copy 1 │ copy 2 │ copy 3 │ …
    COMPUTE          │ batch 1    │ batch 2    │ batch 3    │ …
    COPY_OUT                      │ result 1   │ result 2   │ …

Events order work of different queues. The host waits for an event only where it needs the result behind it. On a CPU
there are no queues: work is done when it is enqueued.
"""

import traceback
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

import torch
from torch import Tensor

from streamcam.engines.device.errors import SkippedError

Work = Callable[[], None]
"""Launches kernels and copies on the device; on a CPU, does the work itself."""

Function = Callable[..., Sequence[Tensor]]
"""Tensors in, tensors out. Which kernels it launches must not depend on the values in the tensors."""

CUDA_SLOTS = 3
"""Batches in flight on a GPU: one is copied in, one is computed, one is copied out."""


class StreamKind(Enum):
    """One of a device's three queues of work."""

    COPY_IN = "copies to the device"
    COMPUTE = "computing"
    COPY_OUT = "copies from the device"


class Event:
    """A point in a queue. It has passed when all work before it is done."""

    error: Exception | None = None
    """What the work raised."""

    def done(self) -> bool:
        """Return whether the device has passed this point."""
        return True

    def wait(self) -> None:
        """Let the host wait until the device has passed this point.

        Raises:
            SkippedError: work that this work depends on has failed.
            Exception: whatever the work raised, or the device.
        """
        if self.error is not None:
            raise self.error


class DeviceStreams(Protocol):
    """A device's queues of work, its memory, and its graphs."""

    device: torch.device
    slots: int
    """How many batches are worth having in flight."""
    captures: bool
    """Whether `capture` makes anything faster."""

    def enqueue(self, kind: StreamKind, work: Work, *, after: Sequence[Event] = ()) -> Event:
        """Queue work behind what is in its queue, and behind events of other queues.

        An error is kept by the event, and the queue goes on. Work is skipped if an event of `after` has failed.
        """
        ...

    def host_buffer(self, size: int) -> Tensor:
        """Allocate memory of the host, uint8 [size], that the device copies from and to by itself."""
        ...

    def upload(self, staged: Tensor) -> Tensor:
        """Copy a part of a `host_buffer` to the device. Called inside of work."""
        ...

    def index_tensor(self, values: Sequence[Sequence[int]]) -> Tensor:
        """Copy whole numbers to the device: int64 [n,m]. Called inside of work."""
        ...

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        """Turn a function of static tensors into a graph, and return what replays it. Called inside of work.

        The function runs a few times on the present inputs. Each replay overwrites the tensors that it returns.
        """
        ...

    def empty_cache(self) -> None:
        """Give memory that is not in use back to the device."""
        ...


def attempt(work: Work, after: Sequence[Event]) -> Exception | None:
    """Do work unless an event that it comes after has failed; return the error, or None."""
    if any(event.error is not None for event in after):
        return SkippedError()
    try:
        with torch.inference_mode():  # here, since the mode is the thread's and work may come from any
            work()
    except Exception as e:
        _clear_frames(e)
        return e
    return None


def _clear_frames(error: BaseException | None) -> None:
    """Free the tensors that an error's traceback refers to.

    Events keep their errors, and each frame of a traceback keeps its local variables. After "out of memory" these may
    be the very tensors that do not fit. Errors are chained: what raised while another error was handled counts, too.
    """
    if error is None:
        return
    traceback.clear_frames(error.__traceback__)
    _clear_frames(error.__cause__)
    if error.__context__ is not error.__cause__:
        _clear_frames(error.__context__)


class CpuStreams:
    """A CPU: all work is done at once, in the memory of the host."""

    slots, captures = 1, False

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def enqueue(self, _kind: StreamKind, work: Work, *, after: Sequence[Event] = ()) -> Event:
        """Do the work before returning."""
        event = Event()
        event.error = attempt(work, after)
        return event

    def host_buffer(self, size: int) -> Tensor:
        """Allocate ordinary memory, uint8 [size]."""
        return torch.empty(size, dtype=torch.uint8)

    def upload(self, staged: Tensor) -> Tensor:
        """Return the tensor itself: the CPU computes where it lies."""
        return staged

    def index_tensor(self, values: Sequence[Sequence[int]]) -> Tensor:
        """Make a tensor, int64 [n,m]."""
        return torch.tensor(values)

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        """Return a call of the function: there are no graphs on a CPU."""
        return lambda: function(*inputs)

    def empty_cache(self) -> None:
        """Do nothing: PyTorch caches no memory of a CPU."""
