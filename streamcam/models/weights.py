"""Weights from a file, never through pickle's machinery."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from streamcam.errors import StreamcamError

WRAPPERS = ("state_dict", "model")
"""Keys under which training scripts keep the weights, beside an optimiser's state and the like."""


def load_state(path: str) -> dict[str, Tensor]:
    """The tensors in a .safetensors or .pth file; the latter only as far as it holds plain tensors.

    Raises:
        StreamcamError: no such file, or not a file of weights.
    """
    if not Path(path).is_file():
        raise StreamcamError(f"no such weights file: {path} (give a file, DEFAULT or none)")
    try:
        if path.endswith(".safetensors"):
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # whatever the readers of a stranger's file stumble over
        raise StreamcamError(f"cannot read weights from {path}: not a safetensors or plain PyTorch file") from e
    for key in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise StreamcamError(f"cannot read weights from {path}: expected a dict of tensors, got something else")
    return state


def fill(module: nn.Module, path: str) -> None:
    """Load a file into a module, all names matching.

    Raises:
        StreamcamError: the file's weights belong to another network.
    """
    try:
        module.load_state_dict(load_state(path))
    except RuntimeError as e:
        raise StreamcamError(f"the weights in {path} are not {type(module).__name__}'s: names or shapes differ") from e
