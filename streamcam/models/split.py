"""Cuts a network in two at its global average pooling: features before it, and the head after it.

The network is traced with torch.fx, and its graph is walked from the output backwards to the pooling. Only layers that
act as one linear layer for a given input may stand in between. A network with any other operation there is refused,
and the message names the operation.
"""

import math
import operator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, fx, nn

from streamcam.errors import StreamcamError, first_line
from streamcam.models.head import GATES, Head

# Operations that change the shape of pooled features alone, and so need no layer in the head.
SHAPE_METHODS = {"flatten", "view", "reshape", "squeeze", "permute", "contiguous"}
SHAPE_FUNCTIONS = {torch.flatten, torch.squeeze, torch.permute, torch.reshape}
SHAPE_MODULES = (nn.Flatten, nn.Identity, nn.modules.dropout._DropoutNd)
GATE_FUNCTIONS: dict[Any, type[nn.Module]] = {
    F.relu: nn.ReLU,
    torch.relu: nn.ReLU,
    F.relu6: nn.ReLU6,
    F.hardswish: nn.Hardswish,
    F.silu: nn.SiLU,
    F.gelu: nn.GELU,
}
POOL_MODULES = (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
POOL_FUNCTIONS = {F.adaptive_avg_pool2d, F.adaptive_avg_pool3d}
# Axes over which a mean is a global average pooling: of [N,C,h,w] and [N,C,L',h,w], or of [N,h,w,C] and [N,L',h,w,C].
CHANNELS_FIRST = ({2, 3}, {-1, -2}, {2, 3, 4}, {-1, -2, -3})
CHANNELS_LAST = ({1, 2}, {1, 2, 3})


@dataclass(frozen=True, slots=True)
class Split:
    """The two parts of a network."""

    features: nn.Module
    """Maps a batch to a tuple of feature maps, each [N,K,…positions]. Several are pooled, then concatenated."""
    windows: tuple[int, ...]
    """Sizes, one for each axis of positions, of an average pooling with stride 1 before the mean over positions.

    Such a pooling makes positions count unequally: see `position_weights`. Empty: there is none."""
    head: Head
    """Maps pooled features to logits."""


def split(module: nn.Module) -> Split:
    """Cut a network at its global average pooling.

    Raises:
        StreamcamError: it cannot be traced, or its head is not pooled-linear; the message names the operation.
    """
    name = type(module).__name__
    try:
        modules: Any = (math, torchvision.ops)  # the annotation of `autowrap_modules` allows one only
        graph = Tracer(autowrap_modules=modules).trace(module.eval())
    except Exception as e:  # tracing runs the user's code on proxies, which may fail in any way
        raise StreamcamError(
            f"cannot trace {name} ({first_line(e)}): say which of its modules are features and classifier"
        ) from e
    return _Walk(module, graph, name).split()


def split_at(module: nn.Module, features: str, classifier: str) -> Split:
    """Cut a network at two of its modules, by name. This is for networks that cannot be traced.

    Nothing but global average pooling may stand between the two. That is not checked here: the caller has to compare
    the logits of the parts with the network's own.

    Raises:
        StreamcamError: no such module, or the classifier is not linear.
    """
    modules = dict(module.named_modules())
    for name in (features, classifier):
        if name not in modules:
            raise StreamcamError(
                f"{type(module).__name__} has no module {name!r} (it has {', '.join(list(modules)[1:9])}…)"
            )
    linear = modules[classifier]
    if isinstance(linear, nn.Conv1d | nn.Conv2d | nn.Conv3d) and _is_pointwise(linear):
        linear = _as_linear(linear)
    if not isinstance(linear, nn.Linear):
        raise StreamcamError(f"expected a linear classifier, got {classifier} = {type(linear).__name__}")
    return Split(_Captured(module, features), (), Head([linear]))


class _Captured(nn.Module):
    """A network that gives the output of one of its modules, by name."""

    def __init__(self, module: nn.Module, name: str) -> None:
        super().__init__()
        self.module, self.name = module, name

    def forward(self, x: Tensor) -> Any:
        captured: list[Any] = []
        hook = self.module.get_submodule(self.name).register_forward_hook(lambda _m, _x, y: captured.append(y))
        try:
            self.module(x)
        finally:
            hook.remove()
        if not captured:
            raise StreamcamError(f"{type(self.module).__name__} does not use its module {self.name!r}: name another")
        return captured[-1]


class Tracer(fx.Tracer):
    """A tracer that keeps convolutions and linear layers as single nodes, also subclasses of them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module becomes a single node of the graph."""
        return isinstance(m, nn.Conv2d | nn.Conv3d | nn.Linear) or super().is_leaf_module(m, module_qualified_name)


class _Walk:
    """A walk through a graph, from its output back to its pooling."""

    def __init__(self, module: nn.Module, graph: fx.Graph, name: str) -> None:
        self._modules, self._graph, self._name = dict(module.named_modules()), graph, name
        self._module = module
        # Found on the way: the head's layers, in the order in which they are applied, and a pooling of windows.
        self._layers: list[nn.Module] = []
        self._windows: tuple[int, ...] = ()

    def split(self) -> Split:
        """Find pooling and head, and cut the graph there."""
        output = next(node for node in self._graph.nodes if node.op == "output")
        maps = self._maps(output.args[0])
        if not self._layers or not isinstance(self._layers[-1], nn.Linear):
            raise StreamcamError(
                f"{self._name} has no linear layer behind its pooling: its heat cannot be told by class"
            )
        return Split(self._features(output, maps), self._windows, Head(self._layers))

    def _maps(self, node: object) -> list[tuple[fx.Node, bool]]:
        """Find the feature maps that a node depends on, and whether their channels come last."""
        while isinstance(node, fx.Node):
            pooled = self._pooled(node)
            if pooled is not None:
                return [pooled]
            if node.target in (torch.cat, torch.concat):  # several maps, each pooled on its own
                inputs = node.args[0]
                assert isinstance(inputs, list | tuple)
                return [found for part in inputs for found in self._maps(part)]
            self._layers = [*self._layer(node), *self._layers]  # the walk goes backwards
            node = node.args[0]
        raise StreamcamError(f"{self._name} does not give one tensor of logits")

    def _layer(self, node: fx.Node) -> list[nn.Module]:
        """Give the head's layer for a node behind the pooling; none if it only changes the shape."""
        module = self._modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, (nn.Linear, nn.LayerNorm, *GATES)):
            return [module]
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and _is_pointwise(module):
            return [_as_linear(module)]
        if isinstance(module, SHAPE_MODULES) or (node.op == "call_method" and node.target in SHAPE_METHODS):
            return []
        if node.op == "call_function" and node.target in SHAPE_FUNCTIONS:
            return []
        if node.op == "call_function" and node.target in GATE_FUNCTIONS:
            return [GATE_FUNCTIONS[node.target]()]
        if node.target is F.layer_norm:
            return [self._layer_norm(node)]
        raise StreamcamError(self._refusal(node, module))

    def _pooled(self, node: fx.Node) -> tuple[fx.Node, bool] | None:
        """Return the feature map that a node pools, and whether its channels come last; None if it pools nothing."""
        module = self._modules.get(str(node.target)) if node.op == "call_module" else None
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node):
            return None
        if isinstance(module, POOL_MODULES) and _is_one(module.output_size):
            return source, False
        if node.target in POOL_FUNCTIONS and _is_one(_second(node, "output_size")):
            return source, False
        if node.target in (torch.mean, "mean"):
            dim = _second(node, "dim")
            axes = set(dim) if isinstance(dim, list | tuple) else {dim}
            if axes in CHANNELS_FIRST:
                return self._before_windows(source), False
            if axes in CHANNELS_LAST:
                return source, True
        return None

    def _before_windows(self, node: fx.Node) -> fx.Node:
        """Walk from a mean over positions back to the feature map.

        S3D applies its classifier, a 1×1×1 convolution, to a map of window means, and averages the logits. Convolution,
        window means and the mean over positions are linear and commute, so they can be applied in another order.
        """
        if self._layers:
            return node
        while node.op == "call_module":
            module, source = self._modules[str(node.target)], node.args[0]
            assert isinstance(source, fx.Node)
            if isinstance(module, nn.Conv2d | nn.Conv3d) and _is_pointwise(module) and not self._layers:
                self._layers = [_as_linear(module)]
            elif isinstance(module, nn.AvgPool2d | nn.AvgPool3d) and self._layers and _is_sliding(module):
                self._windows = _sizes(module.kernel_size)
            elif not isinstance(module, SHAPE_MODULES):
                break
            node = source
        return node

    def _layer_norm(self, node: fx.Node) -> nn.LayerNorm:
        """Make a module of a call of `F.layer_norm`. It shares weight and bias with the network."""
        arguments = dict(zip(("input", "normalized_shape", "weight", "bias", "eps"), node.args, strict=False))
        arguments |= node.kwargs
        norm = nn.LayerNorm(list(arguments["normalized_shape"]), eps=arguments.get("eps", 1e-5))  # type: ignore[arg-type]
        for key in ("weight", "bias"):
            value = arguments.get(key)
            if isinstance(value, fx.Node):
                setattr(norm, key, operator.attrgetter(str(value.target))(self._module))
        return norm

    def _refusal(self, node: fx.Node, module: nn.Module | None) -> str:
        """Say which operation breaks the exact heat. A walk that has come to the input has met no pooling."""
        what = type(module).__name__ if module is not None else getattr(node.target, "__name__", str(node.target))
        hint = "it picks a class token out" if node.target is operator.getitem else "heat cannot be carried through it"
        if node.op == "placeholder":
            what, hint = "its input", "it has no global average pooling"
        return f"{self._name} has no exact heat: between pooling and logits stands {what} ({hint})"

    def _features(self, output: fx.Node, maps: list[tuple[fx.Node, bool]]) -> nn.Module:
        """Make a network of the graph up to its feature maps, with channels first."""
        with self._graph.inserting_before(output):
            results = tuple(
                self._graph.call_function(torch.movedim, (node, -1, 1)) if last else node for node, last in maps
            )
        output.args = (results,)
        features = fx.GraphModule(self._module, self._graph)
        # What comes after the feature maps has no use any more, neither its operations nor its weights.
        features.graph.eliminate_dead_code()
        features.delete_all_unused_submodules()
        features.recompile()
        return features


