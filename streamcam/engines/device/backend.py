"""PyTorch as a backend: on a CPU, or on an NVIDIA GPU."""

import numpy as np

from streamcam.engines.device.hardware import pick_device, pick_precision
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.streaming.network import Network, streaming
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.registry import MODELS


class TorchBackend:
    """Computes networks with PyTorch."""

    def require(self, device: str) -> None:
        """Check that there is such a device.

        Raises:
            StreamcamError: there is none.
        """
        pick_device(device)

    def make_runner(self, model: CamModel, *, device: str, precision: str) -> TorchRunner:
        """Copy a model to a device.

        Raises:
            StreamcamError: there is no such device or precision, or not for this model.
        """
        chosen = pick_device(device)
        picked = pick_precision(precision, chosen, half=model.spec.half)
        half_on_cpu = picked == "bf16" and chosen.type == "cpu"
        if half_on_cpu and not model.spec.framewise and model.spec.clip_format.length == 1:
            # For a clip of one frame, oneDNN's bfloat16 3D convolution reads memory that nobody wrote (PyTorch 2.14).
            half_on_cpu, picked = False, "fp32"
        runner = TorchRunner(model, chosen, picked)
        return _require_bf16(runner, model, may_change=precision == "auto") if half_on_cpu else runner

    def make_stream(self, model: CamModel, *, device: str, precision: str, dense: bool) -> tuple[TorchRunner, Network]:
        """Copy a model to a device, and convert it to a network of streams.

        Raises:
            StreamcamError: the model cannot be streamed, or there is no such device or precision.
        """
        runner = self.make_runner(model, device=device, precision=precision)
        return runner, streaming(runner.model, dense=dense)

    def stream_refusal(self, _model: CamModel, _precision: str) -> None:
        """Return None: PyTorch streams whatever can be streamed."""


def _require_bf16(runner: TorchRunner, model: CamModel, *, may_change: bool) -> TorchRunner:
    """Run one black clip, and fall back to float32 where PyTorch lacks an operation in bfloat16.

    Raises:
        StreamcamError: an operation is missing, and bfloat16 was asked for.
    """
    if (model.spec.architecture or model.spec.name) in MODELS:  # all of these run in bfloat16
        return runner
    clip_format = model.spec.clip_format
    try:
        runner.run([np.zeros((clip_format.length, 3, *clip_format.crop), np.uint8)])
    except NotImplementedError as e:  # AvgPool3d, for one
        if not may_change:
            raise StreamcamError(
                f"PyTorch does not compute {model.spec.name} in bf16 here: use --precision fp32"
            ) from e
        return TorchRunner(model, runner.device, "fp32")
    return runner
