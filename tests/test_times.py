"""When each picture of a file is shown: whatever container it comes in, and however wrong its timestamps are.

The right value is always the one that the picture was rendered for: its number is in the picture, and picture number
`i` of a clip of 25 a second is shown at i/25 s.
"""

import itertools
import logging
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import pytest
from conftest import TINY_FORMAT, make_frame
from support.commands import streamcam
from support.numbered import number_of, picture, remuxed, write_numbered
from test_explain import beeps, rows_of, video_times
from test_recorder import pixels

import streamcam as package
from streamcam.errors import StreamcamError
from streamcam.explain import explain
from streamcam.models.base import CamModel
from streamcam.recorder import VideoRecorder
from streamcam.records import Frame, Result
from streamcam.sources import open_source
from streamcam.sources.clock import WRAP_S, Course, Order
from streamcam.sources.extent import Extent
from streamcam.train.clips import read_frames
from streamcam.train.dataset import LabelledClip, read_dataset

CONTAINERS = {
    "h264": ["avi", "asf", "wmv", "ts", "m2ts", "mpg", "vob", "mov", "mkv", "flv", "nut", "mxf", "wtv", "h264"],
    "h264-deep": ["avi", "asf", "ts", "mpg", "mp4", "mkv", "flv", "nut", "wtv", "h264"],
    "hevc": ["ts", "mpg", "mp4", "mkv", "flv", "nut", "hevc"],
    "xvid": ["avi", "asf", "ts", "mpg", "mp4", "mkv", "wtv", "m4v", "3gp"],
    "mpeg2": ["avi", "asf", "ts", "mpg", "vob", "mov", "mkv", "mxf", "wtv", "m2v"],
    "mpeg1": ["avi", "asf", "ts", "mpg", "mov", "mkv", "wtv", "m1v"],
    "vp9": ["webm", "mkv", "mp4", "ivf", "avi"],
    "mjpeg": ["avi", "asf", "mov", "mkv", "mjpeg"],
}
FORMS = {"m4v": "m4v", "m1v": "mpeg1video", "m2v": "mpeg2video", "m2ts": "mpegts"}
EVERY = [(codec, kind) for codec, kinds in CONTAINERS.items() for kind in kinds]


def frames_of(path: Path, **options: Any) -> list[Frame]:
    with closing(open_source(str(path), paced=False, **options)) as source:
        return list(source.frames(Event()))


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.pixels) for frame in frames]


def times(frames: list[Frame]) -> list[float]:
    return [frame.pts_s for frame in frames]


def extent_of(path: Path) -> Extent | None:
    with closing(open_source(str(path), paced=False)) as source:
        return source.extent


def rises(values: list[float]) -> bool:
    return all(a < b for a, b in itertools.pairwise(values))


@pytest.mark.parametrize(("codec", "kind"), EVERY, ids=lambda value: value)
def test_pictures_come_in_order_and_each_at_its_time(tmp_path: Path, codec: str, kind: str) -> None:
    path = write_numbered(tmp_path / f"clip.{kind}", codec, form=FORMS.get(kind))
    frames = frames_of(path)
    assert numbers(frames) == list(range(40))
    assert times(frames) == pytest.approx([i / 25 for i in range(40)], abs=2e-3)
    assert {frame.session for frame in frames} == {0}
    assert extent_of(path) == pytest.approx((0, 1.6), abs=0.021)  # of MPEG-1 in ASF, FFmpeg says it lasts half as long


@pytest.mark.parametrize(("codec", "kind"), EVERY, ids=lambda value: value)
def test_a_start_and_an_end_are_found_to_the_picture(tmp_path: Path, codec: str, kind: str) -> None:
    path = write_numbered(tmp_path / f"clip.{kind}", codec, form=FORMS.get(kind))
    frames = frames_of(path, start_s=0.995, end_s=1.395)
    assert numbers(frames) == list(range(25, 35))
    assert times(frames) == pytest.approx([i / 25 for i in range(25, 35)], abs=2e-3)


@pytest.mark.parametrize("kind", ["avi", "asf", "mpg", "h264"])
def test_training_reads_what_is_shown_and_when(tmp_path: Path, kind: str) -> None:
    path = write_numbered(tmp_path / f"clip.{kind}")
    clip_format = TINY_FORMAT.__class__(8, 25, (64, 128), (64, 128), (0.0,) * 3, (1.0,) * 3)
    frames = read_frames(LabelledClip(path, 0.395, 1.6, (0,)), clip_format, count=20, place=0.0)
    assert [number_of(image.transpose(1, 2, 0)) for image in frames] == list(range(10, 30))


@pytest.mark.parametrize("kind", ["avi", "asf", "mpg", "h264", "ts"])
def test_explain_takes_every_picture_at_its_time(tiny: CamModel, tmp_path: Path, kind: str) -> None:
    done = explain(str(write_numbered(tmp_path / f"clip.{kind}")), tmp_path / "out", model=tiny)
    assert done.frames == 40
    assert done.windows > 8  # a window of 4 each tenth of a second
    seen = dict.fromkeys(float(row["time_s"]) for row in rows_of(tmp_path / "out"))
    assert list(seen) == pytest.approx([i / 25 for i in range(40)], abs=2e-3)


def is_dts(_number: int, packet: av.Packet) -> None:
    packet.pts = packet.dts


