"""A model in int8, its ranges taken from what a user's own camera shows; and how far that is from float32."""

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine, make_runner
from streamcam.engines.device.runner import fold_batch_norm
from streamcam.engines.openvino.runner import apart, convert, converting, import_openvino, require_openvino
from streamcam.engines.openvino.stream import stepwise, warm_inputs
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.errors import StreamcamError
from streamcam.heat.cam import CamOutput
from streamcam.models.base import CamModel, Int8, Stored
from streamcam.models.checkpoint import SUFFIX, card_path
from streamcam.models.registry import load_model, save_checkpoint
from streamcam.records import Frame
from streamcam.sources.address import parse_address
from streamcam.sources.base import Source, open_source

Frames = npt.NDArray[np.uint8]
Show = Callable[[float, float | None], None]

HELD_OUT = 4
"""Of each so many clips, the second is not learnt from: it is for measuring."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How far int8 is from float32, on clips whose ranges it was not given; of whole clips and of streams together."""

    clips: int
    top1_agreement: float
    """The share of clips in which both name the same class."""
    heat_cosine: float
    """Of the heat of all classes, less its mean over them; the mean over clips. 1 is the same."""
    logit_error: float
    """The largest difference between two logits, over the largest logit."""


def require_quantizing(path: Path, *, force: bool) -> None:
    """Find out before anything slow that there could be no result.

    Raises:
        StreamcamError: a package is not installed, or the file could not be written.
    """
    require_openvino()
    if find_spec("nncf") is None:
        raise StreamcamError("streamcam quantize needs NNCF: pip install 'streamcam[openvino]'")
    if path.suffix != SUFFIX:
        raise StreamcamError(f"cannot write {path}: give a name that ends in {SUFFIX}")
    if not path.parent.is_dir():
        raise StreamcamError(f"cannot write {path}: there is no folder {path.parent}")
    taken = [p for p in (path, card_path(path)) if p.exists()]
    if taken and not force:
        raise StreamcamError(f"{taken[0]} is there already: give another name, or --force to replace it")


def quantize_source(uri: str, path: Path, *, model: str, weights: str | None, count: int, show: Show) -> Fidelity:
    """Watch a source, and write a checkpoint of a model in int8; nothing is there before all of it is.

    Raises:
        StreamcamError: the model or the source cannot be had, or the checkpoint cannot be written.
    """
    parse_address(uri)
    loaded = load_model(model, weights=weights)
    with closing(open_source(uri, paced=False)) as source:
        source.open()
        learnt, held = gather(source, loaded, count=count, show=show)
    loaded.int8 = quantize(loaded, learnt, show=show)
    fidelity = compare(loaded, held)
    save(loaded, path, learnt_from=source.name, fidelity=fidelity)
    return fidelity


