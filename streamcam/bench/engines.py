"""Time a model's engines on an endless camera; and a matrix product, as the measure of what the machine can do."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from streamcam.bench.measure import timed_ms
from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine
from streamcam.engines.device.hardware import PRECISIONS
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.window_engine import WindowEngine
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.records import Clip, ClipFormat, Frame

MATMUL_SIDE = {"cpu": 2048, "cuda": 8192}
"""Rows of the square matrices. The product takes far longer than starting it and reading a number of the result."""


def _convolution_flop(
    x: Sequence[int], weight: Sequence[int], *_: object, out_shape: Sequence[int], **__: object
) -> int:
    return conv_flop_count(list(x), list(weight), list(out_shape))


UNCOUNTED = {torch.ops.aten.mkldnn_convolution: _convolution_flop}
"""Operations that PyTorch's counter does not know: the stream engine calls oneDNN's convolution directly."""


def camera_clips(clip_format: ClipFormat, *, hop: int = 1, source: str = "camera") -> Iterator[Clip]:
    """Yield full clips of a moving picture of noise, one every `hop` frames, without an end.

    The cost of a network does not depend on what it sees.
    """
    window = SlidingWindow(clip_format, hop=hop)
    noise = np.random.default_rng(0).integers(0, 255, (*clip_format.resize, 3), dtype=np.uint8)
    number = 0
    while True:
        image = np.roll(noise, 3 * number, axis=1)
        clip = window.push(Frame(image, number, number / clip_format.fps, 0, source))
        number += 1
        if clip is not None:
            yield clip


class EngineTurn:
    """A turn of an engine: as many clips as it takes until its work repeats.

    A network that strides over time completes a slice of its deeper layers with some frames only. So a turn is a whole
    stride, and its time is averaged over the frames of that.
    """

    def __init__(self, engine: WindowEngine | StreamEngine, *, hop: int = 1) -> None:
        """Warm up an engine.

        Args:
            engine: no other turn with the same hop may use it.
            hop: new frames in each clip.
        """
        self.runner, self._engine, self._hop = engine.runner, engine, hop
        self._clips = camera_clips(engine.runner.spec.clip_format, hop=hop, source=f"hop{hop}")
        self._count = 1
        if isinstance(engine, StreamEngine):
            self._count = -(-engine.span.stride // hop)  # clips in a stride, rounded up
            # Once the first slice is complete, every layer has work to do.
            self._infer_next(-(-(engine.span.last + engine.span.stride) // hop))

    def __call__(self) -> float:
        """Take a turn, and return milliseconds a frame."""
        clips = list(islice(self._clips, self._count))  # prepared before the clock starts
        return timed_ms(lambda: self._infer(clips), frames=self._count * self._hop)

    def gflop(self) -> float:
        """Count billions of operations a frame: convolutions and matrix products, a multiply–add as two."""
        with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
            self._infer_next(self._count)
        return float(counter.get_total_flops()) / 1e9 / (self._count * self._hop)

    def _infer_next(self, count: int) -> None:
        self._infer(list(islice(self._clips, count)))

    def _infer(self, clips: list[Clip]) -> None:
        for clip in clips:
            self._engine.infer([clip])  # returns heat in the host's memory: the device has finished


def engine_turns(model: CamModel, *, backend: str = "auto", device: str, precision: str) -> dict[str, EngineTurn]:
    """Return a turn for `window` and, if the model can be streamed, for `stream`.

    Args:
        model: the model to run.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.

    Raises:
        StreamcamError: the model cannot be run there in windows.
    """
    turns = {}
    for name in ("window", "stream"):
        try:
            turns[name] = EngineTurn(make_engine(model, name=name, backend=backend, device=device, precision=precision))
        except StreamcamError:
            if name == "window":
                raise
    return turns


def matmul_turn(device: torch.device, precision: str) -> Callable[[], float]:
    """Return a turn that multiplies square matrices; it takes milliseconds for each GFLOP, instead of each frame."""
    side = MATMUL_SIDE[device.type]
    # Each of side² numbers takes `side` multiplications and as many additions.
    dtype, gflop = PRECISIONS[precision], 2 * side**3 / 1e9
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))

    def multiply() -> None:
        (a @ b)[0, 0].item()  # reading a number waits for the device

    return lambda: timed_ms(multiply) / gflop
