"""The truth: every form of it says the same, and what is not as it should be is named in one line."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcam.errors import StreamcamError
from streamcam.evaluate.annotations import read_npz, read_pngs
from streamcam.evaluate.dataset import find_indices, find_items, read_names
from streamcam.evaluate.objects import box_of
from streamcam.evaluate.truth import Truth, write_truth
from streamcam.heat.localise import Box
from streamcam.models.spec import ModelSpec
from tests.support.cvat import cvat_box, cvat_track, cvat_xml
from tests.support.frames import TINY_FORMAT

MASKS = np.zeros((3, 6, 8), np.uint8)
MASKS[0, 1:3, 2:6] = 1
MASKS[1, 1:3, 4:8] = 1
TIMES = np.array([0.0, 0.1, 0.2])


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def timed(data: Path) -> Truth:
    (item,) = find_items(data)
    truth = item.truth()
    return Truth(item, truth.objects, truth.scene, TIMES, (6, 8))


def as_npz(data: Path) -> None:
    write_truth(touch(data / "cats" / "a.mp4"), MASKS[None], ["cat"], pts_s=TIMES)


def as_plain_npz(data: Path) -> None:
    np.savez(touch(data / "cat" / "a.mp4").with_suffix(".npz"), masks=MASKS > 0)


def as_pngs(data: Path) -> None:
    touch(data / "cat" / "a.mp4")
    (data / "cat" / "a").mkdir()
    for i, mask in enumerate(MASKS):
        cv2.imwrite(str(data / "cat" / "a" / f"{i:06d}.png"), 255 * mask)


def as_pngs_with_labels(data: Path) -> None:
    touch(data / "a.mp4")
    (data / "a").mkdir()
    (data / "a" / "labels.txt").write_text("dog\ncat\n")
    for i, mask in enumerate(MASKS):
        cv2.imwrite(str(data / "a" / f"{i:06d}.png"), 2 * mask)


def as_boxes(data: Path) -> None:
    touch(data / "a.mp4")
    rows = ["clip,class,frame,x0,y0,x1,y1", "a.mp4,cat,0,2,1,6,3", "a.mp4,cat,1,4,1,8,3", "a.mp4,dog,2,0,0,1,1"]
    (data / "truth.csv").write_text("\n".join(rows))


def as_cvat(data: Path) -> None:
    touch(data / "a.mp4")
    boxes = [cvat_box(0, 0, (2, 1, 6, 3)), cvat_box(1, 0, (4, 1, 8, 3)), cvat_box(2, 1, (4, 1, 8, 3))]
    cat = f'<track id="0" label="cat">{"".join(boxes)}</track>'
    put_cvat(data, cat, cvat_track(1, "dog", (2, 0), box=(0, 0, 1, 1)))


def put_cvat(data: Path, *tracks: str) -> None:
    (data / "annotations.xml").write_text(cvat_xml("a.mp4", *tracks, size=(8, 6)))


@pytest.mark.parametrize("write", [as_cvat, as_npz, as_plain_npz, as_pngs, as_pngs_with_labels, as_boxes])
def test_every_form_says_where_and_when_a_thing_is(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    truth = timed(tmp_path)
    assert "cat" in truth.labels
    assert truth.present("cat", TIMES).tolist() == [True, True, False]
    (masks,) = truth.masks("cat", np.array([0.04, 0.06, 0.3]), (6, 8))
    assert [box_of(mask) for mask in masks] == [Box(2, 1, 6, 3), Box(4, 1, 8, 3), None]
    (twice,) = truth.masks("cat", TIMES[:1], (12, 16))
    assert box_of(twice[0]) == Box(4, 2, 12, 6)


def test_a_thing_of_cvat_is_absent_outside_of_its_track(tmp_path: Path) -> None:
    touch(tmp_path / "any" / "a.mp4")
    put_cvat(tmp_path, cvat_track(0, "cat", (20, 0), (30, 0), (31, 1), (60, 0), (99, 0), box=(2, 1, 6, 3)))
    (item,) = find_items(tmp_path)
    truth = Truth(item, item.truth().objects, (), np.arange(100) / 10, (6, 8))
    present = truth.present("cat", np.array([0, 1.9, 2.0, 3.0, 3.1, 4.9, 5.9, 6.0, 9.9]))
    assert present.tolist() == [False, False, True, True, False, False, False, True, True]


def test_a_folder_alone_says_what_but_not_where(tmp_path: Path) -> None:
    touch(tmp_path / "cat" / "a.mp4")
    truth = timed(tmp_path)
    assert (truth.labels, truth.placed, truth.scene) == (("cat",), (), ("cat",))
    assert truth.present("cat", TIMES).all()


def test_several_things_of_several_classes(tmp_path: Path) -> None:
    path = touch(tmp_path / "any" / "a.mp4")
    write_truth(path, np.stack([MASKS, MASKS[::-1], MASKS]), ["cat", "cup", "cat"], pts_s=TIMES, scene=["indoors"])
    truth = timed(tmp_path)
    assert truth.labels == ("cat", "cup", "indoors")
    assert truth.placed == ("cat", "cup")
    assert len(truth.masks("cat", TIMES, (6, 8))) == 2
    assert truth.present("cup", TIMES).tolist() == [False, True, True]
    assert truth.present("indoors", TIMES).all()


def test_nothing_may_be_there_and_is_not_the_folders_class(tmp_path: Path) -> None:
    write_truth(touch(tmp_path / "cat" / "a.mp4"), np.zeros((0, 3, 6, 8)), [])
    assert timed(tmp_path).labels == ()


def test_a_small_thing_does_not_vanish_on_a_coarse_grid(tmp_path: Path) -> None:
    masks = np.zeros((1, 1, 100, 100))
    masks[0, 0, 50, 50] = 1
    write_truth(touch(tmp_path / "cat" / "a.jpg"), masks, ["cat"])
    assert timed(tmp_path).masks("cat", TIMES[:1], (10, 10))[0].sum() == 1


def test_several_classes_without_a_place_in_a_table(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    (tmp_path / "truth.csv").write_text("clip,class\na.mp4,cat\na.mp4,cup\n")
    assert timed(tmp_path).scene == ("cat", "cup")


def test_names_may_differ_from_the_models(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("cat: [Tabby, lynx]\ncup: espresso\n")
    names = read_names(tmp_path)
    spec = ModelSpec("mine", "a test", ("espresso", "tabby", "Lynx", "dog"), TINY_FORMAT, framewise=True)
    assert find_indices(["cat", "cup", "Dog"], names, spec) == {"cat": [1, 2], "cup": [0], "Dog": [3]}
    with pytest.raises(StreamcamError, match=r"no class 'doge' \(did you mean dog\?\); classes.yaml can say"):
        find_indices(["doge"], names, spec)


def save(path: Path, **arrays: object) -> None:
    np.savez(touch(path.with_suffix(".mp4")).with_suffix(".npz"), **arrays)  # type: ignore[arg-type]


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda d: None, "no clips or pictures in"),
    "no masks": (lambda d: save(d / "c" / "a", other=np.zeros(3)), "expected masks .* got only other"),
    "flat": (lambda d: save(d / "c" / "a", masks=np.zeros((6, 8), bool)), r"got bool\[6, 8\]"),
    "floats": (lambda d: save(d / "c" / "a", masks=np.zeros((1, 6, 8))), "float64"),
    "labels": (lambda d: save(d / "c" / "a", masks=MASKS, labels=["x", "y"]), "a label for each of 1 things"),
    "unnamed": (lambda d: save(d / "a", masks=MASKS), "a label for each"),
    "times": (lambda d: save(d / "c" / "a", masks=MASKS, pts_s=np.zeros(2)), "expected 3 times"),
    "pickle": (lambda d: save(d / "c" / "a", masks=np.array([None])), "no pickled objects"),
    "not npz": (lambda d: touch(d / "c" / "a.mp4").with_suffix(".npz").write_text("x"), "a.npz: expected an npz"),
    "two": (lambda d: (touch(d / "c" / "a.mp4"), touch(d / "c" / "a.jpg")), "would share their truth"),
    "columns": (lambda d: (touch(d / "a.mp4"), (d / "truth.csv").write_text("file,class\n")), "expected the columns"),
    "numbers": (
        lambda d: (touch(d / "a.mp4"), (d / "truth.csv").write_text("clip,class,x0,y0,x1,y1\na.mp4,cat,1,2,x,4\n")),
        "truth.csv, line 2: expected numbers",
    ),
    "inside out": (
        lambda d: (touch(d / "a.mp4"), (d / "truth.csv").write_text("clip,class,x0,y0,x1,y1\na.mp4,cat,5,2,3,4\n")),
        "line 2: expected a box with x0 < x1",
    ),
    "ragged": (
        lambda d: (touch(d / "a.mp4"), (d / "truth.csv").write_text("clip,class\na.mp4,cat,9\n")),
        "as many values as there are columns",
    ),
    "stray": (
        lambda d: (touch(d / "a.mp4"), (d / "truth.csv").write_text("clip,class\nb.mp4,cat\n")),
        "no such clip: b.mp4",
    ),
    "cvat clip": (lambda d: (as_cvat(d), (d / "a.mp4").rename(d / "b.mp4")), "annotations.xml: no such clip: a.mp4"),
    "cvat twice": (
        lambda d: (as_cvat(d), (d / "b.xml").write_text((d / "annotations.xml").read_text())),
        "b.xml: a.mp4 is in another annotation file as well: keep one of them",
    ),
    "cvat box": (
        lambda d: (touch(d / "a.mp4"), put_cvat(d, cvat_track(2, "cat", (7, 0), box=(2, 1, 16, 3)))),
        "annotations.xml, track 2, frame 7: the box 2,1,16,3 is outside of the picture of 8×6",
    ),
    "cvat shape": (
        lambda d: (
            touch(d / "a.mp4"),
            put_cvat(d, '<track id="2" label="cat"><polygon frame="7" outside="0"/></track>'),
        ),
        "annotations.xml, track 2, frame 7: only upright boxes are read",
    ),
    "png names": (lambda d: (touch(d / "c" / "a.mp4"), touch(d / "c" / "a" / "x.png")), "named for their frame"),
    "png content": (lambda d: (touch(d / "c" / "a.mp4"), touch(d / "c" / "a" / "0.png")), "expected a picture"),
}


@pytest.mark.parametrize("case", list(BAD))
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_bad_truth_is_named(case: str, tmp_path: Path) -> None:
    write, words = BAD[case]
    write(tmp_path)
    with pytest.raises(StreamcamError, match=words):
        for item in find_items(tmp_path):
            item.truth()


def test_values_without_a_label_are_named(tmp_path: Path) -> None:
    as_pngs_with_labels(tmp_path)
    (tmp_path / "a" / "labels.txt").write_text("dog\n")
    with pytest.raises(StreamcamError, match=r"000000.png: expected values 0 to 1"):
        read_pngs(tmp_path / "a", default=None)


def test_a_mask_past_the_end_of_the_clip_is_named(tmp_path: Path) -> None:
    np.savez(touch(tmp_path / "cat" / "a.mp4").with_suffix(".npz"), masks=MASKS, frames=[0, 1, 7])
    with pytest.raises(StreamcamError, match=r"a.mp4 does not fit it: frame 7 is past the end: .* frames 0 to 2"):
        timed(tmp_path).present("cat", TIMES)


def test_classes_yaml_must_hold_names(tmp_path: Path) -> None:
    for text in ("- cat", "cat: 3", "cat: []", "{"):
        (tmp_path / "classes.yaml").write_text(text)
        with pytest.raises(StreamcamError, match=r"classes.yaml.*such as"):
            read_names(tmp_path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_truth(tmp_path / "a.mp4", MASKS[None], ["cat"], pts_s=TIMES, scene=["night"])
    (thing,), scene = read_npz(path, default=None)
    assert (thing.label, thing.in_seconds, scene) == ("cat", True, ("night",))
    assert thing.masks is not None
    assert np.array_equal(thing.masks, MASKS)
    with pytest.raises(ValueError, match="expected masks"):
        write_truth(tmp_path / "a.mp4", MASKS, ["cat"])
