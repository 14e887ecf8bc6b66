"""OpenVINO gives the heat that PyTorch gives, and the heat pools to the logits."""

import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from torch import nn

from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine, make_runner, require_device
from streamcam.engines.cores import usable_cores
from streamcam.engines.device.hardware import cpu_has_bf16
from streamcam.engines.openvino.runner import OpenVinoFeatures
from streamcam.engines.stream_engine import StreamEngine
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.head import Head
from streamcam.models.registry import load_model
from streamcam.records import Clip, Heat, HeatSlice
from streamcam.sources.base import open_source
from tests.support.commands import streamcam
from tests.support.frames import TINY_FORMAT, make_frame

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="needs the extra openvino")

NEEDS_BF16 = pytest.mark.skipif(not cpu_has_bf16(), reason="needs a CPU that multiplies bfloat16")
REAL = ("imagenet", "motion", "r3d_18", "mobilenet_v3_small")


def clips(model: CamModel, *, count: int = 20, head_start: bool = False) -> list[Clip]:
    window = SlidingWindow(model.spec.clip_format, head_start=head_start)
    pushed = [window.push(make_frame(i)) for i in range(count)]
    return [clip for clip in pushed if clip is not None]


def noise(model: CamModel, seed: int = 0) -> np.ndarray:
    clip_format = model.spec.clip_format
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, (clip_format.length, 3, *clip_format.crop), dtype=np.uint8)


def assert_same(a: Heat | None, b: Heat | None, *, atol: float = 1e-4) -> None:
    assert a is not None
    assert b is not None
    assert a.classes.tolist() == b.classes.tolist()
    np.testing.assert_allclose(a.logits, b.logits, atol=atol)
    np.testing.assert_allclose(a.cube, b.cube, atol=atol)
    assert a.pts_s.tolist() == b.pts_s.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_a_model_gives_the_heat_on_openvino_that_it_gives_on_pytorch(name: str) -> None:
    torch.manual_seed(0)
    model = load_model(name, weights=None if name in ("imagenet", "motion") else "none")
    frames = noise(model)
    ours = make_runner(model, backend="openvino", precision="fp32").run([frames])
    torchs = make_runner(model, device="cpu", precision="fp32").run([frames])
    size = float(torchs.cube.abs().max())
    torch.testing.assert_close(ours.cube, torchs.cube, atol=1e-4 * size, rtol=0)
    torch.testing.assert_close(ours.logits, torchs.logits, atol=1e-4 * size, rtol=0)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=NEEDS_BF16)])
def test_the_heat_pools_to_the_logits_in_every_precision(tiny: CamModel, precision: str) -> None:
    engine = make_engine(tiny, backend="openvino", precision=precision, top_k=2)
    for heat in engine.infer(clips(tiny)[:3]):
        assert heat is not None
        pooled = tiny.bias.numpy()[heat.classes] + heat.cube.mean((1, 2, 3))
        assert pooled == pytest.approx(heat.logits[heat.classes], abs=1e-4)


@NEEDS_BF16
@pytest.mark.slow
@pytest.mark.parametrize("name", ["imagenet", "motion"])
def test_bf16_is_off_by_no_more_than_3_percent_of_the_largest_logit(name: str) -> None:
    model = load_model(name)
    window = SlidingWindow(model.spec.clip_format)
    with closing(open_source("sample", paced=False)) as source:
        clip = next(clip for frame in source.frames(Event()) if (clip := window.push(frame)) is not None)
    half, full = (make_runner(model, backend="openvino", precision=p).run([clip.frames]) for p in ("bf16", "fp32"))
    assert int(half.logits.argmax()) == int(full.logits.argmax())
    assert float((half.logits - full.logits).abs().max() / full.logits.abs().max()) < 0.03
    a, b = (out.cube - out.cube.mean(1, keepdim=True) for out in (half, full))
    assert float((a * b).sum() / (a.norm() * b.norm())) > 0.99


def test_clips_in_one_batch_give_the_heat_that_each_gives_alone(tiny: CamModel, tiny_framewise: CamModel) -> None:
    for model in (tiny, tiny_framewise):
        engine = make_engine(model, name="window", backend="openvino", precision="fp32")
        reference = make_engine(model, name="window", device="cpu", precision="fp32")
        several = clips(model)[::4]
        for ours, theirs in zip(engine.infer(several), reference.infer(several), strict=True):
            assert_same(ours, theirs)


