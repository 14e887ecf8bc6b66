"""Calibrate each class of a trained `motion`, and export it: python -m scripts.motion.finish RUN

A factor on each class's map, hence on its heat, and its bias are fitted on rendered clips that were not trained on, so
that of the names with a score of 0.8, eight in ten are right (Platt, 1999). Logits still are bias plus pooled heat.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from scripts.motion.clips import Clips
from scripts.motion.pretrain import OWN_MAP, Network, Settings
from streamcam.heat.none_of_these import UNPAINTED
from streamcam.models import motion
from streamcam.models.motion import LABELS, NO_PLACE
from streamcam.models.registry import save_checkpoint

FIRST_CLIP = 5 * 10**8
"""Training does not come so far."""
ALIKE = (
    ("moving left", "moving right", "moving up", "moving down"),
    ("turning clockwise", "turning counter-clockwise"),
)
"""Classes that a turned or mirrored picture makes of each other: there is no reason why one should speak up more."""
FULL = 3.0
"""The map that is painted at full strength: of a thing on a third of the picture, if its cells are sure."""

ABOUT = """\
15 motions of things and cameras, where and when; a small 3D network taught by rendered scenes.
Made by scripts/motion/pretrain.py and scripts/motion/finish.py, from labels of rendered clips, with their masks as an
auxiliary loss on what each cell says; no video was used. Good for which way people, hands and things go. Not for who or
what they are, nor for what moves slower than a few tenths of a pixel of 112×144 a frame. What it reaches, and what not,
is in docs/motion.md."""


@torch.no_grad()
def pooled_answers(network: Network, clips: Clips) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled maps of the classes, labels and what of them is sure, each [N,C]."""
    loader = DataLoader(clips, batch_size=4, num_workers=1, multiprocessing_context="spawn")
    rows = []
    for batch in track(loader, description="clips"):
        maps = network(batch["frames"])[0]
        rows.append((maps.mean((2, 3, 4))[:, OWN_MAP], batch["label"], batch["sure"]))
    pooled, label, sure = (torch.cat(z) for z in zip(*rows, strict=True))
    return pooled, label, sure


def fitted(pooled: Tensor, label: Tensor, sure: Tensor) -> tuple[Tensor, Tensor]:
    """The factor and bias of each class [C] that make the most of pooled heat [N,C].

    Classes that are alike share a factor. Those that have a place share one bias: where little moves, the strongest of
    them is the one whose heat there is, and not the one that is likeliest anyway.
    """
    own = torch.tensor([0 if name not in NO_PLACE else 1 + NO_PLACE.index(name) for name in LABELS])
    first = {name: names[0] for names in ALIKE for name in names}
    alike = torch.tensor([LABELS.index(first.get(name, name)) for name in LABELS])
    log_factor, biases = torch.full((len(LABELS),), 2.0), torch.full((1 + len(NO_PLACE),), -4.0)
    optimizer = torch.optim.LBFGS([log_factor.requires_grad_(), biases.requires_grad_()], max_iter=300)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = pooled * log_factor[alike].exp() + biases[own]
        value = F.binary_cross_entropy_with_logits(logits, label, weight=sure)
        value.backward()
        return value

    optimizer.step(loss)
    return log_factor.detach()[alike].exp(), biases.detach()[own]


def calibration_error(logits: Tensor, label: Tensor, sure: Tensor) -> float:
    """Expected calibration error over ten bins of scores (Naeini et al., AAAI 2015)."""
    score, true = logits.sigmoid()[sure > 0.5], label[sure > 0.5]
    bins = (score * 10).long().clamp(max=9)
    return sum(float((score - true)[bins == i].sum().abs()) for i in bins.unique()) / len(score)


def report(logits: Tensor, label: Tensor, sure: Tensor) -> str:
    """How often the strongest class is the only true one, and each class's yes and no are right."""
    single = (label > 0.5).sum(1) == 1
    right = (logits.argmax(1) == label.argmax(1))[single].float().mean()
    sound = (((logits > 0) == (label > 0.5)).float() * sure).sum() / sure.sum()
    error = calibration_error(logits, label, sure)
    return f"top-1 {right:.3f} of {int(single.sum())} clips, each class {sound:.3f}, calibration error {error:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of scripts/motion/pretrain.py")
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=motion.WEIGHTS)
    parser.add_argument("--photographs", type=Path, help="as in training")
    args = parser.parse_args()
    network = Network()
    network.load_state_dict(torch.load(args.folder / "checkpoint.pt", map_location="cpu", weights_only=True)["mean"])
    network.to(memory_format=torch.channels_last_3d).eval()
    clips = Clips(0, FIRST_CLIP, args.clips, shades=Settings.shades, photographs=args.photographs)
    pooled, label, sure = pooled_answers(network, clips)
    before = network.factor.detach(), network.bias.detach()
    factor, bias = fitted(pooled, label, sure)
    for name, (by, add) in (("before", before), ("after", (factor, bias))):
        print(f"{name}: {report(pooled * by + add, label, sure)}")
    with torch.no_grad():
        network.factor.copy_(factor)
        network.bias.copy_(bias)
    scale = tuple(
        UNPAINTED if name in NO_PLACE else float(f"{FULL * by:.2g}")
        for name, by in zip(LABELS, factor.tolist(), strict=True)
    )
    model = motion.build("none")
    model.load_state_dict(network.exported())
    save_checkpoint(
        model.with_spec(replace(model.spec, heat_scale=scale)), args.output, about=ABOUT, licence="Apache-2.0"
    )


if __name__ == "__main__":
    main()
