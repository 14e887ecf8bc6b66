"""The protocol of an engine: clips go in, heat comes out."""

from collections.abc import Callable, Sequence
from typing import Protocol

from streamcam.heat.results import HeatContext
from streamcam.models.spec import ModelSpec
from streamcam.records import Clip, Heat


class Runner(Protocol):
    """A model on one device, in one precision."""

    spec: ModelSpec
    context: HeatContext
    precision: str
    """fp32, fp16, bf16 or int8."""
    device_name: str
    """What computes, for people: `cpu`, `cuda:0`, `openvino` or `onnxruntime`."""

    @property
    def on_cpu(self) -> bool:
        """Whether it shares the CPU with decoding and drawing."""
        ...


class BatchFuture:
    """The heat of a batch of clips that an engine is computing."""

    def __init__(self, done: Callable[[], bool], wait: Callable[[], Sequence[Heat | None]]) -> None:
        """Join two functions: one asks without waiting, one waits and is called once."""
        self._done, self._wait = done, wait
        self._heats: Sequence[Heat | None] | None = None

    def done(self) -> bool:
        """Return whether `wait` would return at once, or would have to compute a part again."""
        return self._heats is not None or self._done()

    def wait(self) -> Sequence[Heat | None]:
        """Wait for the heat of each clip, in order; None for a clip that is not full yet.

        Raises:
            LostError: the device has failed.
            StreamcamError: the device has not enough memory for a single clip.
            Exception: whatever else the engine raised while it computed.
        """
        if self._heats is None:
            self._heats = self._wait()
        return self._heats


class Engine(Protocol):
    """Computes the heat of clips. One thread calls it."""

    @property
    def name(self) -> str:
        """One of `ENGINES`: window or stream."""
        ...

    @property
    def runner(self) -> Runner:
        """The model, and the device that it runs on."""
        ...

    @property
    def max_batch(self) -> int:
        """How many clips it takes at once. It falls where the device's memory turns out to be too small."""
        ...

    @property
    def in_flight(self) -> int:
        """How many batches are worth submitting before the first has come back."""
        ...

    @property
    def head_start(self) -> bool:
        """Whether it gains from clips that are not full yet."""
        ...

    @property
    def hop(self) -> int:
        """Frames between two heat slices. A clip that comes sooner brings no new slice."""
        ...

    @property
    def lookahead_s(self) -> float:
        """Seconds from the centre of a clip's last heat slice to its newest frame."""
        ...

    @property
    def needs_every_frame(self) -> bool:
        """Whether a frame that is left out changes the heat of clips that do not contain it."""
        ...

    def weight(self, clip: Clip) -> int:
        """Return how many of `max_batch` a clip counts for, from 1 up."""
        ...

    def submit(self, clips: Sequence[Clip]) -> BatchFuture:
        """Begin with clips. Batches are computed in the order in which they are submitted."""
        ...

    def infer(self, clips: Sequence[Clip]) -> Sequence[Heat | None]:
        """Compute the heat of each clip, in order, and wait for it; None for a clip that is not full yet."""
        ...
