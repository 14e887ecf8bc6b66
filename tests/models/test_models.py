from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.head import Head
from streamcam.models.registry import MODELS, find_spec, load_model
from streamcam.models.weights import load_state
from streamcam.records import Heat

VIDEO = ["r3d_18", "mc3_18", "r2plus1d_18"]


@pytest.fixture(scope="module")
def imagenet() -> CamModel:
    return load_model("imagenet")


def pooled(model: CamModel, heat: Heat) -> np.ndarray:
    return np.asarray(model.bias.numpy()[heat.classes] + heat.cube.mean((1, 2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEO)
def test_the_heat_pools_to_the_logits_of_the_unmodified_torchvision_network(name: str) -> None:
    torch.manual_seed(0)
    reference = torchvision.models.get_model(name, weights=None).eval()
    torch.manual_seed(0)
    model = load_model(name, weights="none")
    for shape in [(1, 3, 16, 112, 112), (2, 3, 9, 64, 80)]:
        x = torch.randn(shape)
        with torch.inference_mode():
            expected, output = reference(x), model(x)
        torch.testing.assert_close(output.logits, expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(output.bias + output.cube.mean((2, 3, 4)), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*VIDEO, "imagenet"])
def test_a_models_spec_says_how_many_slices_come_out(name: str) -> None:
    spec = MODELS[name].spec
    model = load_model(name, weights="none")
    assert len(model.classes) == len(model.bias)
    shape = (1, 3, spec.clip_format.length, *spec.clip_format.crop)
    with torch.inference_mode():
        cube = model(torch.zeros(shape)).cube
    assert cube.shape[1:3] == (len(spec.classes), spec.slices)
    assert cube.shape[3:] == tuple(-(-side // (16 if name in VIDEO else 32)) for side in spec.clip_format.crop)


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEO)
def test_a_slice_is_centred_on_the_frame_that_the_spec_says(name: str) -> None:
    # Of a linear network with positive weights, the gradient is the response: its centre in time is the slice's own.
    model = load_model(name, weights="none")
    for module in model.features.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    length, stride = 160, model.spec.temporal_stride
    x = torch.full((1, 3, length, 16, 16), 1.0, requires_grad=True)
    (features,) = model.features(x)
    middle = features.shape[2] // 2
    (gradient,) = torch.autograd.grad(features[0, :, middle].sum(), x)
    weight = gradient.abs().sum((0, 1, 3, 4)).double()
    centre = float((weight * torch.arange(length)).sum() / weight.sum())
    assert centre == pytest.approx(model.spec.slice_frames(middle + 1)[middle], abs=0.1 * stride)


def test_imagenet_is_exact(imagenet: CamModel) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 120, 160, 3), dtype=np.uint8)
    heat = imagenet.explain(frames)
    assert heat.cube.shape == (1000, 3, 9, 12)  # 4:3, so 288×384 pixels
    assert pooled(imagenet, heat) == pytest.approx(heat.logits, abs=1e-4)


def test_imagenet_knows_a_cat_from_a_cup_and_where_they_are(imagenet: CamModel) -> None:
    data = pytest.importorskip("skimage.data")
    for photograph, label, box in (
        (data.chelsea(), "Egyptian cat", (1, 0, 6, 5)),
        (data.coffee(), "espresso", (1, 0, 5, 5)),
    ):
        heat = imagenet.explain(photograph[None])
        best = int(heat.logits.argmax())
        assert imagenet.classes[best] == label
        hot = heat.centred[best, 0]
        y, x = (7 * (i + 0.5) / n for i, n in zip(np.unravel_index(hot.argmax(), hot.shape), hot.shape, strict=True))
        assert box[0] <= x <= box[2] + 1  # in sevenths of the picture
        assert box[1] <= y <= box[3] + 1


def test_explain_takes_pictures_of_any_size_and_their_times(tiny: CamModel) -> None:
    frames = np.zeros((4, 50, 30, 3), np.uint8)
    heat = tiny.explain(frames, pts_s=[1.0, 1.5, 2.0, 2.5])
    assert heat.cube.shape == (3, 4, 8, 8)
    assert heat.pts_s == pytest.approx([1.0, 1.5, 2.0, 2.5])
    assert heat.classes.tolist() == [0, 1, 2]
    assert pooled(tiny, heat) == pytest.approx(heat.logits, abs=1e-5)


@pytest.mark.parametrize(
    "frames", [np.zeros((4, 8, 8, 3), np.float32), np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)]
)
def test_explain_says_what_it_expects(tiny: CamModel, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected frames uint8 \[L,H,W,3\], got"):
        tiny.explain(frames)


def test_explain_wants_a_time_for_each_frame(tiny: CamModel) -> None:
    with pytest.raises(ValueError, match="one pts a frame"):
        tiny.explain(np.zeros((4, 8, 8, 3), np.uint8), pts_s=[0.0, 1.0])


def test_the_same_weights_have_the_same_hash_and_others_another(tiny: CamModel) -> None:
    before = tiny.weights_hash
    assert CamModel(tiny.spec, tiny.features, tiny.head).weights_hash == before
    other = CamModel(tiny.spec, tiny.features, Head([torch.nn.Linear(6, 3)]))
    assert other.weights_hash != before


def test_weights_can_come_from_a_file(tmp_path: Path) -> None:
    network = torchvision.models.get_model("resnet18", weights=None)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    torch.save(network.state_dict(), tmp_path / "w.pth")
    models = [load_model("resnet18", weights=str(tmp_path / name)) for name in ("w.safetensors", "w.pth")]
    assert models[0].weights_hash == models[1].weights_hash
    assert torch.equal(models[0].head.classifier.weight, network.fc.weight)


def test_a_file_that_runs_code_when_it_is_unpickled_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(StreamcamError, match="cannot read weights"):
        load_state(str(path))


@pytest.mark.parametrize("content", [b"not weights at all", b"some notes", b"", b"\x80\x02}q."])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_that_is_no_file_of_weights_is_one_clear_error(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StreamcamError, match="cannot read weights"):
        load_model("resnet18", weights=str(path))


@pytest.mark.parametrize("name", ["imagenet", "r3d_18"])
def test_weights_of_another_network_are_one_clear_error(tmp_path: Path, name: str) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(StreamcamError, match="names or shapes differ"):
        load_model(name, weights=str(tmp_path / "w.pth"))


def test_a_download_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(StreamcamError, match="--weights FILE"):
        load_model("r3d_18")


def test_a_mistyped_model_gets_a_suggestion() -> None:
    with pytest.raises(StreamcamError, match="did you mean r3d_18"):
        load_model("r3d18")


def test_a_network_without_temporal_padding_needs_more_frames_than_it_gives_slices() -> None:
    spec = replace(find_spec("r3d_18"), temporal_stride=1, temporal_context=4, temporal_offset=2.0)
    assert spec.slices == 12
    np.testing.assert_array_equal(spec.slice_frames(12), np.arange(2, 14))
    with pytest.raises(StreamcamError, match="a window of 4 frames is too short for r3d_18: it takes 5 at least"):
        replace(spec, clip_format=replace(spec.clip_format, length=4))
