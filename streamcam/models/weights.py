"""Reads weights from files. Nothing is unpickled that could run code."""

import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from streamcam.errors import StreamcamError

MAX_HEADER_BYTES = 8 << 20
"""A .safetensors file with a larger header is refused. The names of ten thousand tensors take 1 MiB."""

WRAPPERS = ("state_dict", "model")
"""Keys under which training scripts store the weights, beside an optimiser's state and the like."""


def load_state(path: str) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors or .pth file, by name. A .pth file may hold plain tensors only.

    Raises:
        StreamcamError: there is no such file, or it is not a file of weights, or a number in it is not finite.
    """
    if not Path(path).is_file():
        raise StreamcamError(f"no such weights file: {path} (give a file, DEFAULT or none)")
    try:
        if path.endswith(".safetensors"):
            _require_header(path)
            return _require_finite(load_file(path), path)
        state = torch.load(path, map_location="cpu", weights_only=True)  # unpickles tensors and plain containers only
    except StreamcamError:
        raise
    except Exception as e:  # the readers raise errors of many kinds for a damaged file
        raise StreamcamError(f"cannot read weights from {path}: not a safetensors or plain PyTorch file") from e
    for key in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise StreamcamError(f"cannot read weights from {path}: expected a dict of tensors, got something else")
    return _require_finite(state, path)


def _require_header(path: str) -> None:
    """Check the header's length, the first 8 bytes of a .safetensors file, against the size of the file."""
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        rest = os.fstat(file.fileno()).st_size - 8
    if length > min(rest, MAX_HEADER_BYTES):
        raise StreamcamError(f"cannot read weights from {path}: it is cut off, or not a safetensors file")


def _require_finite(state: dict[str, Tensor], path: str) -> dict[str, Tensor]:
    """Return the tensors if all of their numbers are finite."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise StreamcamError(f"the weights in {path} are damaged: {name[:80]} holds numbers that are not finite")
    return state


def fill(module: nn.Module, path: str) -> None:
    """Load a file of weights into a module. All names and shapes have to match.

    Raises:
        StreamcamError: the file cannot be read, or its weights belong to another network.
    """
    try:
        module.load_state_dict(load_state(path))
    except RuntimeError as e:
        raise StreamcamError(f"the weights in {path} are not {type(module).__name__}'s: names or shapes differ") from e
