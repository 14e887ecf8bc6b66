"""Read the layouts of well-known data sets and annotation tools, made here from their public descriptions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.dataset import Dataset, read_dataset
from streamcam.train.data.layouts.registry import LAYOUTS, read_listing
from tests.support.commands import streamcam
from tests.support.pool import Pool
from tests.support.write_clip import write_clip


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"), 16)


@pytest.fixture
def pool(clips: Pool) -> Pool:
    clips.afresh()
    return clips


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def long_clip(path: Path, *, seed: int, seconds: int = 4) -> Path:
    """Write a clip of 10 frames a second; those of another seed differ."""
    picture = np.random.default_rng(1000 + seed).integers(0, 255, (36, 48, 3), dtype=np.uint8)
    return write_clip(path, [picture] * (10 * seconds))


def read(data: Path, *, multi_label: bool = False, need_s: float = 0.3) -> Dataset:
    return read_dataset(data, need_s=need_s, val_share=0.5, multi_label=multi_label)


def layout_of(data: Path) -> str:
    _, layout = read_listing(data, known=False)
    return next(name for name, other in LAYOUTS.items() if other is layout)


def refusal(data: Path) -> str:
    with pytest.raises(StreamcamError) as caught:
        read(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def shown(dataset: Dataset, clips: Sequence[LabelledClip]) -> list[tuple[str, float, float, str]]:
    """Each clip as its file's name, start, end and labels."""
    return sorted(
        (
            clip.path.name,
            round(clip.start_s, 3),
            round(clip.end_s, 3),
            "+".join(dataset.classes[i] for i in clip.labels),
        )
        for clip in clips
    )


# Kinetics

KINETICS = "label,youtube_id,time_start,time_end,split\n"


def kinetics(data: Path, pool: Pool) -> Path:
    pool.put(data, "archery/-aaaaaaaaaa_000010_000020.mp4", "playing guitar/bbbbbbbbbbb_000000_000010.mp4")
    pool.put(data, "archery/ddddddddddd_000003_000013.mp4")
    long_clip(data / "whole" / "ccccccccccc.mkv", seed=0)
    rows = [
        "archery,-aaaaaaaaaa,10,20,train",
        "playing guitar,bbbbbbbbbbb,0,10,train",
        "archery,missingmiss,5,15,train",
    ]
    put(data / "train.csv", KINETICS + "\n".join(rows))
    rows = ["playing guitar,ccccccccccc,1,3,validate", "archery,ddddddddddd,3,13,validate"]
    put(data / "validate.csv", KINETICS + "\n".join(rows))
    return data


def test_kinetics_takes_cut_videos_whole_and_cuts_others(pool: Pool, tmp_path: Path) -> None:
    dataset = read(kinetics(tmp_path, pool))
    assert layout_of(tmp_path) == "Kinetics"
    assert shown(dataset, dataset.train) == [
        ("-aaaaaaaaaa_000010_000020.mp4", 0.0, 0.8, "archery"),
        ("bbbbbbbbbbb_000000_000010.mp4", 0.0, 0.8, "playing guitar"),
    ]
    assert shown(dataset, dataset.val) == [
        ("ccccccccccc.mkv", 1.0, 3.0, "playing guitar"),
        ("ddddddddddd_000003_000013.mp4", 0.0, 0.8, "archery"),
    ]
    missing = tmp_path / "missingmiss_000005_000015.mp4"
    assert dataset.notes == (f"not there, and left out: 1 of 5 videos: {missing}",)


def test_one_file_of_kinetics_is_divided(pool: Pool, tmp_path: Path) -> None:
    names = [f"video{i:06d}_000000_000010.mp4" for i in range(4)]
    pool.put(tmp_path, *names)
    rows = [f"{label},video{i:06d},0,10,train" for i, label in enumerate(("a", "b", "a", "b"))]
    dataset = read(put(tmp_path / "train.csv", KINETICS + "\n".join(rows)))
    assert (len(dataset.train), len(dataset.val)) == (2, 2)
    assert dataset.notes == ("there is no val and no test: some of train is used for validation",)


