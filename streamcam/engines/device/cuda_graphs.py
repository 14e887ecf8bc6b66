"""Functions of tensors that stay where they are: captured once for a few sizes of batches, and replayed from then on.

A batch is put into the next larger size, behind which there are zeros:

    a batch of 3  ──►  [ 0 │ 1 │ 2 │ – ]  the graph for 4  ──►  [ 0 │ 1 │ 2 │ – ]  ──►  the first 3
"""

from collections.abc import Callable, Hashable, Sequence

from torch import Tensor

from streamcam.engines.device.streams import DeviceStreams, Function


def bucket(count: int) -> int:
    """The size of graph for so many: the next power of two."""
    return 1 << (count - 1).bit_length()


class CapturedGraph:
    """A function of static tensors [size, …], for batches of at most as many rows."""

    def __init__(self, replay: Callable[[], Sequence[Tensor]], inputs: Sequence[Tensor]) -> None:
        self._replay, self._inputs = replay, inputs

    def __call__(self, *batch: Tensor) -> Sequence[Tensor]:
        """Tensors [n, …] → the function's, each [n, …], which the next call overwrites."""
        count = len(batch[0])
        for static, new in zip(self._inputs, batch, strict=True):
            static[:count].copy_(new)
            static[count:].zero_()
        return [outcome[:count] for outcome in self._replay()]


class GraphCache:
    """What has been captured on a device."""

    def __init__(self, streams: DeviceStreams) -> None:
        self._streams = streams
        self._captured: dict[Hashable, CapturedGraph] = {}

    def run(self, key: Hashable, function: Function, *batch: Tensor) -> Sequence[Tensor]:
        """What a function gives for tensors [n, …]: each [n, …], and overwritten by the next of its runs.

        Args:
            key: what else the function depends on.
            function: whose rows have nothing to do with each other; rows of zeros may be computed at any time.
            batch: its arguments.
        """
        if not self._streams.captures:
            return function(*batch)
        size = bucket(len(batch[0]))
        at = (key, size, *(x.shape[1:] for x in batch))
        if at not in self._captured:
            inputs = [x.new_zeros(size, *x.shape[1:]) for x in batch]
            self._captured[at] = CapturedGraph(self._streams.capture(function, inputs), inputs)
        return self._captured[at](*batch)

    def clear(self) -> None:
        """Forget them all: what they used may have moved."""
        self._captured.clear()
