"""Batches to a device and results back, each once over the bus, through a ring of slots.

    slot 0   staged │ copied in │ computed    │ copied out │ read │ staged …
    slot 1          │ staged    │ copied in   │ computed   │ …
    slot 2                      │ staged      │ copied in  │ …

A slot is used again when its last result has been read: that is the only time that the host waits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.engines.device.streams import DeviceStreams, Event, HostMemoryError, StreamKind, Work, is_out_of_memory

Arrays = list[npt.NDArray[Any]]

Compute = Callable[[Tensor], Sequence[Tensor]]
"""All bytes of a batch, uint8 [n] on the device → results, on the device."""


class Transfer:
    """A batch that was sent."""

    def __init__(self, slot: "_Slot", computed: Event, events: Sequence[Event]) -> None:
        self.computed = computed
        """When what it changes on the device has been changed."""
        self._slot: _Slot | None = slot
        self._events = events
        self._results: Arrays = []
        self._error: Exception | None = None

    def done(self) -> bool:
        """Whether its results are here."""
        return self._slot is None or all(event.done() for event in self._events)

    def receive(self) -> None:
        """Wait for its results, and take them out of its slot."""
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
        """Its results, each in the shape and type that it was computed in.

        Raises:
            SkippedError: what it was to come after has failed.
            whatever was raised on the way, or by the device.
        """
        self.receive()
        if self._error is not None:
            raise self._error
        return self._results


class TransferRing:
    """Sends batches to a device."""

    def __init__(self, streams: DeviceStreams) -> None:
        self._streams = streams
        self._slots = [_Slot(streams) for _ in range(streams.slots)]
        self._sent = 0

    def send(
        self, pieces: Sequence[npt.NDArray[np.uint8]], compute: Compute, *, after: Sequence[Event] = ()
    ) -> Transfer:
        """Copy arrays to the device, compute something of them there, after some events, and copy it back."""
        slot = self._slots[self._sent % len(self._slots)]
        self._sent += 1
        slot.wait_until_free()
        copied = self._streams.put(StreamKind.IN, slot.stage(pieces))
        computed = self._streams.put(StreamKind.COMPUTE, lambda: slot.compute(compute), after=[copied, *after])
        arrived = self._streams.put(StreamKind.OUT, slot.copy_out, after=[computed])
        slot.transfer = Transfer(slot, computed, [copied, computed, arrived])
        return slot.transfer


@dataclass(frozen=True, slots=True)
class _Part:
    """Where a result lies among the bytes of all."""

    shape: torch.Size
    dtype: "np.dtype[np.generic]"

    @property
    def size(self) -> int:
        return self.shape.numel() * self.dtype.itemsize


class _Slot:
    """Memory for one batch on its way, at both ends. Only its trip's work touches what is on the device."""

    def __init__(self, streams: DeviceStreams) -> None:
        self.transfer: Transfer | None = None
        self._streams = streams
        self._input_buffer = self._output_buffer = streams.host(0)
        self._frames = self._packed = torch.empty(0)
        self._parts: list[_Part] = []

    def wait_until_free(self) -> None:
        """Wait until nobody needs what is in it."""
        if self.transfer is not None:
            self.transfer.receive()

    def stage(self, pieces: Sequence[npt.NDArray[np.uint8]]) -> Work:
        """Put arrays behind each other, in memory that the device copies from → the work of copying them.

        Where there is no such memory, that work raises it: it is an error of the trip, like those of the device.
        """
        size = sum(piece.size for piece in pieces)
        try:
            self._input_buffer = self._at_least(size, self._input_buffer)
        except HostMemoryError as e:
            return partial(_fail, e)
        staged = self._input_buffer[:size]
        if pieces:
            torch.cat([torch.from_numpy(piece).reshape(-1) for piece in pieces], out=staged)
        return partial(self._copy_in, staged)

    def _at_least(self, size: int, memory: Tensor) -> Tensor:
        """Memory of the host that is so large: this, or more."""
        try:
            return memory if len(memory) >= size else self._streams.host(size)
        except RuntimeError as e:
            if is_out_of_memory(e):
                raise HostMemoryError from e
            raise

    def _copy_in(self, staged: Tensor) -> None:
        self._frames = self._streams.upload(staged)

    def compute(self, compute: Compute) -> None:
        """All results behind each other, so that they cross the bus as one, and in memory that is this slot's own."""
        results = compute(self._frames)
        numpy_of = {torch.float32: np.float32, torch.int64: np.int64}
        self._parts = [_Part(result.shape, np.dtype(numpy_of[result.dtype])) for result in results]
        parts = [result.reshape(-1).view(torch.uint8) for result in results]
        self._packed = torch.cat(parts) if parts else self._frames[:0]

    def copy_out(self) -> None:
        self._output_buffer = self._at_least(len(self._packed), self._output_buffer)
        self._output_buffer[: len(self._packed)].copy_(self._packed, non_blocking=True)

    def unpack(self) -> Arrays:
        """Copies of what has come back."""
        arrays, at = [], 0
        for part in self._parts:
            came = self._output_buffer[at : at + part.size].numpy().copy()
            arrays.append(came.view(part.dtype).reshape(tuple(part.shape)))
            at += part.size
        return arrays


def _fail(error: Exception) -> None:
    raise error
