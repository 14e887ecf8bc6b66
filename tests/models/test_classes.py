"""Names of classes as people write them."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from streamcam.config.load import make_config
from streamcam.errors import StreamcamError
from streamcam.evaluate.dataset import find_indices
from streamcam.models.base import ModelSpec
from streamcam.models.classes import find_classes, split_names
from streamcam.models.registry import find_spec
from streamcam.records import ClipFormat
from tests.support.commands import complaint

FORMAT = ClipFormat(length=4, fps=10, resize=(16, 16), crop=(16, 16), mean=(0.0,) * 3, std=(1.0,) * 3)


def spec(*classes: str) -> ModelSpec:
    return ModelSpec("mine", "a test", classes, FORMAT, framewise=True)


def test_the_garment_and_the_dog_are_told_apart_by_their_spelling() -> None:
    imagenet = find_spec("imagenet")  # ImageNet-1k: 264 is the corgi, 474 the garment
    assert find_classes(imagenet, "Cardigan") == [264]
    assert find_classes(imagenet, "cardigan") == [474]
    assert find_classes(imagenet, "TABBY") == [281]
    assert find_indices(["cardigan", "Cardigan"], {}, imagenet) == {"cardigan": [474], "Cardigan": [264]}
    with pytest.raises(StreamcamError, match="imagenet has 'Cardigan' and 'cardigan': write one of them, not 'CARDI"):
        find_classes(imagenet, "CARDIGAN")
    with pytest.raises(StreamcamError, match=r"'Cardigan' and 'cardigan'.*; classes.yaml can say which"):
        find_indices(["CARDIGAN"], {}, imagenet)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("nod", ["nod"]),
        (" nod ,, Wave, slowly ,", ["nod", "Wave, slowly"]),
        ("wave, slowly", ["wave, slowly"]),
        ("wave,nod", ["wave", "nod"]),
        ("a,b,c,nod", ["a,b,c", "nod"]),
        ("a,b,nod", ["a,b", "nod"]),
        ("b,c", ["b", "c"]),
        (" , ", []),
    ],
)
def test_a_comma_within_a_name_separates_nothing(text: str, names: list[str]) -> None:
    assert split_names(text, ["nod", "wave", "wave, slowly", "a,b", "a,b,c"]) == names


def test_names_in_a_list_are_never_split() -> None:
    mine = spec("a", "b", "a,b")
    assert find_classes(mine, "a,b") == [2]
    assert find_classes(mine, "b,a") == [1, 0]
    assert find_classes(mine, ["a", "b"]) == [0, 1]
    assert find_classes(mine, ["A,B", "a,b"]) == [2]
    with pytest.raises(StreamcamError, match="mine has no class 'b,a'"):
        find_classes(mine, ["b,a"])


@pytest.mark.parametrize(
    ("names", "found"), [("a, b", [2]), ("b,a", [1, 0]), (["a", "b"], [0, 1]), (["a, b"], [2]), (["b"], [1])]
)
def test_a_configuration_leaves_names_as_they_were_written(
    names: str | Sequence[str], found: list[int], tmp_path: Path
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"sources": ["sample"], "classes": names}))
    assert find_classes(spec("a", "b", "a, b"), make_config({}, file=file).classes) == found


def test_a_class_that_is_given_again_is_one_name(tmp_path: Path) -> None:
    image = ["image", "x.jpg", "-o", "out"]
    (tmp_path / "x.jpg").write_bytes(b"")
    assert "no class 'tabby,lynx'" in complaint(*image, "--class", "tabby,lynx", "--class", "cup", cwd=tmp_path)
    assert "no class 'tabi' (did you mean train or tabby" in complaint(*image, "--class", "lynx,tabi", cwd=tmp_path)
    assert "' , ' names no class" in complaint(*image, "--class", " , ", cwd=tmp_path)
    run = ["run", "sample", "--model", "imagenet"]
    assert "no class 'a,b'" in complaint(*run, "--classes", "lynx", "--classes", "a,b", cwd=tmp_path)
    assert "'CARDIGAN'" in complaint(*run, "--group", "none", "--classes", "lynx,CARDIGAN", cwd=tmp_path)
