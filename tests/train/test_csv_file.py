"""Read CSV files as spreadsheets and scripts write them, and refuse what is not clear."""

import codecs
from collections.abc import Sequence
from pathlib import Path

import pytest

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation
from streamcam.train.data.csv_file import read_csv
from streamcam.train.data.dataset import Dataset, read_dataset
from streamcam.train.data.split import overlap_s
from tests.support.pool import Pool

CLIPS = ("a.mp4", "b.mp4", "sub/c.mp4", "sub/d.mp4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of 0.8 s."""
    folder = tmp_path_factory.mktemp("listed")
    Pool(folder / "pool", len(CLIPS)).put(folder, *CLIPS)
    return folder


def listed(folder: Path, content: str | bytes, name: str = "clips.csv") -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def annotations_of(folder: Path, content: str | bytes) -> list[Annotation]:
    return read_csv(listed(folder, content), known=False).annotations


def read(folder: Path, content: str | bytes, *, multi_label: bool = False) -> Dataset:
    return read_dataset(listed(folder, content), need_s=0.0, val_share=0.5, multi_label=multi_label)


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(StreamcamError) as caught:
        read(folder, content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def times(annotations: Sequence[Annotation]) -> list[tuple[str, str, float | None, float | None]]:
    return [(a.path.name, a.label, a.start_s, a.end_s) for a in annotations]


EXPECTED = [("a.mp4", "nod", 0.1, 0.5), ("b.mp4", "wave", 0.2, None)]
COMMAS = "path,label,start,end\na.mp4,nod,0.1,0.5\nb.mp4,wave,0.2,\n"


@pytest.mark.parametrize(
    "content",
    [
        COMMAS,
        "path,label, start, end\na.mp4,nod, 0.1, 0.5\nb.mp4, wave ,0.2,\n",
        " Path ,LABEL,Start,END\r\na.mp4,nod,.1,5e-1\r\nb.mp4,wave,0.2\r\n",
        "File Name,Class,Start Time (s),end_time_s\na.mp4,nod,0.1,0.5\n,,,\nb.mp4,wave,0.2,\n\n",
        "action,video_path,t_start,t_end\nnod,a.mp4,0:00.1,00:00:00.5\nwave,b.mp4,0:0.2,\n",
        '"path","label","start","end"\n"a.mp4","nod","0.1","0.5"\n"b.mp4","wave","0.2",""\n',
        "clip;category;begin;stop\na.mp4;nod;0,1;0,5\nb.mp4;wave;0,2;\n",
        "sep=;\r\npath;label;start;end\r\na.mp4;nod;0,1;0.5\r\nb.mp4;wave;0,2;\r\n",
        "path\tlabel\tonset\toffset\na.mp4\tnod\t0.1\t0.5\nb.mp4\twave\t0.2\t\n",
        "path,label,start,end,\na.mp4,nod,0.1,0.5,\nb.mp4,wave,0.2,,,\n",
        codecs.BOM_UTF8 + COMMAS.encode(),
        COMMAS.replace("\n", "\r"),  # Excel's "CSV (Macintosh)"
        COMMAS.replace(",", "\t").encode("utf-16"),  # Excel's "Unicode text"
        codecs.BOM_UTF16_BE + COMMAS.encode("utf-16-be"),
    ],
)
def test_a_table_is_read_as_it_was_meant(content: str | bytes, folder: Path) -> None:
    assert times(annotations_of(folder, content)) == EXPECTED
    assert read_csv(listed(folder, content), known=False).notes == []


def test_names_with_letters_of_all_kinds(folder: Path) -> None:
    content = 'path;label\na.mp4;"Gr\u00fc\u00df; links"\nb.mp4;\u624b\n'
    assert [a.label for a in annotations_of(folder, content)] == ["Gr\u00fc\u00df; links", "\u624b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.mp4,nod\nb.mp4,wave\n", "the first line lists a clip: put one before it that names the columns"),
        ("a.mp4 0\nb.mp4 1\n", "the first line lists a clip"),
        ("path,path ,label\n", "the columns 'path' and 'path' both mean path: leave one out"),
        ("path,label,Class\n", "the columns 'label' and 'Class' both mean label: leave one out"),
        ("start,begin,path,label\n", "the columns 'start' and 'begin' both mean start"),
        ("path,name\na.mp4,nod\n", "no column 'label' (expected path,start,end,label, got path, name)"),
        ("path,label,start_frame,end_frame\na.mp4,nod,3,9\n", "'start_frame' is not known: times are start and end"),
        ("path,label,start_ms\na.mp4,nod,3\n", "the column 'start_ms' is not known"),
        ("path,label,start,duration\na.mp4,nod,0,1\n", "the column 'duration' is not known"),
        ("path,label\na.mp4,wave, left\nb.mp4,nod\n", "line 2: 3 values for 2 columns: put what holds a separator"),
        ('path,label\na.mp4,"wave\nb.mp4,nod\n', "line 3: not CSV (unexpected end of data)"),
        ("sep=,\npath,label,start\na.mp4,nod,x\n", "line 3: start and end are seconds, such as 12.5, or 1:30, got 'x'"),
        ('path,label,start\na.mp4,nod,"0,5"\n', "line 2: start and end are seconds, such as 12.5, or 1:30, got '0,5'"),
        ("path;label;start\na.mp4;nod;1.234,5\n", "line 2: start and end are seconds"),
        ("path,label,start\na.mp4,nod,-1\n", "line 2: start and end are seconds"),
        ("path,label,start\na.mp4,nod,1_0\n", "line 2: start and end are seconds"),
        ("path,label,start,end\na.mp4,nod,1:30,1:10\n", "line 2: expected 0 \u2264 start < end, got 90 and 70"),
        ("path,label\na.mp4,Gr\u00fc\u00df\n".encode("cp1252"), "line 2: not UTF-8: save it as 'CSV UTF-8'"),
        (b"PK\x03\x04\x14\0\x06\0\x08\0", "not a CSV file (save a spreadsheet as 'CSV UTF-8')"),
        ("path,label\na.mp4,nod\nb.mp4,nod\n", "holds one class, 'nod'"),
        ("path,label\na.mp4,Nod\nb.mp4,nod\nsub/c.mp4,wave\n", "'Nod' (1 clip) and 'nod' (1 clip) differ by case"),
        ("path,label,split\na.mp4,nod,train\nb.mp4,wave,\n", "b.mp4 has no split, and others are"),
        ("path,label,split\na.mp4,nod,val\nb.mp4,wave,test\n", "there is no train, but test and val"),
        ("path,label\na.mp4,nod\na.mp4,wave\n", "a.mp4 is labelled 'nod' and 'wave': leave one out, or --multi-label"),
        ("path,start,end,label\na.mp4,0,9,nod\na.mp4,,,wave\n", "a.mp4 is labelled 'nod' and 'wave'"),
        ("path,start,end,label\na.mp4,.2,.4,nod\na.mp4,.2,.4,wave\n", "a.mp4 (0.2–0.4 s) is labelled"),
    ],
)
def test_what_is_not_clear_is_refused(content: str | bytes, message: str, folder: Path) -> None:
    assert message in refusal(folder, content)


