"""Name → network. To add one, write a `ModelSpec` and a function that builds a `CamModel`, and list them here."""

from collections.abc import Callable
from difflib import get_close_matches

from streamcam.errors import StreamcamError
from streamcam.models import imagenet, torchvision
from streamcam.models.base import CamModel, ModelSpec

SPECS: dict[str, ModelSpec] = {imagenet.SPEC.name: imagenet.SPEC, **torchvision.SPECS}
BUILDERS: dict[str, Callable[[str], CamModel]] = {"imagenet": imagenet.build, **torchvision.BUILDERS}

__all__ = ["BUILDERS", "SPECS", "CamModel", "ModelSpec", "find_spec", "load_model"]


def find_spec(name: str) -> ModelSpec:
    """What is known of a model by its name.

    Raises:
        StreamcamError: there is no such model.
    """
    if name in torchvision.REFUSED:
        raise StreamcamError(torchvision.REFUSED[name])
    if name not in SPECS:
        close = get_close_matches(name, SPECS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(SPECS)}"
        raise StreamcamError(f"no such model: {name} ({hint})")
    return SPECS[name]


def load_model(name: str = "imagenet", *, weights: str | None = None) -> CamModel:
    """Build a model, in evaluation mode, on the CPU, in float32.

    Args:
        name: one of `streamcam models`.
        weights: DEFAULT (the published ones), none (random, for measuring), or a .safetensors or .pth file.

    Raises:
        StreamcamError: no such model, or its weights cannot be had.
    """
    spec = find_spec(name)
    return BUILDERS[name](weights or spec.weights)
