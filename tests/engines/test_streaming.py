"""Networks of clips, converted into networks of streams that give the same slices."""

import operator
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.network import streaming
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.head import Head
from streamcam.models.registry import load_model
from streamcam.records import Heat
from tests.support.frames import TINY_FORMAT, make_frame

NAMES = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d", "motion", "classes of motion", "own")
FRAMES = 48


class Own(nn.Module):
    """A network with what the named ones lack: dilation along time, parallel strides, skipped slices, arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 8, 3, 1, (2, 1, 1), dilation=(2, 1, 1))
        self.conv, self.pool = nn.Conv3d(8, 6, 3, (2, 2, 2), 1), nn.MaxPool3d(3, 2, 1)
        self.step, self.norm = nn.Conv3d(14, 5, 1, (2, 1, 1)), nn.BatchNorm3d(5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.norm(self.step(torch.cat([self.conv(x), self.pool(x)], dim=1))))
        return torch.add(x * x, (1.5 - torch.sigmoid(torch.mean(x, (3, 4), keepdim=True))) * x / 2, alpha=3)


def own() -> CamModel:
    spec = ModelSpec("own", "a test", ("red", "green"), TINY_FORMAT, framewise=False, temporal_stride=4)
    return CamModel(spec, Own(), Head([nn.Linear(5, 2)]))


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> CamModel:
    """Make a network that can be converted, with random statistics, as if it had been trained."""
    torch.manual_seed(0)
    model = own() if request.param == "own" else load_model(request.param.split()[-1], weights="none")
    if request.param == "classes of motion":  # they lie behind other features
        model = model.with_spec(replace(model.spec, name="mine", classes=("a", "b")))
    for module in model.features.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, 0, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return model


@torch.inference_mode()
def whole(features: nn.Module, video: Tensor) -> Tensor:
    """Compute all slices of a video in one pass."""
    out = features(video)
    result: Tensor = out[0] if isinstance(out, tuple) else out
    return result


def pushed(network: StreamNetwork, video: Tensor, chunks: Sequence[int]) -> Tensor:
    """Compute all slices of a video that is pushed in pieces."""
    stream = network.start()
    slices = [network.push([stream], piece) for piece in video.split(list(chunks), dim=2)]
    return torch.cat([new for new in (*slices, network.flush(stream)) if new is not None], dim=2)


def assert_close(got: Tensor, expected: Tensor) -> None:
    assert got.shape == expected.shape
    assert float((got - expected).abs().max() / expected.abs().max()) <= 1e-5


def test_a_video_in_pieces_gives_the_slices_that_it_gives_whole(model: CamModel) -> None:
    video = torch.randn(1, 3, FRAMES, 32, 32, generator=torch.Generator().manual_seed(1))
    expected, network = whole(model.features, video), StreamNetwork(model.features)
    borders = np.sort(np.random.default_rng(3).choice(np.arange(1, FRAMES), 6, replace=False))
    random = np.diff([0, *borders, FRAMES]).tolist()
    for chunks in ((1,) * FRAMES, (3,) * 16, (8,) * 6, random):
        assert_close(pushed(network, video, chunks), expected)


def test_buffers_stay_at_their_addresses(model: CamModel) -> None:
    """A CUDA graph, which knows nothing but addresses, could hold a push."""
    network = StreamNetwork(model.features)
    stream, frames = network.start(), torch.randn(1, 3, model.spec.temporal_stride, 32, 32)

    def buffers() -> list[tuple[int, torch.Size]]:
        return [(t.data_ptr(), t.shape) for t in network.state_pool.tensors.values()]

    while stream.phase < network.warmup_frames:
        network.push([stream], frames)
    before, first = buffers(), network.push([stream], frames)
    second = network.push([stream], 2 * frames)
    assert buffers() == before
    assert first is not None
    assert second is not None
    assert first.shape == second.shape


def test_dense_gives_the_slices_between_as_well(model: CamModel) -> None:
    video = torch.randn(1, 3, FRAMES, 32, 32, generator=torch.Generator().manual_seed(2))
    dense = pushed(StreamNetwork(model.features, dense=True), video, (7, 1, 24, 16))
    stride = model.spec.temporal_stride
    # S3D pools over two frames without padding, so it gives fewer slices than there are frames.
    assert FRAMES - stride < dense.shape[2] + model.spec.temporal_context <= FRAMES
    assert_close(dense[:, :, ::stride], whole(model.features, video))
    if stride > 1:
        # From the second frame on, the strided network gives the slices of the next phase. Only those that see padding
        # before the video's start differ.
        span = StreamNetwork(model.features).span
        later = whole(model.features, video[:, :, 1:])
        first_without_padding = -(-max(0, -span.first) // stride)
        if first_without_padding < later.shape[2]:
            assert_close(dense[:, :, 1::stride][:, :, first_without_padding:], later[:, :, first_without_padding:])


@pytest.mark.parametrize(
    ("name", "receptive_field", "stride", "lookahead"),
    [
        ("r3d_18", 109, 8, 54),
        ("mc3_18", 11, 1, 5),
        ("r2plus1d_18", 109, 8, 54),
        ("s3d", 99, 8, 49),
        ("motion", 17, 1, 5),
    ],
)
def test_spans_are_those_of_the_model_cards(name: str, receptive_field: int, stride: int, lookahead: int) -> None:
    spec = load_model(name, weights="none")
    span = streaming(spec).span
    assert (span.receptive_field, span.stride, span.lookahead) == (receptive_field, stride, lookahead)
    assert span.centre == spec.spec.temporal_offset
    assert spec.spec.temporal_receptive_field == receptive_field
    assert spec.spec.stream_lookahead_s == lookahead / 15


@pytest.mark.parametrize("name", ["imagenet", "resnet18", "googlenet", "mobilenet_v3_small", "convnext_tiny"])
def test_the_spec_of_a_framewise_network_says_whether_it_can_be_streamed(name: str) -> None:
    model = load_model(name, weights="none")
    if model.spec.stream_lookahead_s is None:
        with pytest.raises(StreamcamError, match=f"{name} cannot be streamed: its head is not linear"):
            streaming(model)
    else:
        assert streaming(model).span.lookahead == model.spec.stream_lookahead_s == 0


def test_a_slice_is_complete_with_its_last_frame(model: CamModel) -> None:
    network = StreamNetwork(model.features)
    stream, span = network.start(), network.span
    video = torch.randn(1, 3, span.last + 1, 32, 32)
    assert network.push([stream], video[:, :, :-1]) is None
    first = network.push([stream], video[:, :, -1:])
    assert first is not None
    assert first.shape[2] == 1


class Unpadded(nn.Module):
    """A network without padding along time: branches, a cropped residual, a stride."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 8, (3, 3, 3), padding=(0, 1, 1), bias=False)
        self.norm = nn.BatchNorm3d(8)
        self.conv = nn.Conv3d(8, 8, (3, 1, 1))
        self.wide = nn.Conv3d(8, 4, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.pool = nn.MaxPool3d((1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.conv(x) + x[:, :, 1:-1])
        return torch.cat([self.wide(x), self.pool(x)], dim=1)


@pytest.fixture
def unpadded() -> CamModel:
    """Make a model whose clips of 10 frames give 6 slices."""
    torch.manual_seed(0)
    spec = ModelSpec(
        "unpadded", "a test", ("red", "green", "blue"), replace(TINY_FORMAT, length=10), framewise=False,
        temporal_context=4, temporal_offset=2.0,
    )  # fmt: skip
    return CamModel(spec, Unpadded(), Head([nn.Linear(12, 3)]))


def run(engine_name: str, model: CamModel, *, count: int = 40, hop: int = 1) -> list[Heat]:
    engine = make_engine(model, name=engine_name, device="cpu", precision="fp32")
    window = SlidingWindow(model.spec.clip_format, hop=hop, head_start=engine.head_start)
    clips = [window.push(make_frame(i)) for i in range(count)]
    heats = [engine.infer([clip])[0] for clip in clips if clip is not None]
    return [heat for heat in heats if heat is not None]


@pytest.mark.parametrize("hop", [1, 2, 3, 7])
def test_without_padding_along_time_stream_gives_the_heat_of_window(unpadded: CamModel, hop: int) -> None:
    streamed, windowed = run("stream", unpadded, hop=hop), run("window", unpadded, hop=hop)
    assert len(streamed) == len(windowed) > 3
    for a, b in zip(streamed, windowed, strict=True):
        assert a.classes.tolist() == b.classes.tolist()
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-5)
        np.testing.assert_allclose(a.cube, b.cube, atol=1e-5)
        np.testing.assert_allclose(a.common, b.common, atol=1e-5)
        np.testing.assert_allclose(a.pts_s, b.pts_s)
        assert a.clip_pts_s == pytest.approx(b.clip_pts_s)
        assert a.lookahead_s == pytest.approx(b.lookahead_s)
        assert a.lookahead_s == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["motion", "imagenet"])
