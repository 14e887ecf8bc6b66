"""Quantises an exported graph to int8: its convolutions, with ranges of values that clips give."""

import copy
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from streamcam.export.quiet import quiet
from streamcam.export.running import runs
from streamcam.records import Image

RUNS_PER_CLIP = 4
"""Of a stream, so many frames of each clip are learnt from: the last ones, which see no zeros."""
SMALL = 1024
"""A convolution with fewer weights is small."""


def quantize(graph: Any, clips: Sequence[Image], *, stream: bool) -> Any:
    """Quantise a graph.

    Weights get 7 bits, and activations 8: processors without VNNI add two products in 16 bits, and 8 and 8 overflow.

    Args:
        graph: an ONNX model in float32.
        clips: what it learns ranges from, uint8 [L,3,h,w].
        stream: whether it takes clips frame by frame.

    Returns:
        An ONNX model, in which each quantised convolution has its numbers rounded to int8 before it (QDQ).
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives the inputs of each run."""

        def __init__(self) -> None:
            self._inputs = _inputs_of(graph, clips, stream=stream)

        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            return next(self._inputs, None)

    with TemporaryDirectory() as folder, quiet(""):  # it logs to the root logger
        given, made = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        left = left_in_float32(graph)
        onnx.save(_apart(graph, left), given)
        quantize_static(
            given,
            made,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=left,
            # Each convolution rounds its own inputs, and no outputs, so that states and sums stay in float32.
            extra_options={"DedicatedQDQPair": True, "OpTypesToExcludeOutputQuantization": ["Conv"]},
        )
        return onnx.load(made)


def _apart(graph: Any, left: Sequence[str]) -> Any:
    """Copy a graph, and give the convolutions that are quantised inputs and weights that no other node reads.

    `motion` uses the same weights at each scale. Where a value is shared, all who read it would get it rounded.
    """
    from onnx import helper

    apart = copy.deepcopy(graph)
    weights = {weight.name: weight for weight in graph.graph.initializer}
    copied: set[str] = set()
    nodes = []
    for node in apart.graph.node:
        if node.op_type == "Conv" and node.name not in left:
            for i, name in enumerate(node.input):
                node.input[i] = f"{name}.int8"
                if name not in weights:
                    node.input[i] = f"{name}.{node.name}"
                    nodes.append(helper.make_node("Identity", [name], [node.input[i]]))
                elif name not in copied:
                    copied.add(name)
                    apart.graph.initializer.add().CopyFrom(weights[name])
                    apart.graph.initializer[-1].name = node.input[i]
        nodes.append(node)
    _replace_nodes(apart, nodes)
    return apart


def _replace_nodes(graph: Any, nodes: Sequence[Any]) -> None:
    """Give a graph other nodes, and drop the weights that none of them reads any more."""
    kept = copy.deepcopy(nodes)
    del graph.graph.node[:]
    graph.graph.node.extend(kept)
    read = {name for node in kept for name in node.input} | {output.name for output in graph.graph.output}
    weights = [weight for weight in graph.graph.initializer if weight.name in read]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(weights)


def left_in_float32(graph: Any) -> list[str]:
    """Return the names of the convolutions that are not quantised.

    One is the first, which sees the frames themselves. In a network that enlarges maps and joins them, others are those
    behind the join: `motion` has powers and a softmax there, which amplify int8's steps. So are small ones
    before it: they cost little, and see the changes from frame to frame. Steps in these would show in all that follows.
    """
    nodes = list(graph.graph.node)
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    enlarged = {value for node in nodes if node.op_type == "ConvTranspose" for value in node.output}
    if not enlarged:
        return convolutions[:1]
    behind: set[str] = set(enlarged)
    for node in nodes:  # in the order of computing
        if behind & set(node.input):
            behind |= set(node.output)
    before = _leading_to(nodes, enlarged)
    small = {weight.name for weight in graph.graph.initializer if prod(weight.dims) < SMALL}
    return [
        node.name
        for node in nodes
        if node.op_type == "Conv"
        and (node.output[0] in behind or node.output[0] not in before or node.input[1] in small)
    ]


def _leading_to(nodes: Sequence[Any], values: set[str]) -> set[str]:
    """Return all values that some values are computed from."""
    needed = set(values)
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= set(node.input)
    return needed


def _inputs_of(graph: Any, clips: Sequence[Image], *, stream: bool) -> Iterator[dict[str, npt.NDArray[Any]]]:
    for clip in clips:
        inputs = [dict(given) for given, _ in runs(graph, np.asarray(clip), stream=stream)]
        yield from inputs[-RUNS_PER_CLIP:]
