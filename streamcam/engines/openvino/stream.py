"""OpenVINO, each frame once: a settled stream is a network with a memory of its own, one for each camera.

Before a network has seen enough for its first slice, each push is another one; and so is the end of a video. These are
PyTorch's, in float32. In between, OpenVINO takes frames by periods, from one slice to the next, and what it keeps stays
with it, in the precision and the layout in which it computes. In int8 that is float32: each layer rounds what it reads.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.openvino.runner import NAME, compiled, converting, import_openvino, read, using_int8
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.state_pool import StreamState
from streamcam.engines.streaming.temporal_ops import Slot
from streamcam.models.base import CamModel, ModelSpec, Stored


class OpenVinoStreamRunner(TorchRunner):
    """A model for `OpenVinoStream`: its features are PyTorch's still, in float32."""

    def __init__(self, model: CamModel, precision: str) -> None:
        super().__init__(model, torch.device("cpu"), precision)
        self.device_name = NAME

    def _made_ready(self, features: nn.Module) -> nn.Module:
        return features


class OpenVinoStream:
    """A network of streams, computed by OpenVINO from when a stream has settled until it ends."""

    def __init__(
        self, network: StreamNetwork, spec: ModelSpec, *, precision: str, quantized: Stored | None = None
    ) -> None:
        """Convert a network, which takes seconds.

        Args:
            network: what is to be computed.
            spec: of its model.
            precision: what OpenVINO computes in.
            quantized: for int8, what has been made of the network that `stepwise` gives.

        Raises:
            StreamcamError: it cannot be converted, or is not what was quantised.
        """
        self.span, self.pads_time = network.span, network.pads_time
        self._network = network
        self._slots = slots_of(network)
        if quantized is not None:
            with using_int8(spec):
                steps = stateful(read(quantized), network, spec)
        else:
            with converting(spec):
                steps = stateful(stepwise(network, spec), network, spec)
        self._compiled = compiled(steps, precision=precision)
        self._warm: dict[StreamState, _WarmStream] = {}

    def start(self) -> StreamState:
        """The beginning of a video, which is kept in mind until `flush` or `forget`."""
        return self._network.start()

    def push(self, streams: Sequence[StreamState], frames: Tensor) -> Tensor | None:
        """The next frames of streams of one phase, float32 [N,3,t,H,W] → the slices [N,K,t',h,w] that they complete.

        Streams go one after the other: on a processor, a batch of them gains little.
        """
        slices = [self._push(stream, own) for stream, own in zip(streams, frames.split(1), strict=True)]
        there = [part for part in slices if part is not None]
        return torch.cat(there) if there else None

    def flush(self, stream: StreamState) -> Tensor | None:
        """The end of a video, which is forgotten: the slices that were waiting for what will not come any more."""
        self._return_to_pytorch(stream, self._warm.pop(stream, None))
        return self._network.flush(stream)

    def fork(self, stream: StreamState) -> StreamState:
        """A video that has been the same as another one so far; it is PyTorch's."""
        new = self._network.fork(stream)
        self._return_to_pytorch(new, self._warm.get(stream))
        return new

    def _return_to_pytorch(self, stream: StreamState, warmup_frames: "_WarmStream | None") -> None:
        """Let PyTorch go on with what OpenVINO keeps, if it keeps any."""
        if warmup_frames is None:
            return
        stream.phase, rows = self._network.warmup_frames, self._network.state_pool.rows_of([stream])
        for i, kept in warmup_frames.kept():
            rows.write(self._slots[i], kept)
        if warmup_frames.waiting.shape[2]:
            self._network.push([stream], warmup_frames.waiting)

    def forget(self, stream: StreamState) -> None:
        """A video of which no more will be asked."""
        self._warm.pop(stream, None)
        self._network.forget(stream)

    def _push(self, stream: StreamState, frames: Tensor) -> Tensor | None:
        first = None
        if stream not in self._warm:
            missing = self._network.warmup_frames - stream.phase
            first = self._network.push([stream], frames[:, :, :missing])
            if stream.phase < self._network.warmup_frames:
                return first
            self._warm[stream] = self._taken_over(stream)
            frames = frames[:, :, missing:]
        rest = self._warm[stream].push(frames, self._network.period)
        stream.phase = self._network.after(stream.phase, frames.shape[2])
        there = [part for part in (first, rest) if part is not None]
        return torch.cat(there, dim=2) if there else None

    def _taken_over(self, stream: StreamState) -> "_WarmStream":
        rows, lengths = self._network.state_pool.rows_of([stream]), self._network.kept(self._network.warmup_frames)
        return _WarmStream(
            self._compiled.create_infer_request(), [rows.read(slot, lengths[slot]) for slot in self._slots]
        )