def test_models_that_auto_streams_give_the_heat_of_window_to_a_hundred_thousandth(name: str) -> None:
    model = load_model(name)
    clip_format = replace(model.spec.clip_format, resize=(36, 48), crop=(32, 32), shapes=())
    model = model.with_spec(replace(model.spec, clip_format=clip_format))
    count = clip_format.length + 9
    for hop in (1, 3, 8):
        streamed, windowed = run("auto", model, hop=hop, count=count), run("window", model, hop=hop, count=count)
        assert len(streamed) == len(windowed) > 1
        for a, b in zip(streamed, windowed, strict=True):
            assert a.classes.tolist() == b.classes.tolist()
            for got, expected in ((a.logits, b.logits), (a.cube, b.cube), (a.common, b.common)):
                assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


def test_auto_streams_only_where_the_heat_stays_the_same(unpadded: CamModel, tiny: CamModel) -> None:
    assert make_engine(unpadded, device="cpu").name == "stream"
    assert make_engine(tiny, device="cpu").name == "window"
    assert make_engine(unpadded, device="cpu", dense=True).name == "stream"
    # Streamed, tiny would give other heat, so this has to be asked for.
    with pytest.raises(
        StreamcamError, match=r"dense is for the stream engine, and tiny runs in window: use --engine st"
    ):
        make_engine(tiny, device="cpu", dense=True)


