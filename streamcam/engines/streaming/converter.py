"""A traced network of clips → steps that can be done slice by slice: what each layer does to time."""

import copy
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from streamcam.engines.streaming.temporal_ops import Layer, Span, TemporalKernel, TemporalOp, Value, crop
from streamcam.errors import StreamcamError

POINTWISE = (
    *(nn.BatchNorm3d, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Tanh, nn.ELU, nn.LeakyReLU),
    *(nn.Identity, nn.Dropout, nn.Dropout3d),
)
POINTWISE_FUNCTIONS = frozenset((F.relu, torch.relu, F.relu6, F.gelu, F.silu, F.hardswish, torch.sigmoid, torch.tanh))
ARITHMETIC = frozenset(
    (
        *(operator.add, operator.iadd, operator.sub, operator.mul, operator.imul, operator.truediv),
        *(torch.add, torch.sub, torch.mul, torch.div),
    )
)
CONCATENATIONS = frozenset((torch.cat, torch.concat))


class Builder:
    """Goes through a graph once, from the frames on."""

    def __init__(self, traced: fx.GraphModule, *, dense: bool) -> None:
        """Arguments and errors are those of `StreamNetwork`."""
        self.steps: list[TemporalOp] = []
        self.values = [Value(Span())]
        self.outputs: tuple[int, ...] = ()
        self.pads_time = False
        self.seen: dict[str, Span] = {}
        self._modules, self._dense, self._graph = dict(traced.named_modules()), dense, traced.graph
        numbers: dict[fx.Node, int] = {}
        for node in traced.graph.nodes:
            if node.op == "placeholder":
                numbers[node] = 0
            elif node.op == "output":
                self.outputs = tuple(numbers[result] for result in node.all_input_nodes)
            else:
                self._add(node, tuple(numbers[source] for source in node.all_input_nodes))
                numbers[node] = len(self.steps)

    def _add(self, node: fx.Node, inputs: tuple[int, ...]) -> None:
        module = self._modules.get(str(node.target)) if node.op == "call_module" else None
        before = [self.values[i] for i in inputs]
        window, fill = TemporalKernel(), 0.0
        if isinstance(module, nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d):
            layer, window, value = self._window(module, str(node.target), before[0])
            fill = -torch.inf if isinstance(module, nn.MaxPool3d) else 0.0
        elif isinstance(module, POINTWISE):
            layer, value = module, before[0]
        elif (node.target in POINTWISE_FUNCTIONS | ARITHMETIC and len(inputs) == 1) or _is_mean_over_space(node):
            layer, value = _applied(node), before[0]
        elif _joins(node, len(inputs)):
            layer, value = _applied(node), _meeting(before)
        elif node.target is operator.getitem and (cropped := _crop_in_time(node)) is not None:
            layer, window, value = crop(*cropped, before[0])
        else:
            raise StreamcamError(f"cannot be streamed: {self._culprit(node)} may mix all of time (use --engine window)")
        self.steps.append(TemporalOp(len(self.values), inputs, layer, window, fill))
        self.values.append(value)

    def _culprit(self, node: fx.Node) -> str:
        """The name of what cannot be streamed: attention, where there is some, for what stands before it says less."""
        calls = [self._name(other) for other in self._graph.nodes if other.op in ("call_module", "call_function")]
        return next((name for name in calls if "attention" in name.lower()), self._name(node))

    def _name(self, node: fx.Node) -> str:
        module = self._modules.get(str(node.target)) if node.op == "call_module" else None
        if module is None:
            return getattr(node.target, "__name__", str(node.target))
        return f"{node.target} ({type(module).__name__})"

    def _window(
        self, module: nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d, name: str, before: Value
    ) -> tuple[Layer, TemporalKernel, Value]:
        """A layer that looks at several slices, its padding in time left to us."""
        window, spread = _window_of(module, name), before.spread
        self.pads_time |= window.padding > 0
        if self._dense:
            if isinstance(module, nn.AvgPool3d) and spread > 1 and window.kernel > 1:
                raise StreamcamError(f"cannot be dense: {name} averages over strided time (leave out --dense)")
            window, spread = replace(window.spread(spread), stride=1), spread * window.stride
        layer = _without_padding_in_time(module, window)
        value = Value(before.span.through(window), spread)
        self.seen[name] = value.span
        return layer, window, value


