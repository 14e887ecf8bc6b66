"""Devices, precisions and CPU cores of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from streamcam.engines.cores import usable_cores
from streamcam.errors import StreamcamError

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name: `auto`, `cpu`, `cuda` or `cuda:N`. `auto` is the first GPU, if there is one.

    Raises:
        StreamcamError: there is no such device; the message says which there are.
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
    """Resolve `auto` to the fastest of fp32, fp16 and bf16 that the device computes natively.

    Args:
        name: `auto`, or one of `PRECISIONS`, which is returned as it is.
        device: as from `pick_device`.
        half: which to take on a GPU that computes both fp16 and bf16.

    Raises:
        StreamcamError: there is no such precision.
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
    """Return whether PyTorch multiplies bfloat16 natively on this CPU.

    Elsewhere it emulates it, which is slow. It also does so where `ATEN_CPU_CAPABILITY=avx2` keeps it from AVX-512.

    Args:
        cpuinfo: where Linux lists the flags of the CPU.
    """
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    uses_avx512 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    # ARM calls the flag bf16; on x86, only AVX-512 and AMX have instructions for it.
    return "bf16" in flags or (uses_avx512 and bool({"avx512_bf16", "amx_bf16"} & flags))


@contextmanager
def a_core_left_free() -> Iterator[None]:
    """Keep PyTorch off one core, which is left to decoding and drawing.

    PyTorch's threads wait for each other after each layer. One that shares its core with a decoder delays them all.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, usable_cores() - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
