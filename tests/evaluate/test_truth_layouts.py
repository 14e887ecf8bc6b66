"""The truth in the layouts of data sets, made here from their public descriptions."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from streamcam.errors import StreamcamError
from streamcam.evaluate.dataset import find_items
from streamcam.evaluate.objects import box_of
from streamcam.evaluate.truth import Item, Truth
from streamcam.evaluate.windows import with_frame_times
from streamcam.heat.localise import Box
from tests.support.write_clip import write_clip

HEIGHT, WIDTH, FRAMES = 36, 48, 6


def timed(item: Item) -> Truth:
    return with_frame_times(item.truth())


def boxes(truth: Truth, label: str) -> list[list[Box | None]]:
    """Where each thing of a class is in each frame."""
    masks = truth.masks(label, truth.frame_times, (HEIGHT, WIDTH))
    return [[box_of(mask) for mask in of_thing] for of_thing in masks]


def pictures(count: int = FRAMES) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return [np.random.default_rng(i).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for i in range(count)]


def refusal(data: Path) -> str:
    with pytest.raises(StreamcamError) as caught:
        for item in find_items(data):
            timed(item).masks(item.truth().labels[0], np.zeros(1), (HEIGHT, WIDTH))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# DAVIS


def values(frame: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Thing 1 moves to the right, and thing 2 comes in frame 3."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:10, frame : frame + 8] = 1
    if frame >= 3:
        mask[20:30, 30:40] = 2
    return mask


def put_masks(folder: Path, *, single: bool = False) -> None:
    folder.mkdir(parents=True)
    for frame in range(FRAMES):
        mask = PIL.Image.fromarray(values(frame) if not single else 255 * (values(frame) == 1).astype(np.uint8))
        if not single:
            mask = mask.convert("P")
            mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        mask.save(folder / f"{frame:05d}.png")


def put_pictures(folder: Path) -> None:
    folder.mkdir(parents=True)
    for frame, picture in enumerate(pictures()):
        PIL.Image.fromarray(picture).save(folder / f"{frame:05d}.jpg")


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    put_masks(tmp_path / "Annotations" / "480p" / "dogs-walk")
    put_masks(tmp_path / "Annotations" / "480p" / "bear", single=True)
    put_pictures(tmp_path / "JPEGImages" / "480p" / "dogs-walk")
    write_clip(tmp_path / "bear.mp4", pictures(), fps=24)
    return tmp_path


def test_davis_has_masks_for_pictures_and_videos(davis: Path) -> None:
    bear, dogs = map(timed, find_items(davis))
    assert (bear.item.name, dogs.item.name) == ("bear", "dogs-walk")
    moving: list[Box | None] = [Box(frame, 4, frame + 8, 10) for frame in range(FRAMES)]
    assert boxes(bear, "bear") == [moving]
    later = [None] * 3 + [Box(30, 20, 40, 30)] * 3
    assert boxes(dogs, "dogs-walk") == [moving, later]
    assert dogs.frame_times == pytest.approx(np.arange(FRAMES) / 24)


def test_davis_may_name_its_things(davis: Path) -> None:
    (davis / "davis_semantics.json").write_text(json.dumps({"dogs-walk": {"1": "dog", "2": "person"}}))
    bear, dogs = map(timed, find_items(davis))
    assert (bear.labels, dogs.labels) == (("bear",), ("dog", "person"))
    (davis / "davis_semantics.json").write_text(json.dumps({"dogs-walk": {"1": "dog"}}))
    assert refusal(davis).endswith("480p/dogs-walk: davis_semantics.json has no class for value 2")
    (davis / "davis_semantics.json").write_text("[]")
    assert "cannot read" in refusal(davis)


def test_what_is_wrong_in_davis_is_named(davis: Path) -> None:
    put_masks(davis / "Annotations" / "480p" / "swan")
    assert refusal(davis).startswith("no pictures of swan: expected ")
    put_pictures(davis / "JPEGImages" / "480p" / "swan")
    (davis / "JPEGImages" / "480p" / "swan" / f"{FRAMES - 1:05d}.jpg").unlink()
    assert "swan does not fit it: frame 5 is past the end: the clip has frames 0 to 4" in refusal(davis)
