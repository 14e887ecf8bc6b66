"""Clips → heat. An engine is one class with what `Engine` asks for; list it here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamcam.engines.device.hardware import pick_device, pick_precision
from streamcam.engines.device.runner import Runner
from streamcam.engines.openvino import runner as openvino
from streamcam.engines.openvino.runner import OpenVinoRunner, pick_openvino_precision, require_openvino
from streamcam.engines.openvino.stream import OpenVinoStream, OpenVinoStreamRunner
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.network import matches_window_engine, streaming
from streamcam.engines.window_engine import WindowEngine
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.registry import SPECS

ENGINES: dict[str, type[WindowEngine] | type[StreamEngine]] = {"window": WindowEngine, "stream": StreamEngine}


def require_device(name: str) -> None:
    """Find out before anything slow that a device is not there.

    Raises:
        StreamcamError: it is not; the message says what to do.
    """
    if name == openvino.NAME:
        require_openvino()
    else:
        pick_device(name)


def make_runner(model: CamModel, *, device: str = "auto", precision: str = "auto") -> Runner:
    """Put a model on a device; `make_engine` has the arguments.

    Raises:
        StreamcamError: no such device or precision, or not for this model.
    """
    device = _where(model, device, precision)
    require_device(device)
    if device == openvino.NAME:
        return OpenVinoRunner(model, pick_openvino_precision(precision, model))
    chosen = pick_device(device)
    picked = pick_precision(precision, chosen, half=model.spec.half)
    if picked == "bf16" and chosen.type == "cpu" and not model.spec.framewise and model.spec.clip_format.length == 1:
        # For a single frame, oneDNN's bfloat16 convolutions of clips read memory that nobody wrote (PyTorch 2.14).
        picked = "fp32"
    runner = Runner(model, chosen, picked)
    if picked == "bf16" and chosen.type == "cpu" and model.spec.name not in SPECS:
        return _proven(runner, model, may_change=precision == "auto")
    return runner


def _proven(runner: Runner, model: CamModel, *, may_change: bool) -> Runner:
    """The same, where a network of somebody's own runs in bfloat16; else one in float32.

    Raises:
        StreamcamError: it does not, and bfloat16 was asked for.
    """
    clip_format = model.spec.clip_format
    try:
        runner.run([np.zeros((clip_format.length, 3, *clip_format.crop), np.uint8)])
    except NotImplementedError as e:  # PyTorch, of AvgPool3d for one
        if not may_change:
            raise StreamcamError(
                f"PyTorch does not compute {model.spec.name} in bf16 here: use --precision fp32"
            ) from e
        return Runner(model, runner.device, "fp32")
    return runner


def _where(model: CamModel, device: str, precision: str) -> str:
    """`auto` → openvino, for a model that has been quantised for it and is not asked for in another precision."""
    quantized = model.int8 is not None and precision in ("auto", "int8")
    return openvino.NAME if device == "auto" and quantized else device


def make_engine(
    model: CamModel,
    *,
    name: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    top_k: int = 5,
    classes: Sequence[int] | None = None,
    dense: bool = False,
    chunk: int | None = None,
    hop: int | None = None,
) -> WindowEngine | StreamEngine:
    """Put a model on a device.

    Args:
        model: it is copied, not changed.
        name: `window`, `stream`, or `auto`: stream where it gives window's answers for less.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `openvino`; auto is openvino for a model in int8.
        precision: `auto`, `fp32`, `fp16`, `bf16` or `int8`.
        top_k: how many classes' heat each result carries, where `classes` does not say which.
        classes: indices of the classes whose heat each result carries.
        dense: of `stream`: a heat slice for every frame, where the network strides over frames.
        chunk: of `stream`: how many frames of a source go through the network at a time, at most.
        hop: how many new frames of a source clips will bring, where neither a heat slice's worth nor a chunk.

    Raises:
        StreamcamError: no such engine, device or precision, or not for this model.
    """
    device = _where(model, device, precision)
    on_openvino = device == openvino.NAME and not model.spec.framewise
    int8 = model.int8 if on_openvino and pick_openvino_precision(precision, model) == "int8" else None
    name = _engine_name(name, model, whole_clips=int8 is not None and int8.steps is None)
    asked = "dense" if dense else "chunk" if chunk is not None else None
    if name == "window" and asked is not None:
        raise StreamcamError(
            f"{asked} is for the stream engine, and {model.spec.name} runs in window: use --engine stream"
        )
    if name == "stream" and on_openvino:
        return _streamed_by_openvino(model, precision, top_k=top_k, classes=classes, dense=dense, chunk=chunk, hop=hop)
    runner = make_runner(model, device=device, precision=precision)
    if name == "window":
        return WindowEngine(runner, top_k=top_k, classes=classes)
    return StreamEngine(runner, top_k=top_k, classes=classes, dense=dense, chunk=chunk, hop=hop)


def _streamed_by_openvino(model: CamModel, precision: str, *, dense: bool, **options: Any) -> StreamEngine:
    """A network of clips, which OpenVINO takes another way than whole clips."""
    require_openvino()
    runner = OpenVinoStreamRunner(model, pick_openvino_precision(precision, model))
    int8 = model.int8 if runner.precision == "int8" else None
    if int8 is not None and dense and model.spec.temporal_stride > 1:
        raise StreamcamError(
            f"in int8, {model.spec.name} gives a slice for every {model.spec.temporal_stride} frames: leave out dense, "
            "or use --precision bf16"
        )
    network = streaming(runner.model, dense=dense)
    assert isinstance(network, StreamNetwork)
    quantized = None if int8 is None else int8.steps
    computed = OpenVinoStream(network, model.spec, precision=runner.precision, quantized=quantized)
    return StreamEngine(runner, network=computed, dense=dense, **options)


def _engine_name(name: str, model: CamModel, *, whole_clips: bool) -> str:
    """`auto` → stream where it gives window's answers for less; `whole_clips`: what was quantised takes no others."""
    if name == "auto":
        return "stream" if not whole_clips and matches_window_engine(model) else "window"
    if name not in ENGINES:
        raise StreamcamError(f"no such engine: {name} (use auto, {', '.join(ENGINES)})")
    if name == "stream" and whole_clips:
        raise StreamcamError(
            f"{model.spec.name} was quantised for whole clips alone: use --engine window, or --precision bf16 to "
            "stream it, or quantize it again"
        )
    return name
