"""`streamcam models --analyze`: measure what a network sees of time, and what streaming gains."""

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
from streamcam.engines.streaming.span import Span
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.split import position_weights
from streamcam.records import ClipFormat, Frame, HeatSlice

WINDOWS_PER_VIDEO = 4
"""The windows of each video on which both engines are compared."""

CHUNK = 16
"""Frames at a time where nothing is timed, so that a long video does not take memory in proportion."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution of a network, as it runs on a whole clip."""

    macs: float
    """Multiplications for each of its slices."""
    slices: int
    """The number of slices that it gives for a clip."""
    span: Span
    """The frames that its slices see."""

    def padded(self, length: int) -> int:
        """Return how many of its slices see padding at an end of a clip of `length` frames."""
        starts = np.arange(self.slices) * self.span.stride
        return int(np.sum((starts + self.span.first < 0) | (starts + self.span.last >= length)))


@dataclass(frozen=True, slots=True)
class Speed:
    """The median times of both engines."""

    device: str
    precision: str
    window_ms: float
    """Milliseconds for a window that is computed whole."""
    stream_ms: float
    """Milliseconds for a frame of a stream."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the stream engine's output is that of the window engine, for the same windows."""

    windows: int
    """The number of windows that were compared."""
    top1: float
    """0–1, the share of windows with the same strongest class."""
    cosine: float
    """Cosine between the centred heat of each window's strongest class, median over the windows. The mean over
    positions is subtracted as well: a constant in both would hide how they differ."""


@dataclass(frozen=True, slots=True)
class TemporalReport:
    """All that `--analyze` prints."""

    spec: ModelSpec
    span: Span
    """The frames that a heat slice sees."""
    pads_time: bool
    """Whether slices at the ends of a clip see padding."""
    padded: float
    """0–1, the share of a clip's multiplications that its temporal padding touches."""
    window_macs: float
    """Multiplications for a window."""
    frame_macs: float
    """Multiplications for a frame of a stream."""
    speed: Speed
    agreement: Agreement | None
    """None without padding: both engines then give the same."""


def inspect_temporal(model: CamModel) -> TemporalReport:
    """Convert a network to a stream, count its multiplications, time it, and compare both engines.

    Raises:
        StreamcamError: it cannot be streamed; the message says why.
    """
    network, length = streaming(model), model.spec.clip_format.length
    convolutions = list_convolutions(model)
    window_macs = sum(conv.macs * conv.slices for conv in convolutions)
    agreement = None
    if network.pads_time:
        agreement = measure_agreement(model, comparison_videos(model.spec.clip_format, network.span))
    return TemporalReport(
        spec=model.spec,
        span=network.span,
        pads_time=network.pads_time,
        padded=sum(conv.macs * conv.padded(length) for conv in convolutions) / window_macs,
        window_macs=window_macs,
        frame_macs=sum(conv.macs / conv.span.stride for conv in convolutions),
        speed=measure_speed(model),
        agreement=agreement,
    )


