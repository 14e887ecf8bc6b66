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


# COCO


def rle(mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> dict[str, object]:
    """A mask as COCO has it: the lengths of its runs, column by column."""
    flat = mask.T.ravel()
    changes = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    counts = np.diff(changes).tolist()
    return {"size": list(mask.shape), "counts": counts if flat[0] == 0 else [0, *counts]}


CATEGORIES = [{"id": 3, "name": "dog"}, {"id": 8, "name": "person"}]
FRAME = {"width": WIDTH, "height": HEIGHT}
BOX = [30, 20, 10, 10]
MOVING: list[Box | None] = [Box(frame, 4, frame + 8, 10) for frame in range(FRAMES)]
LATER: list[Box | None] = [None] * 3 + [Box(30, 20, 40, 30)] * 3


def put_coco(data: Path, **content: object) -> Path:
    (data / "instances.json").write_text(json.dumps({"info": {}, "categories": CATEGORIES, **content}))
    return data


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_clip(tmp_path / "a.mp4", pictures(), fps=10)
    return tmp_path


def test_coco_has_frames_of_clips(clip: Path) -> None:
    images = [{"id": 10 + i, "video_id": 7, "frame_id": i, "file_name": f"a/{i}.jpg", **FRAME} for i in range(FRAMES)]
    first = (values(0) == 1).astype(np.uint8)
    found = [
        {"image_id": 10 + i, "category_id": 3, "track_id": 1, "segmentation": rle(np.roll(first, i, 1)), "id": i}
        for i in range(FRAMES)
    ]
    found += [{"image_id": 10 + i, "category_id": 8, "track_id": 2, "bbox": BOX, "id": 9 + i} for i in range(3, FRAMES)]
    put_coco(clip, videos=[{"id": 7, "file_name": "a.mp4"}], images=images, annotations=found)
    truth = timed(*find_items(clip))
    assert boxes(truth, "dog") == [MOVING]
    assert boxes(truth, "person") == [LATER]


def test_coco_may_have_all_frames_of_a_thing_together(clip: Path) -> None:
    masks = [(values(i) == 2).astype(np.uint8) for i in range(FRAMES)]
    found = [{"video_id": 7, "category_id": 8, "segmentations": [rle(mask) if mask.any() else None for mask in masks]}]
    put_coco(clip, videos=[{"id": 7, "name": "a"}], annotations=found)
    assert boxes(timed(*find_items(clip)), "person") == [LATER]


def test_coco_has_pictures_whose_folder_is_no_class(tmp_path: Path) -> None:
    folder = tmp_path / "val2017"
    put_pictures(folder)
    images = [{"id": i, "file_name": f"{i:05d}.jpg", **FRAME} for i in range(FRAMES)]
    polygon = [30, 20, 40, 20, 40, 30, 30, 30]
    # Six columns from column 20 on, each with 8 pixels from row 4 on.
    counts = [20 * HEIGHT + 4, 8, 28, 8, 28, 8, 28, 8, 28, 8, 28, 8]
    counts.append(HEIGHT * WIDTH - sum(counts))
    found = [
        {"image_id": 0, "category_id": 3, "segmentation": [polygon]},
        {"image_id": 1, "category_id": 3, "segmentation": {"size": [HEIGHT, WIDTH], "counts": compressed(counts)}},
        {"image_id": 1, "category_id": 8, "bbox": BOX},
    ]
    put_coco(tmp_path, images=images, annotations=found)
    truths = [timed(item) for item in find_items(tmp_path)]
    assert [truth.labels for truth in truths] == [("dog",), ("dog", "person"), (), (), (), ()]
    ((drawn,),) = boxes(truths[0], "dog")
    assert drawn is not None
    # OpenCV fills the pixels that the polygon's edges touch.
    assert drawn in (Box(30, 20, 40, 30), Box(30, 20, 41, 31))
    assert boxes(truths[1], "dog") == [[Box(20, 4, 26, 12)]]
    assert boxes(truths[1], "person") == [[Box(30, 20, 40, 30)]]


def compressed(counts: list[int]) -> str:
    """Counts as text, after the description in COCO's maskApi.c."""
    text = ""
    for i, count in enumerate(counts):
        number = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits = number & 31
            number >>= 5
            more = number != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


ONE = {"id": 1, "file_name": "a.mp4", **FRAME}


@pytest.mark.parametrize(
    ("image", "annotation", "message"),
    [
        (ONE, {"category_id": 5, "bbox": BOX}, "annotation 1: no category has the id 5"),
        (ONE, {"category_id": 3, "image_id": 2, "bbox": BOX}, "annotation 1: no image has the id 2, and no video None"),
        (
            ONE,
            {"category_id": 3, "bbox": [40, 20, 10, 10]},
            "annotation 1: the box [40.0, 20.0, 10.0, 10.0] is outside",
        ),
        (ONE, {"category_id": 3}, "annotation 1: expected a segmentation, or bbox as x, y, width, height, got None"),
        (
            ONE,
            {"category_id": 3, "segmentation": [[1, 2, 99, 2, 3, 4]]},
            "annotation 1: a polygon is outside of the picture of 48×36",
        ),
        (ONE, {"category_id": 3, "segmentation": [[1, 2, 3]]}, "annotation 1: expected a polygon of at least three"),
        (
            ONE,
            {"category_id": 3, "segmentation": {"size": [36, 48], "counts": [1, 2]}},
            "annotation 1: RLE of 3 pixels for a size of 36×48",
        ),
        (
            ONE,
            {"category_id": 3, "segmentation": {"size": [36, 48], "counts": "é"}},
            "annotation 1: 'é' cannot be part of RLE",
        ),
        (ONE, {"category_id": "x"}, "instances.json: Expected `int`, got `str` - at `$.annotations[0].category_id`"),
        ({**ONE, "file_name": "b.mp4"}, {"category_id": 3}, "image 1: no such clip or picture: b.mp4"),
        ({**ONE, "video_id": 7}, {"category_id": 3}, "image 1: expected frame_id, the number of the frame from 0"),
        ({**ONE, "video_id": 8, "frame_id": 0}, {"category_id": 3}, "image 1: no video has the id 8"),
        (
            {**ONE, "video_id": 7, "frame_id": 6},
            {"category_id": 3, "bbox": BOX},
            "a.mp4 does not fit it: frame 6 is past the end: the clip has frames 0 to 5",
        ),
    ],
)
def test_what_is_wrong_in_coco_is_named(
    image: dict[str, object], annotation: dict[str, object], message: str, clip: Path
) -> None:
    videos = [{"id": 7, "file_name": "a.mp4"}]
    put_coco(clip, videos=videos, images=[image], annotations=[{"image_id": 1, **annotation}])
    assert message in refusal(clip)
