"""Set the scale and bias of each class of a trained `motion`, and export it: python scripts/finish_motion.py RUN

How strongly each class speaks is fitted on rendered clips that were not trained on: a factor on its weights, so on its
heat, and its bias; logits still are bias plus pooled heat. Prints the heat to be painted at full strength, for SPEC.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from motion_clips import NO_PLACE, one
from motion_layers import Format
from motion_render import Studio
from pretrain_motion import HEAT_UNIT, Network
from safetensors.torch import save_file
from torch import Tensor

from streamcam.models import motion
from streamcam.models.motion import LABELS

FIRST_SEED = 5 * 10**8


@torch.no_grad()
def answers(network: Network, studio: Studio, clips: int) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Pooled heat, labels and what of them is sure, each [N,C]; and of each class the heat where a thing does it."""
    rows, heats = [], [torch.empty(0) for _ in LABELS]
    for first in range(FIRST_SEED, FIRST_SEED + clips, 4):
        rendered = studio.render([studio.compose(first + i) for i in range(4)])
        _, heat, _ = network(rendered.frames.float())
        for i in range(4):
            clip = one(rendered, i)
            rows.append((HEAT_UNIT * heat[i].mean((1, 2, 3)), clip["label"], clip["sure"]))
            for c, name in enumerate(LABELS):
                if clip["label"][c]:
                    there = heat[i, c] if name in NO_PLACE else heat[i, c][clip["cover"][c] > 0.5]
                    heats[c] = torch.cat([heats[c], HEAT_UNIT * there.flatten()[::7].cpu()])
    pooled, label, sure = (torch.stack(z).cpu() for z in zip(*rows, strict=True))
    return pooled, label, sure, heats


def fitted(pooled: Tensor, label: Tensor, sure: Tensor) -> tuple[Tensor, Tensor]:
    """The factor and bias of each class [C] that make the most of pooled heat [N,C]."""
    log_factor, bias = torch.zeros(len(LABELS)), torch.full((len(LABELS),), -2.0)
    single = label.sum(1) == 1
    optimizer = torch.optim.LBFGS([log_factor.requires_grad_(), bias.requires_grad_()], max_iter=300)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = pooled * log_factor.exp() + bias
        value = F.binary_cross_entropy_with_logits(logits, label, weight=sure * (1 + 2 * label))
        value = (
            value + 0.2 * F.cross_entropy(logits[single], label[single].argmax(1)) + 1e-3 * log_factor.square().sum()
        )
        value.backward()
        return value

    optimizer.step(loss)
    return log_factor.detach().exp(), bias.detach()


def report(logits: Tensor, label: Tensor, sure: Tensor) -> str:
    """How often the strongest class is the only true one, and each class's yes and no are right."""
    single = label.sum(1) == 1
    right = (logits.argmax(1) == label.argmax(1))[single].float().mean()
    sound = (((logits > 0) == (label > 0.5)).float() * sure).sum() / sure.sum()
    return f"top-1 {right:.3f} of {int(single.sum())} clips, each class {sound:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of scripts/pretrain_motion.py")
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--output", type=Path, default=motion.WEIGHTS)
    args = parser.parse_args()
    network = Network()
    network.load_state_dict(torch.load(args.folder / "checkpoint.pt", map_location="cpu", weights_only=True)["mean"])
    network.to(memory_format=torch.channels_last_3d).eval()
    pooled, label, sure, heats = answers(network, Studio("train", fmt=Format()), args.clips)
    print("before:", report(pooled + network.classifier.bias.detach(), label, sure))
    factor, bias = fitted(pooled, label, sure)
    print("after: ", report(pooled * factor + bias, label, sure))
    with torch.no_grad():
        network.classifier.weight *= factor[:, None]
        network.classifier.bias.copy_(bias)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.exported(), args.output)
    scale = [float(np.percentile(h[h > 0], 95)) * float(f) for h, f in zip(heats, factor, strict=True)]
    print("heat_scale=" + str(tuple(float(f"{s:.2g}") for s in scale)))


if __name__ == "__main__":
    main()
