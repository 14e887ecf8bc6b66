"""Every family of torchvision: the heat pools to the unmodified network's logits, and is what Grad-CAM finds."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.registry import find_spec, load_model
from streamcam.models.split import position_weights, split
from streamcam.models.torchvision import MODELS
from tests.support.frames import TINY_FORMAT

# Two sizes (and lengths) for each: the smallest that goes through, and one that is larger and not square.
SIZES = {
    "s3d": ((1, 3, 16, 224, 224), (1, 3, 24, 224, 256)),
    **{
        name: ((1, 3, 8, 64, 64), (2, 3, 6, 64, 96))
        for name in MODELS
        if not MODELS[name].spec.framewise and name != "s3d"
    },
    **{name: ((1, 3, 1, 64, 64), (2, 3, 1, 96, 64)) for name in MODELS if MODELS[name].spec.framewise},
}


def lively(network: nn.Module, x: Tensor) -> nn.Module:
    """Scale a random network's classifier so that its logits differ by about one."""
    classifier = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv3d)][-1]
    with torch.no_grad():
        classifier.weight /= (network.eval()(x) - classifier.bias).std()
    return network


def reference(name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SIZES))
def test_the_heat_pools_to_the_logits_of_the_unmodified_network(name: str) -> None:
    framewise = MODELS[name].spec.framewise
    for shape in SIZES[name]:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        network = lively(reference(name), x[:, :, 0] if framewise else x)
        model = CamModel.from_split(MODELS[name].spec, split(network))
        with torch.no_grad():
            expected = network(x[:, :, 0] if framewise else x)
            output = model(x)
        assert 0.9 < float(expected.std()) < 1.2
        torch.testing.assert_close(output.logits, expected, atol=1e-4, rtol=1e-5)
        pooled = output.bias + output.cube.mean((2, 3, 4))
        torch.testing.assert_close(pooled, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("r3d_18", "layer4"),
        ("mc3_18", "layer4"),
        ("resnet18", "layer4"),
        ("mobilenet_v2", "features"),
    ],
)
def test_it_is_what_grad_cam_finds_up_to_its_scale(name: str, layer: str) -> None:
    from pytorch_grad_cam import GradCAM  # it brings scikit-learn: 100 MB that nothing else needs

    framewise = MODELS[name].spec.framewise
    x = torch.randn((1, 3, 96, 64) if framewise else (1, 3, 8, 64, 96))
    network = lively(reference(name), x)
    target = network.get_submodule(layer)
    with GradCAM(network, [target]) as grad_cam:
        logits = grad_cam.activations_and_grads(x)
        best = int(logits.argmax())
        logits[0, best].backward()
        activations, gradients = (
            grad_cam.activations_and_grads.activations[0],
            grad_cam.activations_and_grads.gradients[0],
        )
        theirs = grad_cam.get_cam_image(x, target, None, activations.numpy(), gradients.numpy(), False)[0]
    model = CamModel.from_split(MODELS[name].spec, split(network))
    with torch.no_grad():
        ours = model(x[:, :, None] if framewise else x).cube[0, best].numpy()
    ours = ours[0] if framewise else ours
    cosine = (ours * theirs).sum() / np.linalg.norm(ours) / np.linalg.norm(theirs)
    assert cosine > 0.9999
    assert np.linalg.norm(ours) / np.linalg.norm(theirs) == pytest.approx(ours.size, rel=1e-3)


def test_every_model_has_weights_with_as_many_labels_as_logits() -> None:
    for name, spec in ((name, entry.spec) for name, entry in MODELS.items()):
        assert len(spec.classes) == (400 if not spec.framewise else 1000), name
        assert len(set(spec.classes)) > 390


@pytest.mark.parametrize("name", ["mvit_v1_b", "mvit_v2_s"])
def test_a_class_token_is_refused_with_the_reason_and_a_way_out(name: str) -> None:
    with pytest.raises(StreamcamError, match=r"class token.*use swin3d_t"):
        find_spec(name)


def test_swin3d_slices_lie_between_the_two_frames_of_a_patch() -> None:
    assert MODELS["swin3d_t"].spec.slice_frames(3).tolist() == [0.5, 2.5, 4.5]
    assert load_model("swin3d_t", weights="none").spec.slices == 16


def test_positions_that_more_windows_contain_count_more() -> None:
    weights = position_weights((4,), (2,))
    assert weights.tolist() == pytest.approx([4 / 6, 8 / 6, 8 / 6, 4 / 6])
    x = torch.randn(1, 1, 5, 9, 8)
    averaged = F.avg_pool3d(x, (2, 7, 7), 1).mean()
    torch.testing.assert_close((x * position_weights((5, 9, 8), (2, 7, 7))).mean(), averaged)


