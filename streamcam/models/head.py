"""The head of a network, behind its pooling: a linear layer, or layers that act as one for a given input."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

GATES = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU)
"""Activations with act(0) = 0. So act(z) = gate · z, with gate = act(z) / z."""


class Affine(NamedTuple):
    """A linear layer for each of N inputs: `logits = weight @ pooled + bias`. N = 1: the same one for every input."""

    weight: Tensor
    """float32 [N,C,K]."""
    bias: Tensor
    """float32 [N,C]."""


class Head(nn.Module):
    """Linear layers, activations and layer norms that map pooled features [N,K] to logits [N,C].

    An activation multiplies each number by a gate. A layer norm subtracts a mean and divides by a deviation. Once the
    input is known, gates and deviations are numbers, and the whole head is linear. The heat cube that is made with
    *these* weights pools to the logits exactly.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        """Join layers. The last one is an `nn.Linear`, the classifier."""
        super().__init__()
        if not layers or not isinstance(layers[-1], nn.Linear):
            raise ValueError(f"expected layers that end in nn.Linear, got {list(layers)}")
        self.layers = nn.ModuleList(_out_of_place(layer) for layer in layers)

    @property
    def classifier(self) -> nn.Linear:
        """The last layer, which gives the logits."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last

    @property
    def bias(self) -> Tensor:
        """float32 [C]: the last layer's bias; zeros if it has none."""
        bias = self.classifier.bias
        return self.classifier.weight.new_zeros(self.classifier.out_features) if bias is None else bias

    @property
    def is_linear(self) -> bool:
        """Whether the head is linear for all inputs alike."""
        return all(isinstance(layer, nn.Linear) for layer in self.layers)

    def with_classes(self, count: int) -> "Head":
        """Give a head with the same layers, but a new classifier of `count` classes."""
        old = self.classifier
        classifier = nn.Linear(old.in_features, count, bias=old.bias is not None).to(old.weight)
        return Head([*list(self.layers)[:-1], classifier])

    def forward(self, pooled: Tensor) -> Tensor:
        """Compute logits [N,C] of pooled features [N,K]."""
        for layer in self.layers:
            pooled = layer(pooled)
        return pooled

    def affine(self, pooled: Tensor) -> Affine:
        """Give the linear layer that the head acts as for these pooled features [N,K]."""
        inputs = []
        for layer in self.layers:
            inputs.append(pooled)
            pooled = layer(pooled)
        # From the classifier backwards through the layers before it, each with the input that it had.
        weight, bias = self.classifier.weight[None], self.bias[None]
        for layer, x in list(zip(self.layers, inputs, strict=True))[-2::-1]:
            weight, bias = _compose(layer, x, weight, bias)
        return Affine(weight, bias)


def _out_of_place(layer: nn.Module) -> nn.Module:
    """Return the layer, or a copy that does not overwrite its input: `affine` needs the inputs afterwards."""
    if getattr(layer, "inplace", False):
        layer = copy.copy(layer)
        layer.inplace = False  # type: ignore[assignment]
    return layer


def _compose(layer: nn.Module, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Compose y ↦ weight @ y + bias with a layer, y = layer(x), as it acts on x [N,K].

    linear      y = A x + a             weight A                            bias + weight a
    layer norm  y = (x − x̄) s/σ + t     (weight s/σ) less its row means     bias + weight t
    gate        y = g(x) · x            weight g                            bias

    Subtracting the mean x̄ from x is the same as subtracting from each row of the weights its own mean.
    """
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
        case _:  # one of GATES; 0 / 0 is not a number, and any gate is right there
            gate = torch.where(x == 0, torch.zeros_like(x), layer(x) / x)
            return weight * gate[:, None, :], bias
