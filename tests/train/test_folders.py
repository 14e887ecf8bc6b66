"""Read folders of clips as people mean them, and refuse what is not clear."""

import errno
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import pytest

from streamcam.errors import StreamcamError
from streamcam.files import VIDEOS
from streamcam.train.data.annotations import split_of
from streamcam.train.data.dataset import Dataset, read_dataset
from tests.support.containers import add_video
from tests.support.pool import Pool


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"), 24)


@pytest.fixture
def pool(clips: Pool) -> Pool:
    clips.afresh()
    return clips


def read(data: Path, *, multi_label: bool = False, known: Sequence[str] | None = None) -> Dataset:
    return read_dataset(data, need_s=0.3, val_share=0.4, multi_label=multi_label, known=known)


def refusal(data: Path, **options: object) -> str:
    with pytest.raises(StreamcamError) as caught:
        read(data, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names(dataset: Dataset, root: Path) -> tuple[list[str], list[str]]:
    train, val = ([c.path.relative_to(root).as_posix() for c in s] for s in (dataset.train, dataset.val))
    return sorted(train), sorted(val)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(
            (name, "train")
            for name in ("train", "Train", "TRAINING", "train_256", "training set", "trainset", "train-data")
        ),
        *((name, "val") for name in ("val", "Valid", "VALIDATION", "val_256", "dev", "validation_set", "valid ")),
        *((name, "test") for name in ("test", "Testing", "TEST", "test_set", "tst", "unseen", "testlist01")),
        *((name, "train") for name in ("trn", "tr", "1_train", "train (1)", "train.", "videos_train", "trainlist01")),
        *((name, "val") for name in ("eval", "evaluation", "Eval Data", "holdout", "2_val")),
        *(
            (name, None)
            for name in ("trainer", "trains", "nod", "", "testament", "device", "256", "tests pass", "values")
        ),
    ],
)
def test_the_usual_names_of_sides_are_known_in_any_case(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    "parts", [("train", "val"), ("Training", "VALID"), ("train_256", "val_256"), ("train", "Test")]
)
@pytest.mark.parametrize("inner", [False, True], ids=["side above class", "class above side"])
def test_sides_are_no_classes(parts: tuple[str, str], inner: bool, pool: Pool, tmp_path: Path) -> None:
    for part in parts:
        for name in ("nod", "wave"):
            pool.put(tmp_path, f"{name}/{part}/x/{part}.mp4" if inner else f"{part}/{name}/x/{part}.mp4")
    dataset = read(tmp_path)
    assert dataset.classes == ("nod", "wave")
    train, val = names(dataset, tmp_path)
    assert all(parts[0] in name for name in train)
    assert all(parts[1] in name for name in val)
    assert len(train) == len(val) == 2
    notes = ["there is no val: test is used for validation, and the best epoch is chosen by it"]
    assert list(dataset.notes) == (notes if parts[1] == "Test" else [])


def test_a_test_beside_a_val_is_kept_apart(pool: Pool, tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        pool.put(tmp_path, f"{part}/nod/1.mp4", f"{part}/wave/1.mp4")
    dataset = read(tmp_path)
    assert names(dataset, tmp_path) == (
        ["train/nod/1.mp4", "train/wave/1.mp4"],
        ["valid/nod/1.mp4", "valid/wave/1.mp4"],
    )
    assert dataset.notes == ("test is used neither for training nor for validation: 2 clips",)


def test_train_alone_is_divided(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"train/{name}/{i}.mp4" for name in ("nod", "wave") for i in range(4)))
    dataset = read(tmp_path)
    assert dataset.classes == ("nod", "wave")
    assert dataset.val
    assert dataset.notes == ("there is no val and no test: some of train is used for validation",)