def test_classes_of_kinetics_without_a_video_are_left_out(pool: Pool, tmp_path: Path) -> None:
    kinetics(tmp_path, pool)
    put(tmp_path / "more.csv", KINETICS + "juggling,nonenonenon,0,10,train\n")
    dataset = read(tmp_path)
    assert dataset.classes == ("archery", "playing guitar")
    assert "left out, as none of its videos is there: 1 label: juggling" in dataset.notes


def test_clips_of_a_published_list_that_are_too_short_are_left_out(pool: Pool, tmp_path: Path) -> None:
    kinetics(tmp_path, pool)
    long_clip(tmp_path / "eeeeeeeeeee.mp4", seed=1)
    put(tmp_path / "more.csv", KINETICS + "archery,eeeeeeeeeee,1,1.2,train\n")
    dataset = read(tmp_path)
    example = f"{tmp_path}/eeeeeeeeeee.mp4 (1–1.2 s)"
    assert dataset.notes[-1] == f"left out, shorter than the window of 0.30 s: 1 clip: {example}"
    assert "eeeeeeeeeee.mp4" not in {clip.path.name for clip in (*dataset.train, *dataset.val)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("archery,-aaaaaaaaaa,ten,20,train", "bad.csv, line 2: time_start is a number, got 'ten'"),
        ("archery,-aaaaaaaaaa,20,10,train", "bad.csv, line 2: expected 0 ≤ start < end, got 20 and 10"),
        ("archery,-aaaaaaaaaa,10,20,some", "bad.csv, line 2: the split is train, val or test, got 'some'"),
        (",-aaaaaaaaaa,10,20,train", "bad.csv, line 2: label or youtube_id is missing"),
        ("archery,-aaaaaaaaaa,10", "bad.csv, line 2: expected 5 values, as there are columns, got 3"),
        ("archery,ccccccccccc,7,9,train", "ccccccccccc.mkv: 7 s: starts after the end of the file (4 s)"),
    ],
)
def test_what_is_wrong_in_kinetics_is_named(row: str, message: str, pool: Pool, tmp_path: Path) -> None:
    kinetics(tmp_path, pool)
    put(tmp_path / "bad.csv", KINETICS + row)
    assert message in refusal(tmp_path)


def test_where_no_video_is_there_the_first_is_named(tmp_path: Path) -> None:
    data = put(tmp_path / "train.csv", KINETICS + "archery,aaaaaaaaaaa,0,10,train\n")
    first = tmp_path / "aaaaaaaaaaa_000000_000010.mp4"
    assert refusal(data) == f"none of the 1 videos in {data} is in {tmp_path} or below, such as {first}"


def test_two_videos_of_one_name_are_refused(pool: Pool, tmp_path: Path) -> None:
    kinetics(tmp_path, pool)
    pool.put(tmp_path, "small/bbbbbbbbbbb_000000_000010.mp4")  # the one in the class's folder is meant
    assert len(read(tmp_path).train) == 2
    pool.put(tmp_path, "small/ccccccccccc.mp4")
    assert "small/ccccccccccc.mp4 and " in refusal(tmp_path)


# Unknown layouts


def test_an_unknown_layout_is_described(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, "1.mp4", "2.mp4")
    put(tmp_path / "notes" / "list.csv", "name,what\n1.mp4,nod\n")
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path} holds no clips in folders, one for each class: ")
    assert "(I see the folders notes with 2 .mp4 and 1 .csv files; did you mean Kinetics (CSV: label,you" in message


def test_the_command_names_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    data = put(tmp_path / "train.csv", KINETICS + "archery,aaaaaaaaaaa,0,x,train\n")
    done = streamcam("train", data, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "train.csv, line 2: time_end is a number, got 'x'" in done.stderr
    assert not (tmp_path / "out" / "best.safetensors").exists()
