"""Check data sets for copies, for leaks across the split, and for what gives classes away."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

import streamcam.train.check.run
from streamcam.cli.main import app
from streamcam.errors import StreamcamError
from streamcam.models.base import ModelEntry
from streamcam.models.registry import MODELS
from streamcam.render.image_files import read_picture
from streamcam.train.check.alike import alike_groups
from streamcam.train.check.facts import GiveAway, give_aways, odd_lengths
from streamcam.train.check.run import BRIEF_S, FIGURES, SHEET, brief_check, output_folder
from streamcam.train.check.sheet import HEIGHT, VAL_FRAME, WIDTH
from streamcam.train.check.stills import MIN_VAL_CLIPS, judge_stills
from streamcam.train.data.dataset import Dataset, read_dataset
from tests.support.commands import complaint
from tests.support.commands import streamcam as run_streamcam
from tests.support.train_small import SMALL, build_small
from tests.support.write_clip import write_clip

Images = list[npt.NDArray[np.uint8]]

SIZE, FPS = (160, 120), 8
PLACES = 8


def place(number: int, *, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    """Draw a background unlike all others."""
    coarse = np.random.default_rng(number).integers(40, 200, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def moving(number: int, direction: int, *, y: int = 40, frames: int = 20) -> Images:
    """A square that moves over a background; in the middle of the clip it is in the middle."""
    pictures = []
    for i in range(frames):
        picture, x = place(number).copy(), 65 + 2 * direction * (i - frames // 2)
        picture[y : y + 30, x : x + 30] = (250, 250, 240)
        pictures.append(picture)
    return pictures


def frames_of(path: Path) -> Images:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def encoded_again(path: Path, copy: Path) -> Path:
    """Write a copy of half the size, with other colours."""
    small = [cv2.resize(picture, (80, 60), interpolation=cv2.INTER_AREA) for picture in frames_of(path)]
    return write_clip(copy, [np.asarray(picture * 0.9 + 8, np.uint8) for picture in small], fps=FPS)


def write_same_places(root: Path, splits: Sequence[str] = ("train", "val")) -> Path:
    """Two motions, both recorded at the same places: nothing but the movement tells them apart."""
    for split in splits:
        for number in range(PLACES):
            at = number if split == "train" else number + 100
            for name, direction in (("left", -1), ("right", 1)):
                write_clip(root / split / name / f"{number}.mp4", moving(at, direction, y=20 + 5 * number), fps=FPS)
    return root


@pytest.fixture(scope="module")
def same_places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_same_places(tmp_path_factory.mktemp("same") / "data")


@pytest.fixture
def data(same_places: Path, tmp_path: Path) -> Path:
    """A copy of them to spoil."""
    return Path(shutil.copytree(same_places, tmp_path / "data"))


def found_in(data: Path, *options: str) -> tuple[dict[str, list[str]], dict[str, object]]:
    """What the command prints of notes and warnings, and the figures that it writes."""
    done = run_streamcam("check", data, *options)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    told = {kind: [x.removeprefix(f"{kind}: ") for x in lines if x.startswith(kind)] for kind in ("note", "warning")}
    figures = json.loads((data.parent / f"{data.stem}-check" / FIGURES).read_text())
    assert (figures["notes"], figures["warnings"]) == (told["note"], told["warning"])
    return told, figures


def read(data: Path) -> Dataset:
    return read_dataset(data, need_s=0.0, val_share=0.2)


# --- pictures in, findings out


def greys(*numbers: int) -> npt.NDArray[np.uint8]:
    """Three small grey pictures for each number, the same for the same number."""
    pictures = [[np.random.default_rng([n, i]).integers(30, 220, (16, 16)) for i in range(3)] for n in numbers]
    return np.array(pictures, np.uint8)


def test_clips_that_look_the_same_are_grouped() -> None:
    grey = greys(0, 1, 2, 1, 0, 1)
    noise = np.random.default_rng(9).normal(0, 2, grey.shape)
    changed = np.clip(grey * np.linspace(0.95, 1.1, 6)[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    assert alike_groups(grey) == alike_groups(changed) == [[0, 4], [1, 3, 5]]


def test_clips_that_lie_between_join_a_group() -> None:
    grey = np.repeat(greys(0), 3, axis=0)
    grey[1, :, 8, 8] = np.clip(grey[0, :, 8, 8].astype(int) + 15, 0, 255)
    grey[2, :, 8, 8] = np.clip(grey[0, :, 8, 8].astype(int) + 30, 0, 255)
    assert alike_groups(grey[[0, 2]]) == []
    assert alike_groups(grey) == [[0, 1, 2]]


def test_a_small_thing_that_moves_before_a_fixed_camera_makes_another_clip() -> None:
    grey = np.repeat(greys(0), 2, axis=0)
    grey[1, 1, 5:7, 5:7] = 255 - grey[1, 1, 5:7, 5:7]
    assert alike_groups(grey) == []


def test_plain_pictures_are_alike_by_their_level() -> None:
    levels = np.array([20, 120, 124, 220], np.uint8)
    assert alike_groups(np.broadcast_to(levels[:, None, None, None], (4, 3, 16, 16))) == [[1, 2]]
    assert alike_groups(greys(0)) == []


def pictures_of(backgrounds: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Pictures of backgrounds with noise, uint8 [N,32,32,3]."""
    rng = np.random.default_rng(5)
    drawn = [place(int(number), size=(32, 32)) + rng.normal(0, 5, (32, 32, 3)) for number in backgrounds]
    return np.clip(np.array(drawn), 0, 255).astype(np.uint8)