def test_one_side_alone_says_what_lies_beside_it(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{part}/{name}/{i}.mp4" for part in ("train", "val") for name in "ab" for i in range(2)))
    (note,) = read(tmp_path / "train").notes
    assert note == f"not used: {tmp_path / 'val'}, beside {tmp_path / 'train'}: give {tmp_path} for both"


def test_a_vehicle_may_be_called_train(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{name}/s1/{i}.mp4" for name in ("bus", "train") for i in range(2)))
    dataset = read(tmp_path)
    assert dataset.classes == ("bus", "train")
    assert dataset.notes == ("taken for a class, as it lies beside others: train",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["val/a/1.mp4", "test/a/1.mp4", "val/b/1.mp4"], "there is no train, but test and val"),
        (["train/1.mp4", "val/2.mp4"], "train and val hold no folder for each class: expected {}/train/CLASS/clip.mp4"),
        (["a/1.mp4", "b/1.mp4", "test/a/2.mp4"], "{}/test holds folders of the classes that lie beside it"),
        (["train/a/1.mp4", "training/a/2.mp4", "val/a/3.mp4"], "{0}/train and {0}/training are both train"),
        (["a/train/1.mp4", "a/val/2.mp4", "b/3.mp4"], "b/3.mp4 has no split, and others are in train, val or test"),
        (["a/train/1.mp4", "a/val/2.mp4", "a/3.mp4"], "a/3.mp4 has no split"),
        (["wave/1.mp4"], "holds one class, 'wave', and a network learns to tell classes apart: make a folder of clips"),
        (["train/wave/1.mp4", "val/wave/2.mp4"], "holds one class, 'wave'"),
        (["clips/a/1.mp4", "clips/b/1.mp4"], "did you mean {}/clips?"),
        (["x/y/train/a/1.mp4", "x/y/val/a/1.mp4"], "did you mean {}/x/y?"),
        (
            ["anna/nod/1.mp4", "anna/wave/2.mp4", "bob/nod/3.mp4", "bob/wave/4.mp4"],
            "each of its folders holds nod, wave: if those are the classes, put their clips together, as in "
            "{0}/nod/anna-1.mp4, or list them in a CSV file: path,label,person; if not, put "
            "the clips of anna into {0}/anna",
        ),
        (["1.mp4", "2.mp4"], "holds no clips in folders, one for each class: make a folder of clips for each class"),
        (["train/a/1.mp4", "train/b/1.mp4", "val/a/2.mp4", "val/c/1.mp4"], "no clip of class 'c' for training"),
    ],
)
def test_what_is_not_clear_is_refused(files: list[str], message: str, pool: Pool, tmp_path: Path) -> None:
    root = tmp_path / "data"
    pool.put(root, *files)
    assert message.format(root) in refusal(root)


def test_one_level_too_low_leads_to_the_one_above(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, "a/1.mp4", "b/1.mp4")
    assert f"did you mean {tmp_path}?" in refusal(tmp_path / "a")
    (tmp_path / "a" / "labels.csv").touch()
    assert f"did you mean {tmp_path / 'a' / 'labels.csv'}?" in refusal(tmp_path / "a")


def test_a_single_class_is_refused_for_a_checkpoint_too(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, "a/1.mp4", "a/2.mp4")
    assert "holds one class, 'a'" in refusal(tmp_path, known=("a", "b"))


