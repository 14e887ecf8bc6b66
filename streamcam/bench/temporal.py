"""What a network sees of time, and what it brings to stream it: `streamcam models --analyze`."""

import copy
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from streamcam.bench.engines import engine_turns
from streamcam.bench.measure import alternate
from streamcam.clips import SlidingWindow, prepare
from streamcam.engines.device.hardware import a_core_left_free, pick_device
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.network import streaming
from streamcam.engines.streaming.temporal_ops import Span
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.split import position_weights
from streamcam.records import ClipFormat, Frame, HeatSlice

WINDOWS_A_CLIP = 4
"""Of each clip on which the engines are compared."""

CHUNK = 16
"""Frames at a time where nothing is timed, so that a long video does not take memory in proportion."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution, in a clip that is computed whole."""

    macs: float
    """Multiplications for each of its slices."""
    slices: int
    """So many come of a clip."""
    span: Span

    def padded(self, length: int) -> int:
        """How many of its slices see padding at an end of a clip of `length` frames."""
        starts = np.arange(self.slices) * self.span.stride
        return int(np.sum((starts + self.span.first < 0) | (starts + self.span.last >= length)))


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured."""

    device: str
    precision: str
    window_ms: float
    """For each window that is computed whole."""
    stream_ms: float
    """For each frame of a stream."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a stream says what windows say, of the same moments."""

    windows: int
    """So many were compared."""
    top1: float
    """Share of them with the same strongest class, 0–1."""
    cosine: float
    """Median over windows of the cosine between both heat cubes of the window's strongest class, the mean of each over
    its positions taken away first: a constant that both share would hide how they differ."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that `--analyze` says."""

    spec: ModelSpec
    span: Span
    """What a heat slice sees."""
    pads_time: bool
    padded: float
    """Share of a clip's computation that its temporal padding touches, 0–1."""
    window_macs: float
    """Multiplications for a window."""
    frame_macs: float
    """Multiplications for a frame of a stream."""
    speed: Speed
    agreement: Agreement | None
    """None where the answers are the same."""


def analyze(model: CamModel) -> Analysis:
    """Convert a network, count, and measure.

    Raises:
        StreamcamError: it cannot be streamed; the message says why.
    """
    network, length = streaming(model), model.spec.clip_format.length
    layers = layers_of(model)
    window_macs = sum(layer.macs * layer.slices for layer in layers)
    return Analysis(
        spec=model.spec,
        span=network.span,
        pads_time=network.pads_time,
        padded=sum(layer.macs * layer.padded(length) for layer in layers) / window_macs,
        window_macs=window_macs,
        frame_macs=sum(layer.macs / layer.span.stride for layer in layers),
        speed=measure_speed(model),
        agreement=measure_agreement(model, videos(model.spec.clip_format, network.span)) if network.pads_time else None,
    )