def test_stills_suffice_where_each_class_has_its_own_background() -> None:
    classes = np.repeat([0, 1, 2], 8)
    result = judge_stills(pictures_of(classes), classes, np.arange(24), np.arange(24) % 4 == 0)
    assert result is not None
    assert result.by_files
    assert (result.right, result.total) == (24, 24)
    assert result.chance == pytest.approx(1 / 3)
    assert result.suffices
    assert result.most_alike == []


def test_stills_do_not_suffice_where_all_classes_share_their_backgrounds() -> None:
    classes = np.tile([0, 1], 16)
    result = judge_stills(pictures_of(np.arange(32) // 2), classes, np.arange(32), np.arange(32) % 4 == 0)
    assert result is not None
    assert result.accuracy < 0.5
    assert not result.suffices
    assert result.most_alike[0][:2] == (0, 1)


def test_many_validation_clips_are_compared_with_training_clips_alone() -> None:
    classes = np.tile([0, 1], MIN_VAL_CLIPS)
    is_val = np.arange(len(classes)) < MIN_VAL_CLIPS
    # Validation clips look like training clips of the other class, and like each other.
    backgrounds = np.where(is_val, classes, 1 - classes)
    result = judge_stills(pictures_of(backgrounds), classes, np.arange(len(classes)), is_val)
    assert result is not None
    assert not result.by_files
    assert (result.right, result.total) == (0, MIN_VAL_CLIPS)


def test_stills_of_the_same_file_say_nothing() -> None:
    classes, files = np.repeat([0, 1], 8), np.repeat([0, 1, 2, 3], 4)
    # Each file has its own background: within it, the nearest picture is always of the right class.
    result = judge_stills(pictures_of(files), classes, files, np.zeros(16, bool))
    assert result is not None
    assert result.by_files
    assert result.accuracy < 1
    # Where each class is a single file, what is left is to compare as training and validation do.
    result = judge_stills(pictures_of(classes), classes, classes, np.arange(16) % 4 == 0)
    assert result is not None
    assert not result.by_files
    assert result.accuracy == 1
    assert judge_stills(pictures_of(classes), classes, classes, np.zeros(16, bool)) is None


def test_the_most_frequent_class_is_no_merit() -> None:
    classes = np.repeat([0, 1], [36, 4])
    result = judge_stills(pictures_of(np.zeros(40, int)), classes, np.arange(40), np.zeros(40, bool))
    assert result is not None
    assert result.chance == 0.9
    assert not result.suffices


def test_what_one_class_has_alone_gives_it_away() -> None:
    counts = {"nod": {"640×480": 9, "320×240": 1}, "wave": {"320×240": 12}, "still": {"320×240": 5, "640×480": 1}}
    assert give_aways(counts) == [GiveAway("nod", "640×480", 9, 10, 1, 18)]
    assert give_aways({"nod": {"30 fps": 9, "25 fps": 3}, "wave": {"30 fps": 2, "25 fps": 2}}) == []
    assert give_aways({"nod": {"30 fps": 9}}) == []
    assert give_aways({"nod": {"30 fps": 4}, "wave": {"25 fps": 4}}) == []  # of so few clips it may be chance


def test_a_class_of_long_clips_is_named() -> None:
    assert odd_lengths({"a": 1.0, "b": 1.4, "c": 3.0}) == ["c"]
    assert odd_lengths({"a": 1.0, "b": 1.9}) == []
    assert odd_lengths({"a": 1.0}) == []


# --- small videos


def test_nothing_is_wrong_where_only_the_movement_tells_classes_apart(data: Path) -> None:
    told, figures = found_in(data)
    assert told["warning"] == []
    assert any(
        note.startswith("a still picture of the middle of a clip tells the classes apart in 0.")
        for note in told["note"]
    )
    assert any("look most alike" in note and "'left' and 'right'" in note for note in told["note"])
    assert figures["alike"] == []
    assert figures["clips"] == {"train": 16, "val": 16, "decoded": 32}
    classes = figures["classes"]
    assert isinstance(classes, list)
    counts = {"train": 8, "val": 8, "files": 16, "seconds": 40.0}
    looks = {"lengths_s": [2.5, 2.5, 2.5], "fps": {"8 fps": 16}, "sizes": {"160×120": 16}}
    assert classes[0] == {"name": "left"} | counts | looks


def test_a_background_that_gives_the_class_away_is_warned_of(tmp_path: Path) -> None:
    for number in range(8):
        for at, name in enumerate(("left", "right")):
            write_clip(tmp_path / "data" / name / f"{number}.mp4", moving(at, (-1, 1)[at], y=20 + 5 * number), fps=FPS)
    told, figures = found_in(tmp_path / "data")
    (warning,) = told["warning"]
    assert warning.startswith(
        "a still picture of the middle of a clip already tells the classes apart in 1.00 of 16 cases (95 % interval "
        "0.81 to 1.00, chance 0.50; each compared with other files): the network may learn the background"
    )
    stills = figures["stills"]
    assert isinstance(stills, dict)
    assert stills["suffices"] is True
    assert stills["nearest"] == [[8, 0], [0, 8]]


def test_a_copy_of_other_size_and_label_is_warned_of_first(data: Path) -> None:
    encoded_again(data / "train" / "left" / "3.mp4", data / "train" / "right" / "again.mp4")
    told, figures = found_in(data)
    assert told["warning"] == [
        "clips look the same and have different labels, in 1 group: train/left/3.mp4 (left) and "
        "train/right/again.mp4 (right). Keep the right one of each"
    ]
    assert figures["alike"] == [
        [
            {"clip": "train/left/3.mp4", "class": "left", "split": "train"},
            {"clip": "train/right/again.mp4", "class": "right", "split": "train"},
        ]
    ]


def test_a_copy_on_the_other_side_is_warned_of(data: Path) -> None:
    encoded_again(data / "train" / "left" / "3.mp4", data / "val" / "left" / "again.mp4")
    told, _ = found_in(data)
    assert told["warning"] == [
        "training clips look the same as 1 of 17 validation clips, so the score will be too good: "
        "val/left/again.mp4 and train/left/3.mp4. Keep one of each, or put all on one side"
    ]


def test_a_copy_of_the_same_class_and_side_is_noted(data: Path) -> None:
    encoded_again(data / "train" / "left" / "3.mp4", data / "train" / "left" / "again.mp4")
    shutil.copy(data / "train" / "left" / "4.mp4", data / "train" / "left" / "copy.mp4")
    told, _ = found_in(data)
    assert told["warning"] == []
    assert (
        "2 clips of the same class look the same, in 1 group: train/left/3.mp4 and train/left/again.mp4" in told["note"]
    )
    assert any(note.startswith("copies of other files, which count as one: 1 file: ") for note in told["note"])


def test_what_cannot_be_decoded_is_named(data: Path) -> None:
    (data / "train" / "left" / "broken.mp4").write_bytes(b"not a video")
    cut = write_clip(data / "train" / "right" / "cut.mp4", moving(50, 1) * 10, fps=FPS, index_first=True)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 3])
    told, figures = found_in(data)
    assert any("broken.mp4" in note for note in told["note"])
    assert "skipped 1 clip, whose first or middle picture cannot be decoded: train/right/cut.mp4" in told["note"]
    assert figures["unreadable"] == ["train/right/cut.mp4"]
    assert figures["clips"] == {"train": 17, "val": 16, "decoded": 32}


