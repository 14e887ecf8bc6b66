"""Teach `motion` what moves and where, on rendered scenes: python -m scripts.motion.pretrain runs/motion

Three losses are added up:

- Binary cross-entropy on the logits of the whole clip, which is what `motion` is used for.
- Binary cross-entropy on the heat at each slice's own time, with the masks of what moves. Without it the heat sits in a
  ring around the mover, since pooling does not care which cells are hot.
- A linear layer, thrown away afterwards, that reads off the last feature map how each cell moves.

The network itself is not changed, so the heat still pools to the logits exactly.

Crops are three times as fast as whole pictures, so most steps are taken on crops and only the last ones on whole
pictures. `scripts.motion.finish` exports the trained network.

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

from scripts.motion.clips import NO_PLACE, PLACES, Pool
from scripts.motion.layers import WHOLE, Format
from scripts.motion.render import CELL, SceneRenderer
from streamcam.engines.device.hardware import cpu_has_bf16
from streamcam.models import motion
from streamcam.models.motion import LABELS

HEAT_UNIT = 40.0
"""Logits of a cell's heat per unit of what the losses on heat see: a thing on 1 % of the picture has to speak up a
hundred times as loud as the whole clip does."""
MASK_GAIN, MASK_BIAS = 3.0, -4.0
"""What the mask loss makes of loudness: none says no, and a heat of 10 · HEAT_UNIT a sure yes."""


SMALL = Format((64, 80))
"""A part of the whole picture."""


@dataclass
class Settings:
    """What a run depends on."""

    seed: int = 0
    steps: int = 11000
    batch: int = 8
    fresh: int = 1
    """New clips rendered at each step; each is seen batch / fresh times on average, turned and recoloured."""
    pool: int = 192
    learning_rate: float = 1e-3
    cool_down: float = 0.35
    """Share of the steps over which the rate goes to zero."""
    average: float = 0.998
    """How much of the running mean of the weights each step keeps."""
    mask_weight: float = 120.0
    whole_weight: float = 2.0
    which_weight: float = 2.0
    drift_weight: float = 3.0
    quiet_weight: float = 1.0
    order_weight: float = 0.5
    small_share: float = 0.77
    """Share of the steps that small pictures are taken for."""
    shades: float = 0.15
    """Share of the things that move which are but shades on what is behind them."""


class Network(nn.Module):
    """`motion` while it learns: the classifier is kept in the mask loss's units."""

    def __init__(self) -> None:
        super().__init__()
        model = motion.build("none")
        self.features, self.classifier = model.features, model.head.classifier
        self.mean, self.std = model.spec.clip_format.mean[0], model.spec.clip_format.std[0]
        self.drift = nn.Linear(self.classifier.in_features, 4)
        nn.init.normal_(self.classifier.weight, std=0.05)
        nn.init.constant_(self.classifier.bias, -2.0)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """0–255 [N,3,T,H,W] → logits [N,C], heat / HEAT_UNIT [N,C,L,h,w] and drift [N,4,L,h,w] as `told` tells it."""
        assert isinstance(self.features, nn.Sequential)
        changes, *layers, gate = self.features
        # In half precision a picture is rounded more coarsely than it changes: only what comes after is.
        x = changes((frames - self.mean) / self.std).contiguous(memory_format=torch.channels_last_3d)
        native = x.device.type != "cpu" or cpu_has_bf16()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=native):
            for layer in layers:
                x = layer(x)
        drift = torch.einsum("ck,nklhw->nclhw", self.drift.weight, x.float()) + self.drift.bias.view(1, 4, 1, 1, 1)
        x = gate(x.float())
        heat = torch.einsum("ck,nklhw->nclhw", self.classifier.weight, x)
        # A smaller picture is a part of the whole one; nothing is said of the rest.
        part = x.shape[3] * x.shape[4] * CELL**2 / (WHOLE[0] * WHOLE[1])
        share = torch.tensor([1.0 if name in NO_PLACE[1:] else part for name in LABELS], device=x.device)
        return HEAT_UNIT * share * heat.mean((2, 3, 4)) + self.classifier.bias, heat, drift

    def exported(self) -> dict[str, Tensor]:
        """The weights as `streamcam.models.motion` loads them."""
        model = motion.build("none")
        model.features.load_state_dict(self.features.state_dict())
        model.head.classifier.load_state_dict(self.classifier.state_dict())
        with torch.no_grad():
            model.head.classifier.weight *= HEAT_UNIT
        return {k: v.contiguous().clone() for k, v in model.state_dict().items()}


