"""The features of a model, slice by slice: frames go in as they come."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.state_pool import StatePool, StreamState
from streamcam.engines.streaming.temporal_ops import Memory, Span
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel


class Network(Protocol):
    """Frames in, slices of the feature map out, as they come."""

    span: Span
    """What a slice sees."""
    pads_time: bool
    """Whether slices at the ends of a video see padding."""

    def start(self) -> StreamState:
        """The beginning of a video, which is kept in mind until `flush` or `forget`."""
        ...

    def push(self, streams: Sequence[StreamState], frames: Tensor) -> Tensor | None:
        """The next frames of streams of one phase, float [N,3,t,H,W] → the slices [N,K,t',h,w] that they complete."""
        ...

    def fork(self, stream: StreamState) -> StreamState:
        """A video that has been the same as another one so far."""
        ...

    def flush(self, stream: StreamState) -> Tensor | None:
        """The end of a video, which is forgotten: the slices that were waiting for what will not come any more."""
        ...

    def forget(self, stream: StreamState) -> None:
        """A video of which no more will be asked."""
        ...


class PooledNetwork(Network, Protocol):
    """A network whose work on the rows of a bank depends on nothing but the phase and the frames' shape."""

    state_pool: StatePool
    warmup_frames: int
    """From this phase on, phases come again."""

    def after(self, phase: int, frames: int) -> int:
        """The phase of a stream that so many frames are added to."""
        ...

    def run(self, phase: int, frames: Tensor | None, memory: Memory) -> Tensor | None:
        """What `push` does, for rows of the bank; phases are left to the caller."""
        ...


class FramewiseNetwork:
    """A network that looks at each frame alone."""

    span = Span()
    pads_time = False
    warmup_frames = 0

    def __init__(self, model: CamModel) -> None:
        self._model, self.state_pool = model, StatePool({})

    def start(self) -> StreamState:
        """There is nothing to remember."""
        return self.state_pool.allocate()

    def push(self, _streams: Sequence[StreamState], frames: Tensor) -> Tensor:
        """Float [N,3,t,H,W] → [N,K,t,h,w]."""
        return self._model.feature_maps(frames)[0]

    def fork(self, stream: StreamState) -> StreamState:
        """Nothing is different."""
        return self.state_pool.fork(stream)

    def flush(self, stream: StreamState) -> None:
        """Nothing waits."""
        self.forget(stream)

    def forget(self, stream: StreamState) -> None:
        """Nothing was kept."""
        self.state_pool.release(stream)

    def after(self, _phase: int, _frames: int) -> int:
        """All frames are alike."""
        return 0

    def run(self, _phase: int, frames: Tensor | None, _memory: Memory) -> Tensor | None:
        """The same."""
        return None if frames is None else self._model.feature_maps(frames)[0]


def streaming(model: CamModel, *, dense: bool = False) -> PooledNetwork:
    """The features of a model, to be computed slice by slice.

    Raises:
        StreamcamError: they cannot be; the message says why.
    """
    if not model.head.is_linear:
        raise StreamcamError(f"{model.spec.name} cannot be streamed: its head is not linear (use --engine window)")
    if model.spec.framewise:
        return FramewiseNetwork(model)
    try:
        return StreamNetwork(model.features, dense=dense)
    except StreamcamError as e:
        raise StreamcamError(f"{model.spec.name} {e}") from e


def matches_window_engine(model: CamModel) -> bool:
    """Whether `StreamEngine` gives what `WindowEngine` does: for a network that does not pad in time."""
    try:
        return not streaming(model).pads_time
    except StreamcamError:
        return False
