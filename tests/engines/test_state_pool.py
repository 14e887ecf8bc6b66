"""Many streams in one state pool: each gives the slices that it gives alone, and tensors stay at their addresses."""

from collections import defaultdict
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.state_pool import StreamState
from streamcam.models.registry import load_model

SIDE = 16


class Residual(nn.Module):
    """A block as in r3d_18: padded along time, with a stride, and a second branch that has to wait."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.a = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm3d(outputs)
        self.b = nn.Conv3d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv3d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.relu(self.b(self.relu(self.norm(self.a(x)))) + self.shortcut(x))
        return result


@cache
def features(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "motion":
        return load_model("motion").features
    if name == "pooled":
        return nn.Sequential(
            nn.Conv3d(3, 6, 3, (2, 2, 2), 1), nn.MaxPool3d(3, 2, 1), nn.Conv3d(6, 4, (2, 3, 3)), nn.ReLU()
        ).eval()
    stem = nn.Sequential(nn.Conv3d(3, 8, (3, 5, 5), (1, 2, 2), (1, 2, 2)), nn.ReLU())
    return nn.Sequential(stem, Residual(8, 8, 1), Residual(8, 12, 2), Residual(12, 16, 2)).eval()


NETWORKS = ("motion", "residual", "pooled")


@cache
def video(camera: int) -> Tensor:
    return torch.randn(1, 3, 200, SIDE, SIDE, generator=torch.Generator().manual_seed(camera))


class Cameras:
    """Cameras on one network, and the slices of each."""

    def __init__(self, name: str) -> None:
        self.network, self._features = StreamNetwork(features(name)), features(name)
        self.streams: dict[int, StreamState] = {}
        self.pushed: dict[int, int] = {}
        self._slices: defaultdict[int, list[Tensor]] = defaultdict(list)

    def push(self, new: dict[int, int]) -> None:
        """Push so many new frames of each camera. A camera that is not known starts a stream."""
        groups = defaultdict(list)
        for camera, count in new.items():
            if camera not in self.streams:
                self.streams[camera], self.pushed[camera] = self.network.start(), 0
            groups[count, self.streams[camera].phase].append(camera)
        for (count, _), cameras in groups.items():
            frames = torch.cat([video(c)[:, :, self.pushed[c] : self.pushed[c] + count] for c in cameras])
            slices = self.network.push([self.streams[c] for c in cameras], frames)
            for i, camera in enumerate(cameras):
                self.pushed[camera] += count
                if slices is not None:
                    self._slices[camera].append(slices[i : i + 1])

    def leave(self, camera: int, *, flush: bool) -> None:
        """End a camera's stream, and compare its slices with one pass over all its frames."""
        stream = self.streams.pop(camera, None)
        if stream is None:
            return
        if not flush:
            self.network.release(stream)
        elif (last := self.network.flush(stream)) is not None:
            self._slices[camera].append(last)
        if slices := self._slices.pop(camera, []):
            got = torch.cat(slices, dim=2)
            with torch.inference_mode():
                expected = self._features(video(camera)[:, :, : self.pushed[camera]])
            assert not flush or got.shape == expected.shape
            expected = expected[:, :, : got.shape[2]]
            assert float((got - expected).abs().max() / expected.abs().max()) <= 1e-5


CAMERA = st.integers(0, 5)
ROUND = st.one_of(
    st.dictionaries(CAMERA, st.integers(1, 5), min_size=1),  # a number of frames of each camera, in any order
    st.sets(CAMERA, min_size=1).map(lambda cameras: dict.fromkeys(sorted(cameras), 1)),  # one frame of each camera
    st.tuples(CAMERA, st.booleans()),  # a camera that leaves, with its last slices or without
)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=30, deadline=None)
@given(rounds=st.lists(ROUND, min_size=10, max_size=30))
def test_each_camera_gives_the_slices_that_it_gives_alone(
    name: str, rounds: list[dict[int, int] | tuple[int, bool]]
) -> None:
    cameras = Cameras(name)
    for event in rounds:
        if isinstance(event, dict):
            cameras.push(event)
        else:
            cameras.leave(event[0], flush=event[1])
    for camera in list(cameras.streams):
        cameras.leave(camera, flush=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_buffers_stay_at_their_addresses_until_there_are_more_streams_than_rows(name: str) -> None:
    cameras = Cameras(name)
    network, everyone = cameras.network, dict.fromkeys(range(4), cameras.network.period)

    def addresses() -> list[tuple[int, tuple[int, ...]]]:
        return [(tensor.data_ptr(), tensor.stride()) for tensor in network.state_pool.tensors.values()]

    for _ in range(network.warmup_frames + network.period):  # frame by frame, so that every buffer is made
        cameras.push(dict.fromkeys(range(4), 1))
    before = addresses()
    for new in (everyone, dict.fromkeys((2, 0), 3), dict.fromkeys((1, 3), 1), everyone, {2: 8, 1: 2}, everyone):
        cameras.push(new)
        assert addresses() == before
    cameras.leave(1, flush=False)
    cameras.push({0: 1, 2: 1, 3: 1, 7: 2})  # into the row that is free again
    assert addresses() == before
    cameras.push({8: 1})  # one more than there are rows
    assert network.state_pool.capacity == 8
    for camera in list(cameras.streams):
        cameras.leave(camera, flush=True)
