"""Examines what streamcam can use on this machine, and what to do about the rest."""

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import av
import av.codec

from streamcam.engines.cores import usable_cores
from streamcam.engines.exported.onnx_graph import require_onnxruntime
from streamcam.engines.openvino.library import has_bf16, require_openvino
from streamcam.errors import StreamcamError
from streamcam.viewer.display import require_display

REINSTALL = "pip install --force-reinstall av"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    works: bool
    detail: str
    """What was found or, if it does not work, what to do."""


def examine() -> Iterator[Finding]:
    """Run all checks, one after the other."""
    yield Finding("Python", True, platform.python_version())
    of_torch = (_gpu, _weights) if find_spec("torch") else ()
    for check in (_torch, *of_torch, _cpu, _openvino, _onnxruntime, _cameras, _decoders, _encoder, _display):
        yield check()


def _torch() -> Finding:
    if find_spec("torch") is None:
        how = "pip install 'streamcam[torch]' for training, other networks, GPUs, explain, image and eval"
        return Finding("PyTorch", False, f"not installed: {how}")
    import torch

    return Finding("PyTorch", True, f"torch {torch.__version__}")


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding("GPU", True, ", ".join(f"cuda:{i} {name}" for i, name in enumerate(names)))
    return Finding("GPU", False, "none that torch can use: networks run on the CPU (check nvidia-smi and the driver)")


def _cpu() -> Finding:
    native = "bf16 in hardware" if has_bf16() else "no bf16 in hardware: fp32 is used"
    return Finding("CPU", True, f"{usable_cores()} cores, {native}")


def _openvino() -> Finding:
    return _try("OpenVINO", require_openvino, "it computes exported graphs, and what streamcam quantize makes")


def _onnxruntime() -> Finding:
    return _try("ONNX Runtime", require_onnxruntime, "--backend onnxruntime computes exported graphs, too")


def _cameras() -> Finding:
    cameras = sorted(Path("/dev").glob("video*"))
    readable = [str(c) for c in cameras if _readable(c)]
    if readable:
        return Finding("cameras", True, ", ".join(readable))
    if cameras:
        return Finding(
            "cameras", False, f"{cameras[0]} may not be read: add yourself to the group 'video', log in again"
        )
    return Finding("cameras", False, "no /dev/video*: plug one in, or use rtsp://…, a file or `sample`")


def _readable(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True


def _decoders() -> Finding:
    missing = [name for name in ("h264", "hevc", "mjpeg", "vp9", "av1") if not _has_codec(name, "r")]
    if missing:
        return Finding("decoders", False, f"not in this FFmpeg: {', '.join(missing)} ({REINSTALL})")
    return Finding("decoders", True, "H.264, HEVC, MJPEG, VP9, AV1")


def _encoder() -> Finding:
    works = _has_codec("libx264", "w")
    return Finding("--record", works, "H.264 (libx264)" if works else f"no libx264 in this FFmpeg ({REINSTALL})")


def _has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    try:
        av.codec.Codec(name, mode)
    except ValueError:
        return False
    return True


def _display() -> Finding:
    return _try("display", require_display, "a window can be opened")


def _weights() -> Finding:
    from streamcam.models.imagenet import packaged_weights

    return _try("model imagenet", lambda: packaged_weights("imagenet"), "its weights are installed")


def _try(name: str, check: Callable[[], object], detail: str) -> Finding:
    """Run a check that raises an error if something does not work."""
    try:
        check()
    except StreamcamError as e:
        return Finding(name, False, str(e))
    return Finding(name, True, detail)
