"""A cache of CUDA graphs: functions of static tensors, captured once for each of a few batch sizes.

A batch is put into the next larger size, and zeros fill the rest:

    a batch of 3  ──►  [ 0 │ 1 │ 2 │ – ]  the graph for 4  ──►  [ 0 │ 1 │ 2 │ – ]  ──►  the first 3
"""

from collections.abc import Callable, Hashable, Sequence

from torch import Tensor

from streamcam.engines.device.streams import DeviceStreams, Function


def bucket(count: int) -> int:
    """Return the size of the graph for a batch: the next power of two.

    >>> [bucket(count) for count in range(1, 6)]
    [1, 2, 4, 4, 8]
    """
    return 1 << (count - 1).bit_length()


class CapturedGraph:
    """A captured function of static tensors [size, …]. It takes batches of up to `size` rows."""

    def __init__(self, replay: Callable[[], Sequence[Tensor]], inputs: Sequence[Tensor]) -> None:
        self._replay, self._inputs = replay, inputs

    def __call__(self, *batch: Tensor) -> Sequence[Tensor]:
        """Replay for tensors [n, …], and return the function's, each [n, …]. The next call overwrites these."""
        count = len(batch[0])
        # A graph reads and writes fixed addresses, so a batch has to be copied to where it was captured.
        for static, new in zip(self._inputs, batch, strict=True):
            static[:count].copy_(new)
            static[count:].zero_()
        return [result[:count] for result in self._replay()]


class GraphCache:
    """The functions that have been captured on a device."""

    def __init__(self, streams: DeviceStreams) -> None:
        self._streams = streams
        self._captured: dict[Hashable, CapturedGraph] = {}

    def run(self, key: Hashable, function: Function, *batch: Tensor) -> Sequence[Tensor]:
        """Run a function as a graph, which is captured on its first run with batches of this size.

        Args:
            key: tells functions apart, and whatever else their kernels depend on.
            function: computes each row of its results from the same row of its arguments. Rows of zeros must do no
                harm, since they fill up a batch.
            batch: the function's arguments, tensors [n, …].

        Returns:
            The function's results, each [n, …]. The next run of the same graph overwrites them.
        """
        if not self._streams.captures:
            return function(*batch)
        size = bucket(len(batch[0]))
        graph_key = (key, size, *(x.shape[1:] for x in batch))
        if graph_key not in self._captured:
            inputs = [x.new_zeros(size, *x.shape[1:]) for x in batch]
            self._captured[graph_key] = CapturedGraph(self._streams.capture(function, inputs), inputs)
        return self._captured[graph_key](*batch)

    def clear(self) -> None:
        """Drop all graphs. A graph holds addresses, so it is useless once a tensor that it uses has moved."""
        self._captured.clear()
