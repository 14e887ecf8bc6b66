from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine, make_runner
from streamcam.engines.base import Engine
from streamcam.engines.cores import usable_cores
from streamcam.engines.device.hardware import a_core_left_free, cpu_has_bf16, pick_device, pick_precision
from streamcam.engines.device.runner import TorchRunner, fold_batch_norm
from streamcam.engines.streaming.heat_ring import HeatRings
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.registry import load_model
from streamcam.records import Clip, ClipFormat, Floats, Heat
from tests.support.frames import TINY_FORMAT, make_frame


def clips(
    *,
    source: str = "cam",
    session: int = 0,
    count: int = 30,
    head_start: bool = False,
    clip_format: ClipFormat = TINY_FORMAT,
) -> list[Clip]:
    window = SlidingWindow(clip_format, head_start=head_start)
    pushed = [window.push(make_frame(i, source=source, session=session)) for i in range(count)]
    return [clip for clip in pushed if clip is not None]


def assert_same(a: Heat | None, b: Heat | None) -> None:
    assert a is not None
    assert b is not None
    assert a.classes.tolist() == b.classes.tolist()
    np.testing.assert_allclose(a.logits, b.logits, atol=1e-5)
    np.testing.assert_allclose(a.cube, b.cube, atol=1e-5)
    np.testing.assert_allclose(a.common, b.common, atol=1e-5)
    assert a.pts_s.tolist() == b.pts_s.tolist()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_heat_pools_to_the_logits_in_every_precision(tiny: CamModel, precision: str) -> None:
    engine = make_engine(tiny, device="cpu", precision=precision, top_k=2)
    for heat in engine.infer(clips()[:3]):
        assert heat is not None
        pooled = tiny.bias.numpy()[heat.classes] + heat.cube.mean((1, 2, 3))
        assert pooled == pytest.approx(heat.logits[heat.classes], abs=1e-4)
        assert heat.logits[heat.classes[0]] == heat.logits.max()


def test_the_window_engine_gives_the_heat_of_explain(tiny: CamModel) -> None:
    clip = clips()[5]
    frames = np.stack([make_frame(i).pixels for i in range(5, 9)])
    expected = tiny.explain(frames, pts_s=clip.pts_s)
    (heat,) = make_engine(tiny, device="cpu", precision="fp32", classes=[0, 1, 2]).infer([clip])
    assert heat is not None
    order = heat.classes  # the strongest first
    np.testing.assert_allclose(heat.cube, expected.cube[order], atol=1e-5)
    np.testing.assert_allclose(heat.logits, expected.logits, atol=1e-5)


def test_cameras_in_one_batch_give_the_heat_that_each_gives_alone(tiny: CamModel, tiny_framewise: CamModel) -> None:
    for model in (tiny, tiny_framewise):
        together, alone = (make_engine(model, device="cpu", precision="fp32") for _ in range(2))
        a, b = clips(source="a"), clips(source="b")[3:]
        for x, y in zip(a, b, strict=False):
            both = together.infer([x, y])
            assert_same(both[0], alone.infer([x])[0])
            assert_same(both[1], alone.infer([y])[0])


def test_stream_gives_the_heat_of_window(tiny_framewise: CamModel) -> None:
    stream = make_engine(tiny_framewise, device="cpu", precision="fp32")
    window = make_engine(tiny_framewise, name="window", device="cpu", precision="fp32")
    assert stream.name == "stream"
    for clip in clips(head_start=True):
        (heat,) = stream.infer([clip])
        if clip.full:
            assert_same(heat, window.infer([clip])[0])
        else:
            assert heat is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["googlenet", "densenet121", "mobilenet_v2", "resnet18", "resnet50", "efficientnet_b0"]
)
def test_every_family_that_auto_streams_gives_the_heat_of_window(name: str) -> None:
    """The tolerance is a hundredth of the largest difference between two windows."""
    torch.manual_seed(0)
    model = load_model(name, weights="none")
    model = model.with_spec(replace(model.spec, clip_format=replace(TINY_FORMAT, resize=(64, 64), crop=(64, 64))))
    found, expected = heats_of(model, asked="auto", got="stream"), heats_of(model, asked="window", got="window")
    difference = np.abs(np.diff(expected, axis=0)).max()
    assert difference > 0
    np.testing.assert_allclose(found, expected, atol=1e-2 * difference, rtol=0)


def heats_of(model: CamModel, *, asked: str, got: str) -> list[Floats]:
    """Compute the heat of seven clips. The engine is freed here: two at once would be two copies of the network."""
    engine = make_engine(model, name=asked, device="cpu", precision="fp32", classes=range(20))
    assert engine.name == got
    return [heat_of(engine, clip) for clip in clips(count=7, clip_format=model.spec.clip_format)]


def heat_of(engine: Engine, clip: Clip) -> Floats:
    """Compute the heat of a clip, in the order of classes."""
    (heat,) = engine.infer([clip])
    assert heat is not None
    return heat.cube[heat.classes.argsort()]