def _second(node: fx.Node, name: str) -> object:
    """Return a call's second argument, whether it is positional or named."""
    return node.args[1] if len(node.args) > 1 else node.kwargs.get(name)


def _is_one(size: object) -> bool:
    return set(size) == {1} if isinstance(size, list | tuple) else size == 1


def _is_pointwise(conv: nn.Module) -> bool:
    """Return whether a convolution is a linear layer over the channels of each position."""
    assert isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    return set(conv.kernel_size) == set(conv.stride) == {1} and set(conv.padding) == {0} and conv.groups == 1


def _as_linear(conv: nn.Module) -> nn.Linear:
    assert isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    linear = nn.Linear(conv.in_channels, conv.out_channels, bias=conv.bias is not None)
    linear.load_state_dict({"weight": conv.weight.flatten(1)} | ({} if conv.bias is None else {"bias": conv.bias}))
    return linear


def _is_sliding(pool: nn.Module) -> bool:
    """Return whether a pooling has stride 1 and no padding, and one size for each axis."""
    assert isinstance(pool, nn.AvgPool2d | nn.AvgPool3d)
    return set(_sizes(pool.stride)) == {1} and set(_sizes(pool.padding)) == {0} and len(_sizes(pool.kernel_size)) > 1


def _sizes(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def position_weights(shape: tuple[int, ...], windows: tuple[int, ...], *, device: torch.device | None = None) -> Tensor:
    """Compute how much each position counts when windows of these sizes are averaged first.

    Along an axis of length n there are n − w + 1 windows of size w. Position i lies in min(i + 1, n − i, w, n − w + 1)
    of them, and each window weighs 1 / (w · (n − w + 1)). Times n, the mean of these weights is 1.

    Returns:
        float32 of `shape`, with mean 1: the product over all axes.
    """
    weights = torch.ones((), device=device)
    for n, w in zip(shape, windows, strict=True):
        i = torch.arange(n, device=device)
        count = torch.minimum(i + 1, n - i).clamp(max=min(w, n - w + 1))
        weights = weights[..., None] * (count * (n / (w * (n - w + 1))))
    return weights
