"""Networks of your own: wrappers, precisions, and networks that cannot be traced."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.registry import load_model, save_checkpoint
from streamcam.models.user_network import slice_timing
from streamcam.records import ClipFormat

FORMAT = ClipFormat(length=4, fps=10, resize=(18, 24), crop=(16, 16), mean=(127.0,) * 3, std=(128.0,) * 3)
FRAMES = np.random.default_rng(0).integers(0, 255, (4, 36, 48, 3), dtype=np.uint8)


class Pictures(nn.Module):
    """A network as people write it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(self.pool(self.body(x)).flatten(1))
        return result


class Clips(nn.Module):
    """A network of clips, with `depth` more convolutions of a temporal `stride` and `padding`."""

    def __init__(self, depth: int = 0, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        layers = [nn.Conv3d(8, 8, 3, (stride, 1, 1), (padding, 1, 1)) for _ in range(depth)]
        self.body = nn.Sequential(nn.Conv3d(3, 8, 3, padding=1), nn.ReLU(), *layers)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(self.body(x).mean((2, 3, 4)))
        return result


class Several(Pictures):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(x), x.mean()


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = nn.Conv2d(3, 8, 3), nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(self.body(x).mean((2, 3)))
        return result


class Normed(Pictures):
    def __init__(self) -> None:
        super().__init__()
        self.fc = parametrizations.weight_norm(self.fc)
        self.body[0] = parametrizations.spectral_norm(self.body[0])


class OwnLinear(nn.Linear):
    pass


class WithOwnLinear(Pictures):
    def __init__(self) -> None:
        super().__init__()
        self.fc = OwnLinear(8, 3)


class Inside(nn.Module):
    """A network whose body is wrapped."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = nn.DataParallel(Pictures().body), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(self.body(x).mean((2, 3)))
        return result


def made(module: nn.Module, **options: Any) -> CamModel:
    return CamModel.from_module(module, clip_format=FORMAT, **options)


def assert_explains(model: CamModel, network: nn.Module) -> None:
    """Check that the heat pools to the network's own logits, which are computed in float32 on the same clip."""
    heat = model.explain(FRAMES)
    x = model.normalise(torch.from_numpy(model._make_clip(FRAMES, None).frames)[None])
    with torch.no_grad():
        logits = (
            torch.stack([network(x[:, :, i]) for i in range(4)]).mean(0)
            if x.ndim == 5 and is_2d(network)
            else network(x)
        )
    np.testing.assert_allclose(heat.logits, logits[0].numpy(), atol=1e-4)
    np.testing.assert_allclose(heat.cube.mean((1, 2, 3)) + model.bias.numpy(), heat.logits, atol=1e-4)


def is_2d(network: nn.Module) -> bool:
    return not any(isinstance(m, nn.Conv3d) for m in network.modules())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("network", [Pictures, Clips])
@pytest.mark.parametrize("names", [{}, {"features": "body", "classifier": "fc"}], ids=["traced", "named"])
def test_other_precisions_are_used_in_float32_with_exact_heat(
    network: type[nn.Module], dtype: torch.dtype, names: dict[str, str]
) -> None:
    torch.manual_seed(0)
    module = network().eval().to(dtype)
    model = made(module, **names)
    assert {v.dtype for v in module.parameters()} == {dtype}  # the one that was given stays as it was
    assert_explains(model, module.float())


def test_mixed_precision_is_made_one() -> None:
    module = Pictures().eval()
    module.body.half()
    assert_explains(made(module), module.float())


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        torch.compile,
        AveragedModel,
        lambda m: nn.DataParallel(cast(nn.Module, torch.compile(m))),
        lambda m: torch.compile(nn.DataParallel(m.half())),
    ],
    ids=["DataParallel", "compile", "averaged", "both", "both in half"],
)
@pytest.mark.parametrize("names", [{}, {"features": "body", "classifier": "fc"}], ids=["traced", "named"])
def test_what_is_wrapped_around_a_network_is_taken_off(
    wrap: Callable[[nn.Module], nn.Module], names: dict[str, str]
) -> None:
    torch.manual_seed(0)
    module = Pictures().eval()
    model = made(wrap(module), **names)
    assert model.spec.name == "Pictures"
    assert_explains(model, module.float())


