"""How far half precision is from float32, on real pictures: the sample, and clouds that drift."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streamcam.analyze import drifting, sample
from streamcam.cam import CamOutput, heat_cube
from streamcam.clips import prepare
from streamcam.engines import make_runner
from streamcam.engines.device import Runner, pick_precision
from streamcam.models import CamModel, load_model

CPU = torch.device("cpu")


@cache
def model_of(name: str) -> CamModel:
    return load_model(name)


def clips(model: CamModel) -> Iterator[np.ndarray]:
    """uint8 [L,3,h,w]: of a network of pictures, single ones."""
    spec = model.spec
    length, hop, count = (1, 5, 12) if spec.framewise else (spec.clip_format.length, 16, 3)
    for frames in (sample(spec.clip_format), drifting(spec.clip_format, seed=1)):
        video = np.stack([prepare(f.pixels, spec.clip_format) for f in islice(frames, length + (count - 1) * hop)])
        yield from (video[i * hop : i * hop + length] for i in range(count))


@dataclass
class Distance:
    logits: float
    """Of the largest logit."""
    cosine: float
    same_class: float


def distance(ours: Sequence[CamOutput], reference: Sequence[CamOutput]) -> Distance:
    """The worst of some clips; and the share of them in which the first class is the same."""
    pairs = list(zip(ours, reference, strict=True))
    return Distance(
        logits=max(float((a.logits - b.logits).abs().max() / b.logits.abs().max()) for a, b in pairs),
        cosine=min(float(torch.cosine_similarity(_contrast(a), _contrast(b), dim=0)) for a, b in pairs),
        same_class=float(np.mean([int(a.logits.argmax()) == int(b.logits.argmax()) for a, b in pairs])),
    )


def _contrast(output: CamOutput) -> Tensor:
    """The heat that is drawn: the mean over classes would hide a difference."""
    cube = output.cube.double()
    return (cube - cube.mean(1, keepdim=True)).flatten()


@cache
def in_float32(name: str) -> list[CamOutput]:
    runner = make_runner(model_of(name), device="cpu", precision="fp32")
    return [runner.run([clip]) for clip in clips(runner.model)]


def rounded_to_fp16(runner: Runner) -> Runner:
    """Weights, and what comes out of each layer, as fp16 holds them; sums are float32's, as on a GPU.

    PyTorch computes fp16 on most processors, too, but a hundred times slower.
    """
    for layer in runner.model.features.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _layer, _inputs, outcome: outcome.half().float())
        for parameter in layer.parameters(recurse=False):
            parameter.data = parameter.data.half().float()
    return runner


@pytest.mark.parametrize(("name", "precision"), [("motion", "bf16"), ("motion", "fp16"), ("imagenet", "fp16")])
def test_the_half_precision_of_a_gpu_is_near_float32(name: str, precision: str) -> None:
    model = model_of(name)
    if precision == "fp16":
        runner = rounded_to_fp16(make_runner(model, device="cpu", precision="fp32"))
    else:
        runner = make_runner(model, device="cpu", precision=precision)
    found = distance([runner.run([clip]) for clip in clips(model)], in_float32(name))
    assert found.logits <= 1e-2
    assert found.cosine >= 0.999
    assert found.same_class >= 0.99


def test_bf16_is_too_coarse_for_the_thin_layers_of_imagenet_which_a_gpu_takes_in_fp16() -> None:
    """Rounding its weights alone, with nothing else changed, moves logits by more than a hundredth."""
    model = model_of("imagenet")
    runner = make_runner(model, device="cpu", precision="fp32")
    for parameter in runner.model.features.parameters():
        parameter.data = parameter.data.bfloat16().float()
    found = distance([runner.run([clip]) for clip in clips(model)], in_float32("imagenet"))
    assert found.logits > 1e-2
    assert found.same_class == 1  # the first class is the same, all the same
    assert (model.spec.half, model_of("motion").spec.half) == ("fp16", "bf16")


@pytest.mark.parametrize(
    ("half", "native", "expected"),
    [("bf16", True, "bf16"), ("bf16", False, "fp16"), ("fp16", True, "fp16"), ("fp16", False, "fp16")],
)
def test_auto_precision_follows_the_card_and_the_model(
    half: str, native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Selected:
        def __init__(self, device: torch.device) -> None:
            assert str(device) == "cuda:1"  # the card that is asked about is the one that is used

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
