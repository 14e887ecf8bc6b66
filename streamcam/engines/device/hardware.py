"""What this machine computes with: devices, precisions and processor cores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from streamcam.errors import StreamcamError

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
        raise StreamcamError("int8 needs --backend openvino, and a model that streamcam quantize has made")
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
