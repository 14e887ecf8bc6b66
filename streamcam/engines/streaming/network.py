"""The features of a model, slice by slice: frames go in as they come."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.state_pool import Bank, Stream
from streamcam.engines.streaming.temporal_ops import Memory, Span
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel


class Network(Protocol):
    """Frames in, slices of the feature map out, as they come."""

    span: Span
    """What a slice sees."""
    pads_time: bool
    """Whether slices at the ends of a video see padding."""

    def start(self) -> Stream:
        """The beginning of a video, which is kept in mind until `flush` or `forget`."""
        ...

    def push(self, streams: Sequence[Stream], frames: Tensor) -> Tensor | None:
        """The next frames of streams of one phase, float [N,3,t,H,W] → the slices [N,K,t',h,w] that they complete."""
        ...

    def fork(self, stream: Stream) -> Stream:
        """A video that has been the same as another one so far."""
        ...

    def flush(self, stream: Stream) -> Tensor | None:
        """The end of a video, which is forgotten: the slices that were waiting for what will not come any more."""
        ...

    def forget(self, stream: Stream) -> None:
        """A video of which no more will be asked."""
        ...


class InPlace(Network, Protocol):
    """A network whose work on the rows of a bank depends on nothing but the phase and the frames' shape."""

    bank: Bank
    settled: int
    """From this phase on, phases come again."""

    def after(self, phase: int, frames: int) -> int:
        """The phase of a stream that so many frames are added to."""
        ...

    def run(self, phase: int, frames: Tensor | None, memory: Memory) -> Tensor | None:
        """What `push` does, for rows of the bank; phases are left to the caller."""
        ...


class EachFrame:
    """A network that looks at each frame alone."""

    span = Span()
    pads_time = False
    settled = 0

    def __init__(self, model: CamModel) -> None:
        self._model, self.bank = model, Bank({})

    def start(self) -> Stream:
        """There is nothing to remember."""
        return self.bank.join()

    def push(self, _streams: Sequence[Stream], frames: Tensor) -> Tensor:
        """Float [N,3,t,H,W] → [N,K,t,h,w]."""
        return self._model.feature_maps(frames)[0]

    def fork(self, stream: Stream) -> Stream:
        """Nothing is different."""
        return self.bank.fork(stream)

    def flush(self, stream: Stream) -> None:
        """Nothing waits."""
        self.forget(stream)

    def forget(self, stream: Stream) -> None:
        """Nothing was kept."""
        self.bank.leave(stream)

    def after(self, _phase: int, _frames: int) -> int:
        """All frames are alike."""
        return 0

    def run(self, _phase: int, frames: Tensor | None, _memory: Memory) -> Tensor | None:
        """The same."""
        return None if frames is None else self._model.feature_maps(frames)[0]


def streaming(model: CamModel, *, dense: bool = False) -> InPlace:
    """The features of a model, to be computed slice by slice.

    Raises:
        StreamcamError: they cannot be; the message says why.
    """
    if not model.head.is_linear:
        raise StreamcamError(f"{model.spec.name} cannot be streamed: its head is not linear (use --engine window)")
    if model.spec.framewise:
        return EachFrame(model)
    try:
        return StreamNetwork(model.features, dense=dense)
    except StreamcamError as e:
        raise StreamcamError(f"{model.spec.name} {e}") from e


def answers_as_window(model: CamModel) -> bool:
    """Whether `StreamEngine` gives what `WindowEngine` does: for a network that does not pad in time."""
    try:
        return not streaming(model).pads_time
    except StreamcamError:
        return False