def _window_of(module: nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d, name: str) -> TemporalKernel:
    """How a layer looks at time.

    Raises:
        StreamcamError: in a way that cannot be told from slices that have come.
    """
    padding = None if isinstance(module.padding, str) else _first(module.padding)
    if isinstance(module, nn.Conv3d):
        ok = type(module).forward is nn.Conv3d.forward and (padding == 0 or module.padding_mode == "zeros")
    else:
        ok = not module.ceil_mode and (isinstance(module, nn.MaxPool3d) or padding == 0)
    if padding is None or not ok:
        raise StreamcamError(f"cannot be streamed: {name} pads or steps in a way of its own (use --engine window)")
    dilation = 1 if isinstance(module, nn.AvgPool3d) else _first(module.dilation)
    return TemporalKernel(_first(module.kernel_size), _first(module.stride), padding, dilation)


def _without_padding_in_time(module: nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d, window: TemporalKernel) -> Layer:
    """A copy of a layer that takes its padding, stride and dilation in time from `window`, and its padding from us."""
    layer: Any = copy.copy(module)
    layer.stride = (window.stride, *_triple(layer.stride)[1:])
    layer.padding = (0, *_triple(layer.padding)[1:])
    if not isinstance(module, nn.AvgPool3d):
        layer.dilation = (window.dilation, *_triple(layer.dilation)[1:])
    return _convolution(layer) if isinstance(layer, nn.Conv3d) else layer


def _convolution(conv: nn.Conv3d) -> Layer:
    """A convolution of few slices at a time.

    PyTorch leaves float32 convolutions of small inputs, which slices are, to a routine of its own that takes two to
    four times as long as oneDNN. So oneDNN is called by its name.
    """
    if conv.padding_mode != "zeros" or not torch.backends.mkldnn.is_available():
        return conv

    padding = _triple(conv.padding)

    def run(x: Tensor) -> Tensor:
        if x.device.type != "cpu" or x.dtype != torch.float32 or torch.compiler.is_exporting():
            return conv(x)  # type: ignore[no-any-return]
        return torch.mkldnn_convolution(x, conv.weight, conv.bias, padding, conv.stride, conv.dilation, conv.groups)

    return run


def _is_mean_over_space(node: fx.Node) -> bool:
    """`torch.mean(x, (3, 4), keepdim=True)`. Exported, adaptive pooling remembers how many slices there were."""
    return node.target is torch.mean and node.args[1:] == ((3, 4),) and node.kwargs == {"keepdim": True}


def _joins(node: fx.Node, branches: int) -> bool:
    """Whether a node adds, multiplies, … two branches, or concatenates several by their channels."""
    if node.target in ARITHMETIC:
        return branches == 2
    if node.target not in CONCATENATIONS:
        return False
    parts, axis = node.args[0], node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return isinstance(parts, list | tuple) and len(parts) == branches and axis in (1, -4)


def _crop_in_time(node: fx.Node) -> tuple[int, int] | None:
    """(a, b) of `x[:, :, a:-b]`, or None for another index."""
    index = node.args[1]
    everything = slice(None, None, None)
    if not isinstance(index, tuple) or len(index) < 3 or any(part != everything for part in (*index[:2], *index[3:])):
        return None
    time = index[2]
    if not isinstance(time, slice) or time.step not in (None, 1):
        return None
    skip, hold = time.start or 0, -(time.stop or 0)
    return (skip, hold) if isinstance(skip, int) and skip >= 0 and hold >= 0 else None


def _applied(node: fx.Node) -> Layer:
    """A function of the network: the values of the nodes that it takes, in their order → what it gives."""
    function: Any = node.target

    def layer(*values: Tensor) -> Tensor:
        given = dict(zip(node.all_input_nodes, values, strict=True))
        args: Any = fx.map_arg(node.args, given.__getitem__)
        named: Any = fx.map_arg(node.kwargs, given.__getitem__)
        outcome: Tensor = function(*args, **named)
        return outcome

    return layer


def _meeting(branches: Sequence[Value]) -> Value:
    span = branches[0].span
    for branch in branches[1:]:
        span = span.joined(branch.span)
    return replace(branches[0], span=span)


def _first(value: int | tuple[int, ...] | str) -> int:
    return _triple(value)[0]


def _triple(value: int | tuple[int, ...] | str) -> tuple[int, ...]:
    assert not isinstance(value, str)
    return value if isinstance(value, tuple) else (value,) * 3