def test_stream_catches_up_after_clips_that_were_dropped(tiny_framewise: CamModel) -> None:
    stream = make_engine(tiny_framewise, device="cpu", precision="fp32")
    window = make_engine(tiny_framewise, name="window", device="cpu", precision="fp32")
    all_clips = clips()
    for i in (0, 1, 4, 5, 20, 21, 23):
        assert_same(stream.infer([all_clips[i]])[0], window.infer([all_clips[i]])[0])


def test_stream_drops_its_state_at_a_reconnect(tiny_framewise: CamModel) -> None:
    stream = make_engine(tiny_framewise, device="cpu", precision="fp32")
    stream.infer([clips()[0]])
    other = clips(session=1)[3]
    fresh = make_engine(tiny_framewise, device="cpu", precision="fp32")
    assert_same(stream.infer([other])[0], fresh.infer([other])[0])


def test_stream_drops_its_state_when_the_window_starts_anew(tiny_framewise: CamModel) -> None:
    stream = make_engine(tiny_framewise, device="cpu", precision="fp32")
    window = SlidingWindow(TINY_FORMAT, head_start=True)
    frames = [make_frame(i) for i in range(3)]
    later = [make_frame(i) for i in range(50, 60)]  # after a gap of seconds
    reference = make_engine(tiny_framewise, name="window", device="cpu", precision="fp32")
    for frame in [*frames, *later]:
        clip = window.push(frame)
        assert clip is not None
        (heat,) = stream.infer([clip])
        if clip.full:
            assert_same(heat, reference.infer([clip])[0])


def test_stream_computes_each_frame_once(tiny_framewise: CamModel) -> None:
    engine = make_engine(tiny_framewise, device="cpu", precision="fp32")
    computed: list[int] = []
    assert isinstance(engine.runner, TorchRunner)
    normalise = engine.runner.normalise
    engine.runner.normalise = lambda frames: (computed.append(frames.shape[1]), normalise(frames))[1]  # type: ignore[method-assign]
    for clip in clips(head_start=True):
        engine.infer([clip])
    assert computed == [1] * 30


@torch.inference_mode()
def test_after_a_million_slices_a_window_is_still_the_mean_of_its_own() -> None:
    rings, rng = HeatRings(16), torch.Generator().manual_seed(0)
    row = torch.tensor([rings.state_pool.allocate().row])
    for i in range(1000):  # huge values: a sum kept up to date by differences would keep their rounding errors
        rings.add(row, torch.tensor([i * 1000]), torch.randn(1, 1000, 3, 2, 2, generator=rng) * 1e8)
    for i in range(40):
        last = torch.randn(1, 1, 3, 2, 2, generator=torch.Generator().manual_seed(i))
        rings.add(row, torch.tensor([1_000_000 + i]), last)
    expected = torch.cat([torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(i)) for i in range(24, 40)])
    window = rings.window(row, torch.tensor([1_000_040]))
    assert torch.equal(rings.heat(window, torch.arange(3)[None])[0], expected.transpose(0, 1))
    torch.testing.assert_close(window.pooled[0].mean(0).double(), expected.double().mean((0, 2, 3)), atol=1e-6, rtol=0)
    torch.testing.assert_close(window.common[0], expected.mean(1))


def test_a_network_that_pads_along_time_is_streamed_only_on_request(tiny: CamModel) -> None:
    assert make_engine(tiny, device="cpu").name == "window"
    assert make_engine(tiny, name="stream", device="cpu").name == "stream"


def test_making_an_engine_does_not_change_the_model(tiny: CamModel) -> None:
    before = tiny.weights_hash
    engine = make_engine(tiny, device="cpu", precision="bf16")
    assert CamModel(tiny.spec, tiny.features, tiny.head).weights_hash == before
    assert engine.runner.context.model_hash == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r3d_18", "r2plus1d_18", "imagenet"])
def test_folding_batch_norms_does_not_change_logits(name: str) -> None:
    torch.manual_seed(0)
    model = load_model(name, weights="none")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    x = torch.randn(1, 3, 4, 64, 64)
    with torch.inference_mode():
        before = model(x).logits
        model.features = fold_batch_norm(model.features)
        after = model(x).logits
    left = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d)]
    assert not left
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-3)


def test_auto_device_is_the_gpu_where_there_is_one() -> None:
    expected = "cuda:0" if torch.cuda.is_available() else "cpu"
    assert str(pick_device("auto")) == expected


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "tpu:0", "cuda:x"])
def test_a_device_that_does_not_exist_is_one_clear_error(name: str) -> None:
    with pytest.raises(StreamcamError, match="no such device"):
        pick_device(name)


