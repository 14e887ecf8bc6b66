"""Networks as functions without side effects, which can be exported: uint8 frames in, logits and heat out.

`ClipStep` takes whole clips. `StreamStep` takes the next frame of a stream, and the slices that its layers kept of
earlier ones:

    frame 7 ──► changes ──► conv ──► conv ──► … ──► heat slice 7
                   ▲           ▲        ▲
    kept:      frames 5, 6   5, 6     5, 6         the last m slices of each value that a layer slides over

A value that several layers look back at is kept once, as many slices as the one that looks back furthest needs.
"""

import copy

import torch
from torch import Tensor, nn

from streamcam.engines.device.runner import fold_batch_norm
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.network import streaming
from streamcam.errors import StreamcamError
from streamcam.heat.cam import heat_cube
from streamcam.models.base import CamModel, as_tuple


class ClipStep(nn.Module):
    """A model of whole clips."""

    def __init__(self, model: CamModel) -> None:
        """Copy a model, and fold its batch norms.

        Raises:
            StreamcamError: it pools several maps, and so has no single cube.
        """
        super().__init__()
        self.model, self.weights_hash = _folded(model), model.weights_hash

    @torch.inference_mode()
    def blank_inputs(self) -> tuple[Tensor, ...]:
        """Return two black clips. An exported dimension must not be 1, which stands for a constant."""
        clip_format = self.model.spec.clip_format
        return (torch.zeros(2, clip_format.length, 3, *clip_format.crop, dtype=torch.uint8),)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Map uint8 [N,L,3,h,w] to logits [N,C], cube [N,C,L',h',w'] and common [N,L',h',w']."""
        output = self.model(self.model.normalise(frames))
        return output.logits, output.cube, output.cube.mean(1)


class StreamStep(nn.Module):
    """A model of streams: it takes a frame, and what it kept of the frames before."""

    def __init__(self, model: CamModel) -> None:
        """Convert a model, and fold its batch norms.

        Raises:
            StreamcamError: it cannot be streamed as a function of kept slices; the message says why.
        """
        super().__init__()
        self.model, self.weights_hash = _folded(model), model.weights_hash
        try:
            network = streaming(self.model)
        except StreamcamError as e:
            raise StreamcamError(str(e).replace("use --engine window", "leave out --stream")) from e
        name = model.spec.name
        if network.pads_time:
            raise StreamcamError(
                f"{name} pads its clips in time, so a stream would answer otherwise than a clip: leave out --stream"
            )
        if network.span.stride != 1:
            raise StreamcamError(
                f"{name} gives a slice for every {network.span.stride} frames, and --stream is for one a frame"
            )
        self._network = network if isinstance(network, StreamNetwork) else None
        self._looks_back = {} if self._network is None else self._network.buffered(self._network.warmup_frames)
        self.kept: dict[int, int] = {}
        """How many slices are kept of each value, by its number; of values that some layer looks back at."""
        for (_, value), count in self._looks_back.items():
            self.kept[value] = max(self.kept.get(value, 0), count)

    @torch.inference_mode()
    def blank_inputs(self) -> tuple[Tensor, ...]:
        """Return a black frame of each of two streams, and their states at the beginning: zeros."""
        frames = torch.zeros(2, 1, 3, *self.model.spec.clip_format.crop, dtype=torch.uint8)
        values: dict[int, Tensor] = {}
        self._run(self.model.normalise(frames), {}, values)
        return frames, *(self._zeros(values[v], count) for v, count in self.kept.items())

    def forward(self, frames: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Map uint8 [N,1,3,h,w] and states to logits [N,C], cube [N,C,1,h',w'], common [N,1,h',w'] and new states."""
        kept, values = dict(zip(self.kept, states, strict=True)), dict[int, Tensor]()
        features = self._run(self.model.normalise(frames), kept, values)
        cube = heat_cube(features, self.model.head.classifier.weight)
        logits = cube.mean((2, 3, 4)) + self.model.head.bias
        # States are joined anew, and not cut from what layers see: that may be in int8.
        after = [torch.cat([slices[:, :, 1:], values[v]], dim=2) for v, slices in kept.items()]
        return logits, cube, cube.mean(1), *after

    def _run(self, x: Tensor, kept: dict[int, Tensor], values: dict[int, Tensor]) -> Tensor:
        """Compute a slice of the feature map. `values` gets the new slice of each value; what is not kept is zeros."""
        if self._network is None:  # it looks at the frame alone
            (features,) = as_tuple(self.model.features(x[:, :, 0]))
            return features[:, :, None]
        values[0], seen = x, dict[int, Tensor]()
        for op in self._network.operations:
            for v in op.inputs:
                if v in self.kept and v not in seen:
                    slices = kept[v] if v in kept else self._zeros(values[v], self.kept[v])
                    seen[v] = torch.cat([slices, values[v]], dim=2)
            inputs = [self._seen_by(op.number, v, seen.get(v, values[v])) for v in op.inputs]
            values[op.number] = op.layer(*(op.visible(slices, 1) for slices in inputs))
        return values[self._network.output]

    def _seen_by(self, op: int, value: int, slices: Tensor) -> Tensor:
        """Return the slices of a value that an operation looks back at, and the new one."""
        surplus = self.kept.get(value, 0) - self._looks_back.get((op, value), 0)
        return slices[:, :, surplus:] if surplus else slices

    def _zeros(self, like: Tensor, count: int) -> Tensor:
        return like.new_zeros(*like.shape[:2], count, *like.shape[3:])


def _folded(model: CamModel) -> CamModel:
    if model.groups is not None:
        raise StreamcamError("classes are added up when a graph is used: export the model without groups")
    folded = copy.deepcopy(model)
    folded.features = fold_batch_norm(folded.features)
    return folded
