"""The stream engine's `push`: frames in, heat slices out as they are complete, for each source."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from streamcam.clips import SlidingWindow, prepare
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.stream_engine import StreamEngine
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.head import Head
from streamcam.records import ClipFormat, Frame, HeatSlice
from tests.support.frames import make_frame

CPU = torch.device("cpu")


@pytest.fixture
def strided() -> CamModel:
    """Make a model with a slice for every second frame, which sees 5 frames and waits for 2."""
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv3d(3, 6, 3, (2, 2, 2), 1), nn.ReLU(), nn.Conv3d(6, 5, (2, 3, 3)), nn.ReLU())
    clip_format = ClipFormat(length=8, fps=10, resize=(18, 24), crop=(16, 16), mean=(127.0,) * 3, std=(128.0,) * 3)
    spec = ModelSpec("strided", "a test", ("red", "green"), clip_format, framewise=False, temporal_stride=2)
    return CamModel(spec, features, Head([nn.Linear(5, 2)]))


def engine_of(model: CamModel, *, dense: bool = False) -> StreamEngine:
    return StreamEngine(TorchRunner(model, CPU, "fp32"), dense=dense)


def frames_of(source: str, numbers: Iterable[int], *, session: int = 0) -> list[Frame]:
    return [make_frame(i, source=source, session=session) for i in numbers]


@torch.inference_mode()
def whole(model: CamModel, frames: Sequence[Frame]) -> np.ndarray:
    """Compute the heat of one pass over a whole video, [C,T',h,w]."""
    video = np.stack([prepare(frame.pixels, model.spec.clip_format) for frame in frames])
    return np.asarray(model(model.normalise(torch.from_numpy(video)[None])).cube[0].numpy())


def assert_slices(slices: Sequence[HeatSlice], cube: np.ndarray) -> None:
    assert len(slices) == cube.shape[1]
    for i, heat in enumerate(slices):
        np.testing.assert_allclose(heat.cube, cube[:, i], atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_pushed_in_pieces_the_slices_are_those_of_the_whole_video(strided: CamModel, chunk: int) -> None:
    frames, engine = frames_of("a", range(21)), engine_of(strided)
    slices = [heat for i in range(0, 21, chunk) for heat in engine.push(frames[i : i + chunk])]
    slices += engine.flush("a")
    assert_slices(slices, whole(strided, frames))
    for heat in slices:
        expected = strided.bias.numpy() + heat.cube.mean((1, 2))
        np.testing.assert_allclose(heat.logits, expected, atol=1e-5)


def test_slices_have_the_times_of_their_frames_also_at_an_uneven_frame_rate(strided: CamModel) -> None:
    times_s = np.cumsum(np.random.default_rng(0).uniform(0.05, 0.15, 40))
    pixels = make_frame(0).pixels
    frames = [Frame(pixels, i, float(t), 0, "a") for i, t in enumerate(times_s)]
    engine = engine_of(strided)
    slices = [heat for i in range(0, 40, 5) for heat in engine.push(frames[i : i + 5])]
    for n, heat in enumerate(slices):  # n sees frames 2n − 1 to 2n + 3; padding has the first frame's time
        assert heat.pts_s == pytest.approx(times_s[2 * n + 1])
        assert heat.seen_pts_s == pytest.approx((times_s[max(0, 2 * n - 1)], times_s[2 * n + 3]))
    assert len(slices) == 19


def test_the_newest_slice_is_as_far_behind_as_the_engine_says(strided: CamModel) -> None:
    engine = engine_of(strided)
    for frame in frames_of("a", range(20)):
        for heat in engine.push([frame]):
            assert frame.pts_s - heat.pts_s == pytest.approx(engine.lookahead_s)


def test_dense_gives_a_slice_for_every_frame(strided: CamModel) -> None:
    frames = frames_of("a", range(24))
    dense, plain = engine_of(strided, dense=True), engine_of(strided)
    every, each_second = dense.push(frames), plain.push(frames)
    assert np.diff([heat.pts_s for heat in every]) == pytest.approx(0.1)
    for got, expected in zip(every[::2], each_second, strict=True):
        np.testing.assert_allclose(got.cube, expected.cube, atol=1e-5)
        assert got.pts_s == pytest.approx(expected.pts_s)
    assert (dense.hop, plain.hop) == (1, 2)
    window = SlidingWindow(strided.spec.clip_format, head_start=True)
    heats = [dense.infer([clip])[0] for frame in frames_of("b", range(24)) if (clip := window.push(frame))]
    last = heats[-1]
    assert last is not None
    assert last.cube.shape[1] == 8
    assert last.pts_s == pytest.approx([heat.pts_s for heat in every[-8:]])


def test_a_window_is_the_mean_over_the_slices_that_were_pushed(strided: CamModel) -> None:
    pushing, inferring = engine_of(strided), engine_of(strided)
    window = SlidingWindow(strided.spec.clip_format, head_start=True)
    slices: list[HeatSlice] = []
    compared = 0
    for frame in frames_of("a", range(30)):
        slices += pushing.push([frame])
        clip = window.push(frame)
        assert clip is not None
        (heat,) = inferring.infer([clip])
        if heat is None:
            continue
        last = slices[-4:]
        np.testing.assert_allclose(heat.logits, np.mean([s.logits for s in last], axis=0), atol=1e-5)
        np.testing.assert_allclose(heat.cube, np.stack([s.cube[heat.classes] for s in last], axis=1), atol=1e-5)
        np.testing.assert_allclose(heat.pts_s, [s.pts_s for s in last])
        compared += 1
    assert compared > 15


def test_a_camera_that_joins_leaves_or_reconnects_resets_only_its_own_state(strided: CamModel) -> None:
    engine = engine_of(strided)
    slices: dict[tuple[str, int], list[HeatSlice]] = {}

    def push(*frames: Frame) -> None:
        for heat in engine.push(frames):
            slices.setdefault((heat.source, heat.session), []).append(heat)

    for i in range(40):
        present = [make_frame(i, source="a")]
        if i >= 7:  # joins
            present.append(make_frame(i, source="b", session=int(i >= 20)))  # and reconnects
        if i < 25:
            present.append(make_frame(i, source="c"))
        elif i == 25:  # leaves
            engine.reset("c")
        push(*present)
    videos = {("a", 0): range(40), ("b", 0): range(7, 20), ("b", 1): range(20, 40), ("c", 0): range(25)}
    assert slices.keys() == videos.keys()
    for key, numbers in videos.items():
        cube = whole(strided, frames_of("x", numbers))
        assert_slices(slices[key], cube[:, : len(slices[key])])
        assert len(slices[key]) >= cube.shape[1] - 1
    push(*frames_of("c", range(25)))  # comes back, in the same session
    assert_slices(slices["c", 0][-11:], whole(strided, frames_of("x", range(25)))[:, :11])


def test_two_sessions_in_one_push_are_two_videos(strided: CamModel) -> None:
    got = engine_of(strided).push(frames_of("a", range(10)) + frames_of("a", range(30, 40), session=1))
    assert [heat.session for heat in got] == [0] * 4 + [1] * 4
    assert_slices(got[4:], whole(strided, frames_of("x", range(30, 40)))[:, :4])


def test_after_a_flush_a_source_starts_anew(strided: CamModel) -> None:
    engine = engine_of(strided)
    first = engine.push(frames_of("a", range(12))) + engine.flush("a")
    again = engine.push(frames_of("a", range(12))) + engine.flush("a")
    assert engine.flush("a") == engine.flush("never seen") == []
    assert_slices(again, np.stack([heat.cube for heat in first], axis=1))


def test_a_framewise_network_gives_a_slice_for_each_frame_at_once(tiny_framewise: CamModel) -> None:
    engine, frames = engine_of(tiny_framewise), frames_of("a", range(6))
    slices = engine.push(frames)
    assert [heat.pts_s for heat in slices] == [frame.pts_s for frame in frames]
    assert_slices(slices, whole(tiny_framewise, frames))
    assert engine.flush("a") == []


@pytest.mark.parametrize("method", ["push", "flush"])
def test_after_an_error_a_source_starts_anew_and_its_rows_are_free(
    strided: CamModel, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, engine = frames_of("a", range(21)), engine_of(strided)
    engine.push(frames[:9])
    (sources,) = engine._pools.values()
    state_pools = sources._rings.state_pool, engine._network.state_pool  # type: ignore[attr-defined]

    def broken(*_arguments: object) -> None:
        raise ValueError("a broken kernel")

    with monkeypatch.context() as patched:
        patched.setattr(engine._network, "run", broken)
        with pytest.raises(ValueError, match="broken kernel"):
            engine.push([*frames[9:12], *frames_of("b", range(3))]) if method == "push" else engine.flush("a")
    assert [len(state_pool._streams) for state_pool in state_pools] == [0, 0]
    assert_slices(engine.push(frames) + engine.flush("a"), whole(strided, frames))
