"""Converts a traced network of clips into operations that compute it slice by slice."""

import copy
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from streamcam.engines.streaming.span import Span, TemporalKernel
from streamcam.engines.streaming.temporal_ops import Layer, TemporalOp, Value, crop
from streamcam.errors import StreamcamError

POINTWISE = (
    *(nn.BatchNorm3d, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Tanh, nn.ELU, nn.LeakyReLU),
    *(nn.Identity, nn.Dropout, nn.Dropout3d),
)
POINTWISE_FUNCTIONS = frozenset(
    (F.relu, torch.relu, F.relu6, F.gelu, F.silu, F.hardswish, torch.sigmoid, torch.tanh, torch.abs)
)
ARITHMETIC = frozenset(
    (
        *(operator.add, operator.iadd, operator.sub, operator.mul, operator.imul, operator.truediv),
        *(torch.add, torch.sub, torch.mul, torch.div),
    )
)
CONCATENATIONS = frozenset((torch.cat, torch.concat))


class Converter:
    """The operations of a network, found in one walk over its graph, from the frames to the feature map."""

    def __init__(self, traced: fx.GraphModule, *, dense: bool) -> None:
        """Convert a graph. Arguments and errors are those of `StreamNetwork`."""
        self.ops: list[TemporalOp] = []
        self.values = [Value(Span())]
        """Value 0 is the frames, value i the output of the i-th operation."""
        self.outputs: tuple[int, ...] = ()
        """The numbers of the values that the network returns."""
        self.pads_time = False
        self.layer_spans: dict[str, Span] = {}
        self._modules, self._dense, self._graph = dict(traced.named_modules()), dense, traced.graph
        numbers: dict[fx.Node, int] = {}
        for node in traced.graph.nodes:
            if node.op == "placeholder":
                numbers[node] = 0
            elif node.op == "output":
                self.outputs = tuple(numbers[result] for result in node.all_input_nodes)
            else:
                self._add(node, tuple(numbers[argument] for argument in node.all_input_nodes))
                numbers[node] = len(self.ops)

    def _add(self, node: fx.Node, inputs: tuple[int, ...]) -> None:
        """Convert one node of the graph."""
        module = self._modules.get(str(node.target)) if node.op == "call_module" else None
        before = [self.values[i] for i in inputs]
        kernel, fill = TemporalKernel(), 0.0
        if isinstance(module, nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d):
            layer, kernel, value = self._sliding(module, str(node.target), before[0])
            fill = -torch.inf if isinstance(module, nn.MaxPool3d) else 0.0
        elif isinstance(module, POINTWISE) or _is_softmax_over_channels(module) or _enlarges_space(module):
            layer, value = module, before[0]
        elif (node.target in POINTWISE_FUNCTIONS | ARITHMETIC and len(inputs) == 1) or _is_mean_over_space(node):
            layer, value = _function_of(node), before[0]
        elif _joins_branches(node, len(inputs)):
            layer, value = _function_of(node), _joined(before)
        elif node.target is operator.getitem and (cropped := _crop_in_time(node)) is not None:
            layer, kernel, value = crop(*cropped, before[0])
        else:
            raise StreamcamError(f"cannot be streamed: {self._culprit(node)} may mix all of time (use --engine window)")
        self.ops.append(TemporalOp(len(self.values), inputs, layer, kernel, fill))
        self.values.append(value)

    def _culprit(self, node: fx.Node) -> str:
        """Return the name of what cannot be streamed.

        That is attention, if the network has some: the node itself may be a mere reshape in front of it.
        """
        calls = [self._name(other) for other in self._graph.nodes if other.op in ("call_module", "call_function")]
        return next((name for name in calls if "attention" in name.lower()), self._name(node))

    def _name(self, node: fx.Node) -> str:
        module = self._modules.get(str(node.target)) if node.op == "call_module" else None
        if module is None:
            return getattr(node.target, "__name__", str(node.target))
        return f"{node.target} ({type(module).__name__})"

    def _sliding(
        self, module: nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d, name: str, before: Value
    ) -> tuple[Layer, TemporalKernel, Value]:
        """Convert a layer that slides over time. The operation pads its slices, not the layer itself."""
        kernel, dilation = _kernel_of(module, name), before.dilation
        self.pads_time |= kernel.padding > 0
        if self._dense:
            if isinstance(module, nn.AvgPool3d) and dilation > 1 and kernel.size > 1:
                raise StreamcamError(f"cannot be dense: {name} averages over strided time (leave out --dense)")
            # Without its stride s, a layer gives the outputs of s strided layers, each begun a frame later than the one
            # before, interleaved. A later layer must see the outputs of one of them only, so it steps over the
            # others. Its dilation is multiplied by all strides before it.
            kernel, dilation = replace(kernel.dilated(dilation), stride=1), dilation * kernel.stride
        layer = _without_padding_in_time(module, kernel)
        value = Value(before.span.through(kernel), dilation)
        self.layer_spans[name] = value.span
        return layer, kernel, value


