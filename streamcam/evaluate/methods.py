"""Whose heat is measured: a name and a function each. Add one to `METHODS` and it can be asked for by its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.records import Clip, Floats, Heat


@dataclass(frozen=True, slots=True, eq=False)
class EvalWindow:
    """One window of a clip, with all that a contender may want to know."""

    clip: Clip
    heat: Heat
    """Of every class that the truth speaks of."""
    model: CamModel
    """In float32, on its device."""
    key: str
    """Its name in the set: what is random is drawn from it."""


Method = Callable[[EvalWindow, int], Floats]
"""(window, which of its heat's K classes) → float32 [L',h,w]."""


def raw(window: EvalWindow, k: int) -> Floats:
    """The heat cube as it is: what pools to the logit (Zhou et al., CVPR 2016)."""
    return np.asarray(window.heat.cube[k], np.float32)


def centred(window: EvalWindow, k: int) -> Floats:
    """The heat cube less its mean over all classes, which softmax does not see: what streamcam draws."""
    return np.asarray(window.heat.cube[k] - window.heat.common, np.float32)


def noise(window: EvalWindow, k: int) -> Floats:
    """A baseline: noise of the heat's own resolution, smoothed over a cell and its neighbours."""
    shape = window.heat.common.shape
    generator = np.random.default_rng(crc32(f"{window.key} {window.heat.labels[k]}".encode(errors="surrogateescape")))
    slices = generator.normal(size=shape).astype(np.float32)
    return np.stack([cv2.GaussianBlur(cells, (3, 3), 0) for cells in slices])


def centre(window: EvalWindow, k: int) -> Floats:  # noqa: ARG001
    """A baseline: a Gaussian in the middle of the picture, a quarter of it wide. Things often are in the middle."""
    slices, height, width = window.heat.common.shape
    y = (np.arange(height) + 0.5) / height - 0.5
    x = (np.arange(width) + 0.5) / width - 0.5
    bump = np.exp(-(y[:, None] ** 2 + x**2) / (2 * 0.25**2))
    return np.broadcast_to(bump.astype(np.float32), (slices, height, width)).copy()


def grad_cam(window: EvalWindow, k: int) -> Floats:
    """Grad-CAM of the class's logit (Selvaraju et al., ICCV 2017), by the package `grad-cam`, on the same network.

    Each frame is a picture of its own for a network that looks at frames alone; otherwise the clip is one. The package
    would stretch every picture from 0 to 1, so its weighted sum is taken, and the paper's ReLU.
    """
    gradcam = _package()
    model, index = window.model, int(window.heat.classes[k])
    # Gradients are wanted of the feature maps alone: nothing is computed back through the network below them.
    cut = model.features.register_forward_hook(lambda _module, _inputs, maps: maps.detach().requires_grad_())
    try:
        with torch.enable_grad(), gradcam(_Logits(model), [model.features]) as cam:
            x = model.normalise(torch.from_numpy(window.clip.frames).to(model.mean.device)[None])
            x = x[0].transpose(0, 1) if model.spec.framewise else x
            cam.activations_and_grads(x)[:, index].sum().backward()
            # Several, where a framewise network takes a long clip in parts.
            maps, gradients = (
                np.concatenate([part.cpu().numpy() for part in parts])
                for parts in (cam.activations_and_grads.activations, cam.activations_and_grads.gradients)
            )
            found = cam.get_cam_image(x, model.features, None, maps, gradients, False)
    finally:
        cut.remove()
    return np.asarray(np.maximum(found if model.spec.framewise else found[0], 0), np.float32)


METHODS: dict[str, Method] = {
    "contrast": centred,
    "raw": raw,
    "grad-cam": grad_cam,
    "random": noise,
    "centre": centre,
}
ALWAYS = ("contrast", "raw")
BASELINES = ("random", "centre")


def choose(extra: list[str]) -> dict[str, Method]:
    """The contenders of a report: those that are always in it, the ones asked for, and the baselines.

    Raises:
        StreamcamError: there is no such contender, or its package is not installed.
    """
    for name in extra:
        if name not in METHODS:
            raise StreamcamError(f"no such contender: {name} (there are {', '.join(METHODS)})")
    if "grad-cam" in extra:
        _package()
    names = dict.fromkeys([*ALWAYS, *extra, *BASELINES])
    return {name: METHODS[name] for name in names}


class _Logits(nn.Module):
    """A model as `grad-cam` expects one: normalised pictures [N,3,h,w], or clips [N,3,L,h,w] → logits [N,C]."""

    def __init__(self, model: CamModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """One picture is a clip with one frame."""
        logits: Tensor = self.model(x[:, :, None] if x.ndim == 4 else x).logits
        return logits


def _package() -> Any:
    try:
        from pytorch_grad_cam import GradCAM
    except ImportError as e:
        raise StreamcamError("contender grad-cam needs the package of that name: scripts/install test brings it") from e
    return GradCAM
