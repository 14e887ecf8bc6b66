"""A network of streams that OpenVINO computes: one network with a state of its own for each video stream.

During warm-up, each push is another sequence of operations, and so is the end of a video. PyTorch computes these, in
float32. In between, OpenVINO takes frames by whole periods, from one slice to the next. It keeps the buffered slices
itself, in the precision and memory layout in which it computes. In int8 that is float32, since each layer quantises its
own input.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.openvino.library import import_openvino
from streamcam.engines.openvino.runner import (
    NAME,
    compile_model,
    explain_conversion_errors,
    explain_int8_errors,
    read_model,
)
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.state_pool import StreamState
from streamcam.engines.streaming.temporal_ops import BufferKey
from streamcam.models.base import CamModel, ModelSpec, Stored


class OpenVinoStreamRunner(TorchRunner):
    """A model for `OpenVinoStream`. Its features stay PyTorch's, in float32, for warm-up and the ends of videos."""

    def __init__(self, model: CamModel, precision: str) -> None:
        super().__init__(model, torch.device("cpu"), precision)
        self.device_name = NAME

    def _prepare_features(self, features: nn.Module) -> nn.Module:
        return features


class OpenVinoStream:
    """A network of streams, computed by OpenVINO from when a stream is warmed up until it ends."""

    def __init__(
        self, network: StreamNetwork, spec: ModelSpec, *, precision: str, quantized: Stored | None = None
    ) -> None:
        """Convert a network, which takes seconds.

        Args:
            network: the network, in PyTorch.
            spec: of its model.
            precision: what OpenVINO computes in.
            quantized: for int8, the network of `convert_step`, quantised.

        Raises:
            StreamcamError: it cannot be converted, or another network was quantised.
        """
        self.span, self.pads_time = network.span, network.pads_time
        self._network = network
        self._keys = buffer_keys(network)
        if quantized is not None:
            with explain_int8_errors(spec):
                model = make_stateful(read_model(quantized), network, spec)
        else:
            with explain_conversion_errors(spec):
                model = make_stateful(convert_step(network, spec), network, spec)
        self._compiled = compile_model(model, precision=precision)
        self._warm: dict[StreamState, _WarmStream] = {}  # the streams that OpenVINO computes

    def start(self) -> StreamState:
        """Begin a video stream, and keep its state until `flush` or `release`."""
        return self._network.start()

    def push(self, streams: Sequence[StreamState], frames: Tensor) -> Tensor | None:
        """Compute the slices that new frames complete, as `Network.push` does; frames are float32 [N,3,t,H,W].

        Streams are computed one after the other: on a CPU, a batch of them gains little.
        """
        of_streams = [self._push(stream, new) for stream, new in zip(streams, frames.split(1), strict=True)]
        slices = [new for new in of_streams if new is not None]
        return torch.cat(slices) if slices else None

    def flush(self, stream: StreamState) -> Tensor | None:
        """End a stream, and drop it. Return the slices that were waiting for later frames, float32 [1,K,t',h,w]."""
        self._return_to_pytorch(stream, self._warm.pop(stream, None))
        return self._network.flush(stream)

    def fork(self, stream: StreamState) -> StreamState:
        """Begin a stream as a copy of another one. PyTorch computes the copy."""
        copy = self._network.fork(stream)
        self._return_to_pytorch(copy, self._warm.get(stream))
        return copy

    def release(self, stream: StreamState) -> None:
        """Drop a stream."""
        self._warm.pop(stream, None)
        self._network.release(stream)

    def _return_to_pytorch(self, stream: StreamState, warm: "_WarmStream | None") -> None:
        """Copy a stream's state from OpenVINO to PyTorch, if OpenVINO has it."""
        if warm is None:
            return
        # OpenVINO's buffers are those after a whole number of periods, which is the phase `warmup_frames`.
        stream.phase, rows = self._network.warmup_frames, self._network.state_pool.rows_of([stream])
        for i, slices in warm.buffers():
            rows.write(self._keys[i], slices)
        if warm.waiting.shape[2]:
            self._network.push([stream], warm.waiting)

    def _push(self, stream: StreamState, frames: Tensor) -> Tensor | None:
        """Compute new frames of one stream: what warm-up lacks in PyTorch, the rest in OpenVINO."""
        first = None
        if stream not in self._warm:
            missing = self._network.warmup_frames - stream.phase
            first = self._network.push([stream], frames[:, :, :missing])
            if stream.phase < self._network.warmup_frames:
                return first
            # OpenVINO goes on with the first frame after the warm-up, where a period begins.
            self._warm[stream] = self._take_over(stream)
            frames = frames[:, :, missing:]
        rest = self._warm[stream].push(frames, self._network.period)
        stream.phase = self._network.next_phase(stream.phase, frames.shape[2])
        slices = [new for new in (first, rest) if new is not None]
        return torch.cat(slices, dim=2) if slices else None

    def _take_over(self, stream: StreamState) -> "_WarmStream":
        """Copy a stream's state from PyTorch to OpenVINO, at the end of its warm-up."""
        rows, lengths = self._network.state_pool.rows_of([stream]), self._network.buffered(self._network.warmup_frames)
        buffers = [rows.read(key, lengths[key]) for key in self._keys]
        return _WarmStream(self._compiled.create_infer_request(), buffers)


