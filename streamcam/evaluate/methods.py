"""The methods whose heat is compared: a name and a function for each.

Write a function from a window to heat and add it to `METHODS`: `streamcam eval --method NAME` then measures it.
"""

from collections.abc import Callable, Sequence
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
    """One window of a clip: what a method computes its heat from."""

    clip: Clip
    """The frames that the network saw."""
    heat: Heat
    """The heat of every class that the truth names."""
    model: CamModel
    """The network in float32, on its device."""
    key: str
    """The window's name in the data set. It seeds what is random."""


Method = Callable[[EvalWindow, int], Floats]
"""(window, index k of a class of its heat, 0 to K − 1) → float32 [L',h,w]."""


def raw(window: EvalWindow, k: int) -> Floats:
    """Return the heat cube itself, which pools to the logit (Zhou et al., CVPR 2016)."""
    return np.asarray(window.heat.cube[k], np.float32)


def centred(window: EvalWindow, k: int) -> Floats:
    """Return centred heat: the cube minus its mean over all classes, which softmax ignores. streamcam draws this."""
    return np.asarray(window.heat.cube[k] - window.heat.common, np.float32)


def noise(window: EvalWindow, k: int) -> Floats:
    """Return a baseline: Gaussian noise of the heat's resolution, smoothed over 3×3 cells; the same in every run."""
    shape = window.heat.common.shape
    generator = np.random.default_rng(crc32(f"{window.key} {window.heat.labels[k]}".encode(errors="surrogateescape")))
    slices = generator.normal(size=shape).astype(np.float32)
    return np.stack([cv2.GaussianBlur(cells, (3, 3), 0) for cells in slices])


def centre(window: EvalWindow, k: int) -> Floats:  # noqa: ARG001
    """Return a baseline: a Gaussian in the middle of the picture, where objects often are.

    Its standard deviation is a quarter of the picture's width and height.
    """
    slices, height, width = window.heat.common.shape
    y = (np.arange(height) + 0.5) / height - 0.5
    x = (np.arange(width) + 0.5) / width - 0.5
    bump = np.exp(-(y[:, None] ** 2 + x**2) / (2 * 0.25**2))
    return np.broadcast_to(bump.astype(np.float32), (slices, height, width)).copy()


def grad_cam(window: EvalWindow, k: int) -> Floats:
    """Compute Grad-CAM of the class's logit on the same network (Selvaraju et al., ICCV 2017).

    For a head that is pooled and linear, the gradient of logit_c by f_k(l,y,x) is w_ck / (L'h'w') everywhere, so
    Grad-CAM is ReLU(M_c) up to a factor. A test holds the result to that.

    Raises:
        StreamcamError: the package `grad-cam` is not installed.
    """
    grad_cam_class = _import_grad_cam()
    model, index = window.model, int(window.heat.classes[k])
    # Only gradients by the feature maps are needed: cut the graph there, so that nothing is computed further back.
    hook = model.features.register_forward_hook(lambda _module, _inputs, maps: maps.detach().requires_grad_())
    try:
        with torch.enable_grad(), grad_cam_class(_Logits(model), [model.features]) as cam:
            x = model.normalise(torch.from_numpy(window.clip.frames).to(model.mean.device)[None])
            # A framewise network takes each frame as a picture of its own.
            x = x[0].transpose(0, 1) if model.spec.framewise else x
            cam.activations_and_grads(x)[:, index].sum().backward()
            # A framewise network takes a long clip in parts, and the package records one entry for each part.
            maps, gradients = (
                np.concatenate([part.cpu().numpy() for part in parts])
                for parts in (cam.activations_and_grads.activations, cam.activations_and_grads.gradients)
            )
            # Calling `cam(x)` would stretch each picture to 0–1. The weighted sum underneath keeps its scale.
            heat = cam.get_cam_image(x, model.features, None, maps, gradients, False)
    finally:
        hook.remove()
    return np.asarray(np.maximum(heat if model.spec.framewise else heat[0], 0), np.float32)


METHODS: dict[str, Method] = {
    "centred": centred,
    "raw": raw,
    "grad-cam": grad_cam,
    "random": noise,
    "centre": centre,
}
ALWAYS = ("centred", "raw")
"""These are in every report, and so are `BASELINES`."""

BASELINES = ("random", "centre")


def choose_methods(extra: Sequence[str]) -> dict[str, Method]:
    """Choose the methods of a report: those of `ALWAYS`, then `extra`, then the baselines.

    Raises:
        StreamcamError: there is no such method, or its package is not installed.
    """
    for name in extra:
        if name not in METHODS:
            raise StreamcamError(f"no such method: {name} (there are {', '.join(METHODS)})")
    if "grad-cam" in extra:
        _import_grad_cam()
    names = dict.fromkeys([*ALWAYS, *extra, *BASELINES])
    return {name: METHODS[name] for name in names}


class _Logits(nn.Module):
    """A model as `grad-cam` expects one: it returns logits [N,C] of pictures [N,3,h,w] or clips [N,3,L,h,w]."""

    def __init__(self, model: CamModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a normalised batch; a picture is a clip with one frame."""
        logits: Tensor = self.model(x[:, :, None] if x.ndim == 4 else x).logits
        return logits


def _import_grad_cam() -> Any:
    """Import the class `GradCAM`; the package is large, and only one method needs it."""
    try:
        from pytorch_grad_cam import GradCAM
    except ImportError as e:
        raise StreamcamError("method grad-cam needs the package of that name: scripts/install test brings it") from e
    return GradCAM
