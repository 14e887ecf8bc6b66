"""The features of a model, computed slice by slice as frames come."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.span import Span
from streamcam.engines.streaming.state_pool import StatePool, StreamState
from streamcam.engines.streaming.temporal_ops import Buffers
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel


class Network(Protocol):
    """Frames in, slices of the feature map out, as they come."""

    span: Span
    """The frames that a slice sees."""
    pads_time: bool
    """Whether slices at the ends of a video see padding."""

    def start(self) -> StreamState:
        """Begin a video stream, and keep its state until `flush` or `release`."""
        ...

    def push(self, streams: Sequence[StreamState], frames: Tensor) -> Tensor | None:
        """Compute the slices that new frames complete.

        Args:
            streams: N streams of one phase.
            frames: the next t frames of each, float [N,3,t,H,W].

        Returns:
            float [N,K,t',h,w], or None if no slice is complete.
        """
        ...

    def fork(self, stream: StreamState) -> StreamState:
        """Begin a stream as a copy of another one."""
        ...

    def flush(self, stream: StreamState) -> Tensor | None:
        """End a stream, and drop it. Return the slices that were waiting for later frames, float [1,K,t',h,w]."""
        ...

    def release(self, stream: StreamState) -> None:
        """Drop a stream."""
        ...


class PooledNetwork(Network, Protocol):
    """A network whose state is rows of a pool, and whose kernels depend on the phase and the frames' shape alone."""

    state_pool: StatePool
    warmup_frames: int
    """From this phase on, phases come again."""

    def next_phase(self, phase: int, frames: int) -> int:
        """Return the phase of a stream after so many more frames."""
        ...

    def run(self, phase: int, frames: Tensor | None, buffers: Buffers) -> Tensor | None:
        """Compute what `push` returns, for rows of the pool. Phases are left to the caller."""
        ...


class FramewiseNetwork:
    """A network that looks at each frame alone, and so has no state. Its rows in the pool are empty."""

    span = Span()
    pads_time = False
    warmup_frames = 0

    def __init__(self, model: CamModel) -> None:
        self._model, self.state_pool = model, StatePool({})

    def start(self) -> StreamState:
        """Begin a video stream."""
        return self.state_pool.allocate()

    def push(self, _streams: Sequence[StreamState], frames: Tensor) -> Tensor:
        """Compute the slice of each frame: float [N,3,t,H,W] → [N,K,t,h,w]."""
        return self._model.feature_maps(frames)[0]

    def fork(self, stream: StreamState) -> StreamState:
        """Begin a stream as a copy of another one."""
        return self.state_pool.fork(stream)

    def flush(self, stream: StreamState) -> None:
        """Drop a stream: no slice waits for later frames."""
        self.release(stream)

    def release(self, stream: StreamState) -> None:
        """Drop a stream."""
        self.state_pool.release(stream)

    def next_phase(self, _phase: int, _frames: int) -> int:
        """Return 0: what came before changes nothing."""
        return 0

    def run(self, _phase: int, frames: Tensor | None, _buffers: Buffers) -> Tensor | None:
        """Compute the slice of each frame, or none at the end of a video."""
        return None if frames is None else self._model.feature_maps(frames)[0]


def streaming(model: CamModel, *, dense: bool = False) -> PooledNetwork:
    """Convert the features of a model into a network of streams.

    Raises:
        StreamcamError: they cannot be converted; the message says why.
    """
    if not model.head.is_linear:
        raise StreamcamError(f"{model.spec.name} cannot be streamed: its head is not linear (use --engine window)")
    if model.spec.framewise:
        return FramewiseNetwork(model)
    try:
        network = StreamNetwork(model.features, dense=dense)
    except StreamcamError as e:
        raise StreamcamError(f"{model.spec.name} {e}") from e
    if model.spec.temporal_context == network.span.receptive_field - 1:  # without padding, the spec says what is meant
        network.span = replace(network.span, own=model.spec.temporal_offset)
    return network


def matches_window_engine(model: CamModel) -> bool:
    """Return whether `StreamEngine` gives the same heat as `WindowEngine`.

    It does for networks that do not pad along time. Padding makes a clip's first and last frames differ from the same
    frames in the middle of a video.
    """
    try:
        return not streaming(model).pads_time
    except StreamcamError:
        return False