def losses(network: Network, batch: dict[str, Tensor], settings: Settings) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, and its parts for people."""
    logits, heat, drift = network(batch["frames"])
    label, sure = batch["label"], batch["sure"]
    whole = F.binary_cross_entropy_with_logits(logits, label, weight=sure * (1 + 2 * label), reduction="mean")
    loud = loudness(heat[:, PLACES])
    cover, weight = batch["cover"][:, PLACES], batch["weight"][:, PLACES]
    mask = F.binary_cross_entropy_with_logits(MASK_GAIN * loud + MASK_BIAS, cover, weight=weight)
    quiet = hum(heat[:, PLACES], cover, weight)
    single = ((label > 0.5).sum(1) == 1).float()
    order = (F.cross_entropy(logits, label.argmax(1), reduction="none") * single).sum() / single.sum().clamp(min=1)
    loss = settings.whole_weight * whole + settings.mask_weight * mask + settings.order_weight * order
    which = which_loss(MASK_GAIN * loud, cover, weight)
    matter = 0.05 + batch["drift"].abs().amax(1, keepdim=True)
    astray = ((drift - batch["drift"]).square() * matter).mean() / matter.mean()
    loss = loss + settings.which_weight * which + settings.quiet_weight * quiet + settings.drift_weight * astray
    right = ((logits.argmax(1) == label.argmax(1)).float() * single).sum() / single.sum().clamp(min=1)
    return loss, {
        "whole": whole.item(),
        "mask": mask.item(),
        "quiet": quiet.item(),
        "order": order.item(),
        "which": which.item(),
        "drift": astray.item(),
        "top1": right.item(),
    }


def loudness(heat: Tensor) -> Tensor:
    """Heat in HEAT_UNIT on a scale on which tenfold is one step: small things may shout, and nobody minds how loud."""
    return heat.sign() * heat.abs().log1p()


def hum(heat: Tensor, cover: Tensor, weight: Tensor) -> Tensor:
    """What cells that nothing happens in, nor near them, add to the logits on average; [N,C,L,h,w] each.

    They are many: what each of them hums drowns out the one thing that moves.
    """
    near = F.max_pool3d(cover.amax(1), (1, 5, 5), 1, (0, 2, 2))[:, None]
    return HEAT_UNIT * (heat.abs() * (1 - near) * (weight > 0)).mean()


def which_loss(loud: Tensor, cover: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy between the classes that have a place, where a thing does one of them; all [N,C,L,h,w]."""
    one = cover > 0.5
    weight = (weight * one).sum(1) * (one.sum(1) == 1) * (weight > 0).all(1)
    picked = (loud * one).sum(1)
    return ((loud.logsumexp(1) - picked) * weight).sum() / weight.sum().clamp(min=1)


def rate(step: int, settings: Settings) -> float:
    """Up over 200 steps, level, and down to zero at the end."""
    warm = min(1.0, (step + 1) / 200)
    return settings.learning_rate * warm * min(1.0, (settings.steps - step) / (settings.cool_down * settings.steps))


