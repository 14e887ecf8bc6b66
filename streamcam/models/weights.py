"""Weights from a file, never through pickle's machinery."""

import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from streamcam.errors import StreamcamError

MAX_HEADER_BYTES = 8 << 20
"""Of a .safetensors file; a larger one is not read. The names of ten thousand tensors take one."""

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
            _require_header(path)
            return _finite(load_file(path), path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except StreamcamError:
        raise
    except Exception as e:  # whatever the readers of a stranger's file stumble over
        raise StreamcamError(f"cannot read weights from {path}: not a safetensors or plain PyTorch file") from e
    for key in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise StreamcamError(f"cannot read weights from {path}: expected a dict of tensors, got something else")
    return _finite(state, path)


def _require_header(path: str) -> None:
    """Its length comes first, and is believed by nobody."""
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        left = os.fstat(file.fileno()).st_size - 8
    if length > min(left, MAX_HEADER_BYTES):
        raise StreamcamError(f"cannot read weights from {path}: it is cut off, or not a safetensors file")


def _finite(state: dict[str, Tensor], path: str) -> dict[str, Tensor]:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise StreamcamError(f"the weights in {path} are damaged: {name[:80]} holds numbers that are not finite")
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