def test_auto_precision_depends_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for has, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr("streamcam.engines.device.hardware.cpu_has_bf16", lambda has=has: has)
        assert pick_precision("auto", torch.device("cpu")) == expected
    with pytest.raises(StreamcamError, match="no such precision"):
        pick_precision("fp8", torch.device("cpu"))


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_a_clip_of_one_frame_is_not_computed_from_uninitialised_memory(tiny: CamModel, precision: str) -> None:
    clip_format = replace(tiny.spec.clip_format, length=1)
    model = tiny.with_spec(replace(tiny.spec, clip_format=clip_format))
    frames = np.random.default_rng(0).integers(0, 255, (1, 3, *clip_format.crop), dtype=np.uint8)
    expected = make_engine(model, name="window", device="cpu", precision="fp32").runner.run([frames]).logits
    runner = make_engine(model, name="window", device="cpu", precision=precision).runner
    for _ in range(20):
        for count in (64, 500, 4096, 12_288):  # what a convolution may find in new memory
            torch.full((count,), float("nan"), dtype=torch.bfloat16)
        assert torch.allclose(runner.run([frames]).logits, expected, atol=0.02)


def test_operations_that_pytorch_lacks_in_bf16_are_computed_in_fp32(tiny: CamModel) -> None:
    features = nn.Sequential(nn.Conv3d(3, 6, 1), nn.AvgPool3d(3, 1, 1))  # missing in bf16 on CPUs in PyTorch 2.14
    model = CamModel(tiny.spec, features, tiny.head)
    assert make_runner(model, device="cpu").precision == "fp32"
    with pytest.raises(StreamcamError, match="does not compute tiny in bf16 here: use --precision fp32"):
        make_runner(model, device="cpu", precision="bf16")


@pytest.mark.parametrize(
    ("flags", "capability", "expected"),
    [
        ("avx2 avx512f avx512_bf16", "AVX512", True),
        ("avx2 avx512f amx_bf16", "AVX512_VNNI", True),
        ("avx2 avx512f avx512_bf16", "AVX2", False),  # the CPU has it, but PyTorch may not use it
        ("avx2 avx512f", "AVX512", False),
        ("avx2 fma", "AVX2", False),
        ("asimd bf16", "DEFAULT", True),  # ARM
    ],
)
def test_bf16_is_native_where_the_cpu_has_it_and_pytorch_may_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, capability: str, expected: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu sse {flags}\n")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert cpu_has_bf16(cpuinfo=tmp_path / "cpuinfo") is expected
    assert not cpu_has_bf16(cpuinfo=tmp_path / "none")


@pytest.mark.parametrize(
    ("pinned_to", "quota", "expected"),
    [
        (64, "200000 100000\n", 2),
        (64, "150000 100000\n", 1),
        (64, "50000 100000\n", 1),
        (2, "800000 100000\n", 2),
        (64, "max 100000\n", 64),
        (64, None, 64),
    ],
)
def test_cores_are_no_more_than_a_containers_quota(
    tmp_path: Path, pinned_to: int, quota: str | None, expected: int
) -> None:
    path = tmp_path / "cpu.max"
    if quota is not None:
        path.write_text(quota)
    assert usable_cores(pinned_to=pinned_to, quota=path) == expected


def test_pytorch_leaves_one_of_a_containers_cores_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamcam.engines.device.hardware.usable_cores", lambda: 3)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        with a_core_left_free():
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 8
    finally:
        torch.set_num_threads(before)


@pytest.mark.needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_the_gpu_gives_the_heat_that_the_cpu_gives(tiny: CamModel, precision: str) -> None:
    tolerance = 1e-3 if precision == "fp32" else 5e-2
    gpu, cpu = TorchRunner(tiny, torch.device("cuda:0"), precision), TorchRunner(tiny, torch.device("cpu"), "fp32")
    rng = np.random.default_rng(0)
    for _ in range(10):  # more often than there are staging buffers
        batch = [rng.integers(0, 255, (4, 3, 16, 16), dtype=np.uint8) for _ in range(3)]
        torch.testing.assert_close(gpu.run(batch).cube.cpu(), cpu.run(batch).cube, atol=tolerance, rtol=tolerance)


def test_stream_takes_two_clips_of_one_camera_in_a_batch(tiny_framewise: CamModel) -> None:
    stream = make_engine(tiny_framewise, device="cpu", precision="fp32")
    window = make_engine(tiny_framewise, name="window", device="cpu", precision="fp32")
    all_clips = clips()
    for start in (0, 2, 4, 6):
        pair = all_clips[start : start + 2]
        for ours, reference in zip(stream.infer(pair), window.infer(pair), strict=True):
            assert_same(ours, reference)


@pytest.mark.parametrize("dropped", range(8))
def test_stream_never_mixes_frames_from_both_sides_of_a_gap(tiny_framewise: CamModel, dropped: int) -> None:
    stream = make_engine(tiny_framewise, device="cpu", precision="fp32")
    reference = make_engine(tiny_framewise, name="window", device="cpu", precision="fp32")
    window = SlidingWindow(TINY_FORMAT, head_start=True)
    before = [window.push(make_frame(i)) for i in range(3)]
    after = [window.push(make_frame(i)) for i in range(50, 65)]
    for clip in [*before, *after[dropped:]]:
        assert clip is not None
        (heat,) = stream.infer([clip])
        if clip.full:
            assert_same(heat, reference.infer([clip])[0])
