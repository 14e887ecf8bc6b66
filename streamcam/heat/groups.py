"""Adds a network's classes up to groups, scores and heat: pure tensor maths.

Let z_m be the logits of a network's C classes, and T the temperature of its softmax (see `HeatContext`). A group g has
the logit

    z_g  =  T · log Σ_{m in g} exp(z_m / T)

Every class is in exactly one group, if only in one of its own. So softmax over the groups' logits gives each group the
sum of its classes' scores, exactly:

    exp(z_g / T) / Σ_h exp(z_h / T)  =  Σ_{m in g} exp(z_m / T) / Σ_c exp(z_c / T)

A group's heat weighs the cubes of its classes by their shares in the group, which are fixed for a clip:

    s_m  =  exp((z_m − z_g) / T),   Σ_{m in g} s_m = 1,   M_g(l,y,x)  =  Σ_{m in g} s_m · M_m(l,y,x)

The share s_m is the derivative of z_g by z_m. So M_g is the class activation map of the group's logit, in logit units.
It pools to that logit with a bias that depends on the clip: b_g = z_g − mean M_g. A map that is added to all classes is
added to all groups, so centred heat keeps its meaning.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from streamcam.heat.cam import CamOutput, pool


class ClassGroups(nn.Module):
    """The groups that a network's C classes are added up to: G in all, of one class or more."""

    owner: Tensor
    """int64 [C]: the group of each class."""
    table: Tensor
    """int64 [G,M]: the classes of each group; C in places that are left over."""
    several: Tensor
    """int64: the classes of all groups that have more than one, group by group."""
    single: Tensor
    """int64: the classes that are alone in their groups."""
    place: Tensor
    """int64 [G]: where each group comes in the order of first those of several classes, then those of one."""

    def __init__(self, members: Sequence[Sequence[int]], *, temperature: float = 1.0) -> None:
        """Make groups of classes.

        Args:
            members: the classes of each group, 0 to C − 1. Each class is in one group.
            temperature: T, that of the network's softmax.
        """
        super().__init__()
        classes = sorted(c for group in members for c in group)
        if classes != list(range(len(classes))) or not all(members):
            raise ValueError("expected every class in exactly one group, and no group without classes")
        self.temperature = temperature
        several = [g for g, group in enumerate(members) if len(group) > 1]
        single = [g for g, group in enumerate(members) if len(group) == 1]
        self.sizes = [len(members[g]) for g in several]
        owner = torch.empty(len(classes), dtype=torch.int64)
        table = torch.full((len(members), max(map(len, members))), len(classes))
        for g, group in enumerate(members):
            owner[list(group)] = g
            table[g, : len(group)] = torch.tensor(group)
        tensors = {
            "owner": owner,
            "table": table,
            "several": torch.tensor([c for g in several for c in members[g]], dtype=torch.int64),
            "single": torch.tensor([members[g][0] for g in single], dtype=torch.int64),
            "place": torch.tensor([*several, *single]).argsort(),
        }
        for name, value in tensors.items():  # not persistent: groups are no part of a network's weights
            self.register_buffer(name, value, persistent=False)

    def logits(self, logits: Tensor) -> Tensor:
        """Give the logits of the groups, float32 [N,G], from those of the classes, float32 [N,C]."""
        absent = logits.new_full((len(logits), 1), -torch.inf)
        of_groups = torch.cat((logits, absent), dim=1)[:, self.table]
        return self.temperature * (of_groups / self.temperature).logsumexp(-1)

    def shares(self, logits: Tensor) -> Tensor:
        """Give the share of each class in its group, float32 [N,C], from the logits of the classes, float32 [N,C]."""
        return ((logits - self.logits(logits)[:, self.owner]) / self.temperature).exp()

    def heat(self, cube: Tensor, shares: Tensor) -> Tensor:
        """Give the heat of all groups, float32 [N,G,…], from that of the classes, float32 [N,C,…], and the shares."""
        weights = shares[:, self.several].reshape(len(shares), -1, *[1] * (cube.ndim - 2))
        # Sums of slices give the same bits every time. `index_add` does not on a GPU.
        parts = (cube[:, self.several] * weights).split(self.sizes, dim=1)
        sums = [part.sum(1, keepdim=True) for part in parts[: len(self.sizes)]]  # without sizes, there is an empty part
        return torch.cat((*sums, cube[:, self.single]), dim=1)[:, self.place]

    def forward(self, output: CamOutput) -> CamOutput:
        """Add up a network's output: logits [N,G], cubes [N,G,L',h,w], and the bias [N,G] that holds for each clip."""
        logits, shares = self.logits(output.logits), self.shares(output.logits)
        cubes = tuple(self.heat(cube, shares) for cube in output.cubes)
        return CamOutput(logits, cubes, logits - torch.stack([pool(cube) for cube in cubes]).sum(0))
