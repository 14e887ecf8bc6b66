"""Teach `motion` what moves and where, on rendered scenes: python -m scripts.motion.pretrain runs/motion

Three losses are added up:

- Cross-entropy of each cell: which of twelve things happens there, or none, by the rendered masks.
- Binary cross-entropy on the logits of the whole clip, which is what `motion` is used for.
- A linear layer, thrown away afterwards, reads off what each cell knows how that cell moves.

The network itself is not changed, so the heat still pools to the logits exactly. `scripts.motion.finish` exports the
trained network.

Everything depends on the seed and the step, so a run that was stopped goes on as if it had not been.
"""

import argparse
import copy
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from scripts.motion.clips import Pool
from streamcam.engines.device.hardware import cpu_has_bf16
from streamcam.models import motion
from streamcam.models.motion import LABELS, MAPS

OWN_MAP = [MAPS.index(name) for name in LABELS]
"""The map of each class."""


@dataclass
class Settings:
    """What a run depends on."""

    seed: int = 0
    steps: int = 11000
    batch: int = 8
    fresh: int = 2
    """New clips rendered at each step; each is seen batch / fresh times on average, turned and recoloured."""
    pool: int = 384
    learning_rate: float = 1e-3
    cool_down: float = 0.5
    """Share of the steps over which the rate goes to zero."""
    average: float = 0.998
    """How much of the running mean of the weights each step keeps."""
    whole_weight: float = 0.5
    order_weight: float = 0.1
    drift_weight: float = 0.5
    shades: float = 0.15
    """Share of the things that move which are but shades on what is behind them."""


class Network(nn.Module):
    """`motion` while it learns: with one factor and bias for each class, and a layer that tells how cells move."""

    def __init__(self) -> None:
        super().__init__()
        model = motion.build("none")
        assert isinstance(model.features, motion.MotionFeatures)
        self.features = model.features
        self.mean, self.std = model.spec.clip_format.mean[0], model.spec.clip_format.std[0]
        self.halves = torch.cuda.is_available() or cpu_has_bf16()
        self.factor = nn.Parameter(torch.full((len(LABELS),), 8.0))
        self.bias = nn.Parameter(torch.full((len(LABELS),), -4.0))
        self.drift = nn.Conv3d(motion.CONFIG.join, 4, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """0–255 [N,3,T,H,W] → maps [N,16,L,h,w], each cell's logits [N,13,L,h,w] and drift [N,4,L,h,w] as `told`."""
        # In half precision a picture is rounded more coarsely than it changes: only what comes after is.
        changes = self.features.changes((frames.float() - self.mean) / self.std)
        changes = changes.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.halves):
            seen = self.features.context(self.features.scales(changes))
        seen = seen.float()
        shares = self.features.shares
        return shares(seen), shares.placed(seen), self.drift(seen)

    def logits(self, maps: Tensor) -> Tensor:
        """Logits [N,C] of maps [N,16,L,h,w]."""
        return maps.mean((2, 3, 4))[:, OWN_MAP] * self.factor + self.bias

    def heat(self, maps: Tensor) -> Tensor:
        """Heat [N,C,L,h,w] of maps [N,16,L,h,w]."""
        return maps[:, OWN_MAP] * self.factor.view(-1, 1, 1, 1)

    def exported(self) -> dict[str, Tensor]:
        """The weights as `streamcam.models.motion` loads them."""
        model = motion.build("none")
        model.features.load_state_dict(self.features.state_dict())
        with torch.no_grad():
            model.head.classifier.weight.zero_()
            model.head.classifier.weight[range(len(LABELS)), OWN_MAP] = self.factor
            model.head.classifier.bias.copy_(self.bias)
        return {k: v.contiguous().clone() for k, v in model.state_dict().items()}


