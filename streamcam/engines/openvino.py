"""OpenVINO: on processors, faster than PyTorch at the same network. It computes the features, and nothing else.

Normalising, the classifier's weights and the mean over positions stay PyTorch's, in float32. So in every precision the
logits are those of the heat cube that is shown: what bf16 and int8 change is the features that both are made of.
"""

import sys
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from streamcam.engines.device import Runner, cpu_has_bf16
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel

NAME = "openvino"
"""What `--device` calls it."""

HINTS = {"fp32": "f32", "bf16": "bf16"}
"""A precision, and what OpenVINO calls it."""


def require_openvino() -> None:
    """Find out whether it is installed, without loading it.

    Raises:
        StreamcamError: it is not.
    """
    if find_spec("openvino") is None:
        raise StreamcamError("--device openvino needs OpenVINO: pip install 'streamcam[openvino]'")


def import_openvino() -> Any:
    """The module, which tells nobody of its use.

    Its converter and NNCF report to their makers what they are used for, wherever this package lets them; it comes with
    them, and both do without it.
    """
    require_openvino()
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def pick_openvino_precision(name: str) -> str:
    """`auto` → the fastest that the processor computes natively; others as they are.

    Raises:
        StreamcamError: no such precision.
    """
    if name == "auto":
        return "bf16" if cpu_has_bf16() else "fp32"
    if name not in HINTS:
        raise StreamcamError(f"no such precision on openvino: {name} (use auto, {', '.join(HINTS)})")
    return name


class OpenVinoRunner(Runner):
    """A model whose features OpenVINO computes, with as many threads as PyTorch has when it is made."""

    def __init__(self, model: CamModel, precision: str) -> None:
        """Convert the model, which takes seconds.

        Raises:
            StreamcamError: it cannot be converted.
        """
        super().__init__(model, torch.device("cpu"), precision)
        self.device_name = NAME

    def _made_ready(self, features: nn.Module) -> nn.Module:
        converted = convert(features, self.spec.name, self._example(), framewise=self.spec.framewise)
        return OpenVinoFeatures(converted, precision=self.precision, one_by_one=not self.spec.framewise)

    def _example(self) -> Tensor:
        """Two pictures, of which torch.export learns that their number varies; or a clip."""
        clip_format = self.spec.clip_format
        lead = (2, 3) if self.spec.framewise else (1, 3, clip_format.length)
        return torch.zeros(*lead, *clip_format.crop)


class OpenVinoFeatures(nn.Module):
    """Normalised pictures [N,3,H,W] or clips [N,3,L,H,W] → feature maps [N,K,h,w] or [N,K,L',h,w], all float32."""

    def __init__(self, converted: Any, *, precision: str, one_by_one: bool) -> None:
        super().__init__()
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": HINTS[precision],
        }
        compiled = import_openvino().compile_model(converted, "CPU", options)
        self.threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._request = compiled.create_infer_request()
        self._one_by_one = one_by_one

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Clips go one after the other: on a processor, a batch of them gains nothing."""
        parts = [self._infer(part) for part in (x.split(1) if self._one_by_one else (x,))]
        maps = tuple(torch.cat(pieces) if len(pieces) > 1 else pieces[0] for pieces in zip(*parts, strict=True))
        return maps if len(maps) > 1 else maps[0]

    def _infer(self, x: Tensor) -> list[Tensor]:
        results = self._request.infer([x.contiguous().numpy()], share_inputs=True)
        return [torch.from_numpy(values) for values in results.values()]


def convert(features: nn.Module, name: str, example: Tensor, *, framewise: bool) -> Any:
    """Features → an OpenVINO model: of any number of pictures, or of one clip.

    Raises:
        StreamcamError: they cannot be converted; the message says why.
    """
    openvino = import_openvino()
    varying = ({0: torch.export.Dim("pictures")},) if framewise else None
    try:
        # In a module of its own, since torch.export takes a traced network apart with its arguments frozen.
        exported = torch.export.export(nn.Sequential(features), (example,), dynamic_shapes=varying)
        converted = openvino.convert_model(exported)
        converted.reshape(openvino.PartialShape([-1 if framewise else 1, *example.shape[1:]]))
    except Exception as e:  # whatever two converters stumble over in a stranger's network
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise StreamcamError(f"{name} cannot be converted for OpenVINO ({reason}): use --device cpu") from e
    return converted
