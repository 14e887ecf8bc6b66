"""Read the layouts of well-known data sets and annotation tools, made here from their public descriptions."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcam.errors import StreamcamError, one_line
from streamcam.records import ClipFormat
from streamcam.train.clips import read_frames
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.dataset import Dataset, read_dataset
from streamcam.train.data.layouts.registry import LAYOUTS, read_listing
from tests.support.commands import streamcam
from tests.support.cvat import cvat_track, cvat_xml
from tests.support.mutations import mutate
from tests.support.pool import Pool
from tests.support.write_clip import write_clip

MUTATIONS = 100
"""How many damaged files of each layout are read."""


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
    assert dataset.notes[0] == "read as Kinetics"
    assert dataset.notes[1:] == (f"not there, and left out: 1 of 5 videos: {missing}",)


def test_one_file_of_kinetics_is_divided(pool: Pool, tmp_path: Path) -> None:
    names = [f"video{i:06d}_000000_000010.mp4" for i in range(4)]
    pool.put(tmp_path, *names)
    rows = [f"{label},video{i:06d},0,10,train" for i, label in enumerate(("a", "b", "a", "b"))]
    dataset = read(put(tmp_path / "train.csv", KINETICS + "\n".join(rows)))
    assert (len(dataset.train), len(dataset.val)) == (2, 2)
    assert dataset.notes[1:] == ("there is no val and no test: some of train is used for validation",)


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


# UCF101


def ucf101(data: Path, pool: Pool) -> Path:
    lists = data / "ucfTrainTestlist"
    put(lists / "classInd.txt", "1 ApplyEyeMakeup\r\n2 YoYo\r\n")
    names = [f"{label}/v_{label}_g{i:02d}_c01.avi" for label in ("ApplyEyeMakeup", "YoYo") for i in (1, 8)]
    pool.put(data / "UCF-101", *names)
    put(lists / "testlist01.txt", f"{names[0]}\r\n{names[2]}\r\n")
    put(lists / "trainlist01.txt", f"{names[1]} 1\r\n{names[3]} 2\r\n")
    put(lists / "testlist02.txt", f"{names[1]}\n{names[3]}\n")
    put(lists / "trainlist02.txt", f"{names[0]} 1\n{names[2]} 2\n")
    return data


def test_ucf101_has_its_first_division(pool: Pool, tmp_path: Path) -> None:
    dataset = read(ucf101(tmp_path, pool))
    assert layout_of(tmp_path) == "UCF101"
    assert shown(dataset, dataset.train) == [
        ("v_ApplyEyeMakeup_g08_c01.avi", 0.0, 0.8, "ApplyEyeMakeup"),
        ("v_YoYo_g08_c01.avi", 0.0, 0.8, "YoYo"),
    ]
    assert {clip.path.name[-11:] for clip in dataset.val} == {"g01_c01.avi"}
    assert {clip.group for clip in dataset.val} == {"ApplyEyeMakeup g01", "YoYo g01"}
    assert dataset.notes[1] == "lists that are read: testlist01.txt, trainlist01.txt"


def test_a_list_of_ucf101_names_its_division(pool: Pool, tmp_path: Path) -> None:
    ucf101(tmp_path, pool)
    for path in (tmp_path / "ucfTrainTestlist").iterdir():
        path.rename(tmp_path / path.name)
    dataset = read(tmp_path / "trainlist02.txt")
    assert {clip.path.name[-11:] for clip in dataset.train} == {"g01_c01.avi"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "classInd.txt",
            "0 ApplyEyeMakeup\n1 YoYo\n",
            "classInd.txt, line 1: expected '1 NAME', as classes are numbered",
        ),
        (
            "trainlist01.txt",
            "YoYo/v_YoYo_g08_c01.avi 1\n",
            "trainlist01.txt, line 1: YoYo has number 2 in classInd.txt, got '1'",
        ),
        ("trainlist01.txt", "\nYoYo/v_YoYo_g08_c01.avi 0\n", "trainlist01.txt, line 2: YoYo has number 2"),
        ("testlist01.txt", "YoYos/v_YoYo_g01_c01.avi\n", "testlist01.txt, line 1: classInd.txt has no class 'YoYos'"),
    ],
)
def test_what_is_wrong_in_ucf101_is_named(name: str, text: str, message: str, pool: Pool, tmp_path: Path) -> None:
    ucf101(tmp_path, pool)
    put(tmp_path / "ucfTrainTestlist" / name, text)
    assert message in refusal(tmp_path)


def test_ucf101_needs_its_classes(pool: Pool, tmp_path: Path) -> None:
    ucf101(tmp_path, pool)
    (tmp_path / "ucfTrainTestlist" / "classInd.txt").unlink()
    assert f"cannot read {tmp_path}/ucfTrainTestlist/classInd.txt: No such file" in refusal(tmp_path)


# HMDB51


def hmdb51(data: Path, pool: Pool) -> Path:
    for label in ("brush_hair", "cartwheel"):
        names = [f"#{i}_April_(09)_{label}_u_nm_np1_ba_goo_0.avi" for i in range(3)]
        pool.put(data / label, *names)
        for division, numbers in ((1, (1, 2, 0)), (2, (2, 1, 0))):
            lines = [f"{name} {number} \n" for name, number in zip(names, numbers, strict=True)]
            put(data / "testTrainMulti_7030_splits" / f"{label}_test_split{division}.txt", "".join(lines))
    return data


def test_hmdb51_has_its_first_division(pool: Pool, tmp_path: Path) -> None:
    dataset = read(hmdb51(tmp_path, pool))
    assert layout_of(tmp_path) == "HMDB51"
    assert shown(dataset, dataset.train) == [
        (f"#0_April_(09)_{label}_u_nm_np1_ba_goo_0.avi", 0.0, 0.8, label) for label in ("brush_hair", "cartwheel")
    ]
    assert [clip.path.name[:2] for clip in dataset.val] == ["#1", "#1"]
    assert dataset.notes[1] == "lists that are read: CLASS_test_split1.txt, of 2 classes"


@pytest.mark.parametrize("line", ["a.avi 3", "a.avi", "1"])
def test_what_is_wrong_in_hmdb51_is_named(line: str, pool: Pool, tmp_path: Path) -> None:
    hmdb51(tmp_path, pool)
    put(tmp_path / "testTrainMulti_7030_splits" / "cartwheel_test_split1.txt", f"{line}\n")
    expected = f"cartwheel_test_split1.txt, line 1: expected NAME.avi and 0, 1 (training) or 2 (testing), got {line!r}"
    assert expected in refusal(tmp_path)


# Something-Something


def entries(*rows: tuple[int, str]) -> str:
    return json.dumps(
        [
            {"id": str(number), "label": "holding a cup", "template": template, "placeholders": ["a cup"]}
            for number, template in rows
        ]
    )


def something(data: Path, pool: Pool) -> Path:
    pool.put(data / "20bn-something-something-v2", *(f"{i}.webm" for i in range(4)))
    labels = data / "labels"
    put(labels / "labels.json", json.dumps({"Holding something": "0", "Putting something onto something": "1"}))
    for start, name in ((0, "train"), (2, "validation")):
        rows = [(start, "Holding [something]"), (start + 1, "Putting [something] onto [something]")]
        put(labels / f"{name}.json", entries(*rows))
    put(labels / "test.json", json.dumps([{"id": "9"}]))
    return data


def test_something_something_has_templates_for_classes(pool: Pool, tmp_path: Path) -> None:
    dataset = read(something(tmp_path, pool))
    assert layout_of(tmp_path) == "Something-Something"
    assert dataset.classes == ("Holding something", "Putting something onto something")
    assert [clip.path.name for clip in dataset.train] == ["0.webm", "1.webm"]
    assert [clip.path.name for clip in dataset.val] == ["2.webm", "3.webm"]
    assert dataset.notes[1:] == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            entries((0, "Holding [something]"), (7, "Eating [something]")),
            "entry 2 (7): {}/labels.json has no class 'Eating",
        ),
        (json.dumps([{"id": "0", "template": "a"}, {"id": "1"}]), "entry 2: Object missing required field `template`"),
        (json.dumps([{"id": "0", "template": 3}]), "entry 1: Expected `str`, got `int` - at `$.template`"),
    ],
)
def test_what_is_wrong_in_something_something_is_named(text: str, message: str, pool: Pool, tmp_path: Path) -> None:
    something(tmp_path, pool)
    put(tmp_path / "labels" / "train.json", text)
    if "no class" not in message:
        (tmp_path / "labels" / "labels.json").unlink()
    assert f"train.json, {message.format(tmp_path / 'labels')}" in refusal(tmp_path)


# ActivityNet and THUMOS


def database(**videos: tuple[str, list[tuple[float, float, str]]]) -> str:
    return json.dumps(
        {
            "version": "1.3",
            "database": {
                name: {
                    "subset": subset,
                    "duration": 4.0,
                    "annotations": [{"segment": [start, end], "label": label} for start, end, label in segments],
                }
                for name, (subset, segments) in videos.items()
            },
        }
    )


def test_activitynet_has_segments(tmp_path: Path) -> None:
    for i, name in enumerate(("v_aaa.mkv", "bbb.mp4", "v_ccc.mp4")):
        long_clip(tmp_path / "videos" / name, seed=i)
    text = database(
        aaa=("training", [(0.5, 1.5, "Archery"), (2, 4.2, "Polo")]),
        bbb=("training", [(1, 2, "Polo")]),
        ccc=("validation", [(0, 1, "Archery"), (1.5, 3, "Polo")]),
        ddd=("training", [(0, 1, "Polo")]),
        eee=("testing", []),
    )
    put(tmp_path / "activity_net.v1-3.min.json", text)
    dataset = read(tmp_path)
    assert layout_of(tmp_path) == "ActivityNet or THUMOS"
    assert shown(dataset, dataset.train) == [
        ("bbb.mp4", 1, 2, "Polo"),
        ("v_aaa.mkv", 0.5, 1.5, "Archery"),
        ("v_aaa.mkv", 2, 4, "Polo"),
    ]
    assert shown(dataset, dataset.val) == [("v_ccc.mp4", 0, 1, "Archery"), ("v_ccc.mp4", 1.5, 3, "Polo")]
    assert dataset.notes[1:] == (f"not there, and left out: 1 of 4 videos: {tmp_path}/ddd.mp4",)


def test_thumos_trains_on_its_validation_videos(tmp_path: Path) -> None:
    names = [f"video_{part}_000000{i}" for i, part in enumerate(("validation", "validation", "test"))]
    for i, name in enumerate(names):
        long_clip(tmp_path / f"{name}.mp4", seed=i)
    segments = [(0.0, 1.0, "Diving"), (2.0, 3.0, "Shotput")]
    subsets = ("Validation", "Validation", "Test")
    data = put(tmp_path / "thumos14.json", database(**{n: (s, segments) for n, s in zip(names, subsets, strict=True)}))
    dataset = read(data)
    assert {clip.path.stem for clip in dataset.train} == set(names[:2])
    assert {clip.path.stem for clip in dataset.val} == {names[2]}
    assert dataset.notes[1:] == ("THUMOS has no times for train: val is used for training, and test for validation",)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (("training", [(2, 1, "Polo")]), "aaa, annotation 1: expected 0 ≤ start < end, got 2 and 1"),
        (("training", [(-1, 1, "Polo")]), "aaa, annotation 1: expected 0 ≤ start < end, got -1 and 1"),
        (("training", [(0, "x", "Polo")]), "aaa: Expected `float`, got `str` - at `$.annotations[0].segment[1]`"),
        (("some", [(0, 1, "Polo")]), "aaa: the split is train, val or test, got 'some'"),
        (("training", [(5, 6, "Polo")]), "aaa.mp4: 5 s: starts after the end of the file (4 s)"),
    ],
)
def test_what_is_wrong_in_activitynet_is_named(
    video: tuple[str, list[tuple[float, float, str]]], message: str, tmp_path: Path
) -> None:
    long_clip(tmp_path / "aaa.mp4", seed=0)
    long_clip(tmp_path / "bbb.mp4", seed=1)
    other = ("validation", [(0.0, 1.0, "Polo"), (2.0, 3.0, "Archery")])
    assert message in refusal(put(tmp_path / "a.json", database(aaa=video, bbb=other)))


# VIA

VIA = (
    "# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)\n"
    "# Notes:\n"
    '# ATTRIBUTE = {"1":{"aname":"Gesture","options":{"0":"nod","1":"wave"}},"2":{"aname":"Text","options":{}}}\n'
    "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata\n"
)


def via_line(file: str, times: str, metadata: str) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    return f"{quoted('1_aB')},{quoted(json.dumps([file]))},0,{quoted(times)},{quoted('[]')},{quoted(metadata)}\n"


def test_via_has_segments_whose_options_are_named(tmp_path: Path) -> None:
    for i in range(2):
        long_clip(tmp_path / "clips" / f"{i}.mp4", seed=i)
    lines = [
        via_line("0.mp4", "[0.5,1.25]", '{"1":"0"}'),
        via_line("0.mp4", "[2,3]", '{"1":"1"}'),
        via_line("1.mp4", "[1,2]", '{"2":"nod"}'),
        via_line("1.mp4", "[2.5,3.5]", '{"1":"1","2":""}'),
        via_line("1.mp4", "[1.5]", '{"1":"1"}'),
        via_line("gone.mp4", "[0,1]", '{"1":"1"}'),
    ]
    data = put(tmp_path / "via.csv", VIA + "".join(lines))
    assert layout_of(data) == "VIA"
    dataset = read(data)
    assert shown(dataset, (*dataset.train, *dataset.val)) == [
        ("0.mp4", 0.5, 1.25, "nod"),
        ("0.mp4", 2, 3, "wave"),
        ("1.mp4", 1, 2, "nod"),
        ("1.mp4", 2.5, 3.5, "wave"),
    ]
    assert dataset.notes[1] == "left out, as they are no segments but frames or files: 1 line"
    assert dataset.notes[2] == f"not there, and left out: 1 of 3 videos: {tmp_path}/gone.mp4"


def test_via_may_export_segments_alone(tmp_path: Path) -> None:
    for i in range(2):
        long_clip(tmp_path / f"{i}.mp4", seed=i)
    header = VIA.partition("\n")[0] + "\n# CSV_HEADER = metadata_id,file_list,temporal_segment_start,"
    rows = [
        f'"1_a","[""{i}.mp4""]",{start},{start + 1},"{{""TEMPORAL-SEGMENTS"":""{label}""}}"\n'
        for i in range(2)
        for start, label in ((0.5, "nod"), (2, "wave"))
    ]
    data = put(tmp_path / "via.csv", f"{header}temporal_segment_end,metadata\n{''.join(rows)}")
    dataset = read(data)
    assert shown(dataset, (*dataset.train, *dataset.val)) == [
        (f"{i}.mp4", start, start + 1, label) for i in range(2) for start, label in ((0.5, "nod"), (2, "wave"))
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (via_line("0.mp4", "[2,1]", '{"1":"0"}'), "line 5: expected 0 ≤ start < end, got 2 and 1"),
        (via_line("0.mp4", "[0,", '{"1":"0"}'), "line 5: expected JSON such as VIA writes, got '[0,'"),
        (via_line("0.mp4", '["a","b"]', '{"1":"0"}'), "line 5: expected times in seconds"),
        (via_line("0.mp4", "[0,1]", "{}"), "line 5: expected one attribute in metadata, the class, got 0"),
        (
            via_line("0.mp4", "[0,1]", '{"1":"0","2":"x"}'),
            "line 5: expected one attribute in metadata, the class, got 2",
        ),
        ("1_a,0.mp4\n", "line 5: expected 6 values, as in CSV_HEADER, got 2"),
    ],
)
def test_what_is_wrong_in_via_is_named(line: str, message: str, tmp_path: Path) -> None:
    long_clip(tmp_path / "0.mp4", seed=0)
    assert message in refusal(put(tmp_path / "via.csv", VIA + line))


# CVAT


def test_cvat_has_a_clip_for_each_span_that_a_track_is_there(tmp_path: Path) -> None:
    for i in range(2):
        long_clip(tmp_path / f"{i}.mp4", seed=i)
    frames = [(2, 0), (9, 0), (12, 1), (20, 0), (29, 0)]
    put(tmp_path / "a.xml", cvat_xml("0.mp4", cvat_track(0, "wave", *frames), cvat_track(1, "nod", (30, 0), (39, 0))))
    put(
        tmp_path / "b.xml",
        cvat_xml("1.mp4", cvat_track(0, "wave", (0, 0), (9, 0)), cvat_track(1, "nod", (10, 0), (19, 0))),
    )
    dataset = read(tmp_path)
    assert layout_of(tmp_path) == "CVAT"
    assert shown(dataset, (*dataset.train, *dataset.val)) == [
        ("0.mp4", 0.2, 1.2, "wave"),
        ("0.mp4", 2, 3, "wave"),
        ("0.mp4", 3, 4, "nod"),
        ("1.mp4", 0, 1, "wave"),
        ("1.mp4", 1, 2, "nod"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (cvat_xml("0.mp4"), "a.xml holds no tracks: export the task as 'CVAT for video 1.1'"),
        (cvat_xml("0.mp4", cvat_track(3, "", (0, 0))), "a.xml, track 3: it has no label"),
        (cvat_xml("0.mp4", cvat_track(3, "nod", (-1, 0))), "a.xml, track 3: expected frames from 0 on, got '-1'"),
        (
            cvat_xml("0.mp4", cvat_track(3, "nod", (5, 0), box=(4, 6, 60, 30))),
            "track 3, frame 5: the box 4,6,60,30 is outside",
        ),
        (
            cvat_xml("0.mp4", cvat_track(3, "nod", (5, 0), box=(4, 6, 3, 30))),
            "track 3, frame 5: expected a box with xtl < xbr",
        ),
        (
            cvat_xml("0.mp4", cvat_track(0, "nod", (90, 0)), cvat_track(1, "wave", (1, 0), (9, 0))),
            "0.mp4: 9 s: starts after the end",
        ),
        ("<annotations><track>", "a.xml"),
    ],
)
def test_what_is_wrong_in_cvat_is_named(text: str, message: str, tmp_path: Path) -> None:
    long_clip(tmp_path / "0.mp4", seed=0)
    assert message in refusal(put(tmp_path / "a.xml", text))


# FiftyOne


def samples(*rows: tuple[str, str, list[tuple[str, object]]]) -> str:
    def sample(path: str, tag: str, segments: list[tuple[str, object]]) -> dict[str, object]:
        found = [{"_cls": "TemporalDetection", "label": label, "support": support} for label, support in segments]
        events = {"_cls": "TemporalDetections", "detections": found}
        return {"_id": {"$oid": "5"}, "filepath": path, "tags": [tag], "metadata": None, "events": events}

    return json.dumps({"samples": [sample(*row) for row in rows]})


@pytest.fixture
def two_videos(tmp_path: Path) -> Path:
    for i in range(2):
        long_clip(tmp_path / "data" / f"{i}.mp4", seed=i)
    return tmp_path


def test_fiftyone_counts_frames_from_one(two_videos: Path) -> None:
    segments: list[tuple[str, object]] = [("nod", [1, 10]), ("wave", [21, 40])]
    rows = [("data/0.mp4", "train", segments), ("/elsewhere/1.mp4", "validation", segments)]
    put(two_videos / "samples.json", samples(*rows))
    dataset = read(two_videos)
    assert layout_of(two_videos) == "FiftyOne"
    assert shown(dataset, dataset.train) == [("0.mp4", 0, 1, "nod"), ("0.mp4", 2, 4, "wave")]
    assert shown(dataset, dataset.val) == [("1.mp4", 0, 1, "nod"), ("1.mp4", 2, 4, "wave")]


def test_fiftyone_may_export_labels_alone(two_videos: Path) -> None:
    found = [{"label": 1, "support": [1, 10]}, {"label": 0, "timestamps": [2.0, 2.5]}]
    labels = {"classes": ["nod", "wave"], "labels": {"0": found, "1": found, "2": None}}
    dataset = read(put(two_videos / "labels.json", json.dumps(labels)))
    assert shown(dataset, (*dataset.train, *dataset.val)) == [
        (f"{i}.mp4", start, end, label) for i in range(2) for start, end, label in ((0, 1, "wave"), (2, 2.5, "nod"))
    ]


@pytest.mark.parametrize(
    ("support", "message"),
    [
        ([0, 9], "sample 1, detection 1: expected support as [first, last] frame, counted from 1, got [0, 9]"),
        ([9, 2], "sample 1, detection 1: expected support as [first, last] frame, counted from 1, got [9, 2]"),
        ([1.5, 2], "sample 1, detection 1: Expected `int`, got `float` - at `$.support[0]`"),
        ([60, 70], "0.mp4: 5.9 s: starts after the end of the file (4 s)"),
    ],
)
def test_what_is_wrong_in_fiftyone_is_named(support: list[float], message: str, two_videos: Path) -> None:
    rows: list[tuple[str, object]] = [("nod", support), ("wave", [1, 10])]
    assert message in refusal(put(two_videos / "samples.json", samples(("data/0.mp4", "train", rows))))


def test_a_number_that_no_class_of_fiftyone_has(two_videos: Path) -> None:
    labels = {"classes": ["nod", "wave"], "labels": {"0": [{"label": 2, "support": [1, 10]}]}}
    message = refusal(put(two_videos / "labels.json", json.dumps(labels)))
    assert message.endswith("labels.json, 0, detection 1: the list of 2 classes has no number 2 (from 0)")


# AVA

ACTIONS = """label {
  name: "stand"
  label_id: 12
  label_type: PERSON_MOVEMENT
}
item {
  name: "talk to (e.g., self)"
  id: 79
}
"""


def ava(data: Path, *more: str) -> Path:
    for i, name in enumerate(("-5KQ66BBWC4", "1j20qq1JyX4")):
        long_clip(data / "films" / f"{name}.mkv", seed=i, seconds=6)
    put(data / "ava_action_list_v2.2.pbtxt", ACTIONS)
    rows = [
        "-5KQ66BBWC4,0001,0.077,0.151,0.283,0.811,12,0",
        "-5KQ66BBWC4,0001,0.377,0.151,0.883,0.811,79,1",
        "-5KQ66BBWC4,0001,0.377,0.151,0.883,0.811,12,1",
        "-5KQ66BBWC4,0003,0,0,1,1,79,0",
    ]
    put(data / "ava_train_v2.2.csv", "\n".join([*rows, *more]))
    put(data / "ava_val_v2.2.csv", "1j20qq1JyX4,0002,0,0,1,1,12,0\n1j20qq1JyX4,4.5,0,0,1,1,79,0\n")
    put(data / "ava_train_excluded_timestamps_v2.2.csv", "-5KQ66BBWC4,0004\n")
    return data


def test_ava_has_a_second_with_all_its_labels(tmp_path: Path) -> None:
    dataset = read(ava(tmp_path), multi_label=True)
    assert layout_of(tmp_path) == "AVA"
    assert shown(dataset, dataset.train) == [
        ("-5KQ66BBWC4.mkv", 0.5, 1.5, "stand+talk to (e.g., self)"),
        ("-5KQ66BBWC4.mkv", 2.5, 3.5, "talk to (e.g., self)"),
    ]
    assert [start for _, start, _, _ in shown(dataset, dataset.val)] == [1.5, 4]
    assert dataset.notes[1:] == ()


def test_ava_needs_several_labels(tmp_path: Path) -> None:
    message = refusal(ava(tmp_path))
    assert message.endswith(
        "is labelled 'stand' and 'talk to (e.g., self)': leave one out, or --multi-label to learn both"
    )


def test_ava_has_names_in_a_table_as_well(tmp_path: Path) -> None:
    ava(tmp_path)
    (tmp_path / "ava_action_list_v2.2.pbtxt").unlink()
    assert "no names of actions: put ava_action_list_v2.2.pbtxt there" in refusal(tmp_path)
    put(tmp_path / "ava_action_list_v2.2.csv", "label_id,label_name,label_type\n12,stand,PERSON\n79,talk,PERSON\n")
    assert read(tmp_path, multi_label=True).classes == ("stand", "talk")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("-5KQ66BBWC4,0001,0.4,0.1,0.3,0.8,12,0", "ava_train_v2.2.csv, line 5: expected a box of fractions"),
        (
            "-5KQ66BBWC4,0001,40,10,130,80,12,0",
            "line 5: expected a box of fractions, 0 ≤ x1 < x2 ≤ 1, got 40,10,130,80",
        ),
        ("-5KQ66BBWC4,0001,0,0,1,1,13,0", "line 5: the list of 2 actions has no number 13"),
        ("-5KQ66BBWC4,-1,0,0,1,1,12,0", "line 5: the middle second is 0 or more, got -1"),
        ("-5KQ66BBWC4,one,0,0,1,1,12,0", "line 5: the middle second is a number, got 'one'"),
        ("-5KQ66BBWC4,0001,0,0,1,1,12", "line 5: expected 8 values, got 7"),
        ("-5KQ66BBWC4,0902,0,0,1,1,12,0", "-5KQ66BBWC4.mkv: 901.5 s: starts after the end of the file (6 s)"),
    ],
)
def test_what_is_wrong_in_ava_is_named(row: str, message: str, tmp_path: Path) -> None:
    assert message in refusal(ava(tmp_path, row))


# Jester


def pictures(folder: Path, *, seed: int, count: int = 24) -> Path:
    """Write a folder of pictures, 00001.jpg and so on, each brighter than the one before."""
    folder.mkdir(parents=True)
    for i in range(1, count + 1):
        picture = np.random.default_rng(seed).integers(0, 40, (36, 48, 3), dtype=np.uint8) + 8 * i
        cv2.imwrite(str(folder / f"{i:05d}.jpg"), picture)
    return folder


def jester(data: Path) -> Path:
    for i in range(4):
        pictures(data / "20bn-jester-v1" / str(i), seed=i)
    put(data / "jester-v1-labels.csv", "Swiping Left\nNo gesture\n")
    put(data / "jester-v1-train.csv", "0;Swiping Left\n1;No gesture\n9;No gesture\n")
    put(data / "jester-v1-validation.csv", "2;Swiping Left\n3;No gesture\n")
    put(data / "jester-v1-test.csv", "4\n")
    return data


def test_jester_has_folders_of_pictures(tmp_path: Path) -> None:
    dataset = read(jester(tmp_path))
    assert layout_of(tmp_path) == "Jester"
    assert shown(dataset, dataset.train) == [("0", 0, 2, "Swiping Left"), ("1", 0, 2, "No gesture")]
    assert shown(dataset, dataset.val) == [("2", 0, 2, "Swiping Left"), ("3", 0, 2, "No gesture")]
    assert dataset.notes[1:] == (f"not there, and left out: 1 of 5 videos: {tmp_path}/20bn-jester-v1/9",)
    clip_format = ClipFormat(length=6, fps=6, resize=(36, 48), crop=(36, 48), mean=(0, 0, 0), std=(1, 1, 1))
    frames = read_frames(dataset.train[0], clip_format, count=6, position=1.0)
    # 6 of the second that 12 pictures make: 13, 15 and so on.
    assert frames.mean((1, 2, 3)) == pytest.approx([20 + 8 * i for i in (13, 15, 17, 19, 21, 23)], abs=3)
    before = dataset.digest
    pictures(tmp_path / "new", seed=9)
    (tmp_path / "new" / "00003.jpg").replace(tmp_path / "20bn-jester-v1" / "0" / "00003.jpg")
    assert read(tmp_path).digest != before


def test_a_copy_of_a_folder_of_pictures_counts_as_it(tmp_path: Path) -> None:
    folder = jester(tmp_path) / "20bn-jester-v1"
    shutil.copytree(folder / "0", folder / "9")
    put(tmp_path / "jester-v1-train.csv", "0;Swiping Left\n1;No gesture\n9;Swiping Left\n")
    notes = read(tmp_path).notes
    assert f"copies of other files, which count as one: 1 file: {folder}/9 is {folder}/0" in notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0;Swiping Left\n1;Waving\n", "jester-v1-train.csv, line 2: {}/jester-v1-labels.csv has no class 'Waving'"),
        ("0;Swiping Left\n1,No gesture\n", "jester-v1-train.csv, line 2: expected ID;LABEL, got '1,No gesture'"),
    ],
)
def test_what_is_wrong_in_jester_is_named(text: str, message: str, tmp_path: Path) -> None:
    jester(tmp_path)
    put(tmp_path / "jester-v1-train.csv", text)
    assert message.format(tmp_path) in refusal(tmp_path)


def test_a_picture_that_is_missing_is_named(tmp_path: Path) -> None:
    jester(tmp_path)
    pictures(tmp_path / "20bn-jester-v1" / "9", seed=9)
    (tmp_path / "20bn-jester-v1" / "9" / "00007.jpg").unlink()
    dataset = read(tmp_path)
    folder = tmp_path / "20bn-jester-v1" / "9"
    assert dataset.notes[1:] == (f"skipped {folder}: it lacks 00007.jpg: its next picture is 00008.jpg",)


# All layouts

ANNOTATION_FILES = {
    "Kinetics": ("train.csv", KINETICS + "a,0,1,2,train\nb,1,1,2,val\n"),
    "UCF101": ("trainlist01.txt", "a/0.avi 1\nb/1.avi 2\n"),
    "HMDB51": ("a_test_split1.txt", "0.avi 1\n1.avi 2\n"),
    "Something-Something": ("train.json", entries((0, "a [b]"), (1, "[c] d"))),
    "ActivityNet or THUMOS": (
        "a.json",
        database(**{"0": ("training", [(0.0, 1.0, "a")]), "1": ("testing", [(0.0, 1.0, "b")])}),
    ),
    "VIA": ("via.csv", VIA + via_line("0.mp4", "[0.5,1.25]", '{"1":"0"}') + via_line("1.mp4", "[1,2]", '{"2":"b"}')),
    "CVAT": ("a.xml", cvat_xml("0.mp4", cvat_track(0, "a", (0, 0), (9, 1)), cvat_track(1, "b", (1, 0), (5, 0)))),
    "FiftyOne": ("samples.json", samples(("0.mp4", "train", [("a", [1, 5])]), ("1.mp4", "val", [("b", [1, 5])]))),
    "AVA": ("ava_train.csv", "0,1,0,0,1,1,12,0\n1,0002,0,0.5,1,1,79,0\n"),
    "Jester": ("jester-train.csv", "0;a\n1;b\n"),
}


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if layout.is_published])
def test_a_file_that_is_damaged_is_read_or_refused(name: str, tmp_path: Path) -> None:
    for i in range(2):
        long_clip(tmp_path / f"{i}.mp4", seed=i, seconds=1)
        pictures(tmp_path / str(i), seed=i, count=1)
    put(tmp_path / "classInd.txt", "1 a\n2 b\n")
    put(tmp_path / "b_test_split1.txt", "0.avi 2\n")
    put(tmp_path / "ava_action_list_v2.2.pbtxt", ACTIONS)
    file_name, text = ANNOTATION_FILES[name]
    file, rng = put(tmp_path / file_name, text), random.Random(0)
    assert LAYOUTS[name].recognises(file)
    assert LAYOUTS[name].read(tmp_path, [file], True).annotations
    for _ in range(MUTATIONS):
        file.write_bytes(mutate(mutate(text.encode(), text.encode(), rng), text.encode(), rng))
        LAYOUTS[name].recognises(file)
        try:
            listing = LAYOUTS[name].read(tmp_path, [file], True)
        except StreamcamError as e:
            assert "\n" not in one_line(str(e))
        else:
            assert all(a.label and (a.end_s is None or a.end_s >= (a.start_s or 0)) for a in listing.annotations)


# Unknown layouts


def test_an_unknown_layout_is_described(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, "1.mp4", "2.mp4")
    put(tmp_path / "notes" / "list.csv", "name,what\n1.mp4,nod\n")
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path} holds no clips in folders, one for each class: ")
    assert "(I see the folders notes with 2 .mp4 and 1 .csv files; did you mean Kinetics (CSV: label,you" in message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.json",
            '{"videos": []}',
            "a.json is of no known layout: did you mean Something-Something (JSON: a list with",
        ),
        ("a.json", '{"samples": [}', "a.json: JSON is malformed"),
        ("a.xml", "<tracks/>", "a.xml is of no known layout: did you mean CVAT (XML: CVAT for video 1.1)?"),
    ],
)
def test_a_file_of_no_layout_is_named(name: str, text: str, message: str, tmp_path: Path) -> None:
    assert message in refusal(put(tmp_path / name, text))


def test_folders_of_classes_may_hold_other_files(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{label}/{i}.mp4" for label in ("nod", "wave") for i in range(2)))
    put(tmp_path / "nod" / "0.xml", cvat_xml("0.mp4", cvat_track(0, "head", (0, 0))))
    put(tmp_path / "nod" / "0.json", "{}")
    put(tmp_path / "README.txt", "hello")
    assert layout_of(tmp_path) == "folders"
    assert read(tmp_path).classes == ("nod", "wave")


def test_the_command_names_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    data = put(tmp_path / "train.csv", KINETICS + "archery,aaaaaaaaaaa,0,x,train\n")
    done = streamcam("train", data, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "train.csv, line 2: time_end is a number, got 'x'" in done.stderr
    assert not (tmp_path / "out" / "best.safetensors").exists()