def _kernel_of(module: nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d, name: str) -> TemporalKernel:
    """Return a layer's kernel along time.

    Raises:
        StreamcamError: the layer pads or steps in a way that depends on the length of the video.
    """
    padding = None if isinstance(module.padding, str) else _first(module.padding)
    if isinstance(module, nn.Conv3d):
        ok = type(module).forward is nn.Conv3d.forward and (padding == 0 or module.padding_mode == "zeros")
    else:
        # With `ceil_mode`, the number of outputs depends on where a video ends. A padded average may divide by fewer
        # slices at its ends.
        ok = not module.ceil_mode and (isinstance(module, nn.MaxPool3d) or padding == 0)
    if padding is None or not ok:
        raise StreamcamError(f"cannot be streamed: {name} pads or steps in a way of its own (use --engine window)")
    dilation = 1 if isinstance(module, nn.AvgPool3d) else _first(module.dilation)
    return TemporalKernel(_first(module.kernel_size), _first(module.stride), padding, dilation)


def _without_padding_in_time(module: nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d, kernel: TemporalKernel) -> Layer:
    """Copy a layer, with the stride and dilation of `kernel` along time, and without padding there."""
    layer: Any = copy.copy(module)
    layer.stride = (kernel.stride, *_triple(layer.stride)[1:])
    layer.padding = (0, *_triple(layer.padding)[1:])
    if not isinstance(module, nn.AvgPool3d):
        layer.dilation = (kernel.dilation, *_triple(layer.dilation)[1:])
    return _convolution(layer) if isinstance(layer, nn.Conv3d) else layer


def _convolution(conv: nn.Conv3d) -> Layer:
    """Return what computes a convolution of few slices fast.

    For float32 inputs as small as a few slices, PyTorch picks a routine of its own, which takes two to four times as
    long as oneDNN. So this calls oneDNN (`mkldnn` in PyTorch) itself, where that is right: on a CPU, in float32, and
    not while the network is exported.
    """
    if conv.padding_mode != "zeros" or not torch.backends.mkldnn.is_available():
        return conv

    padding = _triple(conv.padding)

    def run(x: Tensor) -> Tensor:
        if x.device.type != "cpu" or x.dtype != torch.float32 or torch.compiler.is_exporting():
            return conv(x)  # type: ignore[no-any-return]
        return torch.mkldnn_convolution(x, conv.weight, conv.bias, padding, conv.stride, conv.dilation, conv.groups)

    return run


def _is_softmax_over_channels(module: nn.Module | None) -> TypeGuard[nn.Softmax]:
    return isinstance(module, nn.Softmax) and module.dim in (1, -4)


def _enlarges_space(module: nn.Module | None) -> TypeGuard[nn.ConvTranspose3d]:
    """Return whether a layer enlarges each slice on its own."""
    if not isinstance(module, nn.ConvTranspose3d):
        return False
    in_time = (module.kernel_size[0], module.stride[0], module.padding[0], module.output_padding[0])
    return in_time == (1, 1, 0, 0)


def _is_mean_over_space(node: fx.Node) -> bool:
    """Return whether a node is `torch.mean(x, (3, 4), keepdim=True)`.

    Networks of ours use that instead of adaptive pooling, which when exported is fixed to the number of slices that it
    was exported with.
    """
    return node.target is torch.mean and node.args[1:] == ((3, 4),) and node.kwargs == {"keepdim": True}


def _joins_branches(node: fx.Node, branches: int) -> bool:
    """Return whether a node adds, multiplies, … two branches, or concatenates several along channels."""
    if node.target in ARITHMETIC:
        return branches == 2
    if node.target not in CONCATENATIONS:
        return False
    tensors, axis = node.args[0], node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    # `all_input_nodes` has each node once. A branch that is concatenated with itself counts as one, and is refused.
    return isinstance(tensors, list | tuple) and len(tensors) == branches and axis in (1, -4)


def _crop_in_time(node: fx.Node) -> tuple[int, int] | None:
    """Return (a, b) for a node that is `x[:, :, a:-b]`, and None for any other index."""
    index = node.args[1]
    everything = slice(None, None, None)
    if not isinstance(index, tuple) or len(index) < 3 or any(axis != everything for axis in (*index[:2], *index[3:])):
        return None
    time = index[2]
    if not isinstance(time, slice) or time.step not in (None, 1):
        return None
    skip, hold = time.start or 0, -(time.stop or 0)
    return (skip, hold) if isinstance(skip, int) and skip >= 0 and hold >= 0 else None


def _function_of(node: fx.Node) -> Layer:
    """Return the function that a node calls, as one of the slices of its input nodes, in their order."""
    function: Any = node.target

    def layer(*values: Tensor) -> Tensor:
        tensors = dict(zip(node.all_input_nodes, values, strict=True))
        args: Any = fx.map_arg(node.args, tensors.__getitem__)
        kwargs: Any = fx.map_arg(node.kwargs, tensors.__getitem__)
        output: Tensor = function(*args, **kwargs)
        return output

    return layer


def _joined(branches: Sequence[Value]) -> Value:
    """Return what is known of the slices where branches meet."""
    span = branches[0].span
    for branch in branches[1:]:
        span = span.joined(branch.span)
    return replace(branches[0], span=span)


def _first(value: int | tuple[int, ...] | str) -> int:
    """Return a setting of a 3D layer along time."""
    return _triple(value)[0]


def _triple(value: int | tuple[int, ...] | str) -> tuple[int, ...]:
    """Return a setting of a 3D layer for each of its three axes."""
    assert not isinstance(value, str)
    return value if isinstance(value, tuple) else (value,) * 3