def test_a_camera_for_each_class_is_warned_of(tmp_path: Path) -> None:
    for number in range(6):
        write_clip(tmp_path / "data" / "left" / f"{number}.mp4", moving(number, -1), fps=10)
        large = [cv2.resize(picture, (240, 180)) for picture in moving(number, 1, frames=61)]
        write_clip(tmp_path / "data" / "right" / f"{number}.mp4", [np.asarray(p, np.uint8) for p in large], fps=15)
    told, _ = found_in(tmp_path / "data")
    assert [warning.partition(":")[0] for warning in told["warning"]] == [
        "too short for the 2.07 s that a network sees at once by default, so that `streamcam train` needs a shorter "
        "--window",
        "the frame rate alone tells classes apart",
        "the picture size alone tells classes apart",
    ]
    assert "10 fps in 6 of 6 clips of 'left', and 0 of 6 others" in told["warning"][1]
    assert "240×180 in 6 of 6 clips of 'right', and 0 of 6 others" in told["warning"][2]
    assert "the clips of 'right' last 4.07 s (median), those of the others 2.00 s" in told["note"]


def test_the_sheet_has_a_row_for_each_class_and_frames_validation_clips(data: Path, tmp_path: Path) -> None:
    found_in(data)
    sheet = read_picture(tmp_path / "data-check" / SHEET).astype(int)
    assert sheet.shape[0] > 2 * HEIGHT
    assert sheet.shape[1] > 12 * WIDTH
    framed = (np.abs(sheet - VAL_FRAME).max(2) < 40).sum(0) > HEIGHT  # the upright sides of frames, in two rows
    assert not framed[: 6 * WIDTH].any()
    assert framed[7 * WIDTH :].any()