def train(
    folder: Path,
    settings: Settings,
    *,
    device: str,
    start: Path | None,
    minutes: float,
    photographs: Path | None = None,
) -> None:
    """Learn, from the folder's checkpoint where there is one; write another every minute."""
    torch.manual_seed(settings.seed)
    network = Network().to(device).to(memory_format=torch.channels_last_3d).train()
    if start:
        load_exported(network, start)
    mean = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(groups(network), weight_decay=0.02)
    step, path = 0, folder / "checkpoint.pt"
    if path.exists():
        state = torch.load(path, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    grows = round(settings.small_share * settings.steps)
    pool = new_pool(settings, SMALL if step < grows else Format(), device, step, photographs)
    began = saved = time.monotonic()
    sums: dict[str, float] = {}
    while step < settings.steps:
        if step == grows:
            pool = new_pool(settings, Format(), device, step, photographs)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, settings) * group["share"]
        loss, parts = losses(network, pool.batch(step), settings)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 30.0)
        optimizer.step()
        pool.advance(step)
        step += 1
        follow(mean, network, min(settings.average, step / (step + 10)))
        sums = {k: 0.97 * sums.get(k, v) + 0.03 * v for k, v in parts.items()}
        if step % 25 == 0:
            report = " ".join(f"{k} {v:.4f}" for k, v in sums.items())
            print(f"{time.strftime('%H:%M:%S')} step {step} {report}", flush=True)
        over = time.monotonic() - began > 60 * minutes
        if time.monotonic() - saved > 60 or step == settings.steps or over:
            save(folder, network, mean, optimizer, step)
            saved = time.monotonic()
        if over:
            return


def new_pool(settings: Settings, fmt: Format, device: str, step: int, photographs: Path | None) -> Pool:
    """Clips to learn from, from a step on."""
    renderer = SceneRenderer(
        "train", fmt=fmt, shades=settings.shades, seed=settings.seed, device=device, photographs=photographs
    )
    return Pool(renderer, seed=settings.seed, batch=settings.batch, fresh=settings.fresh, size=settings.pool, step=step)


def groups(network: Network) -> list[dict[str, object]]:
    """The classifier goes a fifth as fast: what it says of a cell counts HEAT_UNIT times for the whole."""
    features = [p for p in network.features.parameters() if p.requires_grad]
    features += list(network.drift.parameters())
    return [{"params": features, "share": 1.0}, {"params": list(network.classifier.parameters()), "share": 0.2}]


@torch.no_grad()
def follow(mean: nn.Module, network: nn.Module, keep: float) -> None:
    """A running mean of the weights, which is better than the last of them."""
    for a, b in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if a.is_floating_point():
            a.lerp_(b, 1 - keep)
        else:
            a.copy_(b)


def save(folder: Path, network: Network, mean: Network, optimizer: torch.optim.Optimizer, step: int) -> None:
    """The checkpoint and the network as it is used; each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "network": network.state_dict(),
        "mean": mean.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
    }
    torch.save(state, folder / "checkpoint.tmp")
    (folder / "checkpoint.tmp").replace(folder / "checkpoint.pt")
    save_file(mean.exported(), folder / "motion.tmp")
    (folder / "motion.tmp").replace(folder / "motion.safetensors")


def load_exported(network: Network, path: Path) -> None:
    """Start from weights as they are used."""
    state = load_file(path)
    network.features.load_state_dict(
        {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")}
    )
    weight = next(v for k, v in state.items() if k.startswith("head.") and v.ndim == 2)
    bias = next(v for k, v in state.items() if k.startswith("head.") and v.ndim == 1)
    with torch.no_grad():
        network.classifier.weight.copy_(weight / HEAT_UNIT)
        network.classifier.bias.copy_(bias)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="checkpoint.pt and motion.safetensors; goes on from what is there")
    for name, value in vars(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long, as if killed")
    parser.add_argument("--photographs", type=Path, help="folder of `scripts.motion.photographs`: more textures")
    args = parser.parse_args()
    settings = Settings(**{k: getattr(args, k) for k in vars(Settings())})
    train(
        args.folder,
        settings,
        device=args.device,
        start=args.start,
        minutes=args.minutes,
        photographs=args.photographs,
    )


if __name__ == "__main__":
    main()
