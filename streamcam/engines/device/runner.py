"""Choosing a device and a precision, and a model's copy there."""

import copy
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from streamcam.engines.device.hardware import PRECISIONS
from streamcam.engines.device.streams import DeviceStreams, make_streams
from streamcam.heat.cam import CamOutput
from streamcam.models.base import CamModel
from streamcam.models.split import Tracer


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


class TorchRunner:
    """A model's own copy on one device, in one precision: uint8 frames in, heat cubes out."""

    def __init__(
        self, model: CamModel, device: torch.device, precision: str, *, streams: DeviceStreams | None = None
    ) -> None:
        """Copy the model to the device.

        Args:
            model: stays as it is.
            device: as from `pick_device`.
            precision: one of `PRECISIONS`, in which features are computed; heat is always float32.
            streams: the device's, where not the usual ones.
        """
        self.device, self.precision = device, precision
        self.device_name = str(device)
        """What computes, for people."""
        self.spec, self.context = model.spec, model.heat_context
        self.model = copy.deepcopy(model).to(device)
        """The copy, its batch norms folded."""
        self.model.features = self._made_ready(fold_batch_norm(self.model.features))
        self.streams = make_streams(device) if streams is None else streams
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