def test_cameras_of_different_phases_give_the_heat_that_each_gives_alone(unpadded: CamModel) -> None:
    together = make_engine(unpadded, name="stream", device="cpu", precision="fp32")
    alone = {name: make_engine(unpadded, name="stream", device="cpu", precision="fp32") for name in "abc"}
    windows = {name: SlidingWindow(unpadded.spec.clip_format, head_start=True) for name in "abc"}
    compared = 0
    for i in range(40):
        present = [name for name, joins in (("a", 0), ("b", 3), ("c", 17)) if i >= joins and (name, i) != ("b", 20)]
        session = int(i >= 25)  # a reconnects
        clips = [windows[name].push(make_frame(i, source=name, session=session * (name == "a"))) for name in present]
        present_clips = [clip for clip in clips if clip is not None]
        for clip, heat in zip(present_clips, together.infer(present_clips), strict=True):
            (alone_heat,) = alone[clip.last.source].infer([clip])
            assert (heat is None) == (alone_heat is None)
            if heat is not None and alone_heat is not None:
                np.testing.assert_allclose(heat.cube, alone_heat.cube, atol=1e-5)
                np.testing.assert_allclose(heat.logits, alone_heat.logits, atol=1e-5)
                np.testing.assert_allclose(heat.pts_s, alone_heat.pts_s)
                compared += 1
    assert compared > 50


def test_slices_of_a_padded_network_are_those_of_one_pass_at_the_same_times(tiny: CamModel) -> None:
    heats = run("stream", tiny, count=20)
    video = torch.stack([torch.from_numpy(clip_of(tiny, i)) for i in range(20)])[None]
    with torch.inference_mode():
        cube = tiny(tiny.normalise(video)).cube[0]
    last = heats[-1]
    for j, pts_s in enumerate(last.pts_s):
        np.testing.assert_allclose(last.cube[:, j], cube[last.classes, round(pts_s * 10)], atol=1e-5)
    # Two convolutions over three frames each: the last slice waits for two frames.
    assert last.pts_s[-1] == pytest.approx(1.7)
    assert last.clip_pts_s[1] == pytest.approx(1.9)
    assert last.lookahead_s == pytest.approx(0.2)
    assert run("window", tiny)[0].lookahead_s == 0


def clip_of(model: CamModel, i: int) -> np.ndarray:
    window = SlidingWindow(replace(model.spec.clip_format, length=1))
    clip = window.push(make_frame(i))
    assert clip is not None
    return np.asarray(clip.frames[0])


def test_positions_are_weighted_as_behind_the_sliding_average_of_s3d(unpadded: CamModel) -> None:
    model = CamModel(unpadded.spec, unpadded.features, unpadded.head, windows=(2, 3, 3))
    streamed, windowed = run("stream", model), run("window", model)
    assert not np.allclose(windowed[0].logits, run("window", unpadded)[0].logits)
    for a, b in zip(streamed, windowed, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-5)
        np.testing.assert_allclose(a.cube, b.cube, atol=1e-5)


