"""Measure how far a model in int8 is from float32."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.engines.backends import make_engine, make_runner
from streamcam.engines.stream_engine import StreamEngine
from streamcam.heat.cam import CamOutput
from streamcam.models.base import CamModel
from streamcam.records import Frame

Frames = npt.NDArray[np.uint8]
"""A clip, uint8 [L,3,h,w]."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How far int8 is from float32 on the held-out clips: as whole clips and, where it has both, as streams."""

    clips: int
    """The number of held-out clips."""
    top1_agreement: float
    """0–1, the share of clips in which both give the same class."""
    heat_cosine: float
    """Cosine between the centred heat of all classes, mean over the clips; 1 if both are the same."""
    logit_error: float
    """The largest difference of a logit, relative to the largest logit of its clip; the worst clip's."""


def measure_fidelity(model: CamModel, clips: Sequence[Frames]) -> Fidelity:
    """Compare a quantised model with itself in float32, in each engine that it was quantised for.

    Args:
        model: has `int8`.
        clips: the held-out clips, uint8 [L,3,h,w].
    """
    int8 = make_runner(model, backend="openvino", precision="int8")
    fp32 = make_runner(model, device="cpu", precision="fp32")
    pairs = [(int8.run([frames]), fp32.run([frames])) for frames in clips]
    if model.int8 is not None and model.int8.steps is not None:
        int8_stream, fp32_stream = _prepared_stream(model, "openvino", "int8"), _prepared_stream(model, "torch", "fp32")
        pairs += [(_run_stream(int8_stream, frames), _run_stream(fp32_stream, frames)) for frames in clips]
    return Fidelity(
        clips=len(clips),
        top1_agreement=_mean([float(a.logits.argmax() == b.logits.argmax()) for a, b in pairs]),
        heat_cosine=_mean([_heat_cosine(a, b) for a, b in pairs]),
        logit_error=max(float((a.logits - b.logits).abs().max() / b.logits.abs().max()) for a, b in pairs),
    )


def _prepared_stream(model: CamModel, backend: str, precision: str) -> StreamEngine:
    """Make a stream engine for frames that are resized and cropped already."""
    prepared = model.with_clip_format(resize=model.spec.clip_format.crop)
    engine = make_engine(prepared, name="stream", backend=backend, device="cpu", precision=precision)
    assert isinstance(engine, StreamEngine)
    return engine


def _run_stream(engine: StreamEngine, frames: Frames) -> CamOutput:
    """Return the output for a clip uint8 [L,3,h,w], played to and fro, once OpenVINO computes the stream.

    It does so from the second heat slice on: PyTorch computes the first, during the warm-up.
    """
    # The first slice takes `span.last` + 1 frames. Then come as many as the clip has, at least those of one more slice.
    video = to_and_fro(frames, engine.span.last + 1 + max(len(frames), engine.span.stride))
    images, fps = np.ascontiguousarray(video.transpose(0, 2, 3, 1)), engine.runner.spec.clip_format.fps
    slices = engine.push([Frame(image, i, i / fps, 0, "clip") for i, image in enumerate(images)])[1:]
    engine.reset("clip")  # the next clip is another video
    # A window's logits are the mean over those of its slices.
    logits = torch.from_numpy(np.mean([s.logits for s in slices], axis=0))
    cube = torch.from_numpy(np.stack([s.cube for s in slices], axis=1))
    return CamOutput(logits[None], (cube[None],), engine.runner.model.head.bias)


def to_and_fro(frames: Frames, count: int) -> Frames:
    """Play a clip uint8 [L,3,h,w] to its end, back to its beginning, and so on, for `count` frames.

    A stream may need more frames to warm up than a clip has. The next clip's frames would not do: there may be a cut
    between the two.
    """
    last = len(frames) - 1
    # A triangle wave with a period of 2·last frames: 0, 1, …, last, …, 1, 0, 1, …
    return frames[[last - abs(last - i % (2 * last)) if last else 0 for i in range(count)]]


def _heat_cosine(a: CamOutput, b: CamOutput) -> float:
    """Return the cosine between the centred heat of two outputs.

    The mean over classes does not change the softmax, and a large one in both would hide a difference.
    """
    x, y = (torch.cat([_centre(cube) for cube in output.cubes]) for output in (a, b))
    return float(torch.nn.functional.cosine_similarity(x, y, dim=0))


def _centre(cube: Tensor) -> Tensor:
    """Subtract the mean over classes from a heat cube [N,C,L',h,w], and flatten it."""
    return (cube - cube.mean(1, keepdim=True)).flatten()


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