def layers_of(model: CamModel) -> list[Layer]:
    """The convolutions of a network's features; nothing is computed for it."""
    network, clip_format = streaming(model), model.spec.clip_format
    spans = network.seen if isinstance(network, StreamNetwork) else {}
    features = copy.deepcopy(model.features).to("meta")
    found: list[Layer] = []

    def counting(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def count(conv: nn.Module, _inputs: object, output: Tensor) -> None:
            slices = output.shape[2] if name in spans else len(output)
            macs = conv.weight[0].numel() * output.numel()  # type: ignore[index]
            found.append(Layer(macs / slices, slices, spans.get(name, Span())))

        return count

    for name, module in features.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.register_forward_hook(counting(name))
    size = (clip_format.length, 3) if model.spec.framewise else (1, 3, clip_format.length)
    with torch.inference_mode():
        features(torch.empty(*size, *clip_format.crop, device="meta"))
    return found


def measure_speed(model: CamModel) -> Speed:
    """Time both engines, as `streamcam run` would use them, one frame at a time."""
    turns = engine_turns(model, device="auto", precision="auto")
    with a_core_left_free():
        taken = alternate(turns, seconds=0)
    runner = turns["window"].runner
    window_ms, stream_ms = (statistics.median(taken[name]) for name in ("window", "stream"))
    return Speed(runner.device_name, runner.precision, window_ms, stream_ms)


def measure_agreement(model: CamModel, clips: Sequence[Sequence[Frame]]) -> Agreement:
    """Hold the slices of whole videos against windows that are cut out of them, in float32."""
    runner = TorchRunner(model, pick_device(), "fp32")
    compared = [pair for frames in clips for pair in _compare(runner, frames)]
    same, cosines = zip(*compared, strict=True)
    return Agreement(len(compared), statistics.mean(same), statistics.median(cosines))


def _compare(runner: TorchRunner, frames: Sequence[Frame]) -> Iterator[tuple[bool, float]]:
    """For some windows of a video, all of whose slices the stream has: the same class? And the heat's cosine."""
    engine, spec = StreamEngine(runner), runner.spec
    # In pieces, which bounds the memory that the network's layers take for a long video.
    slices = [part for at in range(0, len(frames), CHUNK) for part in engine.push(frames[at : at + CHUNK])]
    pictures = _prepared(frames, spec.clip_format)
    stride, length = engine.span.stride, spec.clip_format.length
    first, last = math.ceil(engine.span.lookahead / stride), len(slices) - spec.slices
    for at in np.linspace(first, last, WINDOWS_A_CLIP).astype(int):
        window = runner.run([pictures[at * stride : at * stride + length]])
        cube, logits = _window_of(slices[at : at + spec.slices], runner)
        top = int(window.logits[0].argmax())
        cosine = _centred_cosine(_contrast(window.cube[0], spec, top), _contrast(cube, spec, top))
        yield top == int(logits.argmax()), cosine


def _window_of(slices: Sequence[HeatSlice], runner: TorchRunner) -> tuple[Tensor, Tensor]:
    """Heat cube [C,L',h,w] and logits [C] of the window that some slices make up."""
    cube = torch.stack([torch.from_numpy(part.cube) for part in slices], dim=1)
    weights = position_weights((len(slices),), runner.model.windows[:1] or (1,))
    cube = (cube * weights[:, None, None]).to(runner.device)
    return cube, cube.mean((1, 2, 3)) + runner.model.head.bias


def _contrast(cube: Tensor, spec: ModelSpec, k: int) -> Tensor:
    return cube[k] if spec.multi_label else cube[k] - cube.mean(0)


def _centred_cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity((a - a.mean()).flatten(), (b - b.mean()).flatten(), dim=0))


def videos(clip_format: ClipFormat, span: Span) -> list[list[Frame]]:
    """The sample and two synthetic ones, at the clip's rate, so long that several windows have real frames around."""
    count = clip_format.length + 2 * math.ceil(span.lookahead) + WINDOWS_A_CLIP * span.stride
    endless = (sample(clip_format), drifting(clip_format, seed=1), drifting(clip_format, seed=2))
    return [list(itertools.islice(frames, count)) for frames in endless]


def sample(clip_format: ClipFormat) -> Iterator[Frame]:
    """The sample's frames at the clip's rate, over and over."""
    from streamcam.sources.base import open_source  # it imports PyAV, which drifting pictures do not need

    window = SlidingWindow(replace(clip_format, length=1))
    with closing(open_source("sample", paced=False, loop=True)) as source:
        for frame in source.frames(Event()):
            clip = window.push(frame)
            if clip is not None:
                yield replace(clip.last, session=0)  # one video, without an end


def drifting(clip_format: ClipFormat, *, seed: int) -> Iterator[Frame]:
    """A cloudy picture that drifts to one side, without end."""
    rng = np.random.default_rng(seed)
    height, width = clip_format.resize
    clouds = cv2.GaussianBlur(rng.random((height, 2 * width, 3), np.float32), (0, 0), height / 16)
    picture = cv2.normalize(clouds, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
    step = int(rng.integers(1, max(2, width // 16)))
    for i in itertools.count():
        yield Frame(np.roll(picture, i * step, axis=1)[:, :width], i, i / clip_format.fps, 0, f"drifting-{seed}")


def _prepared(frames: Sequence[Frame], clip_format: ClipFormat) -> np.ndarray:
    return np.stack([prepare(frame.pixels, clip_format) for frame in frames])
