"""Quantise a model to int8, calibrated on frames of a user's own camera, and measure how far it is from float32.

The clips of a source are divided: NNCF takes the ranges of values from the calibration clips, and the held-out clips
measure the result.
"""

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import torch
from torch import Tensor, nn

from streamcam.clips import SlidingWindow
from streamcam.engines.device.runner import fold_batch_norm
from streamcam.engines.openvino.library import call_without_signals, import_openvino, require_openvino
from streamcam.engines.openvino.runner import convert, explain_conversion_errors
from streamcam.engines.openvino.stream import convert_step, warm_inputs
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, Int8, Stored
from streamcam.models.checkpoint import SUFFIX, card_path
from streamcam.models.registry import load_model, save_checkpoint
from streamcam.sources.address import parse_address
from streamcam.sources.base import Source, open_source
from streamcam.train.fidelity import Fidelity, Frames, measure_fidelity, to_and_fro

Show = Callable[[float, float | None], None]
"""Is called with how much is done, and of how much."""

QUANTISABLE = frozenset({"Add", "Convolution", "Divide", "GroupConvolution", "MatMul", "Multiply", "ReduceMean"})
"""OpenVINO's operations that NNCF may quantise, as far as our networks have them."""

HOLD_OUT_EVERY = 4
"""Of every so many clips, the second is held out."""


def require_quantizing(path: Path, *, force: bool) -> None:
    """Check, before anything slow, that a checkpoint can be quantised and written.

    Args:
        path: the checkpoint.
        force: whether an existing file may be replaced.

    Raises:
        StreamcamError: a package is not installed, or the file could not be written.
    """
    require_openvino()
    if find_spec("nncf") is None:
        raise StreamcamError("streamcam quantize needs NNCF: pip install 'streamcam[quantize]'")
    if path.suffix != SUFFIX:
        raise StreamcamError(f"cannot write {path}: give a name that ends in {SUFFIX}")
    if not path.parent.is_dir():
        raise StreamcamError(f"cannot write {path}: there is no folder {path.parent}")
    existing = [p for p in (path, card_path(path)) if p.exists()]
    if existing and not force:
        raise StreamcamError(f"{existing[0]} is there already: give another name, or --force to replace it")


def quantize_source(uri: str, path: Path, *, model: str, weights: str | None, count: int, show: Show) -> Fidelity:
    """Read clips from a source, quantise a model with them, and write it as a checkpoint.

    Args:
        uri: the source.
        path: the checkpoint, which exists only once it is complete.
        model: one of `streamcam models`, or a checkpoint.
        weights: as for `load_model`.
        count: the number of calibration clips.
        show: shows how far it is: first clips read, then clips calibrated.

    Raises:
        StreamcamError: the model or the source cannot be opened, or the checkpoint cannot be written.
    """
    parse_address(uri)
    loaded = load_model(model, weights=weights)
    with closing(open_source(uri, paced=False)) as source:
        source.open()
        calibration, held_out = read_clips(source, loaded, count=count, show=show)
    # Calibrated for the source's own aspect. So the checkpoint takes pictures of this one size.
    size = calibration[0].shape[2:]
    if loaded.spec.clip_format.shapes:
        loaded = loaded.with_clip_format(resize=size, crop=size)
    loaded.int8 = quantize(loaded, calibration, show=show)
    fidelity = measure_fidelity(loaded, held_out)
    save(loaded, path, source_name=source.name, fidelity=fidelity)
    return fidelity