def gather(source: Source, model: CamModel, *, count: int, show: Show) -> tuple[list[Frames], list[Frames]]:
    """The first clips of a source, none of which shares a frame with another.

    Returns:
        `count` clips uint8 [L,3,h,w] to learn from and, from between them, a third as many to measure with; fewer where
        the source ends before.

    Raises:
        StreamcamError: the source ends before there is one of each.
    """
    clip_format = model.spec.clip_format
    window, stop = SlidingWindow(clip_format, hop=clip_format.length), Event()
    clips: list[Frames] = []
    needed = count + -(-count // (HELD_OUT - 1))
    for frame in source.frames(stop):
        clip = window.push(frame)
        if clip is not None:
            clips.append(clip.frames.copy())
            show(len(clips), needed)
        if len(clips) == needed:
            break
    stop.set()
    held = clips[1::HELD_OUT]
    if not held:
        seconds = 2 * clip_format.length / clip_format.fps
        raise StreamcamError(f"{source.name} ended too soon: {model.spec.name} needs {seconds:.1f} s of it at least")
    return [clip for i, clip in enumerate(clips) if i % HELD_OUT != 1], held


def quantize(model: CamModel, clips: Sequence[Frames], *, show: Show) -> Int8:
    """The features in int8, with the ranges of values that clips uint8 [L,3,h,w] bring about.

    Once for whole clips and, where the stream engine takes them another way, once for that.
    """
    features = fold_batch_norm(model.features)

    def whole(frames: Frames) -> list[Tensor]:
        return [model.inputs(_normalised(model, frames))]

    quantized = _quantized(convert(features, model.spec), _Inputs(whole, clips, show))
    network = _streamed(model, features)
    if network is None:
        return Int8(quantized)

    def steps(frames: Frames) -> list[Tensor]:
        periods = -(-len(frames) // network.period)
        video = to_and_fro(frames, network.warmup_frames + periods * network.period)
        return warm_inputs(network, _normalised(model, video))

    with converting(model.spec):
        converted = stepwise(network, model.spec)
    return Int8(quantized, _quantized(converted, _Inputs(steps, clips, show)))


def _normalised(model: CamModel, frames: Frames) -> Tensor:
    return model.normalise(torch.from_numpy(frames)[None])


def _streamed(model: CamModel, features: nn.Module) -> StreamNetwork | None:
    """A network of clips as a stream; None for one of frames, which is the same there, and where it cannot be one."""
    if model.spec.framewise or not model.head.is_linear:
        return None
    try:
        return StreamNetwork(features)
    except StreamcamError:
        return None


def to_and_fro(frames: Frames, count: int) -> Frames:
    """A clip uint8 [L,3,h,w] as a video of `count` frames: to its end, back to its beginning, and so on.

    A stream settles after more frames than some networks' clips have, and what is not from one clip may not belong
    together.
    """
    last = len(frames) - 1
    return frames[[last - abs(last - i % (2 * last)) if last else 0 for i in range(count)]]


def _quantized(converted: Any, inputs: "_Inputs") -> Stored:
    """What NNCF makes of an OpenVINO model."""
    openvino = import_openvino()
    # It looks for a compiler of CUDA kernels when it is loaded, and says that it finds no GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    import nncf

    nncf.set_log_level(logging.ERROR)

    def learn() -> Any:
        # Biases are corrected by what really comes out of each layer: it takes seconds more, and is closer to float32.
        return nncf.quantize(converted, nncf.Dataset(inputs), subset_size=len(inputs), fast_bias_correction=False)

    with redirect_stdout(io.StringIO()), closing(inputs):  # its own bars
        quantized = apart(learn)
    with TemporaryDirectory() as folder:
        graph, weights = Path(folder, "int8.xml"), Path(folder, "int8.bin")
        openvino.serialize(quantized, graph, weights)
        return Stored(graph.read_bytes(), weights.read_bytes())


class _Inputs:
    """What a network is given for each clip."""

    def __init__(self, given: Callable[[Frames], list[Tensor]], clips: Sequence[Frames], show: Show) -> None:
        self._given, self._clips, self._show = given, clips, show
        self._wanted = True

    def close(self) -> None:
        """Nobody waits any more: whoever still learns from them ends."""
        self._wanted = False

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Any]:
        for done, frames in enumerate(self._clips):
            if not self._wanted:
                raise InterruptedError
            self._show(done, len(self))
            yield tuple(value.numpy() for value in self._given(frames))


def compare(model: CamModel, clips: Sequence[Frames]) -> Fidelity:
    """Hold a quantised model against itself in float32, in each engine that it was quantised for."""
    ours = make_runner(model, backend="openvino", precision="int8")
    reference = make_runner(model, device="cpu", precision="fp32")
    pairs = [(ours.run([frames]), reference.run([frames])) for frames in clips]
    if model.int8 is not None and model.int8.steps is not None:
        streams = [_stream(model, "openvino", "int8"), _stream(model, "torch", "fp32")]
        pairs += [(_warm(streams[0], frames), _warm(streams[1], frames)) for frames in clips]
    return Fidelity(
        clips=len(clips),
        top1_agreement=_mean([float(a.logits.argmax() == b.logits.argmax()) for a, b in pairs]),
        heat_cosine=_mean([_heat_cosine(a, b) for a, b in pairs]),
        logit_error=max(float((a.logits - b.logits).abs().max() / b.logits.abs().max()) for a, b in pairs),
    )


def _stream(model: CamModel, backend: str, precision: str) -> StreamEngine:
    """A stream of pictures that have been prepared."""
    clip_format = replace(model.spec.clip_format, resize=model.spec.clip_format.crop)
    prepared = model.with_spec(replace(model.spec, clip_format=clip_format))
    engine = make_engine(prepared, name="stream", backend=backend, device="cpu", precision=precision)
    assert isinstance(engine, StreamEngine)
    return engine


def _warm(engine: StreamEngine, frames: Frames) -> CamOutput:
    """What a stream of a clip uint8 [L,3,h,w] says as soon as OpenVINO computes it, which the first slice is before."""
    video = to_and_fro(frames, engine.span.last + 1 + max(len(frames), engine.span.stride))
    pictures, fps = np.ascontiguousarray(video.transpose(0, 2, 3, 1)), engine.runner.spec.clip_format.fps
    slices = engine.push([Frame(own, i, i / fps, 0, "clip") for i, own in enumerate(pictures)])[1:]
    engine.reset("clip")
    logits = torch.from_numpy(np.mean([s.logits for s in slices], axis=0))
    cube = torch.from_numpy(np.stack([s.cube for s in slices], axis=1))
    return CamOutput(logits[None], (cube[None],), engine.runner.model.head.bias)


def save(model: CamModel, path: Path, *, learnt_from: str, fidelity: Fidelity) -> None:
    """Write a quantised model as a checkpoint: its weights in float32 for every other device, and int8 beside them.

    Raises:
        StreamcamError: it cannot be written.
    """
    spec = model.spec
    save_checkpoint(
        model,
        path,
        int8=model.int8,
        metrics={"int8_top1_agreement": fidelity.top1_agreement, "int8_heat_cosine": fidelity.heat_cosine},
        about=f"{spec.summary}; in int8 beside float32, with the ranges of {learnt_from}",
    )


def _heat_cosine(a: CamOutput, b: CamOutput) -> float:
    """Of the heat less its mean over classes, which no softmax notices, and which would hide a difference."""
    x, y = (torch.cat([_centred(cube) for cube in out.cubes]) for out in (a, b))
    return float(torch.nn.functional.cosine_similarity(x, y, dim=0))


def _centred(cube: Tensor) -> Tensor:
    return (cube - cube.mean(1, keepdim=True)).flatten()


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