def test_results_lie_where_they_were_asked_for_and_never_in_the_data(data: Path, tmp_path: Path) -> None:
    before = sorted(data.rglob("*"))
    for _ in range(2):  # again replaces what is there
        done = run_streamcam("check", data, "-o", "there", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "check.json and check.jpg in there\n" in done.stdout
    assert {path.name for path in (tmp_path / "there").iterdir()} == {FIGURES, SHEET}
    assert {path.name for path in tmp_path.iterdir()} == {"data", "there"}
    assert "it lies in the data" in complaint("check", data, "-o", data / "results")
    assert "it lies in the data" in complaint("check", ".", "-o", ".", cwd=data)
    with pytest.raises(StreamcamError, match="it lies in the data"):
        output_folder(Path("/"), None)
    assert sorted(data.rglob("*")) == before


def test_results_for_a_csv_file_lie_beside_it(tmp_path: Path) -> None:
    assert output_folder(tmp_path / "labels.csv", None) == tmp_path / "labels-check"
    (tmp_path / "my.clips").mkdir()
    assert output_folder(tmp_path / "my.clips", None) == tmp_path / "my.clips-check"


def test_stretches_and_several_labels_are_read_as_for_training(data: Path, tmp_path: Path) -> None:
    paths = [f"data/{split}/left/{number}.mp4,0.1,2.4" for split in ("train", "val") for number in range(4)]
    rows = [f"{path},{label}" for i, path in enumerate(paths) for label in (("a", "b"), ("b",), ("c",))[i % 3]]
    (tmp_path / "labels.csv").write_text("\n".join(["path,start,end,label", *rows]))
    assert "--multi-label" in complaint("check", tmp_path / "labels.csv")
    _, figures = found_in(tmp_path / "labels.csv", "--multi-label")
    classes, stills = figures["classes"], figures["stills"]
    assert isinstance(classes, list)
    assert isinstance(stills, dict)
    assert {facts["name"]: facts["files"] for facts in classes} == {"a": 3, "b": 6, "c": 2}
    assert stills["classes"] == ["a + b", "b", "c"]


def test_data_that_cannot_be_trained_on_end_in_one_line(tmp_path: Path) -> None:
    write_clip(tmp_path / "one" / "wave" / "1.mp4", moving(0, 1))
    write_clip(tmp_path / "one" / "wave" / "2.mp4", moving(1, 1))
    assert "holds one class, 'wave'" in complaint("check", tmp_path / "one")
    assert "no such folder or CSV file" in complaint("check", tmp_path / "none")
    assert {path.name for path in tmp_path.iterdir()} == {"one"}


# --- before training


def test_training_is_told_of_warnings_alone(data: Path) -> None:
    assert brief_check(read(data), data, show=lambda *_: None, clock=lambda: 0.0) == []
    encoded_again(data / "train" / "left" / "3.mp4", data / "val" / "right" / "again.mp4")
    lines = brief_check(read(data), data, show=lambda *_: None, clock=lambda: 0.0)
    assert [line[:60] for line in lines[:2]] == [
        "check: clips look the same and have different labels, in 1 g",
        "check: training clips look the same as 1 of 17 validation cl",
    ]
    assert lines[2:] == [f"check: from 33 of 33 clips; `streamcam check {data}` shows more"]


def test_training_prints_warnings_before_it_begins(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MODELS, "small", ModelEntry(SMALL, build_small))
    monkeypatch.setattr(streamcam.train.check.run, "BRIEF_S", 600.0)  # all clips, however slow the machine
    encoded_again(data / "train" / "left" / "3.mp4", data / "val" / "left" / "again.mp4")
    train = ["train", str(data), "-o", str(tmp_path / "run"), "--model", "small", "--workers", "0", "--device", "cpu"]
    app([*train, "--epochs", "1"], standalone_mode=False)
    lines = capsys.readouterr().err.splitlines()
    warned = [i for i, line in enumerate(lines) if line.startswith("check: training clips look the same as 1 of 17")]
    begun = [i for i, line in enumerate(lines) if line.startswith("epoch 1 of 1")]
    assert (len(warned), len(begun)) == (1, 1)
    assert warned < begun
    app([*train, "--epochs", "1", "--resume"], standalone_mode=False)
    assert "check: " not in capsys.readouterr().err


def test_training_waits_a_few_seconds_at_most(tmp_path: Path) -> None:
    for number in range(8):
        for at, name in enumerate(("left", "right")):
            write_clip(tmp_path / name / f"{number}.mp4", moving(at, (-1, 1)[at], y=20 + 5 * number), fps=FPS)
    now_s = iter(np.arange(100) * BRIEF_S / 12)
    lines = brief_check(read(tmp_path), tmp_path, show=lambda *_: None, clock=lambda: float(next(now_s)))
    assert lines[-1].startswith("check: from 11 of 16 clips")


def test_training_goes_on_where_nothing_can_be_decoded(data: Path) -> None:
    dataset = read(data)
    for path in data.rglob("*.mp4"):
        path.write_bytes(b"")
    assert brief_check(dataset, data, show=lambda *_: None) == []
    with pytest.raises(StreamcamError):
        read(data)