def test_what_is_wrapped_around_a_part_is_taken_off_of_a_copy() -> None:
    module = Inside().eval()
    assert_explains(made(module), module)
    assert isinstance(module.body, nn.DataParallel)


@pytest.mark.parametrize("network", [Normed, WithOwnLinear])
def test_parametrised_layers_and_ones_own_kinds_of_them_work(network: type[nn.Module]) -> None:
    module = network().eval()
    assert_explains(made(module), module)


def test_frozen_and_training_networks_work() -> None:
    for module in (Pictures().requires_grad_(False), Pictures().train(), Clips().train()):
        model = made(module)
        assert not any(m.training for m in model.modules())
        assert_explains(model, module)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.jit.script(Pictures()), "scripted or traced"),
        (lambda: torch.jit.trace(Pictures().eval(), torch.randn(1, 3, 16, 16)), "scripted or traced"),
        (lambda: torch.export.export(Pictures().eval(), (torch.randn(1, 3, 16, 16),)).module(), "exported program"),
        (lambda: torch.ao.quantization.quantize_dynamic(Pictures(), {nn.Linear}), "is quantised"),
        (lambda: Pictures().to("meta"), "on the meta device, without numbers: load them first"),
        (Lazy, "without a size yet"),
        (lambda: Pictures().to(torch.complex64), "complex weights"),
        (lambda: Pictures, "the class Pictures: make one"),
        (lambda: Pictures().state_dict(), "load its weights with load_state_dict"),
        (lambda: "resnet18", "a torch.nn.Module, got str"),
        (lambda: made(Pictures()), "a CamModel already"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # what PyTorch says of its own older parts
def test_what_cannot_be_looked_into_says_what_to_do(make: Callable[[], object], words: str) -> None:
    module = make()
    for names in ({}, {"features": "body", "classifier": "fc"}):
        with pytest.raises(StreamcamError, match=re.escape(words)):
            made(module, **names)  # type: ignore[arg-type]


def with_nan() -> nn.Module:
    module = Pictures()
    module.fc.weight.data.fill_(float("nan"))
    return module


@pytest.mark.parametrize(
    ("module", "names", "words"),
    [
        (Several(), {}, "does not give one tensor of logits"),
        (Several(), {"features": "body", "classifier": "fc"}, "got tuple: wrap it in a module"),
        (
            nn.Sequential(nn.Conv2d(1, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
            {},
            "to have 1 chan",
        ),
        (nn.Sequential(nn.Conv2d(3, 8, 33), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)), {}, "clip_format"),
        (Clips(depth=3), {}, r"Clips fails on clips [1, 3, 4, 16, 16]"),
        (with_nan(), {}, "logits of Pictures are not finite"),
        (
            torch.fx.symbolic_trace(Pictures()),
            {"features": "body", "classifier": "fc"},
            "does not use its module 'body'",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(1568, 3)),
            {"features": "0", "classifier": "2"},
            "fails",
        ),
        (Pictures(), {"classes": ["a", "b"]}, "expected 3 class names for Pictures, got 2"),
        (Pictures(), {"classes": ["a", "b", "c\udcff"]}, "not a name for a class"),
        (Pictures(), {"classes": ["a", "b", "\x1b[2J"]}, "not a name for a class"),
        (Pictures(), {"classes": ["a", "b", ""]}, "not a name for a class"),
    ],
)
def test_what_does_not_fit_is_one_line(module: nn.Module, names: dict[str, object], words: str) -> None:
    with pytest.raises(StreamcamError, match=re.escape(words)) as e:
        made(module, **names)
    assert str(e.value).isprintable()


@pytest.mark.parametrize(
    ("network", "stride", "first"),
    [
        (Clips(), 1, 0),
        (Clips(depth=3), 1, 3),  # three layers of 3 see 7 frames
        (Clips(depth=1, stride=2, padding=1), 2, 0),
        (Clips(depth=2, stride=2), 4, 3),  # the second layer's first value is on the first layer's second, frame 3
    ],
)
def test_where_slices_lie_is_learnt_with_and_without_padding(network: Clips, stride: int, first: int) -> None:
    """The arithmetic of convolutions says where; to half a frame, since a clip's last frames may not fill a stride."""
    long = ClipFormat(length=16, fps=10, resize=(18, 24), crop=(16, 16), mean=(127.0,) * 3, std=(128.0,) * 3)
    model = CamModel.from_module(network, clip_format=long)
    heat = model.explain(np.repeat(FRAMES, 4, axis=0))
    assert heat.cube.shape[1] == model.spec.slices
    assert model.spec.temporal_stride == stride
    assert np.abs(heat.pts_s * 10 - (first + stride * np.arange(model.spec.slices))).max() <= 0.5 + 1e-9


def test_a_network_that_takes_one_length_alone_keeps_its_own_slice_timing() -> None:
    def slices(x: Tensor) -> int:
        if x.shape[2] != 16:
            raise RuntimeError("its positions are for 16 frames")
        return 8

    assert slice_timing(slices, torch.zeros(1, 3, 16, 2, 2)) == (2, 0.5, 0)


def test_too_few_frames_are_said_and_not_torchs_word_for_it(tiny: CamModel) -> None:
    long = ClipFormat(length=16, fps=10, resize=(18, 24), crop=(16, 16), mean=(127.0,) * 3, std=(128.0,) * 3)
    model = CamModel.from_module(Clips(depth=3), clip_format=long)
    assert model.explain(np.repeat(FRAMES, 4, axis=0)).cube.shape[1] == 10
    assert model.explain(np.repeat(FRAMES, 2, axis=0)[:7]).cube.shape[1] == 1
    with pytest.raises(StreamcamError, match="Clips takes 7 frames at least, better 16, got 4"):
        model.explain(FRAMES)
    motion = load_model("motion", weights="none")
    with pytest.raises(StreamcamError, match=r"motion takes \d+ frames at least"):
        motion.explain(FRAMES)
    strided = CamModel.from_module(Clips(depth=2, stride=2), clip_format=long)  # a slice sees 7 frames
    with pytest.raises(StreamcamError, match=r"Clips fails on 6 frames, give it 16 \("):
        strided.explain(np.repeat(FRAMES, 2, axis=0)[:6])


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (FRAMES.transpose(0, 3, 1, 2), "put the colours last"),
        (FRAMES / 255, "scale to 0 to 255"),
        (np.full((4, 8, 8, 3), np.nan), "scale to 0 to 255"),
        (FRAMES[0], "give picture[None]"),
        (FRAMES[..., :1], "np.repeat(frames, 3, axis=3)"),
        (FRAMES[:, :0], "got uint8[4, 0, 48, 3]"),
        (FRAMES.astype(np.int64), "got int64"),
        ([], "got float64[0]"),
    ],
)
def test_frames_of_another_shape_say_what_to_do(tiny: CamModel, frames: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        tiny.explain(frames)


def test_frames_may_be_a_tensor_and_times_are_times(tiny: CamModel) -> None:
    as_array, as_tensor = tiny.explain(FRAMES), tiny.explain(torch.from_numpy(FRAMES))  # type: ignore[arg-type]
    np.testing.assert_array_equal(as_array.cube, as_tensor.cube)
    with pytest.raises(ValueError, match="expected finite pts_s"):
        tiny.explain(FRAMES, pts_s=[0.0, 1.0, float("nan"), 3.0])


def test_a_network_of_your_own_is_not_written_as_what_cannot_be_read(tmp_path: Path, tiny: CamModel) -> None:
    class resnet18(Pictures):  # noqa: N801, whose name is that of one that could be built
        pass

    for model in (made(Pictures()), made(resnet18()), tiny):
        with pytest.raises(StreamcamError, match="a network of your own, and load_model could not build it"):
            save_checkpoint(model, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_model_by_its_name_has_names_for_classes() -> None:
    with pytest.raises(StreamcamError, match="not a name for a class"):
        ModelSpec("x", "", ("a", "b\nc"), FORMAT, framewise=True)


@pytest.mark.needs_cuda
@pytest.mark.parametrize("network", [Pictures, Clips])
def test_a_network_on_a_gpu_stays_there(network: type[nn.Module]) -> None:
    module = network().cuda().eval()
    model = made(module)
    assert {v.device.type for v in [*model.parameters(), *model.buffers()]} == {"cuda"}
    on_gpu = model.explain(FRAMES)
    np.testing.assert_allclose(on_gpu.logits, model.cpu().explain(FRAMES).logits, atol=1e-2)
