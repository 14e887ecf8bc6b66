"""Writes a model as one graph: exports it, compares it with PyTorch, and puts its card into the file."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamcam.engines.exported.graph import CARD, COMMON, CUBE, FRAMES, LOGITS, NEXT, STATE
from streamcam.errors import StreamcamError, first_line
from streamcam.export.quantized import quantize
from streamcam.export.quiet import quiet
from streamcam.export.running import cube_of
from streamcam.export.steps import ClipStep, StreamStep
from streamcam.files import complete_or_absent
from streamcam.models.graph_card import GraphCard, Precision
from streamcam.models.registry import load_model
from streamcam.records import Image
from streamcam.sources.address import parse_address
from streamcam.sources.base import open_source
from streamcam.train.quantize import Show, read_clips

OPSET = 18
"""The version of ONNX's operators: of 2022, which all runtimes know by now."""
LARGE = 1024
"""Weights of fewer numbers stay in float32: they are small, and biases are more exact so."""
MAX_DISTANCE = 1e-4
"""A graph in float32 that differs by more from PyTorch, relative to the largest heat, is wrong."""


def export_model(
    name: str, out: Path, *, weights: str | None, stream: bool, precision: Precision, clips: str, count: int, show: Show
) -> GraphCard:
    """Load a model, read clips of a source, and write the model as a graph.

    Args:
        name: one of `streamcam models`, or a checkpoint.
        out: the .onnx file.
        weights: as for `load_model`.
        stream: take frame by frame, with states; otherwise whole clips.
        precision: of the weights; with int8, convolutions are computed in that, too.
        clips: the source of the clips that int8 learns its ranges from, and that the graph is compared on.
        count: how many clips int8 learns from.
        show: called with the clips read, and all.

    Raises:
        StreamcamError: the model or the source cannot be opened, or the model cannot be exported.
    """
    parse_address(clips)
    model = load_model(name, weights=weights)
    if not stream:  # a graph of whole clips takes pictures of one size
        clip_format = model.spec.clip_format
        model = model.with_clip_format(resize=clip_format.resize, crop=clip_format.crop)
    step = StreamStep(model) if stream else ClipStep(model)
    with closing(open_source(clips, paced=False)) as source:
        source.open()
        learnt_from, compared_on = read_clips(source, model, count=count if precision == "int8" else 1, show=show)
    return write_graph(step, out, precision=precision, learnt_from=learnt_from, compared_on=compared_on)


def write_graph(
    step: ClipStep | StreamStep,
    out: Path,
    *,
    precision: Precision,
    learnt_from: Sequence[Image],
    compared_on: Sequence[Image],
) -> GraphCard:
    """Write a step as a graph.

    Args:
        step: of a model.
        out: the .onnx file.
        precision: of the weights; with int8, convolutions are computed in that, too.
        learnt_from: clips that int8 learns its ranges from, uint8 [L,3,h,w].
        compared_on: clips that the graph is compared with PyTorch on.

    Raises:
        StreamcamError: the step cannot be exported, or the graph differs from it.
    """
    import onnx

    spec, stream = step.model.spec, isinstance(step, StreamStep)
    graph = _converted(step)
    if precision == "int8":
        graph = quantize(graph, learnt_from, stream=stream)
    elif precision == "fp16":
        _halve(graph)
    distance, agreement = _compare(graph, step, compared_on)
    if precision == "fp32" and not distance <= MAX_DISTANCE:
        raise StreamcamError(f"the graph of {spec.name} differs from PyTorch by {distance:.1e} of the largest heat")
    card = GraphCard.of(
        spec,
        model_hash=step.weights_hash,
        stream=stream,
        precision=precision,
        distance=distance,
        agreement=agreement,
    )
    onnx.helper.set_model_props(graph, {CARD: card.model_dump_json()})
    graph.producer_name = "streamcam"
    with complete_or_absent(out) as partial:
        partial.write_bytes(graph.SerializeToString())
    return card


def _converted(step: ClipStep | StreamStep) -> Any:
    """Convert a step to an ONNX model, in float32."""
    inputs = step.blank_inputs()
    states = range(len(inputs) - 1)
    spec = step.model.spec
    batch = torch.export.Dim("batch")
    shapes = ({0: batch}, tuple({0: batch} for _ in states)) if states else ({0: batch},)
    try:
        with quiet("torch.onnx", "onnxscript", "onnx_ir"):
            program = torch.onnx.export(
                step.eval(),
                inputs,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=shapes,
                input_names=[FRAMES, *(f"{STATE}{i}" for i in states)],
                output_names=[LOGITS, CUBE, COMMON, *(f"{NEXT}{i}" for i in states)],
                verbose=False,
            )
    except Exception as e:  # it runs the network's own code, which may raise anything
        raise StreamcamError(f"{spec.name} cannot be exported: {first_line(e)}") from e
    assert program is not None
    graph = program.model_proto
    if spec.clip_format.shapes:
        _take_any_size(graph)
    return graph


def _take_any_size(graph: Any) -> None:
    """Let a graph take pictures of any height and width, where its operators do.

    The exporter can do so itself, but takes many minutes to reason about sizes.
    """
    del graph.graph.value_info[:]  # sizes of what lies between
    names = {FRAMES: ("height", "width"), CUBE: ("rows", "columns"), COMMON: ("rows", "columns")}
    for value in (*graph.graph.input, *graph.graph.output):
        for axis, name in zip(value.type.tensor_type.shape.dim[-2:], names.get(value.name, ()), strict=False):
            axis.dim_param = name


def _halve(graph: Any) -> None:
    """Store large weights in float16. They are cast to float32 again when a runtime loads the graph."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in graph.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= LARGE:
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.fp16"))
            casts.append(helper.make_node("Cast", [f"{name}.fp16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


@torch.inference_mode()
def _compare(graph: Any, step: ClipStep | StreamStep, clips: Sequence[Image]) -> tuple[float, float]:
    """Compare a graph with PyTorch in float32.

    Returns:
        The largest error of heat, relative to the largest heat of its clip; and the share of clips whose likeliest
        class is the same.
    """
    distances, same = [], []
    for clip in clips:
        expected = step.model(step.model.normalise(torch.from_numpy(clip)[None])).cube[0].numpy()
        given = cube_of(graph, clip, slices=expected.shape[1], stream=isinstance(step, StreamStep))
        distances.append(float(np.abs(given - expected).max() / np.abs(expected).max()))
        bias = step.model.head.bias.numpy()
        likeliest = [int((cube.mean((1, 2, 3)) + bias).argmax()) for cube in (given, expected)]
        same.append(likeliest[0] == likeliest[1])
    return max(distances), float(np.mean(same))