class _WarmStream:
    """A stream's state in OpenVINO, and its newest frames that do not make up a whole period yet.

    No slice is complete before the period is, so the frames lose nothing by waiting.
    """

    def __init__(self, request: Any, buffers: Sequence[Tensor]) -> None:
        """Take an inference request of the stream's own, and set its state."""
        self._request, self._states = request, {state.name: state for state in request.query_state()}
        for i, slices in enumerate(buffers):
            self._states[_state_name(i)].state = import_openvino().Tensor(slices.contiguous().numpy())
        self.waiting = torch.empty(0)

    def push(self, frames: Tensor, period: int) -> Tensor | None:
        """Compute the slices of new frames [1,3,t,H,W], and of those that were waiting; None for none."""
        frames = torch.cat([self.waiting, frames], dim=2) if self.waiting.numel() else frames
        whole = frames.shape[2] // period * period
        self.waiting = frames[:, :, whole:]
        if whole == 0:
            return None
        results = self._request.infer([frames[:, :, :whole].contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(results[0])

    def buffers(self) -> Iterator[tuple[int, Tensor]]:
        """Yield the number of each buffer, and a copy of its slices."""
        for i in range(len(self._states)):
            yield i, torch.from_numpy(np.array(self._states[_state_name(i)].state.data))


class _PassedBuffers:
    """Buffers that are inputs and outputs of an exported network."""

    def __init__(self, slices: Mapping[BufferKey, Tensor]) -> None:
        self.slices = dict(slices)

    def read(self, key: BufferKey, _count: int) -> Tensor:
        return self.slices[key]

    def write(self, key: BufferKey, slices: Tensor) -> None:
        self.slices[key] = slices


class _Step(nn.Module):
    """A push to a warmed-up network without side effects: frames and buffers in, slices and buffers out."""

    def __init__(self, network: StreamNetwork, keys: Sequence[BufferKey]) -> None:
        super().__init__()
        self._network, self._keys = network, keys

    def forward(self, frames: Tensor, *slices: Tensor) -> tuple[Tensor | None, ...]:
        buffers = _PassedBuffers(dict(zip(self._keys, slices, strict=True)))
        output = self._network.run(self._network.warmup_frames, frames, buffers)
        return (output, *(buffers.slices[key] for key in self._keys))


def buffer_keys(network: StreamNetwork) -> list[BufferKey]:
    """Return the buffers that a warmed-up network uses, in the order in which a step takes and returns them."""
    return list(network.buffered(network.warmup_frames))


def warm_inputs(network: StreamNetwork, frames: Tensor) -> list[Tensor]:
    """Return the inputs of a step, after the warm-up with a video's first frames.

    Args:
        network: the network.
        frames: the video, float32 [1,3,t,H,W], with t above `warmup_frames`.

    Returns:
        The frames after the warm-up, and the slices in each buffer.
    """
    stream, lengths = network.start(), network.buffered(network.warmup_frames)
    network.push([stream], frames[:, :, : network.warmup_frames])
    rows = network.state_pool.rows_of([stream])
    buffers = [rows.read(key, lengths[key]).contiguous().clone() for key in buffer_keys(network)]
    network.release(stream)
    return [frames[:, :, network.warmup_frames :].contiguous(), *buffers]


def convert_step(network: StreamNetwork, spec: ModelSpec) -> Any:
    """Convert a push to a warmed-up network into an OpenVINO model.

    Its inputs are frames of any number of periods, and the buffers. Its outputs are slices, and the buffers after them.
    """
    inputs, keys = _blank_inputs(network, spec), buffer_keys(network)
    with torch.no_grad():
        model = import_openvino().convert_model(torch.export.export(_Step(network, keys), tuple(inputs)))
    for i in range(len(keys)):
        model.inputs[1 + i].get_tensor().set_names({_input_name(i)})
        model.outputs[1 + i].get_tensor().set_names({_output_name(i)})
    return _take_any_periods(model, inputs)


def make_stateful(model: Any, network: StreamNetwork, spec: ModelSpec) -> Any:
    """Turn the buffers of a model of `convert_step`, which may have been quantised since, into its state.

    OpenVINO then keeps them between two inferences of one request.

    Raises:
        RuntimeError: it is a model of another network.
    """
    openvino = import_openvino()
    from openvino._offline_transformations import apply_make_stateful_transformation

    inputs = _blank_inputs(network, spec)
    if len(model.inputs) != len(inputs):
        raise RuntimeError(f"expected {len(inputs)} inputs, got {len(model.inputs)}")
    _take_any_periods(model, inputs)
    apply_make_stateful_transformation(model, {_input_name(i): _output_name(i) for i in range(len(inputs) - 1)})
    shapes = {_state_name(i): openvino.PartialShape(list(slices.shape)) for i, slices in enumerate(inputs[1:])}
    for variable in model.get_variables():  # OpenVINO takes a state whose shape it does not know for an empty one
        info = variable.get_info()
        info.data_shape = shapes[info.variable_id]
        variable.update(info)
    return model


def _blank_inputs(network: StreamNetwork, spec: ModelSpec) -> list[Tensor]:
    """Return the inputs of a step of one period, of a black video."""
    return warm_inputs(network, torch.zeros(1, 3, network.warmup_frames + network.period, *spec.clip_format.crop))


def _take_any_periods(model: Any, inputs: Sequence[Tensor]) -> Any:
    """Let a model take any number of frames. All other sizes are those of these inputs."""
    shapes = [[1, 3, -1, *inputs[0].shape[3:]], *(list(slices.shape) for slices in inputs[1:])]
    partial = import_openvino().PartialShape
    model.reshape({port: partial(shape) for port, shape in zip(model.inputs, shapes, strict=True)})
    return model


# Quantised checkpoints hold models with these names, so they must stay as they are.


def _input_name(i: int) -> str:
    return f"given {i} "


def _output_name(i: int) -> str:
    return f"left {i}"


def _state_name(i: int) -> str:
    """Return the name that OpenVINO gives to the state that an input and an output become."""
    return _input_name(i) + _output_name(i)
