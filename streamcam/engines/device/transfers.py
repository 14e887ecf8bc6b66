"""Copies batches to a device and their results back, each as one copy, through a ring of slots.

    slot 0   staged │ copied in │ computed    │ copied out │ read │ staged …
    slot 1          │ staged    │ copied in   │ computed   │ …
    slot 2                      │ staged      │ copied in  │ …

Time runs to the right. When a slot comes round again, `send` first takes the last results out of it. Only for that does
the host wait. The engines of `engine.py`, `window_engine.py` and `stream_engine.py` send their batches through a ring.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.engines.device.errors import HostMemoryError, is_out_of_memory
from streamcam.engines.device.streams import DeviceStreams, Event, StreamKind, Work

Arrays = list[npt.NDArray[Any]]

Compute = Callable[[Tensor], Sequence[Tensor]]
"""Computes results on the device from all bytes of a batch, uint8 [n] on the device."""

NUMPY_DTYPES: dict[torch.dtype, type[np.generic]] = {torch.float32: np.float32, torch.int64: np.int64}
"""The types that results may have, and NumPy's types for them."""


class Transfer:
    """A batch that is copied to the device and computed there, and whose results are copied back."""

    def __init__(self, slot: "_Slot", computed: Event, events: Sequence[Event]) -> None:
        self.computed = computed
        """Passes when the batch is computed, and the state of its sources on the device is up to date."""
        self._slot: _Slot | None = slot
        self._events = events
        self._results: Arrays = []
        self._error: Exception | None = None

    def done(self) -> bool:
        """Return whether `wait` would return or raise at once."""
        return self._slot is None or all(event.done() for event in self._events)

    def receive(self) -> None:
        """Wait for the results, and copy them out of the slot, which is free then."""
        if self._slot is None:
            return
        slot, self._slot = self._slot, None
        try:
            for event in self._events:
                event.wait()
            self._results = slot.unpack()
        except Exception as e:
            self._error = e

    def wait(self) -> Arrays:
        """Wait for the results, and return them in the shapes and types in which they were computed.

        Raises:
            SkippedError: work that this batch depends on has failed.
            HostMemoryError: the host has no memory that the device can copy from or to.
            Exception: whatever was raised while it was computed, or by the device.
        """
        self.receive()
        if self._error is not None:
            raise self._error
        return self._results


class TransferRing:
    """A ring of slots, through which batches are sent to a device."""

    def __init__(self, streams: DeviceStreams) -> None:
        self._streams = streams
        self._slots = [_Slot(streams) for _ in range(streams.slots)]
        self._sent = 0

    def send(
        self, pieces: Sequence[npt.NDArray[np.uint8]], compute: Compute, *, after: Sequence[Event] = ()
    ) -> Transfer:
        """Copy arrays to the device, compute results from them there, and copy these back.

        Waits if the slot's last batch is still in flight, and takes its results out first.

        Args:
            pieces: arrays of any shapes. They are flattened and joined, and `compute` gets them as one uint8 [n].
            compute: called on the compute stream, in the order of `send`.
            after: events that have to pass before it computes.
        """
        slot = self._slots[self._sent % len(self._slots)]
        self._sent += 1
        slot.receive_last()
        # Copies wait for no earlier batch: while one is computed, the next is copied in. This slot's tensors on the
        # device may be replaced, since its last copy out has passed, and that comes last.
        copied = self._streams.enqueue(StreamKind.COPY_IN, slot.stage(pieces))
        computed = self._streams.enqueue(StreamKind.COMPUTE, lambda: slot.compute(compute), after=[copied, *after])
        returned = self._streams.enqueue(StreamKind.COPY_OUT, slot.copy_out, after=[computed])
        slot.transfer = Transfer(slot, computed, [copied, computed, returned])
        return slot.transfer


@dataclass(frozen=True, slots=True)
class _ResultLayout:
    """The shape and type of one result among the joined bytes of all."""

    shape: torch.Size
    dtype: "np.dtype[np.generic]"

    @property
    def size(self) -> int:
        """Bytes."""
        return self.shape.numel() * self.dtype.itemsize


class _Slot:
    """Memory for one batch in flight, on the host and on the device.

    The host touches its own buffers only before a transfer's work is enqueued, and after its events have passed. The
    transfer's work alone touches the tensors on the device, in the order of its events.
    """

    def __init__(self, streams: DeviceStreams) -> None:
        self.transfer: Transfer | None = None
        self._streams = streams
        self._input_buffer = self._output_buffer = streams.host_buffer(0)
        self._frames = self._packed = torch.empty(0)
        self._layouts: list[_ResultLayout] = []

    def receive_last(self) -> None:
        """Receive the last transfer through this slot, so that the slot is free."""
        if self.transfer is not None:
            self.transfer.receive()

    def stage(self, pieces: Sequence[npt.NDArray[np.uint8]]) -> Work:
        """Join arrays in the input buffer, and return the work that copies them to the device.

        Where the host has no memory for the buffer, that work raises the error. So it reaches whoever waits for the
        transfer, as an error of the device does.
        """
        size = sum(piece.size for piece in pieces)
        try:
            self._input_buffer = self._grown(size, self._input_buffer)
        except HostMemoryError as e:
            return partial(_fail, e)
        staged = self._input_buffer[:size]
        if pieces:
            torch.cat([torch.from_numpy(piece).reshape(-1) for piece in pieces], out=staged)
        return partial(self._copy_in, staged)

    def _grown(self, size: int, buffer: Tensor) -> Tensor:
        """Return this buffer of the host, or a new one where it has fewer bytes than `size`."""
        try:
            return buffer if len(buffer) >= size else self._streams.host_buffer(size)
        except RuntimeError as e:
            if is_out_of_memory(e):
                raise HostMemoryError from e
            raise

    def _copy_in(self, staged: Tensor) -> None:
        self._frames = self._streams.upload(staged)

    def compute(self, compute: Compute) -> None:
        """Compute the results, and join their bytes.

        Joined, they cross the bus as one copy. And results may be static tensors of a CUDA graph, which the next batch
        overwrites while these are still copied out. So they have to be joined in memory of this slot's own.
        """
        results = compute(self._frames)
        self._layouts = [_ResultLayout(result.shape, np.dtype(NUMPY_DTYPES[result.dtype])) for result in results]
        results_bytes = [result.reshape(-1).view(torch.uint8) for result in results]
        self._packed = torch.cat(results_bytes) if results_bytes else self._frames[:0]

    def copy_out(self) -> None:
        """Copy the joined results to the output buffer."""
        self._output_buffer = self._grown(len(self._packed), self._output_buffer)
        self._output_buffer[: len(self._packed)].copy_(self._packed, non_blocking=True)

    def unpack(self) -> Arrays:
        """Return copies of the results in the output buffer."""
        arrays, start = [], 0
        for layout in self._layouts:
            array_bytes = self._output_buffer[start : start + layout.size].numpy().copy()
            arrays.append(array_bytes.view(layout.dtype).reshape(tuple(layout.shape)))
            start += layout.size
        return arrays


def _fail(error: Exception) -> None:
    raise error
