"""What a network costs: each engine on an endless camera, and a matrix product as the measure of what can be had."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from streamcam.bench.measure import timed_ms
from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine
from streamcam.engines.base import Engine
from streamcam.engines.device.hardware import PRECISIONS
from streamcam.engines.stream_engine import StreamEngine
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.records import Clip, ClipFormat, Frame

MATMUL_SIDE = {"cpu": 2048, "cuda": 8192}
"""Large enough that the product takes far longer than being told to begin, and asked for a number."""


def _convolution_flop(
    x: Sequence[int], weight: Sequence[int], *_: object, out_shape: Sequence[int], **__: object
) -> int:
    return conv_flop_count(list(x), list(weight), list(out_shape))


UNCOUNTED = {torch.ops.aten.mkldnn_convolution: _convolution_flop}
"""What PyTorch's counter does not know: the convolution that streams call by its name."""


def camera_clips(clip_format: ClipFormat, *, hop: int = 1, source: str = "camera") -> Iterator[Clip]:
    """Full clips of a picture of noise that wanders, one every `hop` frames, for ever.

    What networks cost does not depend on what they see.
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
    """An engine's turn: as many clips as it takes until its work repeats.

    A network that strides over time completes a slice of its deeper layers with some frames only; frames are averaged
    over a whole stride.
    """

    def __init__(self, engine: Engine, *, hop: int = 1) -> None:
        """Bring an engine to where its work repeats.

        Args:
            engine: this turn's own, or one whose other turns have another `hop`.
            hop: new frames in each clip.
        """
        self.runner, self._engine, self._hop = engine.runner, engine, hop
        self._clips = camera_clips(engine.runner.spec.clip_format, hop=hop, source=f"hop{hop}")
        self._count = 1
        if isinstance(engine, StreamEngine):
            self._count = -(-engine.span.stride // hop)
            # From when the first slice is complete, every layer has something to do.
            self._take(-(-(engine.span.last + engine.span.stride) // hop))

    def __call__(self) -> float:
        """Milliseconds a frame."""
        clips = list(islice(self._clips, self._count))
        return timed_ms(lambda: self._infer(clips), frames=self._count * self._hop)

    def gflop(self) -> float:
        """Billions of operations a frame, a multiply–add counted as two; of convolutions and matrix products."""
        with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
            self._take(self._count)
        return float(counter.get_total_flops()) / 1e9 / (self._count * self._hop)

    def _take(self, count: int) -> None:
        self._infer(list(islice(self._clips, count)))

    def _infer(self, clips: list[Clip]) -> None:
        for clip in clips:
            self._engine.infer([clip])  # heat is on the host: nothing is left to wait for


def engine_turns(model: CamModel, *, backend: str = "auto", device: str, precision: str) -> dict[str, EngineTurn]:
    """`window`, and `stream` where the model can be streamed, as contenders."""
    turns = {}
    for name in ("window", "stream"):
        try:
            turns[name] = EngineTurn(make_engine(model, name=name, backend=backend, device=device, precision=precision))
        except StreamcamError:
            if name == "window":
                raise
    return turns


def matmul_turn(device: torch.device, precision: str) -> Callable[[], float]:
    """A product of square matrices; its turns are in milliseconds for each GFLOP."""
    side = MATMUL_SIDE[device.type]
    dtype, gflop = PRECISIONS[precision], 2 * side**3 / 1e9
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))

    def multiply() -> None:
        (a @ b)[0, 0].item()  # reading a number waits for the device

    return lambda: timed_ms(multiply) / gflop
