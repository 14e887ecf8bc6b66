"""A model on one device, in one precision."""

import copy
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from streamcam.engines.device.cuda_streams import CudaStreams
from streamcam.engines.device.hardware import PRECISIONS
from streamcam.engines.device.streams import CpuStreams, DeviceStreams
from streamcam.heat.cam import CamOutput
from streamcam.models.base import CamModel
from streamcam.models.split import Tracer


def fold_batch_norm(features: nn.Module) -> nn.Module:
    """Fold every batch norm that follows a convolution into it, for evaluation.

    Folding only makes a network faster. One that cannot be traced is returned as it is.
    """
    try:
        traced = fx.GraphModule(features, Tracer().trace(features))
    except Exception:  # tracing runs the network's own code, which may raise anything
        return features
    modules, calls = dict(traced.named_modules()), Counter(node.target for node in traced.graph.nodes)
    for node in list(traced.graph.nodes):
        norm, before = modules.get(str(node.target)), node.args[0] if node.args else None
        if not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d) or not isinstance(before, fx.Node):
            continue
        conv = modules.get(str(before.target))
        # A convolution whose result is used elsewhere too, or that is called twice, has to stay as it is.
        if isinstance(conv, nn.Conv2d | nn.Conv3d) and len(before.users) == 1 and calls[before.target] == 1:
            traced.set_submodule(str(before.target), fuse_conv_bn_eval(conv, norm))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


class TorchRunner:
    """A copy of a model on one device, in one precision: uint8 frames in, heat cubes out."""

    def __init__(
        self, model: CamModel, device: torch.device, precision: str, *, streams: DeviceStreams | None = None
    ) -> None:
        """Copy the model to the device.

        Args:
            model: stays as it is.
            device: as from `pick_device`.
            precision: one of `PRECISIONS`, in which features are computed. Heat is always float32.
            streams: the device's queues of work; by default, those of its kind.
        """
        self.device, self.precision = device, precision
        self.device_name = str(device)
        """What computes, for people."""
        self.spec, self.context = model.spec, model.heat_context
        self.model = copy.deepcopy(model).to(device)
        """The copy, with its batch norms folded."""
        self.model.features = self._prepare_features(fold_batch_norm(self.model.features))
        self.streams = make_streams(device) if streams is None else streams
        # A GPU has room for many clips at once; on a CPU a batch only helps where one frame is little work.
        self.max_batch = 64 if device.type == "cuda" else 4 if model.spec.framewise else 1

    @property
    def on_cpu(self) -> bool:
        """Whether it shares the CPU with decoding and drawing."""
        return self.device.type == "cpu"

    def _prepare_features(self, features: nn.Module) -> nn.Module:
        """Return the features in the runner's precision, and in the memory layout that is fastest."""
        layout = torch.channels_last if self.spec.framewise else torch.channels_last_3d
        features.to(dtype=PRECISIONS[self.precision], memory_format=layout)  # type: ignore[call-overload]
        return features

    def class_indices(self, classes: Sequence[int] | None) -> Tensor | None:
        """Copy indices of classes to the device, int64; None stays None."""
        return None if classes is None else torch.tensor(classes, dtype=torch.int64, device=self.device)

    @torch.inference_mode()
    def run(self, clips: Sequence[npt.NDArray[np.uint8]]) -> CamOutput:
        """Copy N clips, uint8 [L,3,h,w] of one shape, to the device, and compute logits and heat cubes there."""
        return self.forward(torch.stack([torch.from_numpy(frames) for frames in clips]).to(self.device))

    def forward(self, frames: Tensor) -> CamOutput:
        """Compute logits and heat cubes of uint8 [N,L,3,h,w]; all lie on the device."""
        output: CamOutput = self.model(self.normalise(frames))
        return output

    def normalise(self, frames: Tensor) -> Tensor:
        """Turn uint8 [N,L,3,h,w] on the device into float [N,3,L,h,w], in the network's precision.

        On a GPU, it is in the network's memory layout as well.
        """
        x = self.model.normalise(frames)
        return x.contiguous(memory_format=torch.channels_last_3d) if self.device.type == "cuda" else x


def make_streams(device: torch.device) -> DeviceStreams:
    """Make the queues of work of a device."""
    return CudaStreams(device) if device.type == "cuda" else CpuStreams(device)