def test_what_a_system_leaves_behind_is_no_class(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{name}/{i}.mp4" for name in "ab" for i in range(2)))
    for folder in ("__MACOSX/a", ".git", "@eaDir/a", "a/.thumbs", "a/@eaDir", "$RECYCLE.BIN", "lost+found"):
        pool.put(tmp_path, f"{folder}/x.mp4")
    for file in ("a/._1.mp4", "a/.DS_Store", "b/Thumbs.db", "b/desktop.ini", ".DS_Store"):
        (tmp_path / file).write_bytes(b"\0")
    (tmp_path / "a" / "again").symlink_to(tmp_path)  # without an end
    dataset = read(tmp_path)
    assert dataset.classes == ("a", "b")
    assert len(dataset.train) + len(dataset.val) == 4
    assert dataset.notes == ()


def test_an_empty_folder_is_named(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, "a/1.mp4", "b/1.mp4")
    (tmp_path / "nothing").mkdir()
    assert "no clip of class 'nothing'" in refusal(tmp_path)
    for i in range(3):
        (tmp_path / "nothing" / f"{i}.jpg").touch()
    assert "holds no video files (but 3 pictures: frames in files of their own are not read" in refusal(tmp_path)


def test_what_is_left_out_is_named(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{name}/{i}.mp4" for name in "ab" for i in range(2)), "loose.mp4")
    for name in ("notes.txt", "1.srt", "1.json", "2.json", "frame.JPG", "x.png"):
        (tmp_path / "a" / name).touch()
    assert read(tmp_path).notes == (
        "left out, not in the folder of a class: 1 video: loose.mp4",
        "left out, frames in files of their own, which are not read: 2 pictures: a/frame.JPG, a/x.png",
        "left out, not videos: 4 files: a/1.json, a/1.srt, a/2.json and 1 more",
    )


def test_folders_beside_the_sides_are_named(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{part}/{name}/1.mp4" for part in ("train", "val") for name in "ab"), "raw/x/1.mp4")
    pool.put(tmp_path, "train/loose.mp4")
    (note,) = read(tmp_path).notes
    assert note == "left out, not in the folder of a class: 2 videos: train/loose.mp4, raw/x/1.mp4"


@pytest.mark.parametrize(
    ("suffix", "container", "codec"),
    [
        (".MTS", "mpegts", "libx264"),
        (".m2ts", "mpegts", "libx264"),
        (".3gp", "3gp", "mpeg4"),
        (".3G2", "3g2", "mpeg4"),
        (".mxf", "mxf", "mpeg2video"),
        (".vob", "vob", "mpeg2video"),
        (".mpe", "mpeg", "mpeg1video"),
        (".m2v", "mpeg2video", "mpeg2video"),
        (".asf", "asf", "msmpeg4"),
        (".divx", "avi", "mpeg4"),
        (".f4v", "flv", "flv"),
        (".rm", "rm", "rv10"),
        (".y4m", "yuv4mpegpipe", "rawvideo"),
        (".nut", "nut", "mpeg4"),
        (".qt", "mov", "mpeg4"),
    ],
)
def test_files_of_every_usual_name_are_clips(
    suffix: str, container: str, codec: str, pool: Pool, tmp_path: Path
) -> None:
    pool.put(tmp_path, "a/1.mp4", "a/2.mp4", "b/1.mp4")
    path = tmp_path / "b" / f"x{suffix}"
    with av.open(str(path), "w", format=container) as file:
        stream = add_video(file, codec, rate=25, size=(176, 144))
        for i in range(30):
            frame = av.VideoFrame(176, 144, "yuv420p")
            frame.pts = i
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    dataset = read(tmp_path)
    assert path in {clip.path for clip in (*dataset.train, *dataset.val)}
    assert dataset.notes == ()


def test_there_is_one_list_of_names_of_video_files() -> None:
    assert {".mts", ".3gp", ".dv", ".h264", ".hevc", ".264", ".265", ".mjpg", ".mp4", ".gif"} <= VIDEOS


def test_copies_of_a_file_count_once(pool: Pool, tmp_path: Path) -> None:
    paths = pool.put(tmp_path, *(f"{name}/{i}.mp4" for name in "ab" for i in range(4)))
    for path in paths:
        path.with_name(f"copy of {path.name}").write_bytes(path.read_bytes())
    dataset = read(tmp_path)
    assert Counter(clip.path.read_bytes() for clip in (*dataset.train, *dataset.val)).most_common(1)[0][1] == 1
    assert len(dataset.train) + len(dataset.val) == 8
    first = f"{tmp_path}/a/copy of 0.mp4 is {tmp_path}/a/0.mp4"
    assert dataset.notes[0].startswith(f"copies of other files, which count as one: 8 files: {first}, ")


def test_a_copy_of_what_is_checked_with_is_not_learnt_from(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{part}/{name}/{i}.mp4" for part in ("train", "val") for name in "ab" for i in range(2)))
    (tmp_path / "train" / "a" / "leak.mp4").write_bytes((tmp_path / "val" / "a" / "0.mp4").read_bytes())
    dataset = read(tmp_path)
    assert len(dataset.val) == len(dataset.train) == 4
    assert not {clip.path.read_bytes() for clip in dataset.val} & {clip.path.read_bytes() for clip in dataset.train}
    assert dataset.notes[1].startswith("left out of training, as validation has the same frames: 1 clip: ")
    for name in "ab":
        for i in range(2):
            (tmp_path / "train" / name / f"{i}.mp4").write_bytes((tmp_path / "val" / name / f"{i}.mp4").read_bytes())
    message = refusal(tmp_path)
    assert "no clip of class 'a' for training" in message
    assert "as validation has the same frames" in message


def test_a_copy_with_another_label_is_refused(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{name}/{i}.mp4" for name in "ab" for i in range(3)))
    (tmp_path / "b" / "9.mp4").write_bytes((tmp_path / "a" / "1.mp4").read_bytes())
    message = refusal(tmp_path)
    both = f"{tmp_path}/a/1.mp4 is labelled 'a', and {tmp_path}/b/9.mp4, a copy of it, 'b'"
    assert f"{both}: leave one out, or --multi-label" in message
    dataset = read(tmp_path, multi_label=True)
    labels = {clip.path.name: clip.labels for clip in (*dataset.train, *dataset.val) if clip.path.parent.name == "a"}
    assert labels["1.mp4"] == (0, 1)


@pytest.mark.parametrize("twin", ["move left", "Move_left", "MOVE-LEFT", "Move  left", "Moveleft"])
def test_names_that_differ_by_next_to_nothing_are_refused(twin: str, pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, "Move left/1.mp4", "Move left/2.mp4", f"{twin}/1.mp4", "nod/1.mp4")
    message = refusal(tmp_path)
    assert repr(twin) + " (1 clip)" in message
    assert "'Move left' (2 clips)" in message
    assert "differ by case, spaces, _ or - alone: give them one name" in message


def test_names_that_differ_between_the_sides_are_refused(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, "train/Wave/1.mp4", "train/nod/1.mp4", "val/wave/1.mp4", "val/nod/1.mp4")
    assert "'Wave' (1 clip) and 'wave' (1 clip) differ by case" in refusal(tmp_path)


def test_a_name_is_one_however_its_accents_are_stored(pool: Pool, tmp_path: Path) -> None:
    one, other = (unicodedata.normalize(form, "grüßen") for form in ("NFC", "NFD"))
    pool.put(tmp_path, f"train/{one}/1.mp4", "train/nod/1.mp4", f"val/{other}/1.mp4", "val/nod/1.mp4")
    assert read(tmp_path).classes == (one, "nod")


def test_a_class_that_nothing_checks_is_named(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "val/b/2.mp4")
    assert read(tmp_path).notes == ("no clip for validation, so that the score says nothing of them: a",)


def test_a_folder_that_may_not_be_read_is_named(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.put(tmp_path, "a/1.mp4", "b/1.mp4")
    iterdir = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path.name == "a":
            raise PermissionError(errno.EACCES, "Permission denied")  # which root never hears
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert f"cannot read the folder {tmp_path / 'a'}: Permission denied" in refusal(tmp_path)


def test_names_that_are_not_text_are_no_obstacle_or_named(pool: Pool, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\xfe.mp4")
    paths = pool.put(tmp_path, *(f"{name}/{i}.mp4" for name in "ab" for i in range(2)), f"a/{odd}", "b/\x1b[2J.mp4")
    dataset = read(tmp_path)
    assert {clip.path for clip in (*dataset.train, *dataset.val)} == set(paths)
    (tmp_path / "b" / os.fsdecode(b"\xff.txt")).touch()
    (tmp_path / "b" / "\x1b[2J.txt").touch()
    assert read(tmp_path).notes == ("left out, not videos: 2 files: b/\\x1b[2J.txt, b/\\udcff.txt",)
    pool.put(tmp_path, f"{odd}/1.mp4")
    assert "cannot be the name of a class: it is not text of one line" in refusal(tmp_path)
