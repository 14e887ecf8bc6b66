"""Exported graphs give what PyTorch gives, in each runtime, whole or fed in any pieces."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from streamcam.clips import SlidingWindow
from streamcam.config.run import RunConfig
from streamcam.engines.backends import make_engine
from streamcam.engines.exported.backends import RUNTIMES
from streamcam.engines.exported.engine import GraphEngine
from streamcam.errors import StreamcamError
from streamcam.export.steps import ClipStep, StreamStep
from streamcam.export.write import write_graph
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.graph_card import Precision
from streamcam.models.head import Head
from streamcam.models.registry import load_model
from streamcam.records import Clip, Frame, Heat
from streamcam.runtime.graph_network import GraphNetwork
from tests.support.frames import TINY_FORMAT, make_frame

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime", "openvino")),
        reason="needs the extra export",
    ),
]

SIZE = (64, 64)
CLOSE = 1e-4
"""Of the largest heat."""


def valid() -> CamModel:
    """Make a network whose slices see 5 frames: 4 slices of clips of 8 frames."""
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv3d(3, 4, 3, (1, 2, 2), (0, 1, 1)), nn.ReLU(), nn.Conv3d(4, 5, (3, 1, 1)), nn.ReLU())
    spec = ModelSpec(
        "valid",
        "a test",
        ("red", "green", "blue"),
        replace(TINY_FORMAT, length=8),
        framewise=False,
        temporal_offset=2.0,
        temporal_context=4,
        temporal_receptive_field=5,
    )
    return CamModel(spec, features, Head([nn.Linear(5, 3)]))


def noise(model: CamModel, *, seed: int = 0) -> np.ndarray:
    clip_format = model.spec.clip_format
    shape = (clip_format.length, 3, *clip_format.crop)
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)


def written(model: CamModel, path: Path, *, stream: bool, precision: Precision = "fp32") -> Path:
    step = StreamStep(model) if stream else ClipStep(model)
    clips = [noise(model, seed=seed) for seed in range(2)]
    write_graph(step, path, precision=precision, learnt_from=clips, compared_on=clips[:1])
    return path


def engine_of(path: Path, backend: str, *, sources: int = 2, **options: object) -> GraphEngine:
    names = [f"lavfi:testsrc=size=64x48:rate={10 + i}" for i in range(sources)]
    config = RunConfig.model_validate({"sources": names, "model": str(path), "backend": backend, **options})
    (engine,) = GraphNetwork(path, config).make_engines(None, None)
    assert isinstance(engine, GraphEngine)
    return engine


def clips_of(frames: Sequence[Frame], model: CamModel, *, hop: int, head_start: bool = False) -> Iterator[Clip]:
    window = SlidingWindow(model.spec.clip_format, hop=hop, head_start=head_start)
    yield from (clip for frame in frames if (clip := window.push(frame)) is not None)


def assert_same(given: Heat | None, expected: Heat | None) -> None:
    assert given is not None
    assert expected is not None
    order, other = np.argsort(given.classes), np.argsort(expected.classes)
    np.testing.assert_array_equal(given.classes[order], expected.classes[other])
    largest = np.abs(expected.cube).max()
    for a, b in ((given.cube[order], expected.cube[other]), (given.common, expected.common)):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= CLOSE * largest
    np.testing.assert_allclose(given.logits, expected.logits, atol=1e-4 * np.abs(expected.logits).max())
    np.testing.assert_allclose(given.pts_s, expected.pts_s)


@pytest.fixture(scope="module", params=["motion", "resnet18"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[CamModel, Path]:
    """A model of small pictures, exported for whole clips."""
    model = load_model(request.param, weights="none")
    if request.param != "motion":
        model = model.with_clip_format(resize=SIZE, crop=SIZE)
        clip_format = replace(model.spec.clip_format, length=8 if request.param.endswith("_18") else 2)
        model = model.with_spec(replace(model.spec, clip_format=clip_format))
    return model, written(model, tmp_path_factory.mktemp("whole") / "graph.onnx", stream=False)


@pytest.mark.parametrize("backend", RUNTIMES)
def test_whole_clips_give_what_pytorch_gives(whole: tuple[CamModel, Path], backend: str) -> None:
    model, path = whole
    frames = [make_frame(i, fps=model.spec.clip_format.fps) for i in range(model.spec.clip_format.length + 3)]
    clips = list(clips_of(frames, model, hop=1))
    assert clips
    expected = make_engine(model, name="window", device="cpu", precision="fp32", backend="torch", top_k=3).infer(clips)
    for given, wanted in zip(engine_of(path, backend, top_k=3).infer(clips), expected, strict=True):
        assert_same(given, wanted)


def test_a_batch_gives_what_its_clips_give(whole: tuple[CamModel, Path]) -> None:
    import onnxruntime

    model, path = whole
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    clips = np.stack([noise(model, seed=seed) for seed in range(3)])
    together = session.run(None, {"frames": clips})
    for i in range(3):
        for batch, alone in zip(together, session.run(None, {"frames": clips[i : i + 1]}), strict=True):
            np.testing.assert_allclose(batch[i : i + 1], alone, atol=1e-5 + 1e-5 * np.abs(alone).max())


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> tuple[CamModel, Path]:
    model = valid()
    return model, written(model, tmp_path_factory.mktemp("stream") / "graph.onnx", stream=True)


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("hop", [1, 3, 8])
def test_streams_in_any_pieces_give_what_whole_clips_give(
    streamed: tuple[CamModel, Path], backend: str, hop: int
) -> None:
    model, path = streamed
    engine = engine_of(path, backend, top_k=3)
    reference = make_engine(model, name="window", device="cpu", precision="fp32", backend="torch", top_k=3)
    # Session 1 ends, and 2 begins with a gap in it.
    frames = [make_frame(i, session=1) for i in range(20)] + [
        make_frame(i, session=2) for i in range(50) if not 20 < i < 30
    ]
    other = [make_frame(i, source="other") for i in range(100, 170)]
    full = 0
    mine, others = (list(clips_of(part, model, hop=hop, head_start=True)) for part in (frames, other))
    for pair in zip(mine, others, strict=False):
        for clip, heat in zip(pair, engine.infer(pair), strict=True):
            if not clip.full:
                assert heat is None
                continue
            full += 1
            assert_same(heat, reference.infer([clip])[0])
    assert full >= 6


@pytest.mark.parametrize("backend", RUNTIMES)
def test_a_stream_takes_other_windows_and_rates(streamed: tuple[CamModel, Path], backend: str) -> None:
    model, path = streamed
    engine = engine_of(path, backend, top_k=3, window=6, fps=5)
    other = model.with_spec(model.spec.with_clip_format(length=6, fps=5.0))
    reference = make_engine(other, name="window", device="cpu", precision="fp32", backend="torch", top_k=3)
    clips = list(clips_of([make_frame(i) for i in range(40)], other, hop=2, head_start=True))
    given = [(clip, heat) for clip in clips for heat in engine.infer([clip]) if clip.full]
    assert len(given) > 3
    for clip, heat in given:
        assert_same(heat, reference.infer([clip])[0])


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("stream", [False, True])
def test_other_precisions_are_as_close_as_their_card_says(
    stream: bool, precision: Precision, backend: str, tmp_path: Path
) -> None:
    model = valid()
    path = written(model, tmp_path / "graph.onnx", stream=stream, precision=precision)
    engine = engine_of(path, backend, top_k=3, sources=1)
    clip_format = model.spec.clip_format
    frames, pts_s = noise(model, seed=0), np.arange(clip_format.length) / clip_format.fps
    blank = make_frame(0)
    clip = next(clips_of([make_frame(i) for i in range(20)], model, hop=1))
    clip = replace(clip, frames=frames, pts_s=pts_s, last=blank)
    (given,) = engine.infer([clip])
    (expected,) = make_engine(model, name="window", device="cpu", precision="fp32", backend="torch", top_k=3).infer(
        [clip]
    )
    assert given is not None
    assert expected is not None
    order, other = np.argsort(given.classes), np.argsort(expected.classes)
    distance = np.abs(given.cube[order] - expected.cube[other]).max() / np.abs(expected.cube).max()
    stated = GraphNetwork(path, RunConfig.model_validate({"sources": ["sample"], "model": str(path)}))._card.distance
    assert distance <= stated + 0.01
    assert stated < (0.05 if precision == "int8" else 0.005)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mc3_18", "pads its clips in time.*leave out --stream"),
        ("r3d_18", "leave out --stream|pads its clips in time"),
        ("swin3d_t", "may mix all of time.*leave out --stream"),
    ],
)
def test_what_cannot_be_streamed_says_why(name: str, expected: str) -> None:
    with pytest.raises(StreamcamError, match=expected):
        StreamStep(load_model(name, weights="none"))


def test_a_stride_in_time_is_named() -> None:
    model = valid()
    assert isinstance(model.features, nn.Sequential)
    model.features[2] = nn.Conv3d(4, 5, (3, 1, 1), (2, 1, 1))
    with pytest.raises(StreamcamError, match="a slice for every 2 frames"):
        StreamStep(model)
