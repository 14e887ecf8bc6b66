"""A network of clips → the same network of a stream: each frame goes through it once.

A layer that looks at several slices at a time keeps the last of its inputs until the next ones come:

    a convolution over 3 slices, zero-padded              pushes of 2 frames
    ·  0  1  2  3  4  5  ·                                 ·  0  1 │ 2  3 │ 4  5 │ ·   the last: flush
    └──┴──┘  └──┴──┘                                       kept:   0  1   2  3   4  5

and what joins two branches waits until both have come as far. So a video that is pushed in any pieces gives what one
pass over all of it gives, with padding at its very start and end only.
"""

import itertools
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from streamcam.engines.streaming.converter import Builder
from streamcam.engines.streaming.state_pool import StatePool, StreamState
from streamcam.engines.streaming.temporal_ops import Memory, Slot
from streamcam.errors import StreamcamError
from streamcam.models.split import Tracer


class StreamNetwork:
    """The features of a network, computed slice by slice, and what it keeps of each stream."""

    def __init__(self, features: nn.Module, *, dense: bool = False) -> None:
        """Convert a network.

        Args:
            features: float [N,3,T,H,W] → its last feature map [N,K,T',h,w], or a tuple of one. Traced by torch.fx.
            dense: give a slice for every frame where the network strides over frames: strides become dilations.

        Raises:
            StreamcamError: it mixes all of time somewhere; the message names the operation.
        """
        try:
            traced = fx.GraphModule(features, Tracer().trace(features))
        except Exception as e:
            raise StreamcamError(f"cannot be streamed: it cannot be traced ({e})") from e
        traced.graph.eliminate_dead_code()
        builder = Builder(traced, dense=dense)
        if len(builder.outputs) != 1:
            raise StreamcamError(f"cannot be streamed: it pools {len(builder.outputs)} maps (use --engine window)")
        self._steps, (self._output,) = builder.steps, builder.outputs
        self.span = builder.values[self._output].span
        """What a slice of the feature map sees."""
        self.seen = builder.seen
        """What a slice that comes out of each layer sees, by the layer's name; of those that look at several slices."""
        self.pads_time = builder.pads_time
        """Whether slices at the ends of a video see padding."""
        self.warmup_frames = next(n for n in itertools.count(1) if self._counts(n)[self._output])
        """After so many frames, the first slice is complete, and all that comes before it has given something."""
        self.period = self.span.stride
        """So many frames later, a settled network keeps as much as before."""
        self.state_pool = StatePool(self._longest())
        """What is kept of all streams; their pictures are of one size."""

    def start(self) -> StreamState:
        """The beginning of a video, which is kept in mind until `flush` or `forget`."""
        return self.state_pool.allocate()

    def fork(self, stream: StreamState) -> StreamState:
        """A video that has been the same as another one so far."""
        return self.state_pool.fork(stream)

    def forget(self, stream: StreamState) -> None:
        """A video of which no more will be asked."""
        self.state_pool.release(stream)

    @torch.inference_mode()
    def push(self, streams: Sequence[StreamState], frames: Tensor) -> Tensor | None:
        """The next frames of streams of one phase, float [N,3,t,H,W] → the slices [N,K,t',h,w] that they complete.

        None for none.
        """
        (phase,) = {stream.phase for stream in streams}
        slices = self.run(phase, frames, self.state_pool.rows_of(streams))
        for stream in streams:
            stream.phase = self.after(phase, frames.shape[2])
        return slices

    @torch.inference_mode()
    def flush(self, stream: StreamState) -> Tensor | None:
        """The end of a video, which is forgotten: the slices that were waiting for what will not come any more."""
        slices = self.run(stream.phase, None, self.state_pool.rows_of([stream]))
        self.forget(stream)
        return slices

    def after(self, phase: int, frames: int) -> int:
        """The phase of a stream that so many frames are added to."""
        count = phase + frames
        return count if count < self.warmup_frames else self.warmup_frames + (count - self.warmup_frames) % self.period

    def run(self, phase: int, frames: Tensor | None, memory: Memory) -> Tensor | None:
        """The next frames, or for None the end of the video → slices, None for none.

        What it does, in which shapes and where, depends on nothing but the phase and the frames' shape: memory in place
        can be held by a CUDA graph, and a memory of arguments by an exported network.
        """
        ended, new = frames is None, 0 if frames is None else frames.shape[2]
        before, after = self._counts(phase), self._counts(phase + new, ended=ended)
        values: list[Tensor | None] = [frames]
        for step in self._steps:
            values.append(step.run(values, before, after, memory, ended=ended))
        return values[self._output]

    def kept(self, phase: int) -> Counter[Slot]:
        """How many slices are kept at a phase, where there are any."""
        counts = self._counts(phase)
        return +Counter({slot: count for step in self._steps for slot, count in step.waiting(counts).items()})

    def _counts(self, frames: int, *, ended: bool = False) -> list[int]:
        """How many slices of each value there are after so many frames."""
        counts = [frames]
        for step in self._steps:
            counts.append(step.completed(counts, ended=ended))
        return counts

    def _longest(self) -> dict[Slot, int]:
        longest: Counter[Slot] = Counter()
        for phase in range(self.warmup_frames + self.period):
            longest |= self.kept(phase)
        return longest
