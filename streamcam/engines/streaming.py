"""A network of clips → the same network of a stream: each frame goes through it once.

A layer that looks at several slices at a time keeps the last of its inputs until the next ones come:

    a convolution over 3 slices, zero-padded              pushes of 2 frames
    ·  0  1  2  3  4  5  ·                                 ·  0  1 │ 2  3 │ 4  5 │ ·   the last: flush
    └──┴──┘  └──┴──┘                                       kept:   0  1   2  3   4  5

and what joins two branches waits until both have come as far. So a video that is pushed in any pieces gives what one
pass over all of it gives, with padding at its very start and end only.
"""

import copy
import itertools
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from streamcam.engines.bank import Bank, Stream
from streamcam.engines.steps import Layer, Memory, Slot, Span, Step, Value, Window, crop
from streamcam.errors import StreamcamError
from streamcam.models.split import Tracer

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


class StreamNetwork:
    """The features of a network, computed slice by slice, and what it keeps of each stream."""

    def __init__(self, features: nn.Module, *, dense: bool = False) -> None:
        """Convert a network.

        Args:
            features: float [N,3,T,H,W] → its last feature map [N,K,T',h,w], or a tuple of one. Traced by torch.fx.
            dense: give a slice for every frame where the network strides over frames: strides become dilations.

        Raises:
            StreamcamError: it mixes all of time somewhere; the message names the operation.
        """
        try:
            traced = fx.GraphModule(features, Tracer().trace(features))
        except Exception as e:
            raise StreamcamError(f"cannot be streamed: it cannot be traced ({e})") from e
        traced.graph.eliminate_dead_code()
        builder = _Builder(traced, dense=dense)
        if len(builder.outputs) != 1:
            raise StreamcamError(f"cannot be streamed: it pools {len(builder.outputs)} maps (use --engine window)")
        self._steps, (self._output,) = builder.steps, builder.outputs
        self.span = builder.values[self._output].span
        """What a slice of the feature map sees."""
        self.seen = builder.seen
        """What a slice that comes out of each layer sees, by the layer's name; of those that look at several slices."""
        self.pads_time = builder.pads_time
        """Whether slices at the ends of a video see padding."""
        self.settled = next(n for n in itertools.count(1) if self._counts(n)[self._output])
        """After so many frames, the first slice is complete, and all that comes before it has given something."""
        self.period = self.span.stride
        """So many frames later, a settled network keeps as much as before."""
        self.bank = Bank(self._longest())
        """What is kept of all streams; their pictures are of one size."""

    def start(self) -> Stream:
        """The beginning of a video, which is kept in mind until `flush` or `forget`."""
        return self.bank.join()

    def fork(self, stream: Stream) -> Stream:
        """A video that has been the same as another one so far."""
        return self.bank.fork(stream)

    def forget(self, stream: Stream) -> None:
        """A video of which no more will be asked."""
        self.bank.leave(stream)

    @torch.inference_mode()
    def push(self, streams: Sequence[Stream], frames: Tensor) -> Tensor | None:
        """The next frames of streams of one phase, float [N,3,t,H,W] → the slices [N,K,t',h,w] that they complete.

        None for none.
        """
        (phase,) = {stream.phase for stream in streams}
        slices = self.run(phase, frames, self.bank.rows_of(streams))
        for stream in streams:
            stream.phase = self.after(phase, frames.shape[2])
        return slices

    @torch.inference_mode()
    def flush(self, stream: Stream) -> Tensor | None:
        """The end of a video, which is forgotten: the slices that were waiting for what will not come any more."""
        slices = self.run(stream.phase, None, self.bank.rows_of([stream]))
        self.forget(stream)
        return slices

    def after(self, phase: int, frames: int) -> int:
        """The phase of a stream that so many frames are added to."""
        count = phase + frames
        return count if count < self.settled else self.settled + (count - self.settled) % self.period

    def run(self, phase: int, frames: Tensor | None, memory: Memory) -> Tensor | None:
        """The next frames, or for None the end of the video → slices, None for none.

        What it does, in which shapes and where, depends on nothing but the phase and the frames' shape: memory in place
        can be held by a CUDA graph, and a memory of arguments by an exported network.
        """
        ended, new = frames is None, 0 if frames is None else frames.shape[2]
        before, after = self._counts(phase), self._counts(phase + new, ended=ended)
        values: list[Tensor | None] = [frames]
        for step in self._steps:
            values.append(step.run(values, before, after, memory, ended=ended))
        return values[self._output]

    def kept(self, phase: int) -> Counter[Slot]:
        """How many slices are kept at a phase, where there are any."""
        counts = self._counts(phase)
        return +Counter({slot: count for step in self._steps for slot, count in step.waiting(counts).items()})

    def _counts(self, frames: int, *, ended: bool = False) -> list[int]:
        """How many slices of each value there are after so many frames."""
        counts = [frames]
        for step in self._steps:
            counts.append(step.completed(counts, ended=ended))
        return counts

    def _longest(self) -> dict[Slot, int]:
        longest: Counter[Slot] = Counter()
        for phase in range(self.settled + self.period):
            longest |= self.kept(phase)
        return longest


class _Builder:
    """Goes through a graph once, from the frames on."""

    def __init__(self, traced: fx.GraphModule, *, dense: bool) -> None:
        self.steps: list[Step] = []
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
        window, fill = Window(), 0.0
        if isinstance(module, nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d):
            layer, window, value = self._window(module, str(node.target), before[0])
            fill = -torch.inf if isinstance(module, nn.MaxPool3d) else 0.0
        elif isinstance(module, POINTWISE) or (isinstance(module, nn.AdaptiveAvgPool3d) and not _mixes_time(module)):
            layer, value = module, before[0]
        elif node.target in POINTWISE_FUNCTIONS | ARITHMETIC and len(inputs) == 1:
            layer, value = _applied(node), before[0]
        elif _joins(node, len(inputs)):
            layer, value = _applied(node), _meeting(before)
        elif node.target is operator.getitem and (cropped := _crop_in_time(node)) is not None:
            layer, window, value = crop(*cropped, before[0])
        else:
            raise StreamcamError(f"cannot be streamed: {self._culprit(node)} may mix all of time (use --engine window)")
        self.steps.append(Step(len(self.values), inputs, layer, window, fill))
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
    ) -> tuple[Layer, Window, Value]:
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


def _window_of(module: nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d, name: str) -> Window:
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
    return Window(_first(module.kernel_size), _first(module.stride), padding, dilation)


def _without_padding_in_time(module: nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d, window: Window) -> Layer:
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


def _mixes_time(pool: nn.AdaptiveAvgPool3d) -> bool:
    size: Any = pool.output_size
    return not isinstance(size, tuple) or size[0] is not None


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