def test_columns_that_are_not_known_are_named(folder: Path) -> None:
    file = listed(folder, ",path,label,start,end,fps,class_id\n0,a.mp4,nod,0,0.5,30,1\n1,b.mp4,wave,0,0.5,30,2\n")
    listing = read_csv(file, known=False)
    assert listing.notes == [f"{file}: columns that are not known, and ignored: column 1, fps, class_id"]
    assert times(listing.annotations) == [("a.mp4", "nod", 0.0, 0.5), ("b.mp4", "wave", 0.0, 0.5)]


def test_the_paths_of_windows_are_turned_where_that_is_what_is_there(folder: Path) -> None:
    dataset = read(folder, "path,label\na.mp4,nod\nsub\\c.mp4,nod\nb.mp4,wave\n.\\sub\\d.mp4,wave\n")
    assert {clip.path.name for clip in (*dataset.train, *dataset.val)} == {"a.mp4", "b.mp4", "c.mp4", "d.mp4"}
    assert dataset.notes == ()


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (
            r"C:\clips\x.mp4",
            r"no such file: C:\clips\x.mp4 (a path of Windows: give it as it is here); none of the 2 files",
        ),
        (r"\\nas\clips\x.mp4", r"no such file: \\nas\clips\x.mp4 (a path of Windows"),
        ("no/x.mp4", "no such file: {0}/no/x.mp4 (paths are relative to {0}); none of the 2 files"),
        (r"no\x.mp4", r"no such file: {0}/no\x.mp4 (paths are relative to {0})"),
        ("/no/x.mp4", "no such file: /no/x.mp4 ("),
    ],
)
def test_where_no_file_is_there_the_first_is_named(first: str, message: str, folder: Path) -> None:
    assert message.format(folder) in refusal(folder, f"path,label\n{first},nod\ny.mp4,wave\n")