def test_a_framewise_network_is_streamed_and_gives_the_heat_of_window(tiny_framewise: CamModel) -> None:
    stream = make_engine(tiny_framewise, backend="openvino", precision="fp32")
    window = make_engine(tiny_framewise, name="window", device="cpu", precision="fp32")
    assert stream.name == "stream"
    for clip in clips(tiny_framewise, head_start=True):
        (heat,) = stream.infer([clip])
        if clip.full:
            expected = window.infer([clip])[0]
            assert expected is not None
            assert_same(heat, expected, atol=1e-5 * float(np.abs(expected.cube).max()))


def small(name: str) -> CamModel:
    """Load a model for small frames, so that a long video takes no time."""
    torch.manual_seed(0)
    if name == "strided":
        layers = (nn.Conv3d(3, 6, 3, 2, 1), nn.ReLU(), nn.MaxPool3d(3, 2, 1), nn.Conv3d(6, 5, (2, 3, 3)), nn.ReLU())
        spec = ModelSpec(name, "a test", ("red", "green"), TINY_FORMAT, framewise=False, temporal_stride=4)
        return CamModel(spec, nn.Sequential(*layers), Head([nn.Linear(5, 2)]))
    model = load_model(name, weights=None if name == "motion" else "none")
    return model.with_spec(
        replace(model.spec, clip_format=replace(model.spec.clip_format, resize=(36, 48), crop=(32, 32), shapes=()))
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dense", "frames"),
    [("motion", False, 60), ("strided", False, 60), ("strided", True, 40), ("r3d_18", False, 125)],
)
def test_a_stream_gives_the_slices_on_openvino_that_it_gives_on_pytorch(name: str, dense: bool, frames: int) -> None:
    """Two cameras are pushed in random pieces, one more slowly than the other, which is reset in between."""
    model = small(name)
    ours, torchs = (
        make_engine(model, name="stream", backend=backend, device="cpu", precision="fp32", dense=dense)
        for backend in ("openvino", "torch")
    )
    assert isinstance(ours, StreamEngine)
    assert isinstance(torchs, StreamEngine)
    rng, pushed = np.random.default_rng(0), {"a": 0, "b": 0}
    got: list[HeatSlice] = []
    expected: list[HeatSlice] = []
    while min(pushed.values()) < frames:
        new = [
            make_frame(pushed[c] + i, source=c)
            for c in pushed
            for i in range(int(rng.integers(0, 10)) // (1 + (c == "b")))
        ]
        for frame in new:
            pushed[frame.source] += 1
        ours_now, torchs_now = ours.push(new), torchs.push(new)
        assert [(s.source, s.pts_s) for s in ours_now] == [(s.source, s.pts_s) for s in torchs_now]
        got, expected = got + ours_now, expected + torchs_now
        if pushed["a"] > 2 * frames // 3 and pushed["b"] < frames // 2:
            for engine in (ours, torchs):
                engine.reset("b")
            pushed["b"] = frames // 2
    for source in pushed:
        got, expected = got + ours.flush(source), expected + torchs.flush(source)
    assert len(got) == len(expected) > 2 * (frames - ours.span.last) // ours.span.stride
    size = max(float(np.abs(s.cube).max()) for s in expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a.cube, b.cube, atol=1e-4 * size)
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-4 * size)


@pytest.mark.slow
@pytest.mark.parametrize("hop", [1, 3])
def test_models_that_auto_streams_on_openvino_give_the_heat_of_window(hop: int) -> None:
    model = small("motion")
    stream = make_engine(model, backend="openvino", precision="fp32")
    window = make_engine(model, name="window", device="cpu", precision="fp32")
    assert stream.name == "stream"
    for clip in clips(model, count=48, head_start=True)[::hop]:
        (heat,) = stream.infer([clip])
        if clip.full:
            expected = window.infer([clip])[0]
            assert expected is not None
            assert_same(heat, expected, atol=1e-5 * float(np.abs(expected.cube).max()))