class _WarmStream:
    """One stream's memory, and its frames that do not make up a whole period yet: no slice would come of them."""

    def __init__(self, request: Any, kept: Sequence[Tensor]) -> None:
        self._request, self._states = request, {state.name: state for state in request.query_state()}
        for i, slices in enumerate(kept):
            self._states[_variable(i)].state = import_openvino().Tensor(slices.contiguous().numpy())
        self.waiting = torch.empty(0)

    def push(self, frames: Tensor, period: int) -> Tensor | None:
        """The slices that come of new frames [1,3,t,H,W]."""
        frames = torch.cat([self.waiting, frames], dim=2) if self.waiting.numel() else frames
        whole = frames.shape[2] // period * period
        self.waiting = frames[:, :, whole:]
        if whole == 0:
            return None
        results = self._request.infer([frames[:, :, :whole].contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(results[0])

    def kept(self) -> Iterator[tuple[int, Tensor]]:
        """What the stream keeps: the number of each slot, and its slices."""
        for i in range(len(self._states)):
            yield i, torch.from_numpy(np.array(self._states[_variable(i)].state.data))


class _Passed:
    """A memory that is passed in and out."""

    def __init__(self, kept: Mapping[Slot, Tensor]) -> None:
        self.kept = dict(kept)

    def read(self, slot: Slot, _count: int) -> Tensor:
        return self.kept[slot]

    def write(self, slot: Slot, slices: Tensor) -> None:
        self.kept[slot] = slices


class _Period(nn.Module):
    """A settled network's next frames, and what it keeps → its next slices, and what it keeps then."""

    def __init__(self, network: StreamNetwork, slots: Sequence[Slot]) -> None:
        super().__init__()
        self._network, self._slots = network, slots

    def forward(self, frames: Tensor, *kept: Tensor) -> tuple[Tensor | None, ...]:
        memory = _Passed(dict(zip(self._slots, kept, strict=True)))
        slices = self._network.run(self._network.warmup_frames, frames, memory)
        return (slices, *(memory.kept[slot] for slot in self._slots))


def slots_of(network: StreamNetwork) -> list[Slot]:
    """Where a settled network keeps something, in the order in which it is passed."""
    return list(network.kept(network.warmup_frames))


def warm_inputs(network: StreamNetwork, frames: Tensor) -> list[Tensor]:
    """A video, float32 [1,3,t,H,W], t beyond `warmup_frames` → what the network is given when it has settled.

    That is the frames that follow, and what is kept in each slot by then.
    """
    stream, lengths = network.start(), network.kept(network.warmup_frames)
    network.push([stream], frames[:, :, : network.warmup_frames])
    rows = network.state_pool.rows_of([stream])
    kept = [rows.read(slot, lengths[slot]).contiguous().clone() for slot in slots_of(network)]
    network.forget(stream)
    return [frames[:, :, network.warmup_frames :].contiguous(), *kept]


def stepwise(network: StreamNetwork, spec: ModelSpec) -> Any:
    """A settled network → an OpenVINO model of the frames of one period and what is kept → slices, and what is kept."""
    given, slots = _blank(network, spec), slots_of(network)
    with torch.no_grad():
        model = import_openvino().convert_model(torch.export.export(_Period(network, slots), tuple(given)))
    for i in range(len(slots)):
        model.inputs[1 + i].get_tensor().set_names({_given(i)})
        model.outputs[1 + i].get_tensor().set_names({_left(i)})
    return _of_any_periods(model, given)


def stateful(model: Any, network: StreamNetwork, spec: ModelSpec) -> Any:
    """What `stepwise` gave, maybe quantised since → the same, with what is passed from step to step as its state.

    Raises:
        RuntimeError: it is of another network.
    """
    openvino = import_openvino()
    from openvino._offline_transformations import apply_make_stateful_transformation

    given = _blank(network, spec)
    if len(model.inputs) != len(given):
        raise RuntimeError(f"expected {len(given)} inputs, got {len(model.inputs)}")
    _of_any_periods(model, given)
    apply_make_stateful_transformation(model, {_given(i): _left(i) for i in range(len(given) - 1)})
    shapes = {_variable(i): openvino.PartialShape(list(kept.shape)) for i, kept in enumerate(given[1:])}
    for variable in model.get_variables():  # a state of no known shape is taken for an empty one
        info = variable.get_info()
        info.data_shape = shapes[info.variable_id]
        variable.update(info)
    return model


def _blank(network: StreamNetwork, spec: ModelSpec) -> list[Tensor]:
    return warm_inputs(network, torch.zeros(1, 3, network.warmup_frames + network.period, *spec.clip_format.crop))


def _of_any_periods(model: Any, given: Sequence[Tensor]) -> Any:
    """A model that takes any number of frames of this size, and keeps as much as this."""
    shapes = [[1, 3, -1, *given[0].shape[3:]], *(list(kept.shape) for kept in given[1:])]
    partial = import_openvino().PartialShape
    model.reshape({port: partial(shape) for port, shape in zip(model.inputs, shapes, strict=True)})
    return model


def _given(i: int) -> str:
    return f"given {i} "


def _left(i: int) -> str:
    return f"left {i}"


def _variable(i: int) -> str:
    """What OpenVINO calls the state behind both."""
    return _given(i) + _left(i)