def test_files_that_are_not_there_are_named_together(folder: Path) -> None:
    lines = [f"{i}.mp4,nod" for i in range(5)]
    dataset = read(
        folder, "\n".join(["path,label", *lines, "a.mp4,nod", "b.mp4,nod", "sub/c.mp4,wave", "sub/d.mp4,wave"])
    )
    few = ", ".join(f"{folder}/{i}.mp4" for i in range(3))
    assert dataset.notes == (f"skipped 5 files: no such file: {few} and 2 more",)
    message = refusal(folder, "path,label\na.mp4,nod\nb.mp4,nod\nx.mp4,wave\n")
    assert f"no clip of class 'wave' for training can be read (skipped {folder}/x.mp4: no such file" in message


def test_sides_are_known_in_any_words(folder: Path) -> None:
    rows = ["a.mp4,nod,TRAINING", "b.mp4,wave,Train", "sub/c.mp4,nod,Validation", "sub/d.mp4,wave,test"]
    dataset = read(folder, "\n".join(["path,label,subset", *rows]))
    assert [clip.path.name for clip in dataset.train] == ["a.mp4", "b.mp4"]
    assert [clip.path.name for clip in dataset.val] == ["c.mp4"]
    assert dataset.notes[0] == "test is used neither for training nor for validation: 1 clip"


def test_a_line_that_comes_twice_counts_once(folder: Path) -> None:
    dataset = read(folder, "path,label\na.mp4,nod\na.mp4,nod\nb.mp4,wave\nsub/c.mp4,nod\nsub/d.mp4,wave\n")
    assert len(dataset.train) + len(dataset.val) == 4
    assert dataset.notes == ("listed more than once, and counted once: 1 clip",)


def test_a_stretch_that_goes_on_after_its_file_is_named(folder: Path) -> None:
    dataset = read(
        folder, "path,start,end,label\na.mp4,0,25,nod\nb.mp4,0,0.9,wave\nsub/c.mp4,,,nod\nsub/d.mp4,,,wave\n"
    )
    (note,) = dataset.notes
    example = f"{folder}/a.mp4 (to 25 s of 0.8 s)"
    assert note == f"longer than the file, and cut off at its end: 1 segment: {example}"


def test_labels_that_overlap_are_named(folder: Path) -> None:
    rows = ["a.mp4,0,.5,nod", "a.mp4,.2,.8,wave", "a.mp4,.1,.3,nod", "b.mp4,0,.4,nod", "b.mp4,.4,.8,wave"]
    dataset = read(folder, "\n".join(["path,start,end,label", *rows]))
    example = f"{folder}/a.mp4 (nod) and 0.2–0.8 s (wave)"
    assert f"overlapping with different labels, and used with both: 1 pair: {example}" in dataset.notes


def test_stretches_that_overlap_are_never_on_both_sides(folder: Path) -> None:
    rows = [
        f"{name}.mp4,{i / 10},{i / 10 + 0.35},{label}"
        for name, label in (("a", "nod"), ("b", "wave"))
        for i in (0, 2, 5)
    ]
    dataset = read(folder, "\n".join(["path,start,end,label", *rows]))
    for clip in dataset.val:
        assert all(c.path != clip.path or overlap_s(c, clip) < 0.1 for c in dataset.train)
    assert sorted(clip.start_s for clip in (*dataset.train, *dataset.val)) == [0, 0, 0.2, 0.2, 0.5, 0.5]
    assert {clip.labels for clip in dataset.val} == {clip.labels for clip in dataset.train} == {(0,), (1,)}


def test_a_stretch_that_shares_pictures_with_what_is_checked_is_not_learnt_from(folder: Path) -> None:
    rows = [
        "a.mp4,0,.4,nod,train",
        "a.mp4,.2,.6,nod,val",
        "a.mp4,.6,.8,nod,train",
        "b.mp4,,,wave,train",
        "sub/c.mp4,,,wave,val",
    ]
    dataset = read(folder, "\n".join(["path,start,end,label,split", *rows]))
    assert [(clip.path.name, clip.start_s) for clip in dataset.train] == [("a.mp4", 0.6), ("b.mp4", 0.0)]
    assert dataset.notes == (f"left out of training, as validation has the same frames: 1 clip: {folder}/a.mp4",)


def test_a_text_that_is_too_long_for_a_path_is_no_file(folder: Path) -> None:
    dataset = read(folder, f"{COMMAS}{'x' * 300}.mp4,nod,,\nsub/c.mp4,nod,,\nsub/d.mp4,wave,,\n")
    assert [note for note in dataset.notes if "xxx" in note and "no such file" in note]
