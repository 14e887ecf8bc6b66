"""Choosing a device and a precision, and a model's copy there."""

import copy
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from streamcam.cam import CamOutput
from streamcam.engines.lanes import Lanes, lanes_of
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.split import Tracer

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of this process's control group, as a container sees it."""


def pick_device(name: str = "auto") -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` → the device; auto is the first GPU, if there is one.

    Raises:
        StreamcamError: no such device.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as e:
        raise StreamcamError(f"no such device: {name} (use auto, cpu, cuda or cuda:N)") from e
    if device.type == "cpu":
        return device
    if device.type != "cuda" or not torch.cuda.is_available():
        raise StreamcamError(f"no such device: {name} (this machine has no usable NVIDIA GPU: use cpu or auto)")
    index, count = device.index or 0, torch.cuda.device_count()
    if index >= count:
        raise StreamcamError(f"no such device: {name} (this machine has cuda:0 to cuda:{count - 1})")
    return torch.device("cuda", index)


def pick_precision(name: str, device: torch.device, *, half: str = "bf16") -> str:
    """`auto` → the fastest of fp32, fp16 and bf16 that the device computes natively; others as they are.

    Args:
        name: `auto`, or one of `PRECISIONS`.
        device: as from `pick_device`.
        half: of a GPU that computes both fp16 and bf16, the one to take.

    Raises:
        StreamcamError: no such precision.
    """
    if name == "auto":
        if device.type == "cuda":
            with torch.cuda.device(device):
                return half if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return "bf16" if cpu_has_bf16() else "fp32"
    if name == "int8":
        raise StreamcamError("int8 needs --device openvino, and a model that streamcam quantize has made")
    if name not in PRECISIONS:
        raise StreamcamError(f"no such precision: {name} (use auto, {', '.join(PRECISIONS)})")
    return name


def cpu_has_bf16(*, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether PyTorch multiplies bfloat16 natively: it emulates it, slowly, where the processor does not.

    So it does where it was told to leave AVX-512 alone, by `ATEN_CPU_CAPABILITY=avx2`.
    """
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return "bf16" in flags or (wide and bool({"avx512_bf16", "amx_bf16"} & flags))


def usable_cores(*, pinned_to: int | None = None, quota: Path = CPU_QUOTA) -> int:
    """How many cores this process has, at least 1: those that it may run on, as far as a container's quota goes.

    Args:
        pinned_to: how many it may run on; by default, what the system says.
        quota: microseconds of processor time, or `max`, in so many microseconds, as control groups (v2) have it.
    """
    count = len(os.sched_getaffinity(0)) if pinned_to is None else pinned_to
    try:
        allowed, period = quota.read_text().split()
        return max(1, min(count, int(allowed) // int(period)))
    except (OSError, ValueError):  # there is none
        return count


@contextmanager
def a_core_left_free() -> Iterator[None]:
    """Keep PyTorch off one core, for cameras and pictures: its threads, held up there, would hold up each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, usable_cores() - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fold_batch_norm(features: nn.Module) -> nn.Module:
    """Fold every batch norm that follows a convolution into it, for evaluation.

    What cannot be traced is given back as it is: folding is only for speed.
    """
    try:
        traced = fx.GraphModule(features, Tracer().trace(features))
    except Exception:
        return features
    modules, calls = dict(traced.named_modules()), Counter(node.target for node in traced.graph.nodes)
    for node in list(traced.graph.nodes):
        norm, before = modules.get(str(node.target)), node.args[0] if node.args else None
        if not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d) or not isinstance(before, fx.Node):
            continue
        conv = modules.get(str(before.target))
        if isinstance(conv, nn.Conv2d | nn.Conv3d) and len(before.users) == 1 and calls[before.target] == 1:
            traced.set_submodule(str(before.target), fuse_conv_bn_eval(conv, norm))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


class Runner:
    """A model's own copy on one device, in one precision: uint8 frames in, heat cubes out."""

    def __init__(self, model: CamModel, device: torch.device, precision: str, *, lanes: Lanes | None = None) -> None:
        """Copy the model to the device.

        Args:
            model: stays as it is.
            device: as from `pick_device`.
            precision: one of `PRECISIONS`, in which features are computed; heat is always float32.
            lanes: the device's, where not the usual ones.
        """
        self.device, self.precision = device, precision
        self.device_name = str(device)
        """What computes, for people."""
        self.spec, self.context = model.spec, model.heat_context
        self.model = copy.deepcopy(model).to(device)
        """The copy, its batch norms folded."""
        self.model.features = self._made_ready(fold_batch_norm(self.model.features))
        self.lanes = lanes_of(device) if lanes is None else lanes
        # A GPU has room for many clips at once; on a CPU a batch only helps where one frame is little work.
        self.max_batch = 64 if device.type == "cuda" else 4 if model.spec.framewise else 1

    def _made_ready(self, features: nn.Module) -> nn.Module:
        layout = torch.channels_last if self.spec.framewise else torch.channels_last_3d
        features.to(dtype=PRECISIONS[self.precision], memory_format=layout)  # type: ignore[call-overload]
        return features

    def class_numbers(self, classes: Sequence[int] | None) -> Tensor | None:
        """Indices of classes, int64 on the device."""
        return None if classes is None else torch.tensor(classes, dtype=torch.int64, device=self.device)

    @torch.inference_mode()
    def run(self, clips: Sequence[npt.NDArray[np.uint8]]) -> CamOutput:
        """N arrays uint8 [L,3,h,w] of one shape → logits and heat cubes, on the device; the host waits for the copy."""
        return self.see(torch.stack([torch.from_numpy(frames) for frames in clips]).to(self.device))

    def see(self, frames: Tensor) -> CamOutput:
        """uint8 [N,L,3,h,w], on the device → logits and heat cubes, there."""
        output: CamOutput = self.model(self.normalise(frames))
        return output

    def normalise(self, frames: Tensor) -> Tensor:
        """uint8 [N,L,3,h,w], on the device → float [N,3,L,h,w] in the network's precision and, on a GPU, its layout."""
        x = self.model.normalise(frames)
        return x.contiguous(memory_format=torch.channels_last_3d) if self.device.type == "cuda" else x
