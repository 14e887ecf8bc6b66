"""Groups of classes, from their file to what a result shows."""

from pathlib import Path

import numpy as np
import pytest

import streamcam
from streamcam.clips import SlidingWindow
from streamcam.config.groups import READY, read_groups
from streamcam.engines.backends import make_engine
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.classes import find_classes, grouped, shown_index
from streamcam.models.imagenet import LABELS
from streamcam.models.registry import find_spec, load_model, save_checkpoint
from streamcam.records import Heat
from tests.support.frames import make_frame


def test_the_ready_groups_are_of_classes_that_imagenet_has_each_in_one() -> None:
    groups = read_groups("things", LABELS)
    assert groups is not None
    names = [name for group in groups.values() for name in group]
    assert len(groups) == 42
    assert len(set(names)) == len(names)
    assert set(names) <= set(LABELS)
    assert len(groups["dog"]) == 118
    assert {"sports car", "minivan"} <= set(groups["car"])
    assert "scuba diver" not in names


def test_auto_is_for_models_that_know_all_of_the_things() -> None:
    assert read_groups("auto", LABELS) == read_groups("things", LABELS)
    assert read_groups("auto", find_spec("resnet50").classes) is not None
    assert read_groups("auto", find_spec("motion").classes) is None
    assert read_groups("none", LABELS) is None


def test_groups_come_first_and_the_other_classes_stay(tmp_path: Path) -> None:
    path = tmp_path / "animals.yaml"
    path.write_text("pet: [tabby, beagle]\nbig cat: [lion]\n")
    spec = grouped(find_spec("imagenet"), read_groups(str(path), LABELS))
    assert spec.classes[:2] == ("pet", "big cat")
    assert len(spec.classes) == 999
    assert "tabby" not in spec.classes
    assert "espresso" in spec.classes
    assert spec.network_classes == LABELS
    assert shown_index(spec, "Tabby") == 0
    assert find_classes(spec, "Pet,ESPRESSO") == [0, spec.classes.index("espresso")]
    with pytest.raises(StreamcamError, match=r"'beagle' is in the group 'pet': ask for that, or leave groups out"):
        find_classes(spec, "beagle")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pet: [tabbi]\n", r"imagenet has no class 'tabbi' \(did you mean tabby"),
        ("pet: [tabby]\ncat: [tabby]\n", "'tabby' is in two groups, 'pet' and 'cat'"),
        ("espresso: [tabby]\n", "the group 'espresso' has the name of a class that is not in it"),
        ("pet: tabby\n", "pet: Input should be a valid list"),
        ("pet: []\n", "pet: List should have at least 1 item"),
        ("- tabby\n", "expected keys and values"),
    ],
)
def test_a_mistake_in_a_file_of_groups_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "groups.yaml"
    path.write_text(text)
    with pytest.raises(StreamcamError, match=message):
        grouped(find_spec("imagenet"), read_groups(str(path), LABELS))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match=r"cannot read .*none\.yaml: No such file"):
        read_groups(str(tmp_path / "none.yaml"), LABELS)
    assert READY["things"].is_file()


@pytest.fixture(scope="module")
def model() -> CamModel:
    return load_model("imagenet-fast").with_clip_format(length=4)


def last_heat(model: CamModel, engine: str, backend: str = "torch") -> Heat:
    made = make_engine(model, name=engine, backend=backend, device="cpu", precision="fp32", top_k=3)
    window = SlidingWindow(model.spec.clip_format, head_start=made.head_start)
    heats = [heat for i in range(9) if (clip := window.push(make_frame(i))) for heat in made.infer([clip])]
    assert heats[-1] is not None
    return heats[-1]


@pytest.mark.parametrize(("engine", "backend"), [("window", "torch"), ("stream", "torch"), ("stream", "openvino")])
def test_every_engine_gives_sums_of_scores_and_heat_that_pools_to_its_logit(
    model: CamModel, engine: str, backend: str
) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    groups = read_groups("auto", model.classes)
    assert groups is not None
    # Converting for OpenVINO takes half a minute, so what is not added up is PyTorch's in any case.
    plain, heat = last_heat(model, engine), last_heat(model.grouped(groups), engine, backend)
    context = model.heat_context
    scores = context.link.scores(plain.logits)
    tolerance = 1e-2 if backend == "openvino" else 1e-5
    classes = model.grouped(groups).classes
    for label, score, cube, index in zip(heat.labels, heat.scores, heat.cube, heat.classes, strict=True):
        members = groups.get(label, [label])
        of = [LABELS.index(name) for name in members]
        assert classes[index] == label
        assert score == pytest.approx(scores[of].sum(), abs=tolerance)
        # The bias of the clip: z_g − Σ s_m · (z_m − b_m).
        logits, bias = plain.logits[of].astype(np.float64), model.bias.numpy()[of]
        shares = np.exp((logits - heat.logits[index]) / context.temperature)
        assert shares.sum() == pytest.approx(1, abs=1e-3)
        expected = heat.logits[index] - (shares * (logits - bias)).sum()
        assert heat.logits[index] - cube.mean() == pytest.approx(expected, abs=20 * tolerance)


def test_a_model_with_groups_is_not_saved(model: CamModel, tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match="added up to groups: save the model that it was before"):
        save_checkpoint(model.grouped({"pet": ["tabby", "beagle"]}), tmp_path / "m.safetensors")


def test_temperature_and_shapes_come_back_from_a_checkpoint(model: CamModel, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.spec.temperature == model.spec.temperature == 0.5
    assert loaded.spec.clip_format == model.spec.clip_format
    assert loaded.spec.architecture == "imagenet-fast"


def test_a_card_of_an_earlier_version_calls_lite0_imagenet(model: CamModel, tmp_path: Path) -> None:
    card = save_checkpoint(model, tmp_path / "m.safetensors")
    assert card.architecture == "imagenet"
    assert load_model(tmp_path / "m.safetensors").weights_hash == model.weights_hash
    lite2 = save_checkpoint(load_model("imagenet", weights="none"), tmp_path / "n.safetensors")
    assert lite2.architecture == "efficientnet-lite2"
    assert find_spec(str(tmp_path / "n.safetensors")).architecture == "imagenet"


@pytest.mark.slow
@pytest.mark.parametrize(("group", "first"), [("auto", "bird"), ("none", "black swan")])
def test_a_stream_shows_the_group_or_the_class(group: str, first: str) -> None:
    options = {"as_fast_as_possible": True, "max_frames": 40, "device": "cpu", "precision": "fp32"}
    heats = [result.heat for result in streamcam.stream("sample", model="imagenet", group=group, **options)]
    assert heats[-1] is not None
    assert heats[-1].labels[0] == first