def losses(network: Network, batch: dict[str, Tensor], settings: Settings) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and its parts for people: whole, order, cells, drift, top1."""
    maps, cells, drift = network(batch["frames"])
    logits, label, sure = network.logits(maps), batch["label"], batch["sure"]
    whole = F.binary_cross_entropy_with_logits(logits, label, weight=sure)
    single = ((label > 0.5).sum(1) == 1).float()
    order = (F.cross_entropy(logits, label.argmax(1), reduction="none") * single).sum() / single.sum().clamp(min=1)
    cover = batch["cover"].float()
    cover = cover / cover.sum(1, keepdim=True).clamp(min=1)
    target = torch.cat([1 - cover.sum(1, keepdim=True), cover], 1)
    weight = batch["weight"].float()
    cell = -((target * cells.log_softmax(1)).sum(1) * weight).mean()
    told = batch["drift"].float()
    matter = 0.05 + told.abs().amax(1, keepdim=True)
    astray = ((drift - told).square() * matter).mean() / matter.mean()
    loss = settings.whole_weight * whole + settings.order_weight * order + cell + settings.drift_weight * astray
    right = ((logits.argmax(1) == label.argmax(1)).float() * single).sum() / single.sum().clamp(min=1)
    return loss, torch.stack([whole, order, cell, astray, right]).detach()


PARTS = ("whole", "order", "cells", "drift", "top1")


def rate(step: int, settings: Settings) -> float:
    """Up over 200 steps, level, and down to zero at the end."""
    warm = min(1.0, (step + 1) / 200)
    return settings.learning_rate * warm * min(1.0, (settings.steps - step) / (settings.cool_down * settings.steps))


class Learner:
    """A network while it learns: its weights and their running mean, the optimiser, and the steps that are done."""

    def __init__(self, settings: Settings, *, device: str, start: Path | None, fuse: bool) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device, self.step = settings, device, 0
        self.network = Network().to(device).to(memory_format=torch.channels_last_3d).train()
        if start:
            begin_from(self.network, start)
        self.mean = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(groups(self.network), weight_decay=0.02)
        self.losses = torch.compile(losses, dynamic=False) if fuse else losses

    def learn(self, batch: dict[str, Tensor]) -> Tensor:
        """Take a step, and return the parts of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.settings) * group["share"]
        loss, parts = self.losses(self.network, {k: v.to(self.device) for k, v in batch.items()}, self.settings)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        follow(self.mean, self.network, min(self.settings.average, self.step / (self.step + 10)))
        return parts

    def save(self, folder: Path) -> None:
        """Write the checkpoint, and the network as it is used; each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = {name: getattr(self, name).state_dict() for name in ("network", "mean", "optimizer")}
        torch.save({**parts, "step": self.step}, folder / "checkpoint.tmp")
        (folder / "checkpoint.tmp").replace(folder / "checkpoint.pt")
        save_file(self.mean.exported(), folder / "motion.tmp")
        (folder / "motion.tmp").replace(folder / "motion.safetensors")

    def resume(self, folder: Path) -> None:
        """Go on from a folder's checkpoint, where there is one."""
        path = folder / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
            for name in ("network", "mean", "optimizer"):
                getattr(self, name).load_state_dict(state[name])
            self.step = state["step"]


def train(folder: Path, learner: Learner, *, minutes: float, photographs: Path | None = None) -> None:
    """Learn, from the folder's checkpoint where there is one; write another every minute."""
    settings = learner.settings
    learner.resume(folder)
    pool = Pool(
        settings.seed,
        learner.step,
        settings.steps,
        size=settings.pool,
        fresh=settings.fresh,
        shades=settings.shades,
        photographs=photographs,
    )
    began = saved = time.monotonic()
    sums: Tensor | None = None
    while learner.step < settings.steps:
        parts = learner.learn(pool.batch(learner.step, settings.batch))
        pool.advance()
        sums = parts if sums is None else sums.lerp(parts, 0.03)
        if learner.step % 25 == 0:
            report = " ".join(f"{k} {v:.4f}" for k, v in zip(PARTS, sums.tolist(), strict=True))
            print(f"{time.strftime('%H:%M:%S')} step {learner.step} {report}", flush=True)
        over = time.monotonic() - began > 60 * minutes
        if time.monotonic() - saved > 60 or learner.step == settings.steps or over:
            learner.save(folder)
            saved = time.monotonic()
        if over:
            return


def groups(network: Network) -> list[dict[str, object]]:
    """What is learnt; the classes' factors go thirty times as fast, since they are so much larger."""
    others = [p for n, p in network.named_parameters() if p.requires_grad and n not in ("factor", "bias")]
    return [{"params": others, "share": 1.0},
            {"params": [network.factor, network.bias], "share": 30.0, "weight_decay": 0.0}]  # fmt: skip


@torch.no_grad()
def follow(mean: nn.Module, network: nn.Module, keep: float) -> None:
    """A running mean of the weights, which is better than the last of them."""
    for a, b in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        a.lerp_(b, 1 - keep)


def begin_from(network: Network, path: Path) -> None:
    """Start from the layers in front of the classifier that a file of weights has."""
    state = {k.removeprefix("features."): v for k, v in load_file(path).items() if k.startswith("features.")}
    missing, unknown = network.features.load_state_dict(state, strict=False)
    print(f"{len(state) - len(unknown)} tensors from {path}, {len(missing)} from the seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="checkpoint.pt and motion.safetensors; goes on from what is there")
    for name, value in vars(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long, as if killed")
    parser.add_argument("--photographs", type=Path, help="folder of `scripts.motion.photographs`: more textures")
    parser.add_argument("--fuse", action="store_true", help="compile it: twice as fast, but needs a C++ compiler")
    args = parser.parse_args()
    settings = Settings(**{k: getattr(args, k) for k in vars(Settings())})
    learner = Learner(settings, device=args.device, start=args.start, fuse=args.fuse)
    train(args.folder, learner, minutes=args.minutes, photographs=args.photographs)


if __name__ == "__main__":
    main()
