"""A network of one's own, made ready: out of its wrappers, in float32, and nothing that cannot be looked into."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from streamcam.errors import StreamcamError, first_line

WRAPPERS = (DataParallel, DistributedDataParallel, AveragedModel)
"""Each holds the network as `module`."""

COMPILED = "_orig_mod"
"""Where torch.compile's wrapper, whose class takes seconds to import, holds it."""


def made_ready(module: object) -> nn.Module:
    """The network inside of wrappers, in evaluation mode; a copy in float32 where it is in another precision.

    Raises:
        StreamcamError: it is not a network, or one that cannot be looked into or has no numbers; it says what to do.
    """
    if not isinstance(module, nn.Module):
        raise StreamcamError(f"expected a network, a torch.nn.Module, got {_described(module)}")
    network = unwrapped(module)
    _require_plain(network)
    if any(unwrapped(m) is not m for m in network.modules()):
        network = _copied(network)
        for name, inner in list(network.named_modules()):
            if name and unwrapped(inner) is not inner:
                network.set_submodule(name, unwrapped(inner))
    values = [*network.parameters(), *network.buffers()]
    if any(v.is_floating_point() and v.dtype != torch.float32 for v in values):
        network = _copied(network).float()
    return network.eval()


def unwrapped(module: nn.Module) -> nn.Module:
    """What torch.compile, DataParallel and the like are wrapped around, however often."""
    while True:
        if isinstance(module, WRAPPERS):
            module = module.module
        elif isinstance(inner := getattr(module, COMPILED, None), nn.Module):
            module = inner
        else:
            return module


def asked(name: str, call: Callable[[], Tensor], *, of: str) -> Tensor:
    """What a network gives when it is called, of which nobody knows how it fails.

    Raises:
        StreamcamError: it failed, or gives something else than one tensor; `of` says what it was given.
    """
    try:
        output: object = call()
    except StreamcamError:
        raise
    except Exception as e:
        raise StreamcamError(f"{name} fails on {of}: {first_line(e)}") from e
    if not isinstance(output, Tensor):
        raise StreamcamError(
            f"expected one tensor of logits from {name}, got {type(output).__name__}: wrap it in a module that gives "
            "the logits alone"
        )
    return output


def require_same(network: nn.Module, x: Tensor, logits_of: Callable[[], Tensor]) -> None:
    """Hold a model's logits against those of the network that it was made from, for the same input.

    Raises:
        StreamcamError: the network does not take such an input, or its logits are others or not finite.
    """
    name = type(network).__name__
    what = f"{'pictures' if x.ndim == 4 else 'clips'} {list(x.shape)} (clip_format says which it takes)"
    expected = asked(name, lambda: network(x), of=what)
    logits = asked(name, logits_of, of="its pooled features")
    if not expected.isfinite().all():
        raise StreamcamError(f"the logits of {name} are not finite: its weights are damaged, or were never set")
    same_shape = logits.shape == expected.shape
    if not same_shape or not torch.allclose(logits, expected, atol=1e-4, rtol=1e-4):
        off = f"off by {float((logits - expected).abs().max()):.2g}" if same_shape else "of another shape"
        raise StreamcamError(
            f"{name} has no exact heat: its logits are not its classifier on the pooled features ({off}); leave the "
            "names out to be told what stands between them"
        )


def rhythm(slices_of: Callable[[Tensor], int], x: Tensor) -> tuple[int, float, int]:
    """How the heat slices of a clip [1,3,L,H,W] lie in time: stride, offset and context, as `ModelSpec` has them.

    A clip twice as long has as many slices more as strides fit into L, whether a network pads in time or not.
    """
    length, slices = x.shape[2], slices_of(x)
    try:
        more = slices_of(x.repeat(1, 1, 2, 1, 1)) - slices
    except Exception:  # it takes clips of this length alone
        more = slices
    stride = max(1, round(length / max(1, more)))
    offset = (length - 1 - stride * (slices - 1)) / 2
    return stride, offset, max(0, length - stride * slices)


def _described(module: object) -> str:
    if isinstance(module, type) and issubclass(module, nn.Module):
        return f"the class {module.__name__}: make one, {module.__name__}(…)"
    if isinstance(module, dict):
        return "a dict: build the network and load its weights with load_state_dict"
    return type(module).__name__


def _require_plain(module: nn.Module) -> None:
    name = type(module).__name__
    values = [*module.parameters(), *module.buffers()]
    quantized = next((m for m in module.modules() if ".quantized" in type(m).__module__), None)
    if any(isinstance(m, torch.jit.ScriptModule) for m in module.modules()):
        raise StreamcamError("the network is scripted or traced (torch.jit): give the one that it was made from")
    if quantized is not None:
        raise StreamcamError(
            f"{name} is quantised ({type(quantized).__name__}): give the network as it was before; "
            "`streamcam quantize` makes one of `streamcam models` fast"
        )
    if hasattr(module, "features") and hasattr(module, "head") and hasattr(module, "spec"):
        raise StreamcamError(f"{name} is a CamModel already: use it as it is")
    if any(torch.nn.parameter.is_lazy(v) for v in values):
        raise StreamcamError(f"{name} has layers without a size yet (Lazy…): call it once on a clip, then give it")
    if any(v.is_meta for v in values):
        raise StreamcamError(f"the weights of {name} are on the meta device, without numbers: load them first")
    if any(v.is_complex() for v in values):
        raise StreamcamError(f"{name} has complex weights: its heat has no sign, and cannot be shown")
    if len({v.device for v in values}) > 1:
        raise StreamcamError(f"{name} lies on several devices: move it to one, as with .to('cuda:0')")
    try:
        module.eval()
    except NotImplementedError as e:
        raise StreamcamError(f"{name} is an exported program: give the network that it was made from") from e


def _copied(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as e:
        raise StreamcamError(
            f"{type(module).__name__} cannot be copied ({first_line(e)}): convert it yourself, with .float()"
        ) from e


def hint_for(frames: npt.NDArray[Any]) -> str:
    """What to do with frames as PyTorch has them, or as one picture."""
    if frames.ndim == 3:
        return ": for one picture, give picture[None]"
    if frames.ndim == 4 and frames.shape[1] == 3 and frames.shape[3] != 3:
        return ": put the colours last, as with frames.transpose(0, 2, 3, 1)"
    if frames.ndim == 4 and frames.shape[3] == 1:
        return ": of grey, give np.repeat(frames, 3, axis=3)"
    if frames.ndim == 4 and np.issubdtype(frames.dtype, np.floating):
        return ": scale to 0 to 255, and convert with .astype(np.uint8)"
    return ""
