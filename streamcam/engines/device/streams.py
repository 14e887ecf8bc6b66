"""Lanes of work on a device: copies to it, computing, copies from it. Each is done in order, all three at once.

    IN        copy 1 │ copy 2 │ copy 3 │ …
    COMPUTE          │ batch 1    │ batch 2    │ batch 3    │ …
    OUT                           │ result 1   │ result 2   │ …

What has to come after what is said by events, and the host waits for an event only where it needs what is behind it.
On a processor, lanes are none: all work is done when it is handed in.
"""

import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from threading import Lock
from typing import Protocol

import torch
from torch import Tensor

from streamcam.errors import LostError, StreamcamError, first_line

Work = Callable[[], None]
"""Hands work to the device, or does it."""

Function = Callable[..., Sequence[Tensor]]
"""Tensors in, tensors out; nothing of it depends on what is in them but numbers."""

CUDA_SLOTS = 3
"""Batches under way on a GPU: one that is copied in, one that is computed, one that is copied out."""

WARM_UPS = 3
"""How often a function runs before it is captured: libraries choose and prepare their kernels meanwhile."""


class StreamKind(Enum):
    """A queue of work."""

    IN = "copies to the device"
    COMPUTE = "computing"
    OUT = "copies from the device"


class SkippedError(Exception):
    """Work was left out, since what it was to come after had failed."""


class HostMemoryError(MemoryError):
    """The host has no memory left that the device could copy from or to."""


class Event:
    """A point in a lane: everything that was put there before it has been done."""

    error: Exception | None = None
    """What the work raised."""

    def done(self) -> bool:
        """Whether the device has come by here."""
        return True

    def wait(self) -> None:
        """Let the host wait until it has.

        Raises:
            SkippedError: what the work was to come after has failed.
            whatever the work raised, or the device.
        """
        if self.error is not None:
            raise self.error


class DeviceStreams(Protocol):
    """A device, as far as work on it is concerned."""

    device: torch.device
    slots: int
    """Batches that are worth having under way."""
    captures: bool
    """Whether `capture` gains anything."""

    def put(self, kind: StreamKind, work: Work, *, after: Sequence[Event] = ()) -> Event:
        """Queue work behind what is in its lane, and behind some events; where one of these has failed, it is skipped.

        An error is the event's, and the lane goes on with what comes next.
        """
        ...

    def host(self, size: int) -> Tensor:
        """uint8 [size]: memory of the host that the device copies from and to by itself."""
        ...

    def upload(self, staged: Tensor) -> Tensor:
        """Copy memory of `host` to the device; to be called by work."""
        ...

    def numbers(self, values: Sequence[Sequence[int]]) -> Tensor:
        """int64 [n,m] on the device; to be called by work."""
        ...

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        """A function of tensors that stay where they are, as one piece of work; to be called by work.

        It is run a few times on what is in `inputs`. What the outcome gives is overwritten when it is called again.
        """
        ...

    def release(self) -> None:
        """Give back memory that is not in use."""
        ...


def attempt(work: Work, after: Sequence[Event]) -> Exception | None:
    """Do work, unless what it comes after has failed → what it raised."""
    if any(event.error is not None for event in after):
        return SkippedError()
    try:
        with torch.inference_mode():
            work()
    except Exception as e:
        _let_go(e)
        return e
    return None


def _let_go(error: BaseException | None) -> None:
    """Let go of the tensors that the frames of an error's traceback hold, since the error itself is kept."""
    if error is None:
        return
    traceback.clear_frames(error.__traceback__)
    _let_go(error.__cause__)
    if error.__context__ is not error.__cause__:
        _let_go(error.__context__)


class CpuStreams:
    """A processor: it does everything at once, where it lies."""

    slots, captures = 1, False

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def put(self, _lane: StreamKind, work: Work, *, after: Sequence[Event] = ()) -> Event:
        """Do it."""
        event = Event()
        event.error = attempt(work, after)
        return event

    def host(self, size: int) -> Tensor:
        """Memory."""
        return torch.empty(size, dtype=torch.uint8)

    def upload(self, staged: Tensor) -> Tensor:
        """It is there already."""
        return staged

    def numbers(self, values: Sequence[Sequence[int]]) -> Tensor:
        """int64 [n,m]."""
        return torch.tensor(values)

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        """The function as it is."""
        return lambda: function(*inputs)

    def release(self) -> None:
        """There is nothing to give back."""


