"""A network, cut in two at its pooling: features and head, found by tracing (torch.fx).

The graph is walked from its output backwards. Only layers that act as one linear layer for a given input may stand
behind the pooling; whatever else turns up is named, and the network refused.
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
CHANNELS_FIRST = ({2, 3}, {-1, -2}, {2, 3, 4}, {-1, -2, -3})
CHANNELS_LAST = ({1, 2}, {1, 2, 3})


@dataclass(frozen=True, slots=True)
class Split:
    """A network in two parts."""

    features: nn.Module
    """Batch → a tuple of feature maps, each [N,K,…positions]: more than one where pooled maps are concatenated."""
    windows: tuple[int, ...]
    """Sizes, one per axis of positions, of an average pooling with stride 1 that stands before the mean over all
    positions: they make positions count unequally. Empty where there is none."""
    head: Head


def split(module: nn.Module) -> Split:
    """Cut a network at its global average pooling.

    Raises:
        StreamcamError: it cannot be traced, or its head is not pooled-linear; the message names the operation.
    """
    name = type(module).__name__
    try:
        modules: Any = (math, torchvision.ops)  # the tracer's annotation allows for one only
        graph = Tracer(autowrap_modules=modules).trace(module.eval())
    except Exception as e:  # of a stranger's network, run on what are no tensors
        raise StreamcamError(
            f"cannot trace {name} ({first_line(e)}): say which of its modules are features and classifier"
        ) from e
    return _Walk(module, graph, name).split()


def split_at(module: nn.Module, features: str, classifier: str) -> Split:
    """Cut a network at two of its modules, by name; for networks that cannot be traced.

    Nothing but global average pooling may stand between the two; whoever calls this has to check that the parts give
    the network's own logits.

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
    """A whole network that gives what one of its modules gives."""

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
    """Keeps convolutions and linear layers whole, also those that a network has made its own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one node of the graph."""
        return isinstance(m, nn.Conv2d | nn.Conv3d | nn.Linear) or super().is_leaf_module(m, module_qualified_name)


class _Walk:
    """From a graph's output back to its pooling."""

    def __init__(self, module: nn.Module, graph: fx.Graph, name: str) -> None:
        self._modules, self._graph, self._name = dict(module.named_modules()), graph, name
        self._module = module
        self._layers: list[nn.Module] = []
        self._windows: tuple[int, ...] = ()

    def split(self) -> Split:
        output = next(node for node in self._graph.nodes if node.op == "output")
        maps = self._maps(output.args[0])
        if not self._layers or not isinstance(self._layers[-1], nn.Linear):
            raise StreamcamError(
                f"{self._name} has no linear layer behind its pooling: its heat cannot be told by class"
            )
        return Split(self._features(output, maps), self._windows, Head(self._layers))

    def _maps(self, node: object) -> list[tuple[fx.Node, bool]]:
        """The feature maps behind a node, and whether their channels come last."""
        while isinstance(node, fx.Node):
            pooled = self._pooled(node)
            if pooled is not None:
                return [pooled]
            if node.target in (torch.cat, torch.concat):
                inputs = node.args[0]
                assert isinstance(inputs, list | tuple)
                return [found for part in inputs for found in self._maps(part)]
            self._layers = [*self._layer(node), *self._layers]
            node = node.args[0]
        raise StreamcamError(f"{self._name} does not give one tensor of logits")

    def _layer(self, node: fx.Node) -> list[nn.Module]:
        """The layer that a node behind the pooling stands for; none where it only changes the shape."""
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
        """The feature map that a node pools, if it does."""
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
        """Behind a mean over positions: through a classifier that is a 1×1×1 convolution, and what it averages."""
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
        arguments = dict(zip(("input", "normalized_shape", "weight", "bias", "eps"), node.args, strict=False))
        arguments |= node.kwargs
        norm = nn.LayerNorm(list(arguments["normalized_shape"]), eps=arguments.get("eps", 1e-5))  # type: ignore[arg-type]
        for key in ("weight", "bias"):
            value = arguments.get(key)
            if isinstance(value, fx.Node):
                setattr(norm, key, operator.attrgetter(str(value.target))(self._module))
        return norm

    def _refusal(self, node: fx.Node, module: nn.Module | None) -> str:
        what = type(module).__name__ if module is not None else getattr(node.target, "__name__", str(node.target))
        hint = "it picks a class token out" if node.target is operator.getitem else "heat cannot be carried through it"
        if node.op == "placeholder":
            what, hint = "its input", "it has no global average pooling"
        return f"{self._name} has no exact heat: between pooling and logits stands {what} ({hint})"

    def _features(self, output: fx.Node, maps: list[tuple[fx.Node, bool]]) -> nn.Module:
        """The network up to its feature maps, with channels first."""
        with self._graph.inserting_before(output):
            results = tuple(
                self._graph.call_function(torch.movedim, (node, -1, 1)) if last else node for node, last in maps
            )
        output.args = (results,)
        features = fx.GraphModule(self._module, self._graph)
        features.graph.eliminate_dead_code()
        features.delete_all_unused_submodules()
        features.recompile()
        return features


def _second(node: fx.Node, name: str) -> object:
    """A call's second argument, given by place or by name."""
    return node.args[1] if len(node.args) > 1 else node.kwargs.get(name)


def _is_one(size: object) -> bool:
    return set(size) == {1} if isinstance(size, list | tuple) else size == 1


def _is_pointwise(conv: nn.Module) -> bool:
    assert isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    return set(conv.kernel_size) == set(conv.stride) == {1} and set(conv.padding) == {0} and conv.groups == 1


def _as_linear(conv: nn.Module) -> nn.Linear:
    assert isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    linear = nn.Linear(conv.in_channels, conv.out_channels, bias=conv.bias is not None)
    linear.load_state_dict({"weight": conv.weight.flatten(1)} | ({} if conv.bias is None else {"bias": conv.bias}))
    return linear


def _is_sliding(pool: nn.Module) -> bool:
    """Whether every window lies inside the picture and the next is one step on."""
    assert isinstance(pool, nn.AvgPool2d | nn.AvgPool3d)
    return set(_sizes(pool.stride)) == {1} and set(_sizes(pool.padding)) == {0} and len(_sizes(pool.kernel_size)) > 1


def _sizes(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def position_weights(shape: tuple[int, ...], windows: tuple[int, ...], *, device: torch.device | None = None) -> Tensor:
    """How much each position counts, float32 of `shape`, mean 1, when windows of these sizes are averaged first.

    Along an axis of length n, position i lies in as many of the n − w + 1 windows of size w as can contain it.
    """
    weights = torch.ones((), device=device)
    for n, w in zip(shape, windows, strict=True):
        i = torch.arange(n, device=device)
        count = torch.minimum(i + 1, n - i).clamp(max=min(w, n - w + 1))
        weights = weights[..., None] * (count * (n / (w * (n - w + 1))))
    return weights
