"""Set the scale and bias of each class of a trained `motion`, and export it: python -m scripts.motion.finish RUN

A factor on each class's weights, hence on its heat, and its bias are fitted on rendered clips that were not trained on.
Logits still are bias plus pooled heat. The heat that is painted at full strength is measured on the same clips, and
goes into the model card beside the weights.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from scripts.motion.clips import NO_PLACE, one
from scripts.motion.layers import Format
from scripts.motion.pretrain import HEAT_UNIT, Network
from scripts.motion.render import SceneRenderer
from streamcam.models import motion
from streamcam.models.motion import LABELS
from streamcam.models.registry import save_checkpoint

FIRST_SEED = 5 * 10**8
AT_ONCE = 4
ALIKE = (
    ("moving left", "moving right", "moving up", "moving down"),
    ("turning clockwise", "turning counter-clockwise"),
)
"""Classes that a turned or mirrored picture makes of each other: there is no reason why one should speak up more."""
UNPAINTED = 1e4
"""The scale of what holds of the whole picture: so large that none of it is painted, for it would hide everything."""

ABOUT = """\
15 motions of things and cameras, where and when; a small 3D network taught by rendered scenes.
Made by scripts/motion/pretrain.py and scripts/motion/finish.py, from labels of rendered clips, with their masks as an
auxiliary loss on the heat; no video was used. Good for which way people, hands and things go, seen by a camera that
stands. Not for who or what they are, nor for what moves slower than a few tenths of a pixel of 112×144 a frame; while
the camera moves it does not say which way things go. What it reaches, and what not, is in docs/motion.md."""


@torch.no_grad()
def answers(
    network: Network, renderer: SceneRenderer, first: int, count: int
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Rendered clips with their heat in logits [C,L,h,w]."""
    for seed in track(range(first, first + count, AT_ONCE), description="clips"):
        rendered = renderer.render([renderer.compose(seed + i) for i in range(AT_ONCE)])
        heat = HEAT_UNIT * network(rendered.frames.float())[1]
        yield from ((heat[i], one(rendered, i)) for i in range(AT_ONCE))


def pooled_answers(network: Network, renderer: SceneRenderer, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled heat, labels and what of them is sure, each [N,C]."""
    rows = [
        (h.mean((1, 2, 3)), clip["label"], clip["sure"]) for h, clip in answers(network, renderer, FIRST_SEED, count)
    ]
    pooled, label, sure = (torch.stack(z).cpu() for z in zip(*rows, strict=True))
    return pooled, label, sure


def heat_scale(network: Network, renderer: SceneRenderer, first: int, count: int) -> tuple[float, ...]:
    """Of positive heat where a thing does what the class says, the third quartile; [C].

    Small things are far louder than large ones, whose heat is spread over more cells: these have to be seen, too.
    """
    found: list[list[Tensor]] = [[] for _ in LABELS]
    for heat, clip in answers(network, renderer, first, count):
        for c in np.flatnonzero(clip["label"].numpy() > 0.5):
            found[c].append(heat[c][(clip["cover"][c] > 0.5) & (heat[c] > 0)])
    return tuple(
        UNPAINTED if name in NO_PLACE else float(f"{torch.cat(heats).quantile(0.75):.2g}")
        for name, heats in zip(LABELS, found, strict=True)
    )


def fitted(pooled: Tensor, label: Tensor, sure: Tensor) -> tuple[Tensor, Tensor]:
    """The factor and bias of each class [C] that make the most of pooled heat [N,C].

    Classes that are alike share a factor. Those that have a place share one bias: where little moves, the strongest of
    them is the one whose heat there is, and not the one that is likeliest anyway.
    """
    own = torch.tensor([0 if name not in NO_PLACE else 1 + NO_PLACE.index(name) for name in LABELS])
    first = {name: names[0] for names in ALIKE for name in names}
    alike = torch.tensor([LABELS.index(first.get(name, name)) for name in LABELS])
    log_factor, biases = torch.zeros(len(LABELS)), torch.full((1 + len(NO_PLACE),), -2.0)
    single = (label > 0.5).sum(1) == 1
    optimizer = torch.optim.LBFGS([log_factor.requires_grad_(), biases.requires_grad_()], max_iter=300)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = pooled * log_factor[alike].exp() + biases[own]
        value = F.binary_cross_entropy_with_logits(logits, label, weight=sure * (1 + 2 * label))
        value = (
            value + 0.2 * F.cross_entropy(logits[single], label[single].argmax(1)) + 1e-3 * log_factor.square().sum()
        )
        value.backward()
        return value

    optimizer.step(loss)
    return log_factor.detach()[alike].exp(), biases.detach()[own]


def report(logits: Tensor, label: Tensor, sure: Tensor) -> str:
    """How often the strongest class is the only true one, and each class's yes and no are right."""
    single = (label > 0.5).sum(1) == 1
    right = (logits.argmax(1) == label.argmax(1))[single].float().mean()
    sound = (((logits > 0) == (label > 0.5)).float() * sure).sum() / sure.sum()
    return f"top-1 {right:.3f} of {int(single.sum())} clips, each class {sound:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of scripts/motion/pretrain.py")
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--output", type=Path, default=motion.WEIGHTS)
    parser.add_argument("--photographs", type=Path, help="as in training")
    args = parser.parse_args()
    network = Network()
    network.load_state_dict(torch.load(args.folder / "checkpoint.pt", map_location="cpu", weights_only=True)["mean"])
    network.to(memory_format=torch.channels_last_3d).eval()
    renderer = SceneRenderer("train", fmt=Format(), photographs=args.photographs)
    pooled, label, sure = pooled_answers(network, renderer, args.clips)
    print("before:", report(pooled + network.classifier.bias.detach(), label, sure))
    factor, bias = fitted(pooled, label, sure)
    print("after: ", report(pooled * factor + bias, label, sure))
    with torch.no_grad():
        network.classifier.weight *= factor[:, None]
        network.classifier.bias.copy_(bias)
    scale = heat_scale(network, renderer, FIRST_SEED + args.clips, args.clips // 2)
    model = motion.build("none")
    model.load_state_dict(network.exported())
    save_checkpoint(
        model.with_spec(replace(model.spec, heat_scale=scale)), args.output, about=ABOUT, licence="Apache-2.0"
    )


if __name__ == "__main__":
    main()