class _CudaEvent(Event):
    def __init__(self) -> None:
        self.mark = torch.cuda.Event(blocking=True)  # who waits sleeps, and leaves its core to the cameras

    def done(self) -> bool:
        try:
            return self.error is not None or self.mark.query()
        except RuntimeError:  # the device is lost, as `wait` will say
            return True

    def wait(self) -> None:
        if not isinstance(self.error, SkippedError):
            self.mark.synchronize()  # also behind an error: part of the work may be under way
        super().wait()


class CudaStreams:
    """An NVIDIA GPU: each lane is a stream, each function a graph."""

    slots, captures = CUDA_SLOTS, True

    def __init__(self, device: torch.device) -> None:
        """To be made when weights are on the device, or on their way."""
        self.device = device
        self._cuda_streams = {kind: torch.cuda.Stream(device) for kind in StreamKind}
        self._beside = torch.cuda.Stream(device)
        for stream in self._cuda_streams.values():
            stream.wait_stream(torch.cuda.current_stream(device))
        self._last: Callable[[], torch.cuda.CUDAGraph | None] = lambda: None

    def put(self, kind: StreamKind, work: Work, *, after: Sequence[Event] = ()) -> Event:
        """Launch it; the host does not wait."""
        event, stream = _CudaEvent(), self._cuda_streams[kind]
        try:
            with torch.cuda.stream(stream):
                for before in after:
                    assert isinstance(before, _CudaEvent)
                    stream.wait_event(before.mark)
                event.error = attempt(work, after)
                event.mark.record(stream)
        except RuntimeError as e:  # the device is lost
            event.error = event.error or e
        return event

    def host(self, size: int) -> Tensor:
        """Pinned."""
        with torch.cuda.device(self.device):
            return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def upload(self, staged: Tensor) -> Tensor:
        """In the lane of whoever calls."""
        return staged.to(self.device, non_blocking=True)

    def numbers(self, values: Sequence[Sequence[int]]) -> Tensor:
        """Through pinned memory, since the host would wait for the device otherwise."""
        return torch.tensor(values, pin_memory=True).to(self.device, non_blocking=True)

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        """A CUDA graph; the function as it is, where it does what a graph cannot hold."""
        current = torch.cuda.current_stream(self.device)
        self._beside.wait_stream(current)
        with torch.cuda.stream(current), _kernels_chosen_by_time():  # a capture that fails may end on its own stream
            with torch.cuda.stream(self._beside):
                for _ in range(WARM_UPS):
                    function(*inputs)
            current.wait_stream(self._beside)
            graph, last = torch.cuda.CUDAGraph(), self._last()
            pool = None if last is None else last.pool()  # graphs run one after the other, so they share memory
            try:
                # Other threads may use their devices meanwhile.
                with torch.cuda.graph(graph, pool=pool, stream=self._beside, capture_error_mode="thread_local"):
                    outputs = function(*inputs)
            except RuntimeError as e:
                if is_out_of_memory(e):
                    raise
                warnings.warn(f"no CUDA graph, so kernels are launched one by one: {e}", RuntimeWarning, stacklevel=2)
                return lambda: function(*inputs)
        self._last = weakref.ref(graph)

        def replay() -> Sequence[Tensor]:
            graph.replay()
            return outputs

        return replay

    def release(self) -> None:
        """What PyTorch keeps for later goes back to the device."""
        torch.cuda.empty_cache()


_choosing = Lock()


@contextmanager
def _kernels_chosen_by_time() -> Iterator[None]:
    """Let cuDNN try out its kernels for shapes that will come often; the setting is the process's, so one at a time."""
    with _choosing:
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark = before


def make_streams(device: torch.device) -> DeviceStreams:
    """The lanes of a device."""
    return CudaStreams(device) if device.type == "cuda" else CpuStreams(device)


def is_out_of_memory(error: Exception) -> bool:
    """Whether something did not fit into memory: the device's (PyTorch's own error, or that of a library), or ours."""
    told = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in told or "alloc_failed" in told)
    )


def explained(error: Exception, device: str, work: str) -> Exception:
    """What a person can do about an error of the device, while it did some work; any other error as it is."""
    reason = first_line(error, limit=None)
    if isinstance(error, HostMemoryError):
        return StreamcamError(
            f"this machine has no memory left that {device} can copy from or to, for {work}: end other programs, or "
            "use fewer cameras (swap does not help)"
        )
    if is_out_of_memory(error):
        return StreamcamError(
            f"{device} has not enough memory for {work}: free some, or use a smaller model or precision"
        )
    if not isinstance(error, RuntimeError) or not any(name in reason for name in ("CUDA", "cuDNN", "CUBLAS")):
        return error
    return LostError(f"{device} has failed, and computes nothing more for this process ({reason}): start again")
