"""An NVIDIA GPU: a CUDA stream for each queue of work, and CUDA graphs."""

import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

import torch
from torch import Tensor

from streamcam.engines.device.errors import SkippedError, is_out_of_memory
from streamcam.engines.device.streams import CUDA_SLOTS, Event, Function, StreamKind, Work, attempt

WARM_UPS = 3
"""How often a function runs before it is captured, so that libraries can choose and prepare their kernels."""


class CudaEvent(Event):
    """A point in a CUDA stream."""

    def __init__(self) -> None:
        # A blocking event lets the waiting thread sleep, so that its core is free for decoding.
        self.cuda_event = torch.cuda.Event(blocking=True)

    def done(self) -> bool:
        """Return whether the GPU has passed this point, or has failed."""
        try:
            return self.error is not None or self.cuda_event.query()
        except RuntimeError:  # the device is lost; `wait` raises what it said
            return True

    def wait(self) -> None:
        """Let the host sleep until the GPU has passed this point. Errors are those of `Event.wait`."""
        # Work that raised may have launched some of its kernels before. These have to end, too, before anybody uses
        # their memory again. Skipped work has launched nothing.
        if not isinstance(self.error, SkippedError):
            self.cuda_event.synchronize()
        super().wait()


class CudaStreams:
    """A GPU: each queue is a CUDA stream, and each captured function a CUDA graph."""

    slots, captures = CUDA_SLOTS, True

    def __init__(self, device: torch.device) -> None:
        """Make the streams. Weights must be on the GPU by then, or their copies launched."""
        self.device = device
        self._cuda_streams = {kind: torch.cuda.Stream(device) for kind in StreamKind}
        self._capture_stream = torch.cuda.Stream(device)
        for stream in self._cuda_streams.values():
            stream.wait_stream(torch.cuda.current_stream(device))  # on which weights are copied
        self._last_graph: Callable[[], torch.cuda.CUDAGraph | None] = lambda: None

    def enqueue(self, kind: StreamKind, work: Work, *, after: Sequence[Event] = ()) -> Event:
        """Launch work on a CUDA stream. The host does not wait for it."""
        event, stream = CudaEvent(), self._cuda_streams[kind]
        try:
            with torch.cuda.stream(stream):
                for earlier in after:
                    assert isinstance(earlier, CudaEvent)
                    stream.wait_event(earlier.cuda_event)
                event.error = attempt(work, after)
                # Recorded also behind an error: whoever waits has to wait for kernels that were launched before it.
                event.cuda_event.record(stream)
        except RuntimeError as e:  # the device is lost
            event.error = event.error or e
        return event

    def host_buffer(self, size: int) -> Tensor:
        """Allocate page-locked ("pinned") memory, uint8 [size]. The GPU copies only from and to such by itself."""
        with torch.cuda.device(self.device):
            return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def upload(self, staged: Tensor) -> Tensor:
        """Copy to the GPU on the current CUDA stream, without waiting."""
        return staged.to(self.device, non_blocking=True)

    def index_tensor(self, values: Sequence[Sequence[int]]) -> Tensor:
        """Copy whole numbers to the GPU, int64 [n,m]. From memory that is not pinned, the host would wait."""
        return torch.tensor(values, pin_memory=True).to(self.device, non_blocking=True)

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        """Capture a function as a CUDA graph. Where it cannot be one, return a call of it, with a warning."""
        current = torch.cuda.current_stream(self.device)
        # A capture that fails may leave its stream as the current one. The outer `with` brings back the caller's.
        with torch.cuda.stream(current), _cudnn_benchmark():
            self._warm_up(function, inputs, current)
            graph = torch.cuda.CUDAGraph()
            try:
                outputs = self._record(graph, function, inputs)
            except RuntimeError as e:
                if is_out_of_memory(e):
                    raise
                warnings.warn(f"no CUDA graph, so kernels are launched one by one: {e}", RuntimeWarning, stacklevel=2)
                return lambda: function(*inputs)
        self._last_graph = weakref.ref(graph)

        def replay() -> Sequence[Tensor]:
            graph.replay()
            return outputs

        return replay

    def _warm_up(self, function: Function, inputs: Sequence[Tensor], current: torch.cuda.Stream) -> None:
        """Run a function a few times on the stream of captures, behind and before all other work of `current`."""
        self._capture_stream.wait_stream(current)
        with torch.cuda.stream(self._capture_stream):
            for _ in range(WARM_UPS):
                function(*inputs)
        current.wait_stream(self._capture_stream)

    def _record(self, graph: torch.cuda.CUDAGraph, function: Function, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Record the kernels of a function into a graph, and return the tensors that its replays write to."""
        # All graphs of this device are replayed on one stream, one after the other. So the memory for intermediate
        # results of one is free again when the next begins, and they can share one pool. For the same reason, what a
        # replay returns has to be copied before the next one.
        last_graph = self._last_graph()
        pool = None if last_graph is None else last_graph.pool()
        # "thread_local" lets other threads allocate memory on their devices while this one captures.
        with torch.cuda.graph(graph, pool=pool, stream=self._capture_stream, capture_error_mode="thread_local"):
            return function(*inputs)

    def empty_cache(self) -> None:
        """Give memory that PyTorch caches back to the GPU."""
        torch.cuda.empty_cache()


_benchmark_lock = Lock()
"""Held while cuDNN's setting, which is the whole process's, is changed: else one thread restores another's change."""


@contextmanager
def _cudnn_benchmark() -> Iterator[None]:
    """Let cuDNN measure which of its kernels is fastest: worth it for shapes that come often."""
    with _benchmark_lock:
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark = before
