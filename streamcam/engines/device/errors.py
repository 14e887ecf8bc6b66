"""Errors of devices: which they are, and what a person can do about them."""

import torch

from streamcam.errors import LostError, StreamcamError, first_line


class SkippedError(Exception):
    """Work was not done, because work that it depends on had failed."""


class HostMemoryError(MemoryError):
    """The host has no page-locked memory left, which the device copies from and to."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether the device or the host had not enough memory.

    PyTorch has a type for its own failures. cuDNN and cuBLAS say it in the text of a RuntimeError.
    """
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "alloc_failed" in text)
    )


def explain_error(error: Exception, device: str, work: str) -> Exception:
    """Return an error that says what a person can do about one of the device; any other error as it is.

    Args:
        error: what was raised.
        device: the device's name, as in `cuda:0`.
        work: what it computed, as in `frames of r3d_18`.
    """
    reason = first_line(error, limit=None)
    if isinstance(error, HostMemoryError):
        return StreamcamError(
            f"this machine has no memory left that {device} can copy from or to, for {work}: end other programs, or "
            "use fewer cameras (swap does not help)"
        )
    if is_out_of_memory(error):
        return StreamcamError(
            f"{device} has not enough memory for {work}: free some, or use a smaller model or precision"
        )
    if not isinstance(error, RuntimeError) or not any(name in reason for name in ("CUDA", "cuDNN", "CUBLAS")):
        return error
    return LostError(f"{device} has failed, and computes nothing more for this process ({reason}): start again")