def list_convolutions(model: CamModel) -> list[Convolution]:
    """List the convolutions of a network's features, in the order in which they run.

    The network runs on PyTorch's meta device, which computes shapes and nothing else.
    """
    network, clip_format = streaming(model), model.spec.clip_format
    spans = network.layer_spans if isinstance(network, StreamNetwork) else {}  # of 3D convolutions, by name
    features = copy.deepcopy(model.features).to("meta")
    convolutions: list[Convolution] = []

    def counter(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def count(conv: nn.Module, _inputs: object, output: Tensor) -> None:
            # Slices are along T of [N,K,T,h,w], or the pictures N of a framewise network.
            slices = output.shape[2] if name in spans else len(output)
            macs = conv.weight[0].numel() * output.numel()  # type: ignore[index]
            convolutions.append(Convolution(macs / slices, slices, spans.get(name, Span())))

        return count

    for name, module in features.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.register_forward_hook(counter(name))
    size = (clip_format.length, 3) if model.spec.framewise else (1, 3, clip_format.length)
    with torch.inference_mode():
        features(torch.empty(*size, *clip_format.crop, device="meta"))
    return convolutions


def measure_speed(model: CamModel) -> Speed:
    """Time both engines, one frame at a time, on the device and in the precision that `streamcam run` would choose."""
    turns = engine_turns(model, device="auto", precision="auto")
    with a_core_left_free():
        times_ms = alternate(turns, seconds=0)
    runner = turns["window"].runner
    window_ms, stream_ms = (statistics.median(times_ms[name]) for name in ("window", "stream"))
    return Speed(runner.device_name, runner.precision, window_ms, stream_ms)


def measure_agreement(model: CamModel, videos: Sequence[Sequence[Frame]]) -> Agreement:
    """Compare a stream of each video with windows cut out of it, in float32.

    Args:
        model: the model to run.
        videos: the frames of each, at the model's rate.
    """
    runner = TorchRunner(model, pick_device(), "fp32")
    compared = [pair for frames in videos for pair in _compare(runner, frames)]
    same, cosines = zip(*compared, strict=True)
    return Agreement(len(compared), statistics.mean(same), statistics.median(cosines))


def _compare(runner: TorchRunner, frames: Sequence[Frame]) -> Iterator[tuple[bool, float]]:
    """Yield, for some windows of a video, whether both engines give the same class, and the cosine of their heat.

    The windows lie where none of the stream's slices sees the padding at the video's start: those are skipped.
    """
    engine, spec = StreamEngine(runner), runner.spec
    # In pieces, which bounds the memory that the network's layers take for a long video.
    slices = [part for at in range(0, len(frames), CHUNK) for part in engine.push(frames[at : at + CHUNK])]
    pictures = _prepare_all(frames, spec.clip_format)
    stride, length = engine.span.stride, spec.clip_format.length
    first, last = math.ceil(engine.span.lookahead / stride), len(slices) - spec.slices
    for start in np.linspace(first, last, WINDOWS_PER_VIDEO).astype(int):
        window = runner.run([pictures[start * stride : start * stride + length]])
        cube, logits = _pool_slices(slices[start : start + spec.slices], runner)
        top = int(window.logits[0].argmax())
        cosine = _centred_cosine(_centred_heat(window.cube[0], spec, top), _centred_heat(cube, spec, top))
        yield top == int(logits.argmax()), cosine


def _pool_slices(slices: Sequence[HeatSlice], runner: TorchRunner) -> tuple[Tensor, Tensor]:
    """Return heat cube [C,L',h,w] and logits [C] of the window that some slices of a stream make up."""
    cube = torch.stack([torch.from_numpy(heat_slice.cube) for heat_slice in slices], dim=1)
    weights = position_weights((len(slices),), runner.model.windows[:1] or (1,))
    cube = (cube * weights[:, None, None]).to(runner.device)
    return cube, cube.mean((1, 2, 3)) + runner.model.head.bias


def _centred_heat(cube: Tensor, spec: ModelSpec, k: int) -> Tensor:
    """Return the heat [L',h,w] of class k minus the mean over classes; multi-label, classes do not compete."""
    return cube[k] if spec.multi_label else cube[k] - cube.mean(0)


def _centred_cosine(a: Tensor, b: Tensor) -> float:
    """Return the cosine between two tensors, minus the mean of each."""
    return float(torch.cosine_similarity((a - a.mean()).flatten(), (b - b.mean()).flatten(), dim=0))


def comparison_videos(clip_format: ClipFormat, span: Span) -> list[list[Frame]]:
    """Return the sample and two synthetic videos, at the clip's rate.

    They are so long that several windows have real frames wherever a slice of theirs looks.
    """
    count = clip_format.length + 2 * math.ceil(span.lookahead) + WINDOWS_PER_VIDEO * span.stride
    endless = (sample_frames(clip_format), drifting_frames(clip_format, seed=1), drifting_frames(clip_format, seed=2))
    return [list(itertools.islice(frames, count)) for frames in endless]


def sample_frames(clip_format: ClipFormat) -> Iterator[Frame]:
    """Yield the sample's frames at the clip's rate, over and over."""
    from streamcam.sources.base import open_source  # it imports PyAV, which `drifting_frames` does not need

    window = SlidingWindow(replace(clip_format, length=1))
    with closing(open_source("sample", paced=False, loop=True)) as source:
        for frame in source.frames(Event()):
            clip = window.push(frame)
            if clip is not None:
                yield replace(clip.last, session=0)  # a new session at each repeat would begin another video


def drifting_frames(clip_format: ClipFormat, *, seed: int) -> Iterator[Frame]:
    """Yield a cloudy picture that drifts to one side, without an end."""
    rng = np.random.default_rng(seed)
    height, width = clip_format.resize
    clouds = cv2.GaussianBlur(rng.random((height, 2 * width, 3), np.float32), (0, 0), height / 16)
    picture = cv2.normalize(clouds, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
    step = int(rng.integers(1, max(2, width // 16)))
    for i in itertools.count():
        yield Frame(np.roll(picture, i * step, axis=1)[:, :width], i, i / clip_format.fps, 0, f"drifting-{seed}")


def _prepare_all(frames: Sequence[Frame], clip_format: ClipFormat) -> np.ndarray:
    """Prepare frames for a network: uint8 [T,3,h,w]."""
    return np.stack([prepare(frame.pixels, clip_format) for frame in frames])