@pytest.mark.parametrize("name", ["r3d_18", "motion", "imagenet", "own"])
def test_where_most_frames_are_missing_stream_gives_the_heat_of_window(name: str) -> None:
    """Frames are missing before each clip, so the stream never gets as many in a row as it needs."""
    model = own() if name == "own" else load_model(name, weights="none" if name == "r3d_18" else None)
    clip_format = replace(model.spec.clip_format, resize=(36, 48), crop=(32, 32), shapes=())
    model = model.with_spec(replace(model.spec, clip_format=clip_format))
    stream, window = (make_engine(model, name=n, device="cpu", precision="fp32") for n in ("stream", "window"))
    frames = SlidingWindow(clip_format, hop=2 * clip_format.length + 3)
    clips = [clip for i in range(7 * clip_format.length) if (clip := frames.push(make_frame(i, fps=clip_format.fps)))]
    assert len(clips) == 3
    assert (stream.infer([clips[0]]) == [None]) == (name == "r3d_18")  # whose first slices wait for later frames
    for clip in clips[1:]:
        (got,), (expected,) = stream.infer([clip]), window.infer([clip])
        assert got is not None
        assert expected is not None
        assert got.clip_pts_s[1] == expected.clip_pts_s[1]
        peak = np.abs(expected.cube).max()
        assert np.abs(got.logits - expected.logits).max() <= 1e-4 * max(1.0, np.abs(expected.logits).max())
        assert got.cube.shape == expected.cube.shape
        assert np.abs(got.common - expected.common).max() <= 1e-4 * peak


def test_where_most_frames_are_missing_a_dense_stream_gives_heat_too() -> None:
    model = own()
    stream = make_engine(model, name="stream", device="cpu", precision="fp32", dense=True)
    frames = SlidingWindow(TINY_FORMAT, hop=11)
    heats = [stream.infer([clip])[0] for i in range(40) if (clip := frames.push(make_frame(i)))]
    assert len(heats) == 4
    shapes = {None if heat is None else heat.cube.shape[1:] for heat in heats[1:]}
    assert shapes == {(TINY_FORMAT.length, 8, 8)}


def test_after_a_gap_a_stream_gives_heat_at_once_and_later_the_heat_of_one_pass(tiny: CamModel) -> None:
    stream, reference = (make_engine(tiny, name="stream", device="cpu", precision="fp32") for _ in range(2))
    window = SlidingWindow(TINY_FORMAT, head_start=True)
    clips = [clip for i in range(60) if (clip := window.push(make_frame(i)))]
    computed = [*clips[:10], clips[20], clips[33], *clips[34:]]
    heats = [stream.infer([clip])[0] for clip in computed]
    assert all(heat is not None for clip, heat in zip(computed[10:], heats[10:], strict=True))
    expected = [reference.infer([clip])[0] for clip in clips][-15:]
    for a, b in zip(heats[-15:], expected, strict=True):
        assert a is not None
        assert b is not None
        np.testing.assert_allclose(a.cube, b.cube, atol=1e-5)
        np.testing.assert_allclose(a.pts_s, b.pts_s)


class GloballyGated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv3d(3, 6, 3, padding=1), nn.AdaptiveAvgPool3d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.pool(x))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv3d(3, 6, 3, padding=1), nn.Conv3d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.gate(x.mean((2, 3, 4), keepdim=True)))


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.attention(x, x, x)[0]
        return result


class JoinedOverTime(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.relu(x)], dim=2)


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], dim=1)


class MeanOverTime(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(2, keepdim=True)


class OddCrop(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return operator.getitem(x, (slice(None), slice(None), slice(None, None, 2)))


@pytest.mark.parametrize(
    ("module", "culprit"),
    [
        (GloballyGated(), r"0\.pool \(AdaptiveAvgPool3d\)"),
        (SqueezeExcite(), "mean"),
        (Attending(), r"0\.attention \(MultiheadAttention\)"),
        (MeanOverTime(), "mean"),
        (JoinedOverTime(), "cat"),
        (Twice(), "cat"),
        (nn.Conv3d(3, 3, 3, padding="same"), "0 pads or steps in a way of its own"),
        (OddCrop(), "getitem"),
        (nn.AvgPool3d(3, 1, 1), "pads or steps in a way of its own"),
        (nn.Conv3d(3, 3, 3, padding=1, padding_mode="replicate"), "pads or steps in a way of its own"),
    ],
)
def test_an_operation_that_mixes_all_of_time_is_refused_by_name(module: nn.Module, culprit: str) -> None:
    with pytest.raises(StreamcamError, match=rf"cannot be streamed: .*{culprit}.*use --engine window"):
        StreamNetwork(nn.Sequential(module))


def test_the_user_is_told_which_network_cannot_be_streamed() -> None:
    message = r"swin3d_t cannot be streamed: shifted_window_attention_3d may mix all of time \(use --engine window\)"
    with pytest.raises(StreamcamError, match=message):
        make_engine(load_model("swin3d_t", weights="none"), name="stream", device="cpu")
