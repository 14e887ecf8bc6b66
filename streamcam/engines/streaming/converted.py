"""A network of clips, converted into a network of streams: each frame goes through it once.

An operation that sees several slices at a time buffers the last of its inputs until the next ones come:

    a convolution over 3 slices, zero-padded              pushes of 2 frames
    ·  0  1  2  3  4  5  ·                                 ·  0  1 │ 2  3 │ 4  5 │ ·   the last: flush
    └──┴──┘  └──┴──┘                                       buffer: 0  1   2  3   4  5

Where two branches meet, the one that is ahead is buffered until the other has come as far. So a video that is pushed in
any pieces gives the same slices as one pass over all of it, with padding at its very start and end only.
"""

import itertools
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from streamcam.engines.streaming.converter import Converter
from streamcam.engines.streaming.state_pool import StatePool, StreamState
from streamcam.engines.streaming.temporal_ops import BufferKey, Buffers
from streamcam.errors import StreamcamError
from streamcam.models.split import Tracer


class StreamNetwork:
    """The features of a network, computed slice by slice, with the state of each video stream.

    A stream's phase is how many frames it has got, as far as that changes which slices are complete and buffered. It
    counts up to `warmup_frames`. From there on, the network does the same again after every `period` frames, so the
    phase counts from `warmup_frames` to `warmup_frames + period - 1` and begins again. Streams of one phase can be one
    batch, and a push in each phase is the same sequence of kernels, which a CUDA graph can hold.
    """

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
        converter = Converter(traced, dense=dense)
        if len(converter.outputs) != 1:
            raise StreamcamError(f"cannot be streamed: it pools {len(converter.outputs)} maps (use --engine window)")
        self.operations, (self.output,) = converter.ops, converter.outputs
        """What it computes, in order; and the number of the value that is the feature map."""
        self.span = converter.values[self.output].span
        """The frames that a slice of the feature map sees."""
        self.layer_spans = converter.layer_spans
        """The frames that an output slice of a layer sees, by the layer's name; of layers that slide over time."""
        self.pads_time = converter.pads_time
        """Whether slices at the ends of a video see padding."""
        self.warmup_frames = next(n for n in itertools.count(1) if self._counts(n)[self.output])
        """How many frames complete the first slice. By then, every operation has given at least one."""
        self.period = self.span.stride
        """After how many more frames a warmed-up network buffers as many slices as before."""
        self.state_pool = StatePool(self._buffer_lengths())
        """The buffered slices of all streams. Their frames are of one size."""

    def start(self) -> StreamState:
        """Begin a video stream, and keep its state until `flush` or `release`."""
        return self.state_pool.allocate()

    def fork(self, stream: StreamState) -> StreamState:
        """Begin a stream as a copy of another one."""
        return self.state_pool.fork(stream)

    def release(self, stream: StreamState) -> None:
        """Drop a stream."""
        self.state_pool.release(stream)

    @torch.inference_mode()
    def push(self, streams: Sequence[StreamState], frames: Tensor) -> Tensor | None:
        """Compute the slices that new frames complete.

        Args:
            streams: N streams of one phase.
            frames: the next t frames of each, float [N,3,t,H,W].

        Returns:
            float [N,K,t',h,w], or None if no slice is complete.
        """
        (phase,) = {stream.phase for stream in streams}
        slices = self.run(phase, frames, self.state_pool.rows_of(streams))
        for stream in streams:
            stream.phase = self.next_phase(phase, frames.shape[2])
        return slices

    @torch.inference_mode()
    def flush(self, stream: StreamState) -> Tensor | None:
        """End a stream, and drop it. Return the slices that were waiting for later frames, float [1,K,t',h,w]."""
        slices = self.run(stream.phase, None, self.state_pool.rows_of([stream]))
        self.release(stream)
        return slices

    def next_phase(self, phase: int, frames: int) -> int:
        """Return the phase of a stream after so many more frames."""
        count = phase + frames
        return count if count < self.warmup_frames else self.warmup_frames + (count - self.warmup_frames) % self.period

    def run(self, phase: int, frames: Tensor | None, buffers: Buffers) -> Tensor | None:
        """Compute what `push` or, for `frames` None, `flush` returns. Phases are left to the caller.

        Shapes and addresses depend on nothing but the phase and the shape of `frames`. So buffers that stay in their
        place can be part of a CUDA graph, and buffers that are arguments part of an exported network.
        """
        ended, new = frames is None, 0 if frames is None else frames.shape[2]
        before, after = self._counts(phase), self._counts(phase + new, ended=ended)
        values: list[Tensor | None] = [frames]
        for op in self.operations:
            values.append(op.run(values, before, after, buffers, ended=ended))
        return values[self.output]

    def buffered(self, phase: int) -> Counter[BufferKey]:
        """Return how many slices each buffer holds at a phase; buffers without any are left out."""
        counts = self._counts(phase)
        return +Counter({key: count for op in self.operations for key, count in op.buffered(counts).items()})

    def _counts(self, frames: int, *, ended: bool = False) -> list[int]:
        """Return how many slices of each value there are after so many frames."""
        counts = [frames]
        for op in self.operations:
            counts.append(op.completed(counts, ended=ended))
        return counts

    def _buffer_lengths(self) -> dict[BufferKey, int]:
        """Return the most slices that each buffer holds at any phase."""
        lengths: Counter[BufferKey] = Counter()
        for phase in range(self.warmup_frames + self.period):
            lengths |= self.buffered(phase)  # a union of counters has the larger count of each key
        return lengths