def in_pairs(_number: int, packet: av.Packet) -> None:
    step = packet.duration
    assert packet.pts is not None
    assert packet.dts is not None
    packet.pts = max(packet.pts // step // 2 * 2 * step, packet.dts)


@pytest.mark.parametrize("edit", [is_dts, in_pairs])
@pytest.mark.parametrize("kind", ["mkv", "ts", "mov", "flv"])
@pytest.mark.parametrize("codec", ["h264", "h264-deep", "xvid"])
def test_a_muxer_that_writes_wrong_times_does_not_split_a_clip(
    tmp_path: Path, codec: str, kind: str, edit: Any
) -> None:
    if (codec, kind) == ("xvid", "flv"):
        pytest.skip("not a format")
    path = remuxed(write_numbered(tmp_path / "right.mp4", codec), tmp_path / f"wrong.{kind}", edit)
    frames = frames_of(path)
    assert len(frames) >= 36  # in .mov, an edit list leaves out what such times put before the beginning
    assert numbers(frames) == sorted(numbers(frames))
    assert rises(times(frames))
    assert {frame.session for frame in frames} == {0}
    assert times(frames)[-1] - times(frames)[0] == pytest.approx((len(frames) - 1) / 25, abs=0.13)


def shown(order: Order, packets: list[tuple[float | None, float | None]], held: int) -> list[float | None]:
    """What a decoder that holds back `held` packets makes of packets' pts and dts, in 25ths of a second."""
    came: list[float | None] = []
    waiting: list[float | None] = []
    for pts, dts in packets:
        order.sent(*(None if value is None else value / 25 for value in (pts, dts)))
        waiting.append(pts)
        if len(waiting) > held:
            next_pts = min(waiting, key=lambda value: -1.0 if value is None else value)
            waiting.remove(next_pts)
            came.append(order.time_of(None if next_pts is None else next_pts / 25))
    for pts in sorted(waiting, key=lambda value: -1.0 if value is None else value):
        came.append(order.time_of(None if pts is None else pts / 25))
    return [None if time is None else round(time * 25, 6) for time in came]


@pytest.mark.parametrize(
    ("packets", "held", "expected"),
    [
        ([(0, -1), (3, 0), (1, 1), (2, 2), (6, 3), (4, 4), (5, 5)], 1, [0, 1, 2, 3, 4, 5, 6]),
        ([(None, i) for i in range(7)], 2, [0, 1, 2, 3, 4, 5, 6]),
        ([(None, i) for i in (0, 1, 2, 5, 6, 9)], 2, [0, 1, 2, 5, 6, 9]),
        ([(i, i) for i in range(7)], 2, [0, 1, 2, 3, 4, 5, 6]),
        ([(i, None) for i in (0, 3, 1, 2, 6, 4, 5)], 1, [0, 1, 2, 3, 4, 5, 6]),
        ([(3, 0)] + [(None, i) for i in range(1, 5)], 3, [3, 4, 5, 6, 7]),
        ([(None, None)] * 4, 2, [None] * 4),
        ([(7, None), (None, None), (None, None)], 0, [7, None, None]),
    ],
    ids=["both", "dts", "dts-with-gaps", "dts-called-pts", "pts", "first-pts", "none", "now-and-then"],
)
def test_pictures_have_the_times_to_be_shown_or_in_turn_those_to_be_decoded(
    packets: list[tuple[float | None, float | None]], held: int, expected: list[float | None]
) -> None:
    assert shown(Order(0.04), packets, held) == expected


def placed(own: list[float | None], *, gaps: bool = False) -> tuple[list[float], list[int]]:
    """Where a course puts pictures of 0.1 s, and before which it says that the clock was set."""
    course = Course(0.1, gaps=gaps)
    places = [course.place(own_s) for own_s in own]
    return [round(place.at_s, 6) for place in places], [i for i, place in enumerate(places) if place.is_new]


@pytest.mark.parametrize(
    ("own", "expected", "new"),
    [
        ([0, 0.1, 0.2, 0, 0.1], [0, 0.1, 0.2, 0.2 + 0.025, 0.25], []),
        ([0, 0.1, 0.7, 0.8, 0, 0.1], [0, 0.1, 0.7, 0.8, 0.9, 1.0], [4]),
        ([0, 0.1, 500, 500.1], [0, 0.1, 0.2, 0.3], [2]),
        ([0, 0.1, 9, 9.1], [0, 0.1, 9, 9.1], []),
        ([0, 0.1, None, 0.3], [0, 0.1, 0.2, 0.3], []),
        ([None, None, None], [0, 0.1, 0.2], []),
        ([0, 0, 0.2, 0.2, 0.4], [0, 0.1, 0.2, 0.3, 0.4], []),
        ([0, 0.1, 0.3, 0.2, 0.4], [0, 0.1, 0.3, 0.325, 0.4], []),
    ],
    ids=["out-of-order", "back", "ahead", "gap", "missing", "none", "doubled", "swapped"],
)
def test_time_goes_on_whatever_the_clock_does(own: list[float | None], expected: list[float], new: list[int]) -> None:
    at_s, set_before = placed(own)
    assert rises(at_s)
    assert set_before == new
    if own[:4] != [0, 0.1, 0.2, 0]:
        assert at_s == pytest.approx(expected)


def test_where_all_has_its_place_in_time_a_long_gap_is_one() -> None:
    assert placed([0, 0.1, 500, 500.1], gaps=True) == ([0, 0.1, 500, 500.1], [])


def test_a_clock_that_has_run_its_26_hours_was_not_set() -> None:
    assert placed([0, WRAP_S - 0.1, 0.1]) == ([0, pytest.approx(0.1), 0.3], [1])
