"""Divide labelled clips into training and validation, and refuse a list that is wrong."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from streamcam.errors import StreamcamError
from streamcam.train.data.dataset import Dataset, read_dataset
from tests.support.write_clip import write_clip

CLASSES = ("blue", "red")


def write(path: Path) -> Path:
    """Write a clip of 0.8 s unlike all others: its picture depends on its path."""
    seed = list(path.parent.name.encode() + path.name.encode())
    return write_clip(path, [np.random.default_rng(seed).integers(0, 255, (36, 48, 3), dtype=np.uint8)] * 8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips of 0.8 s for each of two classes."""
    folder = tmp_path_factory.mktemp("clips")
    for name in CLASSES:
        for number in range(8):
            write(folder / name / f"{number}.mp4")
    return folder


def test_a_file_is_as_long_as_its_pictures_and_not_as_its_sound(tmp_path: Path) -> None:
    for number in range(4):
        pictures = [np.full((36, 48, 3), 60 * number, np.uint8)] * 8
        write_clip(tmp_path / CLASSES[number % 2] / f"{number}.mp4", pictures, sound_s=3.0)
    dataset = read_dataset(tmp_path, need_s=0.3, val_share=0.5)
    assert [clip.end_s for clip in (*dataset.train, *dataset.val)] == [0.8] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'label'"),
        ("path,label\n", "lists no clips"),
        ("path,label\n,red\n", "line 2: path or label is missing"),
        ("path,start,end,label\na.mp4,x,2,red\n", "line 2: start and end are seconds"),
        ("path,start,end,label\na.mp4,3,2,red\n", "line 2: expected 0 ≤ start < end"),
        ("path,start,end,label\na.mp4,nan,2,red\n", "line 2: start and end are seconds"),
        ("path,start,end,label\na.mp4,1,inf,red\n", "line 2: start and end are seconds"),
        ("path,label,split\na.mp4,red,some\n", "line 2: split is train, val or test, got 'some'"),
    ],
)
def test_a_csv_that_is_wrong_says_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(StreamcamError, match=message):
        read_dataset(tmp_path / "clips.csv", need_s=0.3, val_share=0.2)


def test_a_stretch_that_begins_after_the_end_of_its_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text(f"path,start,end,label\n{data}/red/0.mp4,5,7,red\n{data}/blue/0.mp4,,,blue\n")
    with pytest.raises(StreamcamError, match=r"0\.mp4: 5 s: starts after the end of the file \(0\.8 s\)"):
        read_dataset(tmp_path / "clips.csv", need_s=0.3, val_share=0.2)


def test_clips_stay_on_their_side_when_others_come(data: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    before = read_dataset(folder, need_s=0.3, val_share=0.4)
    assert {clip.labels for clip in before.val} == {clip.labels for clip in before.train} == {(0,), (1,)}
    assert len(before.val) + len(before.train) == 16
    assert before.digest != read_dataset(folder, need_s=0.3, val_share=0.9).digest
    for name in CLASSES:
        for number in range(8):
            write(folder / name / f"{number + 10}.mp4")
    after = read_dataset(folder, need_s=0.3, val_share=0.4)
    assert set(before.val) < set(after.val)
    assert set(before.train) < set(after.train)


def listed(
    data: Path, tmp_path: Path, rows: list[str], *, val_share: float = 0.25, multi_label: bool = False
) -> Dataset:
    """Read a CSV file of these lines, whose paths begin with `clips/`."""
    (tmp_path / "clips").symlink_to(data)
    (tmp_path / "clips.csv").write_text("\n".join(["path,start,end,label", *rows]))
    return read_dataset(tmp_path / "clips.csv", need_s=0.0, val_share=val_share, multi_label=multi_label)


def test_stretches_of_a_file_stay_together_where_there_are_other_files(data: Path, tmp_path: Path) -> None:
    stretches = [(i, start_s) for i in range(8) for start_s in (0.0, 0.2, 0.4)]
    rows = [f"clips/{name}/{i}.mp4,{at},{at + 0.2},{name}" for name in CLASSES for i, at in stretches]
    dataset = listed(data, tmp_path, rows)
    assert dataset.val
    assert not {clip.path for clip in dataset.val} & {clip.path for clip in dataset.train}


@pytest.mark.parametrize("val_share", [0.01, 0.25, 0.99])
def test_every_class_is_on_both_sides(data: Path, tmp_path: Path, val_share: float) -> None:
    rows = [f"clips/red/{i}.mp4,,,red" for i in range(3)]
    rows += [f"clips/blue/0.mp4,{i / 10},{(i + 1) / 10},blue" for i in range(4)]
    dataset = listed(data, tmp_path, rows, val_share=val_share)
    for part in (dataset.train, dataset.val):
        assert {clip.labels for clip in part} == {(0,), (1,)}
    assert len(dataset.train) + len(dataset.val) == 7


def test_clips_with_several_labels_need_no_others_with_the_same(data: Path, tmp_path: Path) -> None:
    sets = ["a", "b", "c", "ab", "bc", "ac", "abc"]
    rows = [f"clips/red/{i}.mp4,,,{label}" for i, labels in enumerate(sets) for label in labels]
    dataset = listed(data, tmp_path, rows, multi_label=True)
    assert dataset.val
    assert {label for clip in dataset.train for label in clip.labels} == {0, 1, 2}
    assert len(dataset.train) + len(dataset.val) == 7


def test_folders_named_train_and_val_are_taken_at_their_word(data: Path, tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(data)
    for name in CLASSES:
        for number in range(8):
            write(tmp_path / "val" / name / f"{number}v.mp4")
    dataset = read_dataset(tmp_path, need_s=0.3, val_share=0.2)
    assert dataset.classes == ("blue", "red")
    assert {clip.path.parts[-3] for clip in dataset.train} == {"train"}
    assert len(dataset.train) == len(dataset.val) == 16
