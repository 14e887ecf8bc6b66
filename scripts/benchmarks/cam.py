"""What heat costs beside the bare forward of the same network: r3d_18, fp32, one clip."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from scripts.benchmarks.common import Plan, not_run, r3d_model, random_r3d, spread, table, those_that_work
from streamcam.bench.measure import Spread, Turn, ratios, timed_ms

SECONDS = 75.0
CLASSES = (0, 1, 2, 3, 4)
FORWARD = "the bare forward"


def measure(plan: Plan) -> dict[str, Any]:
    """Milliseconds a clip, and how many forwards that is.

    What takes many forwards has rounds of its own, so that the others have many rounds.
    """
    quick = {
        "streamcam, all 400 classes": ours,
        "torchcam CAM, 1 class": lambda: torchcam(CLASSES[:1]),
        "torchcam CAM, 5 classes": lambda: torchcam(CLASSES),
    }
    slow = {
        "grad-cam Grad-CAM, 1 class": lambda: gradcam(CLASSES[:1]),
        "grad-cam Grad-CAM, 5 classes": lambda: gradcam(CLASSES),
    }
    ms: dict[str, Any] = {}
    forwards: dict[str, Any] = {}
    absent: dict[str, Any] = {}
    for builders, share in ((quick, 0.4), (slow, 1.0)):
        turns, missing = those_that_work({FORWARD: bare, **builders}, plan.say)
        taken = plan.alternate(turns, share=share)
        absent |= missing
        ms |= {name: asdict(Spread.of(values)) for name, values in taken.items() if name not in ms}
        forwards |= {name: asdict(_forwards(taken[FORWARD], v)) for name, v in taken.items() if name != FORWARD}
    return {"ms": ms, "forwards": forwards, "absent": absent}


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for name, ms in figures["ms"].items():
        forwards = figures["forwards"].get(name)
        rows.append([name, spread(ms, ".0f", " ms"), spread(forwards, ".3f") if forwards else "1"])
    return table(("", "a clip", "forwards"), rows + not_run(figures["absent"], 3))


def _forwards(forward: list[float], values: list[float]) -> Spread:
    return ratios(values, forward)


def clip() -> Tensor:
    """A normalised clip, float32 [1,3,16,112,112]."""
    return torch.randn(1, 3, 16, 112, 112, generator=torch.Generator().manual_seed(0))


def _turn(work: Callable[[Tensor], object]) -> Turn:
    x = clip()
    return lambda: timed_ms(lambda: work(x))


def bare() -> Turn:
    """The network as it comes: logits, and no heat."""
    return _turn(torch.inference_mode()(random_r3d()))


def ours() -> Turn:
    """Logits, and the heat of all classes; nothing of the network is made faster."""
    return _turn(torch.inference_mode()(r3d_model()))


def torchcam(classes: tuple[int, ...]) -> Turn:
    """Logits, and the heat of some classes: the package takes one at a time."""
    from torchcam.methods import CAM

    network = random_r3d()
    extract = CAM(network, "layer4", "fc")

    @torch.inference_mode()
    def work(x: Tensor) -> None:
        network(x)
        for k in classes:
            extract(k, normalized=False)

    return _turn(work)


def gradcam(classes: tuple[int, ...]) -> Turn:
    """Logits, and the heat of some classes, each with a forward and a backward of its own, as the package does it."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    network = random_r3d()
    cam = GradCAM(network, [network.layer4])
    return _turn(lambda x: [cam(x, [ClassifierOutputTarget(k)]) for k in classes])
