"""What all points of the GPU check share: the device, how long they have, how time is taken, and cameras in memory."""

import copy
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from scripts.benchmarks.common import Plan, spread
from streamcam.bench.engines import matmul_turn
from streamcam.bench.measure import Spread, Turn, alternate
from streamcam.engines.base import BatchFuture, Engine
from streamcam.engines.device.runner import TorchRunner
from streamcam.models.base import CamModel
from streamcam.models.motion import WEIGHTS as MOTION_WEIGHTS
from streamcam.models.registry import load_model
from streamcam.records import Clip, ClipFormat, Frame, Transform

PRECISIONS = ("bf16", "fp16", "fp32")
"""The one that matters most comes first: time may run out."""

WARM_UPS = 3
SAMPLE_S = 0.02
"""A time is taken over so much work at least, so that waiting for the device does not count."""

QUICK_SIDE, QUICK_LENGTH = 16, 8
POOL_FRAMES = 4096
"""Of pictures at network size; more than any cache holds."""


@dataclass(frozen=True)
class GpuPlan(Plan):
    """How long a point may take, and where it is measured."""

    device: torch.device = field(kw_only=True)
    quick: bool = field(kw_only=True)
    """Whether all is as small as can be: it only has to be seen to work."""
    trace: str | None = field(kw_only=True, default=None)
    """The folder that timelines are kept in."""

    @property
    def on_gpu(self) -> bool:
        """Whether there is anything to measure, rather than to try out."""
        return self.device.type == "cuda"

    def alternate_for(self, turns: Mapping[str, Turn], seconds: float) -> dict[str, list[float]]:
        """Let methods take turns for so long."""
        return alternate(turns, seconds=min(seconds, self.left_s), min_rounds=self.min_rounds)

    def spread_of(self, turn: Turn, seconds: float) -> dict[str, float]:
        """A turn, again and again for so long."""
        return asdict(Spread.of(self.alternate_for({"": turn}, seconds)[""]))

    def sized(self, usual: Sequence[Any], quick: Sequence[Any]) -> Sequence[Any]:
        """What is tried: as usual, or a little."""
        return quick if self.quick else usual


def settle(device: torch.device) -> None:
    """Wait for all that a device has been told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class DeviceTurn:
    """A turn of work on a device: warmed up, and repeated for as long as a time needs to be a good one."""

    def __init__(self, device: torch.device, work: Callable[[], object], *, per: float = 1.0) -> None:
        """`per`: how many windows or frames the work is for."""
        self._device, self._work, self._per, self._repeats = device, work, per, 1
        for _ in range(WARM_UPS if device.type == "cuda" else 1):
            work()
        self._repeats = max(1, min(500, int(SAMPLE_S / max(1e-6, self() * per / 1e3))))

    def __call__(self) -> float:
        """Milliseconds for each window or frame."""
        settle(self._device)
        begin_s = time.perf_counter()
        for _ in range(self._repeats):
            self._work()
        settle(self._device)
        return (time.perf_counter() - begin_s) * 1e3 / (self._repeats * self._per)


def rate_turn(device: torch.device, precision: str) -> Turn:
    """A product of large matrices, in milliseconds for each GFLOP. On a GPU, fp32 is TF32, as for its convolutions."""
    multiply = matmul_turn(device, precision)
    if device.type != "cuda":
        return multiply

    def turn() -> float:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if torch.backends.cudnn.allow_tf32 else before)
        try:
            return multiply()
        finally:
            torch.set_float32_matmul_precision(before)

    return turn


def model_of(name: str, plan: GpuPlan) -> CamModel:
    """A model without network access: random weights, but for `motion`. What it costs does not depend on them."""
    torch.manual_seed(0)
    # Not by its model card, which takes another package to be read.
    model = load_model(name, weights=str(MOTION_WEIGHTS) if name == "motion" else "none")
    if not plan.quick:
        return model
    side = (QUICK_SIDE, QUICK_SIDE)
    length = model.spec.temporal_context + QUICK_LENGTH
    return model.with_clip_format(resize=side, crop=side, length=length)


def gflop_of(model: CamModel) -> float:
    """Billions of operations a window, a multiply–add counted as two; of convolutions and matrix products."""
    shape = model.spec.clip_format
    meta = copy.deepcopy(model).to("meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        meta(torch.empty(1, 3, shape.length, *shape.crop, device="meta"))
    return float(counter.get_total_flops()) / 1e9


def windows_on(runner: TorchRunner, count: int) -> Tensor:
    """uint8 [N,L,3,h,w] on the device."""
    shape = runner.spec.clip_format
    size = (count, shape.length, 3, *shape.crop)
    return torch.randint(0, 256, size, dtype=torch.uint8, device=runner.device)


class Cameras:
    """Cameras whose frames lie in the host's memory, at network size: each reads at a place of its own."""

    def __init__(self, clip_format: ClipFormat, *, pool: int = POOL_FRAMES) -> None:
        self._format, self._pool, self.session = clip_format, pool, 0
        shape = (pool + clip_format.length, 3, *clip_format.crop)
        self._frames = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
        self._times_s = np.arange(clip_format.length) / clip_format.fps

    def clip(self, camera: int, index: int) -> Clip:
        """The clip whose newest frame has this number; the first full one's is L − 1."""
        length = self._format.length
        first = index - length + 1
        at = (61 * camera + first) % self._pool
        pts_s = self._times_s + first / self._format.fps
        last = Frame(None, index, index / self._format.fps, 0, f"camera {camera}", session=self.session)
        return Clip(self._frames[at : at + length], pts_s, index, last, Transform())

    def clips(self, count: int, index: int) -> list[Clip]:
        """Those of the first `count` cameras."""
        return [self.clip(camera, index) for camera in range(count)]


def cameras_for(engine: Engine, plan: GpuPlan) -> Cameras:
    """Cameras of an engine's format."""
    return Cameras(engine.runner.spec.clip_format, pool=64 if plan.quick else POOL_FRAMES)


def flow(engine: Engine, batches: Iterable[Sequence[Clip]]) -> Iterator[int]:
    """Batches through an engine, as many at once as it takes; how many heats came of each."""
    flying: deque[BatchFuture] = deque()
    for clips in batches:
        flying.append(engine.submit(clips))
        if len(flying) >= engine.in_flight:
            yield len(flying.popleft().wait())
    while flying:
        yield len(flying.popleft().wait())


def tried(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A row's figures; or why there are none, which costs nothing but the row."""
    try:
        return work()
    except Exception as e:  # whatever a GPU or a library raises
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return {"failed": told(e)}


def told(error: BaseException) -> str:
    """An error in one line that fits into a table."""
    first = (str(error).strip().splitlines() or [""])[0].replace("|", "/")
    return f"{type(error).__name__}: {first[:160]}"


def cell(row: dict[str, Any], form: str = ".2f", unit: str = "") -> str:
    """A row's spread; or what went wrong."""
    return f"failed: {row['failed']}" if "failed" in row else spread(row, form, unit)
