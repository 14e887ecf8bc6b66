"""What stands behind the pooling: a linear layer, or layers that act as one for a given input."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

GATES = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU)
"""Activations with act(0) = 0: act(z) = gate · z with gate = act(z) / z."""


class Affine(NamedTuple):
    """logits = weight @ pooled + bias, exactly, for one input or (N = 1) for every input."""

    weight: Tensor
    """float32 [N,C,K]."""
    bias: Tensor
    """float32 [N,C]."""


class Head(nn.Module):
    """Pooled features [N,K] → logits [N,C], by linear layers, activations and layer norms.

    With nothing but a linear layer, its weights are the classifier's. An activation multiplies each number by a gate,
    and a layer norm subtracts a mean and divides by a deviation: once the input is known, gates and deviations are
    numbers, what is left is linear, and the heat cube made with *those* weights pools to the logits exactly.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        """Join layers, the last of which is the classifier's `nn.Linear`."""
        super().__init__()
        if not layers or not isinstance(layers[-1], nn.Linear):
            raise ValueError(f"expected layers that end in nn.Linear, got {list(layers)}")
        self.layers = nn.ModuleList(_not_in_place(layer) for layer in layers)

    @property
    def classifier(self) -> nn.Linear:
        """The last layer."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last

    @property
    def bias(self) -> Tensor:
        """float32 [C]: the classifier's own bias."""
        bias = self.classifier.bias
        return self.classifier.weight.new_zeros(self.classifier.out_features) if bias is None else bias

    @property
    def is_linear(self) -> bool:
        """Whether the weights are the same for every input."""
        return all(isinstance(layer, nn.Linear) for layer in self.layers)

    def with_classes(self, count: int) -> "Head":
        """The same layers up to a new classifier of `count` classes."""
        old = self.classifier
        classifier = nn.Linear(old.in_features, count, bias=old.bias is not None).to(old.weight)
        return Head([*list(self.layers)[:-1], classifier])

    def forward(self, pooled: Tensor) -> Tensor:
        """[N,K] → logits [N,C]."""
        for layer in self.layers:
            pooled = layer(pooled)
        return pooled

    def affine(self, pooled: Tensor) -> Affine:
        """The linear layer that the head acts as for these pooled features [N,K]."""
        inputs = []
        for layer in self.layers:
            inputs.append(pooled)
            pooled = layer(pooled)
        weight, bias = self.classifier.weight[None], self.bias[None]
        for layer, x in list(zip(self.layers, inputs, strict=True))[-2::-1]:
            weight, bias = _through(layer, x, weight, bias)
        return Affine(weight, bias)


def _not_in_place(layer: nn.Module) -> nn.Module:
    """The layer, or a copy that leaves its input as it was: the input is looked at again."""
    if getattr(layer, "inplace", False):
        layer = copy.copy(layer)
        layer.inplace = False  # type: ignore[assignment]
    return layer


def _through(layer: nn.Module, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Compose what follows a layer, y ↦ weight @ y + bias, with the layer as it acts on x [N,K]."""
    match layer:
        case nn.Linear():
            offset = weight @ layer.bias if layer.bias is not None else 0
            return weight @ layer.weight, bias + offset
        case nn.LayerNorm():
            deviation = (x.var(1, unbiased=False, keepdim=True) + layer.eps).sqrt()
            scale, shift = (
                (layer.weight, layer.bias) if layer.elementwise_affine else (x.new_ones(1), x.new_zeros(x.shape[1]))
            )
            bias = bias + weight @ shift
            weight = weight * (scale / deviation)[:, None, :]
            return weight - weight.mean(2, keepdim=True), bias
        case _:
            gate = torch.where(x == 0, torch.zeros_like(x), layer(x) / x)
            return weight * gate[:, None, :], bias
