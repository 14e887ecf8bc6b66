"""Divide clips by person, file or time, and say what both sides may share."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcam.config.train import SplitBy
from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.csv_file import read_csv
from streamcam.train.data.dataset import Dataset, read_dataset
from streamcam.train.data.folders import read_folders
from streamcam.train.data.recordings import new_recording, person_of, recorded_at
from streamcam.train.data.split import Split, folds_by_group, split_clips
from tests.support.pool import Pool

PERSONS = ("anna", "ben", "carl", "dora", "emil", "finn")


def clip(
    name: str, label: int = 0, group: str | None = None, *, start_s: float = 0.0, end_s: float = 3.0
) -> LabelledClip:
    return LabelledClip(Path(f"/data/{name}.mp4"), start_s, end_s, (label,), group)


def session(persons: Sequence[str], *, clips: int = 5, classes: int = 2) -> list[LabelledClip]:
    """So many clips of each class by each person."""
    return [clip(f"{p}-{c}-{i}", c, p) for p, c, i in product(persons, range(classes), range(clips))]


def split(clips: Sequence[LabelledClip], *, by: SplitBy = "auto", share: float = 0.2, window_s: float = 1.0) -> Split:
    return split_clips([(clip, None) for clip in clips], share, by=by, root=Path("/data"), window_s=window_s)


def persons(clips: Sequence[LabelledClip]) -> set[str | None]:
    return {clip.group for clip in clips}


@pytest.mark.parametrize(("count", "share", "expected"), [(2, 0.2, 1), (6, 0.2, 1), (6, 0.33, 2), (6, 0.99, 5)])
def test_no_person_is_on_both_sides(count: int, share: float, expected: int) -> None:
    clips = session(PERSONS[:count])
    done = split(clips, share=share)
    assert not persons(done.train) & persons(done.val)
    assert len(persons(done.val)) == expected
    assert sorted(map(id, [*done.train, *done.val])) == sorted(map(id, clips))
    assert split(clips[::-1], share=share).line == done.line
    names = sorted(str(name) for name in persons(done.val))
    shown = ", ".join(names[:3]) + (" and 2 more" if len(names) > 3 else "")
    assert done.line == (f"Validation is by person: {shown} ({expected} of {count}). No person is on both sides.")


def test_persons_are_chosen_so_that_every_class_is_on_both_sides() -> None:
    """Anna alone shows class 2, so she stays; of the others, two are needed for classes 0 and 1."""
    clips = [clip(f"a{i}", 2, "anna") for i in range(5)] + [clip("a", 0, "anna"), clip("a'", 1, "anna")]
    clips += [clip(f"{name}{i}", label, name) for name, label in (("ben", 0), ("carl", 0), ("dora", 1)) for i in "123"]
    done = split(clips, share=0.01)
    assert "anna" not in persons(done.val)
    assert {label for clip in done.val for label in clip.labels} == {0, 1}
    assert {label for clip in done.train for label in clip.labels} == {0, 1, 2}


@given(
    st.lists(st.tuples(st.sampled_from(PERSONS), st.sets(st.integers(0, 3), min_size=1)), min_size=1, max_size=40),
    st.floats(0.01, 0.99),
)
def test_whatever_people_recorded_no_person_is_on_both_sides(
    recorded: list[tuple[str, set[int]]], share: float
) -> None:
    clips = [
        LabelledClip(Path(f"/data/{i}.mp4"), 0.0, 3.0, tuple(sorted(labels)), person)
        for i, (person, labels) in enumerate(recorded)
    ]
    try:
        done = split(clips, by="person", share=share)
    except StreamcamError as e:
        assert any(reason in str(e) for reason in ("of one person", "the only one in the clips of some class"))
        return
    assert not persons(done.train) & persons(done.val)
    assert done.val
    assert {label for c in done.train for label in c.labels} == {label for c in clips for label in c.labels}
    assert {*done.train, *done.val} == set(clips)


def test_who_recorded_most_is_learnt_from() -> None:
    clips = session(["anna"], clips=50) + session(PERSONS[1:])
    assert "anna" not in persons(split(clips).val)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([clip("a"), clip("b")], "no clip says who is in it"),
        (
            [clip("a", 0, "anna"), clip("b", 0, "ben"), clip("c"), clip("d")],
            "nothing says who is in 2 of 4 clips (/data/c.mp4, /data/d.mp4)",
        ),
        (session(["anna"]), "all clips are of one person, anna"),
        ([clip("a", 0, "anna"), clip("b", 1, "ben")], "each person is the only one in the clips of some class"),
    ],
)
def test_where_it_cannot_be_by_person_it_says_why(clips: list[LabelledClip], message: str) -> None:
    with pytest.raises(StreamcamError) as caught:
        split(clips, by="person")
    assert str(caught.value).startswith(f"cannot validate by person: {message}: name the persons (record --person NAME")
    line = split(clips).line
    assert line.startswith("Validation is by file")
    assert (f", as {message}." in line) == ("no clip says" not in message)  # most data do not say: that is no news


def test_by_file_says_what_may_be_on_both_sides() -> None:
    done = split(session(PERSONS), by="file")
    assert not {clip.path for clip in done.train} & {clip.path for clip in done.val}
    assert done.line == ("Validation is by file. Clips of one file are never on both sides; the same person may be.")
    parts = [clip("only", 0, start_s=i, end_s=i + 1) for i in range(5)] + [clip(f"{i}", 1) for i in range(5)]
    assert "On both sides, as a class has no other file: /data/only.mp4." in split(parts).line


def test_data_that_say_are_taken_at_their_word_with_a_warning() -> None:
    clips = session(PERSONS[:3])
    listed = [(clip, "val" if clip.group == "ben" else "train") for clip in clips]
    done = split_clips(listed, 0.2, root=Path("/data"), window_s=1.0)
    assert (persons(done.val), done.line) == ({"ben"}, "Validation is by what the data say.")
    listed[0] = (clips[0], "val")
    done = split_clips(listed, 0.2, root=Path("/data"), window_s=1.0)
    assert done.line.endswith("On both sides, so that the score says little of other people: anna.")
    with pytest.raises(StreamcamError, match="leave out their split, or --split-by person"):
        split_clips(listed, 0.2, by="person", root=Path("/data"), window_s=1.0)


def spans(clips: Sequence[LabelledClip]) -> list[tuple[str, float, float]]:
    return [(clip.path.stem, round(clip.start_s, 6), round(clip.end_s, 6)) for clip in clips]


def test_a_long_recording_is_cut_with_a_window_between() -> None:
    done = split([clip("a", 0, end_s=100.0), clip("b", 1, end_s=50.0)], by="time")
    assert spans(done.train) == [("a", 0, 79), ("b", 0, 39)]
    assert spans(done.val) == [("a", 80, 100), ("b", 40, 50)]
    assert done.line == (
        "Validation is by time: the last 20% of each class. "
        "In a file, the sides are 1 s apart; the same person may be on both."
    )


def test_short_recordings_are_divided_in_the_order_of_their_times_or_else_their_numbers() -> None:
    numbered = [clip(f"take {i}") for i in (10, 9, 1, 2, 3, 4, 5, 6, 7, 8)]
    assert spans(split(numbered, by="time").val) == [("take 9", 0, 3), ("take 10", 0, 3)]
    timed = [clip(f"{who}_20261130-1015{i:02}", 0, who) for i, who in enumerate(["zoe", "anna"] * 5)]
    assert [c.path.stem[-2:] for c in split(timed, by="time").val] == ["08", "09"]


def test_both_sides_get_something_where_a_class_has_two_clips() -> None:
    two = [clip("a"), clip("b")]
    for share in (0.01, 0.99):
        assert (spans(split(two, by="time", share=share).train), spans(split(two, by="time", share=share).val)) == (
            [("a", 0, 3)],
            [("b", 0, 3)],
        )
    assert split([clip("a", 0, end_s=2.5)], by="time").val == []  # too short to be cut: it is learnt from


def test_in_one_file_all_classes_keep_away_from_what_is_checked() -> None:
    """Gestures one after the other, of three classes with times of their own."""
    gestures = [clip("day", i % 3, start_s=i * 2.0, end_s=i * 2.0 + 1.9) for i in range(60)]
    done = split(gestures, by="time", share=0.3)
    assert {c.labels for c in done.val} == {c.labels for c in done.train} == {(0,), (1,), (2,)}
    for a, b in product(done.train, done.val):
        assert b.start_s - a.end_s > 0.999 or a.start_s - b.end_s > 0.999


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.floats(0, 60), st.floats(1, 40)), min_size=1, max_size=20
    ),
    st.floats(0.01, 0.99),
)
def test_by_time_the_sides_are_a_window_apart_and_no_piece_is_too_short(
    segments: list[tuple[str, int, float, float]], share: float
) -> None:
    clips = [clip(name, label, start_s=at, end_s=at + length) for name, label, at, length in segments]
    done = split(clips, by="time", share=share)
    for piece in (*done.train, *done.val):
        assert piece.end_s - piece.start_s > 0.999
        assert any(c.path == piece.path and c.start_s <= piece.start_s and piece.end_s <= c.end_s for c in clips)
    for a, b in product(done.train, done.val):
        assert a.path != b.path or b.start_s - a.end_s > 0.999 or a.start_s - b.end_s > 0.999


def test_a_training_clip_around_one_for_validation_is_what_lies_before_and_after() -> None:
    clips = [clip("day", 0, start_s=20, end_s=23), clip("day", 0, start_s=40, end_s=43), clip("day", 1, end_s=100)]
    done = split(clips, by="time", share=0.3)
    assert spans(done.val) == [("day", 70, 100), ("day", 40, 43)]
    assert spans(done.train) == [("day", 0, 39), ("day", 44, 69), ("day", 20, 23)]


def test_there_is_a_fold_for_each_person() -> None:
    clips = session(PERSONS[:3])
    folds = folds_by_group(clips)
    assert [group for group, _, _ in folds] == ["anna", "ben", "carl"]
    for group, train, val in folds:
        assert persons(val) == {group}
        assert persons(train) == set(PERSONS[:3]) - {group}
        assert len(train) + len(val) == len(clips)


def test_a_fold_shares_no_frames() -> None:
    shared = [clip("day", 0, "anna", end_s=5), clip("day", 0, "ben", start_s=4, end_s=9), clip("x", 0, "ben")]
    (_, train, val), (_, others, _) = folds_by_group(shared)
    assert (spans(train), spans(val)) == ([("x", 0, 3)], [("day", 0, 5)])
    assert others == []


@pytest.mark.parametrize("clips", [session(["anna"]), [*session(PERSONS), clip("x")], []])
def test_folds_need_persons(clips: list[LabelledClip]) -> None:
    with pytest.raises(StreamcamError, match="cannot validate by person: "):
        folds_by_group(clips)


def test_the_name_of_a_recording_says_who_and_when(tmp_path: Path) -> None:
    first = new_recording(tmp_path, "anna_b", 0)
    first.touch()
    second = new_recording(tmp_path, "anna_b", 0)
    (tmp_path / f"{second.stem}.part.mp4").touch()
    third = new_recording(tmp_path, "anna_b", 0)
    assert [person_of(path) for path in (first, second, third)] == ["anna_b"] * 3
    assert [path.stem[-2:] for path in (second, third)] == ["-2", "-3"]
    assert {recorded_at(path) for path in (first, second, third)} == {recorded_at(new_recording(tmp_path, None, 0))}
    assert person_of(new_recording(tmp_path, None, 0)) is None


@pytest.mark.parametrize("name", ["IMG_0001", "VID_20261130_101500", "v_Wave_g01_c02", "20261130-101500", "anna_2026"])
def test_what_a_camera_calls_its_files_is_no_person(name: str) -> None:
    assert person_of(Path(f"{name}.mp4")) is None


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"), 12)


@pytest.fixture
def pool(clips: Pool) -> Pool:
    clips.afresh()
    return clips


def read(data: Path, by: SplitBy = "auto") -> Dataset:
    return read_dataset(data, need_s=0.3, val_share=0.3, split_by=by)


def test_folders_are_divided_by_the_persons_in_the_names(pool: Pool, tmp_path: Path) -> None:
    names = [f"{who}_20261130-10150{i}.mp4" for who in ("anna", "Anna", "ben") for i in range(2)]
    pool.put(tmp_path, *(f"{label}/{name}" for label in ("nod", "wave") for name in names))
    dataset = read(tmp_path)
    assert {clip.group for clip in (*dataset.train, *dataset.val)} == {"Anna", "ben"}
    assert persons(dataset.val) == {"ben"}
    assert dataset.validation == "Validation is by person: ben (1 of 2). No person is on both sides."
    assert dataset.notes == ()


@pytest.mark.parametrize("heading", ["person", "group", "Persons", "group_id", "subject"])
def test_a_csv_may_say_who_is_in_a_clip(heading: str, pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{i}.mp4" for i in range(4)))
    rows = ["0.mp4,nod,anna", "1.mp4,wave,anna ", "2.mp4,nod,ben", "3.mp4,wave,"]
    (tmp_path / "clips.csv").write_text("\n".join([f"path,label,{heading}", *rows]))
    annotations = read_csv(tmp_path / "clips.csv", known=False).annotations
    assert [a.group for a in annotations] == ["anna", "anna", "ben", None]
    with pytest.raises(StreamcamError, match=r"nothing says who is in 1 of 4 clips \(.*3\.mp4\)"):
        read(tmp_path / "clips.csv", "person")


def test_a_clip_of_two_persons_is_refused(pool: Pool, tmp_path: Path) -> None:
    paths = pool.put(tmp_path, "nod/anna_20261130-101500.mp4", "wave/anna_20261130-101600.mp4")
    copy = paths[0].with_name("ben_20261130-101500.mp4")
    copy.write_bytes(paths[0].read_bytes())
    with pytest.raises(StreamcamError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{paths[0]} is of 'anna', and {copy}, a copy of it, 'ben': leave one out, or give both one name"
    )


def test_names_of_persons_may_differ_by_next_to_nothing(pool: Pool, tmp_path: Path) -> None:
    pool.put(tmp_path, *(f"{i}.mp4" for i in range(4)))
    rows = ["0.mp4,nod,Anna B", "1.mp4,wave,anna_b", "2.mp4,nod,ben", "3.mp4,wave,BEN"]
    (tmp_path / "clips.csv").write_text("\n".join(["path,label,person", *rows]))
    dataset = read(tmp_path / "clips.csv")
    assert {clip.group for clip in (*dataset.train, *dataset.val)} == {"Anna B", "ben"}
    assert len(persons(dataset.val)) == len(persons(dataset.train)) == 1


def test_sides_in_folders_know_the_persons_too(pool: Pool, tmp_path: Path) -> None:
    names = {"train": "anna_20261130-101500", "val": "anna_20261130-101600"}
    for side, name in names.items():
        pool.put(tmp_path, f"{side}/nod/{name}.mp4", f"{side}/wave/{name}.mp4")
    assert read(tmp_path).validation.endswith("says little of other people: anna.")
    assert {a.group for a in read_folders(tmp_path, known=False).annotations} == {"anna"}