@NEEDS_BF16
@pytest.mark.parametrize("name", ["motion", "strided"])
def test_in_bf16_the_heat_of_a_stream_pools_to_its_logits_and_is_close_to_fp32(name: str) -> None:
    model, slices = small(name), {}
    for backend, precision in (("openvino", "bf16"), ("torch", "fp32")):
        engine = make_engine(model, name="stream", backend=backend, device="cpu", precision=precision)
        assert isinstance(engine, StreamEngine)
        slices[backend] = [s for i in range(0, 63, 7) for s in engine.push([make_frame(j) for j in range(i, i + 7)])]
        slices[backend] += engine.flush("cam")
    size = max(float(np.abs(s.logits).max()) for s in slices["torch"])
    for ours, torchs in zip(slices["openvino"], slices["torch"], strict=True):
        np.testing.assert_allclose(ours.logits, model.bias.numpy() + ours.cube.mean((1, 2)), atol=1e-4)
        assert np.abs(ours.logits - torchs.logits).max() < 0.03 * size
    assert not np.array_equal(slices["openvino"][-1].cube, slices["torch"][-1].cube)


class TwoMaps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 2, 5, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.a(x), self.b(x)


def test_a_network_that_pools_several_maps_keeps_them_apart(tiny_framewise: CamModel) -> None:
    features, head = TwoMaps(), tiny_framewise.head
    model = CamModel(tiny_framewise.spec, features, type(head)([nn.Linear(6, 3)]))
    ours, torchs = (
        make_runner(model, backend=b, device="cpu", precision="fp32").run([noise(model)]) for b in ("openvino", "torch")
    )
    for a, b in zip(ours.cubes, torchs.cubes, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("precision", "has_bf16", "expected"),
    [pytest.param("auto", True, "bf16", marks=NEEDS_BF16), ("auto", False, "fp32")],
)
def test_auto_precision_depends_on_the_cpu(
    tiny: CamModel, monkeypatch: pytest.MonkeyPatch, precision: str, has_bf16: bool, expected: str
) -> None:
    monkeypatch.setattr("streamcam.engines.openvino.runner.cpu_has_bf16", lambda: has_bf16)
    assert make_runner(tiny, backend="openvino", precision=precision).precision == expected


def test_a_precision_that_openvino_lacks_is_one_clear_error(tiny: CamModel) -> None:
    with pytest.raises(StreamcamError, match="no such precision on openvino: fp16"):
        make_runner(tiny, backend="openvino", precision="fp16")


def test_a_network_that_cannot_be_converted_is_one_clear_error(tiny_framewise: CamModel) -> None:
    class Stubborn(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else x + 1

    model = CamModel(tiny_framewise.spec, Stubborn(), type(tiny_framewise.head)([nn.Linear(3, 3)]))
    with pytest.raises(StreamcamError, match=r"tiny2d cannot be converted for OpenVINO .*: use --backend torch"):
        make_runner(model, backend="openvino", precision="fp32")


def test_openvino_uses_as_many_threads_as_pytorch(tiny: CamModel) -> None:
    before = torch.get_num_threads()
    try:
        for count in range(1, min(2, usable_cores()) + 1):
            torch.set_num_threads(count)
            features = make_runner(tiny, backend="openvino", precision="fp32").model.features
            assert isinstance(features, OpenVinoFeatures)
            assert features.threads == count
    finally:
        torch.set_num_threads(before)


def test_without_the_extra_one_line_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamcam.engines.openvino.library.find_spec", lambda name: None)
    with pytest.raises(StreamcamError, match=r"pip install openvino"):
        require_device("auto", backend="openvino")


WITHOUT = """
import sys
sys.modules["openvino"] = None
import streamcam.engines.openvino.library as ours
ours.find_spec = lambda name: None
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "sample", "--bind", "none"],
        ["explain", "sample", "-o", "out"],
        ["image", "picture.png", "-o", "out"],
        ["eval", "."],
    ],
    ids=lambda a: a[0],
)
def test_without_the_extra_every_command_fails_before_anything_is_loaded(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"")
    done = streamcam(*arguments, "--backend", "openvino", "--model", "r3d_18", cwd=tmp_path, first=WITHOUT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "streamcam: OpenVINO is not installed: pip install openvino, or use --backend torch\n"
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.slow
def test_openvino_sends_no_telemetry(tmp_path: Path) -> None:
    code = (
        "import sys; from streamcam.engines.backends import make_runner\n"
        "from streamcam.models.registry import load_model\n"
        "make_runner(load_model('imagenet'), backend='openvino', precision='fp32'); import nncf\n"
        "print([m for m in sys.modules if m.startswith('openvino_telemetry') and sys.modules[m]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert not list(tmp_path.iterdir())