def read_clips(source: Source, model: CamModel, *, count: int, show: Show) -> tuple[list[Frames], list[Frames]]:
    """Read the first clips of a source, none of which shares a frame with another.

    Returns:
        `count` calibration clips uint8 [L,3,h,w] and a third as many held-out clips from between them; fewer if the
        source ends before.

    Raises:
        StreamcamError: the source ends before there is one of each.
    """
    clip_format = model.spec.clip_format
    window, stop = SlidingWindow(clip_format, hop=clip_format.length), Event()
    clips: list[Frames] = []
    needed = count + -(-count // (HOLD_OUT_EVERY - 1))
    for frame in source.frames(stop):
        clip = window.push(frame)
        if clip is not None:
            clips.append(clip.frames.copy())
            show(len(clips), needed)
        if len(clips) == needed:
            break
    stop.set()
    held_out = clips[1::HOLD_OUT_EVERY]
    if not held_out:
        seconds = 2 * clip_format.length / clip_format.fps
        raise StreamcamError(f"{source.name} ended too soon: {model.spec.name} needs {seconds:.1f} s of it at least")
    return [clip for i, clip in enumerate(clips) if i % HOLD_OUT_EVERY != 1], held_out


def quantize(model: CamModel, clips: Sequence[Frames], *, show: Show) -> Int8:
    """Quantise a model's features to int8, with the ranges of values that calibration clips give.

    They are quantised for whole clips and, if a stream runs them as another graph, once more for that. The inputs of
    that graph are the stream's next frames and the state of those before.

    Args:
        model: the model in float32.
        clips: the calibration clips, uint8 [L,3,h,w].
        show: called with the clips done, and all.
    """
    features = fold_batch_norm(model.features)

    def clip_inputs(frames: Frames) -> list[Tensor]:
        return [model.inputs(_normalise(model, frames))]

    quantized = _quantize_graph(convert(features, model.spec), _CalibrationInputs(clip_inputs, clips, show))
    network = _stream_network(model, features)
    if network is None:
        return Int8(quantized)

    def stream_inputs(frames: Frames) -> list[Tensor]:
        # As many frames as the stream takes to warm up, and then enough whole periods for the clip's length.
        periods = -(-len(frames) // network.period)
        video = to_and_fro(frames, network.warmup_frames + periods * network.period)
        return warm_inputs(network, _normalise(model, video))

    with explain_conversion_errors(model.spec):
        converted = convert_step(network, model.spec)
    return Int8(quantized, _quantize_graph(converted, _CalibrationInputs(stream_inputs, clips, show)))


def _normalise(model: CamModel, frames: Frames) -> Tensor:
    return model.normalise(torch.from_numpy(frames)[None])


def _stream_network(model: CamModel, features: nn.Module) -> StreamNetwork | None:
    """Return the features as a network that takes frames as they come.

    None for a framewise network, which is the same in a stream, and for one that cannot be streamed.
    """
    if model.spec.framewise or not model.head.is_linear:
        return None
    try:
        return StreamNetwork(features)
    except StreamcamError:
        return None


def _quantize_graph(converted: Any, inputs: "_CalibrationInputs") -> Stored:
    """Quantise an OpenVINO model with NNCF, and return it as OpenVINO stores it."""
    openvino = import_openvino()
    # This module looks for a compiler of CUDA kernels when it is loaded, and logs that it finds no GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    import nncf

    nncf.set_log_level(logging.ERROR)

    def calibrate() -> Any:
        # The slow correction of biases uses each layer's real output: it takes seconds, and is closer to float32.
        return nncf.quantize(
            converted,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            fast_bias_correction=False,
            ignored_scope=nncf.IgnoredScope(names=_left_in_float32(converted)),
        )

    with redirect_stdout(io.StringIO()), closing(inputs):  # NNCF prints progress bars
        quantized = call_without_signals(calibrate)
    with TemporaryDirectory() as folder:
        graph, weights = Path(folder, "int8.xml"), Path(folder, "int8.bin")
        openvino.serialize(quantized, graph, weights)
        return Stored(graph.read_bytes(), weights.read_bytes())


def _left_in_float32(converted: Any) -> list[str]:
    """Return the names of the operations that are not quantised, in a network that enlarges maps and joins them.

    Those are all that lead to the results, but not through a join. In `motion`, scales are joined. A softmax and powers
    follow, and changes of single frames come to them by a way of their own: int8's steps would be amplified.
    """
    enlarging = [op for op in converted.get_ordered_ops() if op.get_type_name() == "ConvolutionBackpropData"]
    if not enlarging:
        return []
    joins = {target.get_node().get_friendly_name() for op in enlarging for target in op.output(0).get_target_inputs()}
    reached: dict[str, str] = {}
    left = list(converted.get_results())
    while left:
        op = left.pop()
        name = op.get_friendly_name()
        if name not in reached:
            reached[name] = op.get_type_name()
            left += [] if name in joins else [value.get_node() for value in op.input_values()]
    return [name for name, kind in reached.items() if kind in QUANTISABLE]


class _CalibrationInputs:
    """The inputs of a network for each calibration clip, as NNCF iterates over them.

    NNCF runs in a thread of its own. Once these are closed, as by Ctrl+C, that thread ends at its next clip.
    """

    def __init__(self, inputs_of: Callable[[Frames], list[Tensor]], clips: Sequence[Frames], show: Show) -> None:
        self._inputs_of, self._clips, self._show = inputs_of, clips, show
        self._closed = False

    def close(self) -> None:
        """Stop whoever still iterates."""
        self._closed = True

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Any]:
        for done, frames in enumerate(self._clips):
            if self._closed:
                raise InterruptedError
            self._show(done, len(self))
            yield tuple(value.numpy() for value in self._inputs_of(frames))


def save(model: CamModel, path: Path, *, source_name: str, fidelity: Fidelity) -> None:
    """Write a quantised model as a checkpoint: int8, and float32 weights for every other device.

    Args:
        model: has `int8`.
        path: the checkpoint.
        source_name: the source of the calibration clips, for the model card.
        fidelity: for the model card.

    Raises:
        StreamcamError: it cannot be written.
    """
    spec = model.spec
    save_checkpoint(
        model,
        path,
        int8=model.int8,
        metrics={"int8_top1_agreement": fidelity.top1_agreement, "int8_heat_cosine": fidelity.heat_cosine},
        about=f"{spec.summary}; in int8 beside float32, with the ranges of {source_name}",
    )