class Own(nn.Module):
    """A network with a head of choice behind its pooling."""

    def __init__(self, *tail: nn.Module, pooled: int = 6) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv3d(3, 6, 3, padding=1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.tail = nn.Sequential(*tail)
        self.fc = nn.Linear(pooled, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.tail(self.pool(self.backbone(x)).flatten(1)))  # type: ignore[no-any-return]


def assert_complete(model: CamModel, module: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        output, expected = model(x), module.eval()(x)
    total = output.bias + sum(cube.mean((2, 3, 4)) for cube in output.cubes)
    torch.testing.assert_close(output.logits, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(total, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "tail",
    [
        (),
        (nn.Dropout(0.5),),
        (nn.ReLU(),),
        (nn.LayerNorm(6),),
        (
            nn.LayerNorm(6, elementwise_affine=False),
            nn.Linear(6, 8),
            nn.Hardswish(),
            nn.Dropout(),
            nn.Linear(8, 6),
            nn.GELU(),
        ),
    ],
    ids=["linear", "dropout", "relu", "layer norm", "a small network"],
)
def test_your_own_network_is_exact_found_by_tracing(tail: tuple[nn.Module, ...]) -> None:
    module = Own(*tail)
    model = CamModel.from_module(module, clip_format=TINY_FORMAT, classes=("a", "b", "c", "d"))
    for shape in ((2, 3, 4, 16, 16), (1, 3, 5, 20, 12)):
        assert_complete(model, module, torch.randn(shape))
    assert model.explain(np.zeros((4, 30, 40, 3), np.uint8)).labels == ("a", "b", "c", "d")


def test_your_own_network_is_exact_by_the_names_of_its_parts() -> None:
    module = Own()
    assert_complete(
        CamModel.from_module(module, features="backbone", classifier="fc"), module, torch.randn(2, 3, 4, 16, 16)
    )


@pytest.mark.parametrize(
    ("module", "options", "words"),
    [
        (Own(nn.Softmax(1)), {}, "Own has no exact heat: between pooling and logits stands Softmax"),
        (Own(nn.BatchNorm1d(6)), {}, "stands BatchNorm1d"),
        (
            Own(nn.ReLU()),
            {"features": "backbone.0", "classifier": "fc"},
            "its logits are not its classifier on the pooled",
        ),
        (Own(), {"features": "backbone"}, "give features and classifier, or neither"),
        (Own(), {"features": "bakbone", "classifier": "fc"}, "has no module 'bakbone'"),
        (
            Own(),
            {"features": "backbone", "classifier": "pool"},
            "expected a linear classifier, got pool = AdaptiveAvgPool3d",
        ),
        (Own(), {"classes": ("a", "b")}, "expected 4 class names"),
        (
            nn.Sequential(nn.Conv3d(3, 4, 1), nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.Linear(32, 2)),
            {},
            "AdaptiveAvgPool3d",
        ),
        (nn.Sequential(nn.Conv3d(3, 4, 1), nn.ReLU()), {}, "it has no global average pooling"),
        (torchvision.models.VisionTransformer(32, 16, 1, 2, 8, 8), {}, "class token"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_head_that_is_not_pooled_linear_is_refused_by_name(
    module: nn.Module, options: dict[str, object], words: str
) -> None:
    with pytest.raises(StreamcamError) as caught:
        CamModel.from_module(module, clip_format=TINY_FORMAT, **options)  # type: ignore[arg-type]
    assert words in str(caught.value)


class SlowFast(nn.Module):
    """Two paths at two rates, pooled and concatenated (Feichtenhofer et al., ICCV 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.slow, self.fast = nn.Conv3d(3, 8, 3, (4, 2, 2), 1), nn.Conv3d(3, 2, 3, (1, 2, 2), 1)
        self.pool, self.fc = nn.AdaptiveAvgPool3d(1), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.pool(self.slow(x).relu()), self.pool(self.fast(x).relu())], dim=1)
        return self.fc(both.flatten(1))  # type: ignore[no-any-return]


def test_two_paths_give_a_cube_each_which_together_pool_to_the_logits() -> None:
    module = SlowFast()
    model = CamModel.from_module(module, clip_format=TINY_FORMAT)
    x = torch.randn(2, 3, 8, 16, 16)
    assert_complete(model, module, x)
    output = model(x)
    assert [tuple(cube.shape) for cube in output.cubes] == [(2, 3, 2, 8, 8), (2, 3, 8, 8, 8)]
    with pytest.raises(ValueError, match="expected one heat cube, got 2"):
        _ = output.cube
